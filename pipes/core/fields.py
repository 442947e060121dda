"""The fields of servers, pipes and items: one table for REST, files, documents, plans and OpenAPI.

Bodies come in three shapes. What comes from outside is *raw*: any fields, any values. What stands
in the document, the database and every comparison is *trimmed*: checked values, fields at their
default left out, so that equal objects are equal dicts. What is answered is *complete*: the
trimmed one with its defaults. A *patch* is the way between: checked values of some fields, where
None means the default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pipes.core import checks, choices, endpoints, nested
from pipes.core.checks import Check
from pipes.core.nested import Child
from pipes.core.problems import FieldError, WrongError
from pipes.core.quality_table import check_quality_table
from pipes.core.transform import InvalidTransformError, compile_transform
from pipes.core.wanted import Json

Body = Mapping[str, Json]
Patch = Mapping[str, Json]

LONGEST_NOTE: Final = 1000
LONGEST_INTERVAL_MS: Final = 24 * 3600 * 1000
LONGEST_PERIOD_SECONDS: Final = 365 * 24 * 3600


class Kind(StrEnum):
    """The kinds of configured objects, in the order in which they depend on each other."""

    SERVER = "server"
    PIPE = "pipe"
    ITEM = "item"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind.

    ``form`` is how a table cell shows it: text, number, boolean, list, table, any or object; the
    children of an object are columns of their own.
    """

    name: str
    form: str
    check: Check
    default: Json = None
    required: bool = False
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    children: Mapping[str, Child] = field(default_factory=dict)
    is_own: bool = False
    """Whether a value at the default is another thing than none, which the pipe then decides."""

    def read(self, value: Json) -> Json:
        """The checked value of ``value``, or None if that is the default and says nothing.

        Raises:
            WrongError: the value is refused; its errors carry this field's name.
        """
        if value is None:
            return None
        try:
            checked = self.check(value)
            if checked == self.default and not self.is_own:
                return None
        except WrongError as error:
            raise WrongError(*(each.below(self.name) for each in error.errors)) from None
        return checked


def _values(enum: type[StrEnum]) -> tuple[str, ...]:
    return tuple(str(member) for member in enum)


def _choice(name: str, enum: type[StrEnum], default: str | None) -> Field:
    allowed = _values(enum)
    return Field(
        name, "text", checks.choice(allowed), default, allowed=allowed, nullable=default is None
    )


def _flag(name: str, *, default: bool) -> Field:
    return Field(name, "boolean", checks.boolean, default, allowed=("true", "false"))


def _object(name: str, check: Check, default: Json, children: Mapping[str, Child]) -> Field:
    return Field(name, "object", check, default, nullable=default is None, children=children)


def _table(*fields: Field) -> dict[str, Field]:
    return {each.name: each for each in fields}


_MILLISECONDS: Final = checks.integer(0, LONGEST_INTERVAL_MS)
_SECONDS: Final = checks.number(0, LONGEST_PERIOD_SECONDS)
_NOTE: Final = Field("note", "text", checks.text(LONGEST_NOTE, lines=True), "")

SERVER: Final = _table(
    Field("name", "text", checks.name, required=True),
    Field("endpoint", "text", endpoints.endpoint, required=True),
    Field("standby_endpoint", "text", endpoints.optional_endpoint, ""),
    _choice("security_policy", choices.SecurityPolicy, "Basic256Sha256"),
    _choice("security_mode", choices.SecurityMode, "SignAndEncrypt"),
    _choice("auth", choices.Auth, "anonymous"),
    Field("username", "text", checks.text(256), ""),
    _flag("is_monitored", default=True),
    _flag("native", default=False),
    _flag("enabled", default=True),
    _NOTE,
    _object(
        "server_set",
        nested.server_set,
        {"mode": "none", "endpoints": [], "failover": "warm"},
        nested.SERVER_SET_CHILDREN,
    ),
)

PIPE: Final = _table(
    Field("name", "text", checks.name, required=True),
    Field("source", "text", checks.name, required=True),
    Field("target", "text", checks.name, required=True),
    _flag("enabled", default=True),
    Field("publishing_interval_ms", "number", checks.integer(1, LONGEST_INTERVAL_MS), 100),
    _choice("overflow", choices.Overflow, "latest"),
    Field("queue_limit", "number", checks.integer(1, 1_000_000), 100),
    Field("queue_age_seconds", "number", _SECONDS, 60),
    _choice("quality", choices.Quality, "propagate"),
    Field("hold_seconds", "number", _SECONDS, nullable=True),
    Field("quality_table", "table", check_quality_table, {}),
    _choice("timestamps", choices.Timestamps, "auto"),
    _choice("initial_write", choices.InitialWrite, "if_different"),
    _flag("dry_run", default=False),
    _choice("codec", choices.CodecName, "splice"),
    _NOTE,
)

