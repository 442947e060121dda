"""What the views of the configuration share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from pipes import services
from pipes.core.fields import FIELDS, Kind
from pipes.core.plan import MOST_ROWS, Plan
from pipes.core.problems import FieldError
from pipes.listing import Filter, boolean, number_text, one_of
from pipes.refusals import Invalid, Stale
from pipes.rest import Problem, flag, invalid, number, with_revision

MOST_BODIES: Final = 100_000
#: Where ``?search=`` looks for items.
ITEM_SEARCH: Final = ("source_node", "target_node", "note", "pipe__name")


class PipesView(APIView):
    """A view of this app; ``required_roles`` says who may do what."""

    required_roles: ClassVar[Mapping[str, str]] = {}


def user_name(request: Request) -> str:
    return str(request.user)


def may(request: Request, role: str) -> bool:
    """Whether whoever asks has ``role``; for what depends on the body as well."""
    check = getattr(request.user, "has_role", None)
    return bool(check is not None and check(role))


def forbid(text: str) -> Problem:
    return Problem(403, "not_allowed", "Not allowed", text)


def single_write_only(request: Request) -> None:
    """Refuse ``?dry_run=true`` where it would be ignored: the write would be done."""
    if flag(request, "dry_run"):
        text = "dry_run is for bulk writes, imports and PUT; a single object is not planned"
        raise invalid("dry_run", "true", text)


def check_base(base_revision: int | None) -> None:
    """Refuse a plan that is asked for on another revision than the newest (If-Match)."""
    newest = services.current_revision()
    if base_revision is not None and base_revision != newest:
        raise Stale(newest)


def rows(request: Request) -> int:
    """``?rows=``: how many rows of a plan are answered."""
    return number(request, "rows", MOST_ROWS, 0, MOST_BODIES)


def plan_answer(plan: Plan) -> Response:
    """200 with the plan; the ETag is the revision that holds now."""
    revision = plan.revision if plan.revision is not None else plan.base_revision
    return with_revision(Response(plan.body()), revision)


def object_list(data: Any, field: str) -> list[dict[str, Any]]:
    """A list of JSON objects; entries of another kind are refused with their row."""
    if not isinstance(data, list):
        raise invalid(field, None, f"{field} must be a list of objects")
    if len(data) > MOST_BODIES:
        raise invalid(field, len(data), f"{field} takes at most {MOST_BODIES} entries at once")
    errors = [
        FieldError(field, "must be an object", str(entry)[:100], row=row)
        for row, entry in enumerate(data, 1)
        if not isinstance(entry, dict)
    ]
    if errors:
        raise Invalid(errors)
    return data


def only_enabled(patches: Sequence[Mapping[str, Any]]) -> bool:
    """Whether patches speak of ``enabled`` alone (besides what is read-only)."""
    return all(set(patch) <= {"id", "enabled", "status"} for patch in patches)


def body_filters(kind: Kind) -> dict[str, Filter]:
    """A filter for each plain field of a kind, and for its state."""
    filters = {"state": Filter("state")}
    for name, field in FIELDS[kind].items():
        if field.form == "boolean":
            filters[name] = Filter(name, boolean, "true or false")
        elif field.form == "number":
            filters[name] = Filter(name, number_text, "a number")
        elif field.form == "text" and field.allowed:
            filters[name] = Filter(name, one_of(field.allowed), ", ".join(field.allowed))
        elif field.form == "text":
            filters[name] = Filter(name)
    return filters
