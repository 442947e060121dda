"""REST of items: pages, single and bulk writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.db.models import Q
from django.db.models.fields.json import JSONField
from django.db.models.functions import Cast
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import schemas, selectors, services
from pipes.core.choices import Direction, ItemKind, Overflow
from pipes.core.fields import ITEM, Field, Kind
from pipes.listing import (
    Filter,
    Listing,
    boolean,
    bounds,
    number_text,
    one_of,
    page,
    select,
    whole,
)
from pipes.models import Item
from pipes.rest import body_object, flag, if_match, invalid, only_fields, reason, with_revision
from pipes.views.common import (
    ITEM_SEARCH,
    PipesView,
    check_base,
    forbid,
    may,
    object_list,
    only_enabled,
    plan_answer,
    rows,
    user_name,
)

OPERATORS: Final = "Operators change enabled only; engineers change the rest of an item"
_COLUMNS: Final = {"direction", "trigger"}


def _in_body(field: Field) -> Any:
    """A condition on a field that has no column: the body leaves it out at its default."""

    def condition(value: Any) -> Q:
        if value == field.default:
            return Q(**{f"parsed__{field.name}__isnull": True})
        return Q(**{f"parsed__{field.name}": value})

    return condition


def _of_kind(value: str) -> Q:
    """A condition on the kind that is answered: an item without one has what its pipe gives."""
    given = {
        ItemKind.QUEUE: Q(pipe_parsed__overflow=Overflow.QUEUE) & ~Q(direction=Direction.BOTH),
        ItemKind.STATE: Q(pipe_parsed__overflow__isnull=True) | Q(direction=Direction.BOTH),
    }.get(ItemKind(value))
    own = Q(parsed__kind=value)
    return own if given is None else own | (Q(parsed__kind__isnull=True) & given)


def _filters() -> dict[str, Filter]:
    text = {
        "id": Filter("pk", whole, "a whole number"),
        "pipe": Filter(lambda value: Q(pipe__name_key=value.casefold())),
        "source_node": Filter("source_node"),
        "target_node": Filter("target_node"),
        "note": Filter("note"),
        "enabled": Filter("enabled", boolean, "true or false"),
    }
    for name, field in ITEM.items():
        if name in text or field.form not in {"text", "number", "boolean"}:
            continue
        lookup = name if name in _COLUMNS else _in_body(field)
        if field.form == "boolean":
            text[name] = Filter(lookup, boolean, "true or false")
        elif field.form == "number":
            text[name] = Filter(lookup, number_text, "a number")
        elif name == "kind":
            text[name] = Filter(_of_kind, one_of(field.allowed), ", ".join(field.allowed))
        elif field.allowed:
            text[name] = Filter(lookup, one_of(field.allowed), ", ".join(field.allowed))
        else:
            text[name] = Filter(lookup)
    return text


_ITEMS: Final = Listing(
    search=ITEM_SEARCH,
    ordering={
        "id": "pk",
        "pipe": "pipe__name_key",
        "source_node": "source_node",
        "target_node": "target_node",
        "direction": "direction",
        "enabled": "enabled",
        "kind": "kind",
        "note": "note",
    },
    filters=_filters(),
)


class ItemsView(PipesView):
    """The items of every pipe, a page at a time; a list in POST or PATCH is a bulk write."""

    required_roles: ClassVar[Mapping[str, str]] = {
        "GET": "viewer",
        "POST": "engineer",
        "PATCH": "operator",
    }

    @extend_schema(**schemas.listed("Item", _ITEMS.filters))
    def get(self, request: Request) -> Response:
        revision = services.current_revision()
        part = bounds(request)
        found = select(request, _rows(request), _ITEMS)
        shown = selectors.items(found[part.offset : part.offset + part.limit])
        return with_revision(Response(page(request, part, found.count(), shown)), revision)

    @extend_schema(**schemas.created_items())
    def post(self, request: Request) -> Response:
        data = request.data
        is_bulk = isinstance(data, list)
        if is_bulk or flag(request, "dry_run"):
            bodies = object_list(data if is_bulk else [body_object(request)], "items")
            return plan_answer(services.create_items(bodies, **_bulk(request)))
        check_base(if_match(request))
        made = services.create_item(
            body_object(request), user=user_name(request), reason=reason(request)
        )
        return with_revision(Response(selectors.item(made.pk).body, 201), made.revision)

    @extend_schema(**schemas.changed_items())
    def patch(self, request: Request) -> Response:
        data = request.data
        patches = object_list(data if isinstance(data, list) else [body_object(request)], "items")
        if not may(request, "engineer") and not only_enabled(patches):
            raise forbid(OPERATORS)
        return plan_answer(services.change_items(patches, **_bulk(request)))


class ItemView(PipesView):
    """One item; operators switch it on and off."""

    required_roles: ClassVar[Mapping[str, str]] = {
        "GET": "viewer",
        "PATCH": "operator",
        "DELETE": "engineer",
    }

    @extend_schema(**schemas.answered("Item"))
    def get(self, _: Request, number: int) -> Response:
        found = selectors.item(number)
        return with_revision(Response(found.body), found.revision)

    @extend_schema(**schemas.changed("Item", "dry_run"))
    def patch(self, request: Request, number: int) -> Response:
        patch = body_object(request)
        if not may(request, "engineer"):
            fields = services.changed_fields(Kind.ITEM, number, patch)
            if not fields <= {"enabled"}:
                raise forbid(OPERATORS)
        if flag(request, "dry_run"):
            selectors.item_row(number)
            return plan_answer(services.change_items([{**patch, "id": number}], **_bulk(request)))
        changed = services.change_item(
            number,
            patch,
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
        )
        return with_revision(Response(selectors.item(changed.pk).body), changed.revision)

    @extend_schema(**schemas.deleted("dry_run"))
    def delete(self, request: Request, number: int) -> Response:
        if flag(request, "dry_run"):
            selectors.item_row(number)
            return plan_answer(services.delete_items([number], **_bulk(request)))
        services.delete_item(
            number,
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
        )
        return Response(status=204)


class DeleteItemsView(PipesView):
    """Delete many items at once."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}

    @extend_schema(**schemas.deleted_items())
    def post(self, request: Request) -> Response:
        body = body_object(request)
        only_fields(body, ["ids"])
        ids = body.get("ids")
        if not isinstance(ids, list):
            raise invalid("ids", None, "ids takes a list of item ids")
        return plan_answer(services.delete_items(ids, **_bulk(request)))


def _rows(request: Request) -> Any:
    everything = Item.objects.all()
    if any(
        callable(each.lookup) and name in request.query_params and name != "pipe"
        for name, each in _ITEMS.filters.items()
    ):
        return everything.annotate(
            parsed=Cast("body", JSONField()), pipe_parsed=Cast("pipe__body", JSONField())
        )
    return everything


def _bulk(request: Request) -> dict[str, Any]:
    return {
        "user": user_name(request),
        "reason": reason(request),
        "base_revision": if_match(request),
        "dry_run": flag(request, "dry_run"),
        "rows": rows(request),
    }