ITEM: Final = _table(
    Field("pipe", "text", checks.name, required=True),
    Field("source_node", "text", checks.node_id, required=True),
    Field("target_node", "text", checks.node_id, required=True),
    _choice("direction", choices.Direction, "forward"),
    _flag("enabled", default=True),
    replace(_choice("kind", choices.ItemKind, "state"), is_own=True),
    Field("sampling_interval_ms", "number", _MILLISECONDS, nullable=True),
    Field("minimum_interval_ms", "number", _MILLISECONDS, 0),
    _choice("trigger", choices.Trigger, "status_value"),
    _object("deadband", nested.deadband, {"type": "none", "value": 0}, nested.DEADBAND_CHILDREN),
    _object("transform", nested.transform, {"kind": "none"}, nested.TRANSFORM_CHILDREN),
    _object("condition", nested.condition, None, nested.CONDITION_CHILDREN),
    _choice("quality", choices.Quality, None),
    Field("substitute", "any", nested.scalar, nullable=True),
    Field("refresh_seconds", "number", _SECONDS, 0),
    _flag("verify", default=False),
    Field("index_range", "text", checks.index_range, ""),
    _NOTE,
)

FIELDS: Final[Mapping[Kind, Mapping[str, Field]]] = {
    Kind.SERVER: SERVER,
    Kind.PIPE: PIPE,
    Kind.ITEM: ITEM,
}

REQUIRED: Final[Mapping[Kind, tuple[str, ...]]] = {
    kind: tuple(name for name, known in fields.items() if known.required)
    for kind, fields in FIELDS.items()
}

#: Fields of answers that are ignored when they come back.
READ_ONLY: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.SERVER: frozenset({"status", "has_password"}),
    Kind.PIPE: frozenset({"status"}),
    Kind.ITEM: frozenset({"id", "status"}),
}

#: Fields that are taken but never answered; the services deal with them.
WRITE_ONLY: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.SERVER: frozenset({"password"}),
    Kind.PIPE: frozenset(),
    Kind.ITEM: frozenset(),
}


def read_patch(kind: Kind, raw: Mapping[str, Json]) -> tuple[dict[str, Json], list[FieldError]]:
    """Check each field of ``raw`` by itself; what is read-only or write-only is left out."""
    fields = FIELDS[kind]
    patch: dict[str, Json] = {}
    errors: list[FieldError] = []
    for name, value in raw.items():
        known = fields.get(name)
        if known is None:
            errors.extend(_stranger(kind, name, value))
            continue
        try:
            patch[name] = known.read(value)
        except WrongError as error:
            errors.extend(error.errors)
    return patch, errors


def _stranger(kind: Kind, name: str, value: Json) -> Iterable[FieldError]:
    if name in READ_ONLY[kind] or name in WRITE_ONLY[kind]:
        return ()
    known = tuple(FIELDS[kind])
    article = "an" if kind is Kind.ITEM else "a"
    message = f"is not a field of {article} {kind}; the fields are {', '.join(known)}"
    return (FieldError(name, message, value, known),)


def apply_patch(base: Body, patch: Patch) -> dict[str, Json]:
    """A trimmed body with a patch on it."""
    changed = {name: value for name, value in base.items() if name not in patch}
    changed.update((name, value) for name, value in patch.items() if value is not None)
    return changed


def check_whole(kind: Kind, body: Body) -> list[FieldError]:
    """What is wrong with a trimmed body although each field for itself is right."""
    errors = [FieldError(name, "is required") for name in REQUIRED[kind] if name not in body]
    if kind is Kind.SERVER:
        errors += _check_security(body)
        errors += _check_server_set(body)
    elif kind is Kind.ITEM:
        errors += _check_delivery(body)
        errors += _check_item(body)
    return errors


def _check_delivery(body: Body) -> list[FieldError]:
    """What cannot go together with samples in order, and with events that are never repeated."""
    kind, errors = body.get("kind", "state"), []
    if kind != "state" and body.get("direction") == "both":
        message = f"must be forward or reverse, because kind is {kind}"
        errors.append(FieldError("direction", message, "both", ("forward", "reverse")))
    if kind == "event" and body.get("refresh_seconds"):
        message = "must be 0, because kind is event, and an event is never repeated"
        errors.append(FieldError("refresh_seconds", message, body["refresh_seconds"]))
    if kind != "state" and body.get("minimum_interval_ms"):
        message = f"must be 0, because kind is {kind}, and every sample is written"
        errors.append(FieldError("minimum_interval_ms", message, body["minimum_interval_ms"]))
    return errors


