"""What a transform makes of some values, or of a node's, before an item is saved with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipes import selectors
from pipes.core import nested
from pipes.core.choices import Direction
from pipes.core.conversion import Rejected
from pipes.core.findings import listed
from pipes.core.json_values import JsonValueError, variant_from_json, variant_to_json
from pipes.core.node_ids import NodeIdError, parse
from pipes.core.problems import WrongError
from pipes.core.transform import InvalidTransformError, Transform, compile_transform
from pipes.core.values import VariantType, type_name
from pipes.core.wanted import Json
from pipes.models import Item, Server
from pipes.refusals import Invalid
from pipes.rest import invalid

MOST_VALUES: Final = 1_000
MOST_NAMED: Final = 100
_DIRECTIONS: Final = tuple(str(each) for each in Direction)


def compiled(body: Mapping[str, Any]) -> Transform:
    """The transform of a request in its direction; ``both`` shows the way forward.

    Raises:
        Invalid, Problem: a field is wrong, or there is no way in this direction.
    """
    direction = body.get("direction", "forward")
    if direction not in _DIRECTIONS:
        text = f"direction takes {', '.join(_DIRECTIONS)}"
        raise invalid("direction", direction, text, _DIRECTIONS)
    try:
        spec = nested.transform(body.get("transform", {}))
        plan = compile_transform(spec if isinstance(spec, dict) else {}, Direction(direction))
    except WrongError as error:
        raise Invalid([each.below("transform") for each in error.errors]) from error
    except InvalidTransformError as error:
        raise invalid(error.field, None, error.message) from error
    made = plan.forward or plan.reverse
    assert made is not None  # one of them is there in every direction  # noqa: S101
    return made


def preview(transform: Transform, value: Json) -> dict[str, Json]:
    """``{value, written, data_type, error}``: what the value becomes, or why nothing is written.

    Numbers without a fraction are taken as Int64, with one as Double. The conversion to the type
    of a written node comes after this.
    """
    answer: dict[str, Json] = {"value": value, "written": None, "data_type": None, "error": None}
    try:
        variant = variant_from_json(value, _type_of(value))
    except JsonValueError as error:
        return {**answer, "error": str(error)}
    result = transform.apply(variant)
    if isinstance(result, Rejected):
        return {**answer, "error": result.sentence}
    return {**answer, "written": variant_to_json(result), "data_type": type_name(result.type)}


def server_of(body: Mapping[str, Any]) -> str:
    """The name of the server whose node a request names.

    It is the one that is named, or that of the pipe whose values go through the transform: its
    source, in reverse its target. Without either it must be plain which one is meant.

    Raises:
        Problem, NotFound: which server it is is not said, or there is none of that name.
    """
    named = {name: body[name] for name in ("server", "pipe") if body.get(name) is not None}
    if len(named) > 1:
        raise invalid("server", body["server"], "give server or pipe, not both")
    for name, value in named.items():
        if not isinstance(value, str):
            raise invalid(name, value, f"{name} takes the name of a {name}")
    end = "target" if body.get("direction") == Direction.REVERSE else "source"
    if "server" in named:
        return selectors.server_row(named["server"]).name
    if "pipe" in named:
        pipe = selectors.pipe_row(named["pipe"])
        return str(getattr(pipe, end).name)
    return _plain_server(str(body["source_node"]), end)


def _plain_server(node: str, end: str) -> str:
    """The only server; or else the only one of whose nodes an item reads this; or else the only
    one that has its namespace.
    """
    tables = dict(Server.objects.values_list("name", "namespaces"))
    items = Item.objects.order_by().filter(**{f"{end}_node": node})
    readers = items.values_list(f"pipe__{end}__name", flat=True).distinct()
    for found in (sorted(tables), sorted(readers), _with_namespace(node, tables)):
        if len(found) == 1:
            return found[0]
    names = sorted(tables)
    if not names:
        message = "there is no server yet whose node could be read; give values"
    else:
        message = f"server or pipe is missing: source_node may be of {listed(names)}; name one"
    raise invalid("server", None, message, names[:MOST_NAMED])


def _with_namespace(node: str, tables: Mapping[str, Sequence[str]]) -> list[str]:
    try:
        namespace = parse(node).namespace
    except NodeIdError as error:
        raise invalid("source_node", node, str(error)) from error
    return [name for name, table in tables.items() if namespace in table]


def _type_of(value: Json) -> VariantType:
    leaves = list(_leaves(value))
    if leaves and all(isinstance(leaf, bool) for leaf in leaves):
        return VariantType.BOOLEAN
    if any(isinstance(leaf, str) for leaf in leaves):
        return VariantType.STRING
    if all(isinstance(leaf, int) for leaf in leaves):
        is_large = any(isinstance(leaf, int) and leaf >= 2**63 for leaf in leaves)
        return VariantType.UINT64 if is_large else VariantType.INT64
    return VariantType.DOUBLE


def _leaves(value: Json) -> list[Json]:
    if not isinstance(value, list):
        return [value]
    return [leaf for inner in value for leaf in _leaves(inner)]