def _check_item(body: Body) -> list[FieldError]:
    errors = []
    if "transform" in body:
        errors += _check_transform(body)
    if body.get("quality") == "substitute" and "substitute" not in body:
        errors.append(FieldError("substitute", "is required, because quality is substitute"))
    return errors


def _check_transform(body: Body) -> list[FieldError]:
    """It can be carried out, and turned round where the item moves in reverse."""
    spec, direction = body["transform"], choices.Direction(str(body.get("direction", "forward")))
    try:
        compile_transform(spec if isinstance(spec, dict) else {}, direction)
    except InvalidTransformError as error:
        return [FieldError(error.field, error.message, spec)]
    return []


def _check_security(body: Body) -> list[FieldError]:
    errors = []
    policy = body.get("security_policy", SERVER["security_policy"].default)
    mode = body.get("security_mode", SERVER["security_mode"].default)
    if policy == "None" and mode != "None":
        message = "must be None, because security_policy is None"
        errors.append(FieldError("security_mode", message, mode, ("None",)))
    elif policy != "None" and mode == "None":
        message = f"must be Sign or SignAndEncrypt, because security_policy is {policy}"
        errors.append(FieldError("security_mode", message, mode, ("Sign", "SignAndEncrypt")))
    if body.get("auth") == "username" and not body.get("username"):
        errors.append(FieldError("username", "is required, because auth is username", ""))
    return errors


def _check_server_set(body: Body) -> list[FieldError]:
    """No member twice. Where each station has its own endpoint, both may stand in the list: what
    is the first of one station is another member to the other.
    """
    listed = nested.members(body.get("server_set"))
    if not listed or body.get("standby_endpoint"):
        return []
    twice = nested.repeated([str(body.get("endpoint", "")), *listed])
    if twice is None:
        return []
    message = f"must not name {twice}, which is the server's endpoint: list the others"
    return [FieldError("server_set.endpoints", message, list(listed))]


def complete(kind: Kind, body: Body) -> dict[str, Json]:
    """A trimmed body with its defaults, in the order of the table."""
    whole: dict[str, Json] = {"id": body["id"]} if kind is Kind.ITEM else {}
    for name, known in FIELDS[kind].items():
        whole[name] = body.get(name, known.default)
    return whole


def complete_item(body: Body, pipe: Body) -> dict[str, Json]:
    """As `complete`, with the kind that the item has on its pipe: a queue of the pipe is its own.

    What may change on both sides is a state everywhere.
    """
    return complete(Kind.ITEM, body) | {"kind": str(kind_on(body, pipe))}


def kind_on(body: Body, pipe: Body) -> choices.ItemKind:
    """The kind that a trimmed item has on its pipe."""
    own = body.get("kind")
    return choices.kind_on_pipe(
        None if own is None else choices.ItemKind(str(own)),
        choices.Direction(str(body.get("direction", choices.Direction.FORWARD))),
        choices.Overflow(str(pipe.get("overflow", choices.Overflow.LATEST))),
    )


def follows_pipe(body: Body, pipe: Body) -> dict[str, Json]:
    """An item without its own kind, if that is the one that the pipe gives anyway.

    So an answer or a file that shows the kind of each item may come back and changes nothing.
    """
    without = {name: value for name, value in body.items() if name != "kind"}
    return without if kind_on(without, pipe) == body.get("kind") else dict(body)


def check_on_pipe(body: Body, pipe: Body) -> list[FieldError]:
    """What of an item does not go with the kind that its pipe gives it."""
    if "kind" in body or kind_on(body, pipe) is choices.ItemKind.STATE:
        return []
    interval = body.get("minimum_interval_ms")
    if not interval:
        return []
    message = (
        "must be 0, because overflow of the pipe is queue, and every sample is written;"
        " kind state writes the latest value only"
    )
    return [FieldError("minimum_interval_ms", message, interval)]


def flatten(kind: Kind, body: Body) -> dict[str, Json]:
    """A body whose objects are dotted fields (``transform.gain``), as in plans and tables."""
    flat: dict[str, Json] = {}
    for name, value in body.items():
        known = FIELDS[kind].get(name)
        if known is not None and known.children and isinstance(value, dict):
            flat.update((f"{name}.{child}", entry) for child, entry in value.items())
        else:
            flat[name] = value
    return flat
