"""Fields that are objects of the contract: transform, deadband, condition, server_set.

Each check takes what came from outside and returns the object in its one form: the children that
belong to it, all of them, defaults filled in. What a transform of every kind may have besides
(``to_type``, ``on_overflow``) stands in it only when it says something.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core import checks, endpoints
from pipes.core.checks import Check
from pipes.core.choices import DeadbandType
from pipes.core.problems import FieldError, WrongError, wrong
from pipes.core.wanted import Json

#: What ``to_type`` may be: the built-in types a value can be turned into (Part 6, 5.1.2).
VALUE_TYPES: Final = (
    "Boolean",
    "SByte",
    "Byte",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float",
    "Double",
    "String",
    "DateTime",
    "Guid",
    "LocalizedText",
)
LONGEST_PATTERN: Final = 256
LONGEST_TABLE: Final = 1000
MOST_ENDPOINTS: Final = 16


@dataclass(frozen=True, slots=True)
class Child:
    """A field of an object; ``form`` says how a text cell of a table becomes its value."""

    name: str
    form: str
    check: Check
    default: Json = None
    required: bool = False
    allowed: tuple[str, ...] = ()


def _choice(name: str, allowed: tuple[str, ...], default: Json, *, optional: bool = False) -> Child:
    check = checks.choice(allowed)
    check = checks.optional(check) if optional else check
    return Child(name, "text", check, default, allowed=allowed)


def scalar(value: Json) -> Json:
    """A value of a node in configuration: text, a number, true or false."""
    if isinstance(value, str):
        return checks.text(4096, lines=True)(value)
    if isinstance(value, bool):
        return value
    return checks.finite(value)


def lookup_table(value: Json) -> Json:
    """A table ``{"0": "Off", "1": "On"}``."""
    if not isinstance(value, dict) or not 1 <= len(value) <= LONGEST_TABLE:
        raise wrong(f"must be a table of 1 to {LONGEST_TABLE} pairs such as 0=Off|1=On", None)
    return {str(checks.text(256)(key)): scalar(entry) for key, entry in value.items()}


_PATTERN: Final = checks.text(LONGEST_PATTERN)
_BIT: Final = checks.integer(0, 63)
_BIT_COUNT: Final = checks.integer(1, 64)


def _number(name: str, default: int | None = None) -> Child:
    return Child(name, "number", checks.number(), default, required=default is None)


_BITS: Final = (
    Child("first", "number", _BIT, 0),
    Child("count", "number", _BIT_COUNT, 1),
)

#: The contract's transform kinds and the fields of each.
TRANSFORMS: Final[Mapping[str, tuple[Child, ...]]] = {
    "none": (),
    "linear": (_number("gain", 1), _number("offset", 0)),
    "range": (
        _number("in_low"),
        _number("in_high"),
        _number("out_low"),
        _number("out_high"),
        Child("clamp", "boolean", checks.boolean, default=True),
    ),
    "invert": (),
    "lookup": (
        Child("table", "table", lookup_table, required=True),
        Child("default", "any", checks.optional(scalar)),
    ),
    "bits": _BITS,
    "pack": _BITS,
    "format": (Child("pattern", "text", _PATTERN, required=True),),
    "parse": (Child("pattern", "text", _PATTERN, required=True),),
    "unit": (
        Child("from", "text", checks.text(64), required=True),
        Child("to", "text", checks.text(64), required=True),
    ),
    "convert": (),
}
TRANSFORM_KIND: Final = _choice("kind", tuple(TRANSFORMS), "none")
TRANSFORM_EXTRAS: Final = (
    _choice("to_type", VALUE_TYPES, None, optional=True),
    _choice("on_overflow", ("reject", "saturate"), "reject"),
)
TRANSFORM_CHILDREN: Final[Mapping[str, Child]] = {
    child.name: child
    for child in (
        TRANSFORM_KIND,
        *(child for own in TRANSFORMS.values() for child in own),
        *TRANSFORM_EXTRAS,
    )
}

DEADBAND_CHILDREN: Final[Mapping[str, Child]] = {
    "type": _choice("type", tuple(str(each) for each in DeadbandType), "none"),
    "value": Child("value", "number", checks.number(0), 0),
}
CONDITION_CHILDREN: Final[Mapping[str, Child]] = {
    "node": Child("node", "text", checks.node_id, required=True),
    "equals": Child("equals", "any", scalar, required=True),
}
SERVER_SET_CHILDREN: Final[Mapping[str, Child]] = {
    "mode": _choice("mode", ("none", "auto", "manual"), "none"),
    "endpoints": Child("endpoints", "list", checks.list_of(endpoints.endpoint, MOST_ENDPOINTS), []),
    "failover": _choice("failover", ("warm", "hot"), "warm"),
}


def transform(value: Json) -> Json:
    given = _object(value, TRANSFORM_CHILDREN)
    kind = _read(given, TRANSFORM_KIND)
    own = TRANSFORMS[str(kind)]
    belongs = {"kind", *(child.name for child in (*own, *TRANSFORM_EXTRAS))}
    strangers = [
        FieldError(name, f"does not belong to a transform of kind {kind}", given[name])
        for name in given
        if name not in belongs and given[name] is not None
    ]
    checked: dict[str, Json] = {"kind": kind, **_read_all(given, own, strangers)}
    extras = _read_all(given, TRANSFORM_EXTRAS, [])
    checked |= {
        child.name: extras[child.name]
        for child in TRANSFORM_EXTRAS
        if extras[child.name] != child.default
    }
    _check_range(checked)
    return checked


def _check_range(checked: Mapping[str, Json]) -> None:
    if checked["kind"] == "range" and checked["in_low"] == checked["in_high"]:
        raise WrongError(
            FieldError("in_high", "must differ from in_low", checked["in_high"]),
        )


def deadband(value: Json) -> Json:
    given = _object(value, DEADBAND_CHILDREN)
    checked = _read_all(given, DEADBAND_CHILDREN.values(), [])
    width = checked["value"]
    if checked["type"] == "none":
        return {"type": "none", "value": 0}
    if checked["type"] == "percent" and isinstance(width, int | float) and width > 100:
        raise WrongError(FieldError("value", "must be 0 to 100 percent", width))
    return checked


def condition(value: Json) -> Json:
    given = _object(value, CONDITION_CHILDREN)
    return _read_all(given, CONDITION_CHILDREN.values(), [])


def server_set(value: Json) -> Json:
    given = _object(value, SERVER_SET_CHILDREN)
    checked = _read_all(given, SERVER_SET_CHILDREN.values(), [])
    listed = members(checked)
    if checked["mode"] == "none" and listed:
        message = "must be empty, because mode is none; use manual or auto"
        raise WrongError(FieldError("endpoints", message, checked["endpoints"]))
    if checked["mode"] == "none" and checked["failover"] != "warm":
        message = "must be warm, because mode is none and there is no other member to keep ready"
        raise WrongError(FieldError("failover", message, checked["failover"], ("warm",)))
    if checked["mode"] == "manual" and not listed:
        message = "must name at least one, because mode is manual"
        raise WrongError(FieldError("endpoints", message, []))
    twice = repeated(listed)
    if twice is not None:
        raise WrongError(
            FieldError("endpoints", f"must name {twice} once only", checked["endpoints"])
        )
    return checked


def members(checked: Json) -> list[str]:
    """The endpoints that a server_set lists; none if there is no server_set."""
    listed = checked.get("endpoints") if isinstance(checked, dict) else None
    return [str(each) for each in listed] if isinstance(listed, list) else []


def repeated(listed: Iterable[str]) -> str | None:
    """The first endpoint that was there before, if in another spelling."""
    seen: set[str] = set()
    for each in listed:
        spelled = endpoints.normalised(each)
        if spelled in seen:
            return each
        seen.add(spelled)
    return None


def _object(value: Json, children: Mapping[str, Child]) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise wrong(f"must be an object with {', '.join(children)}", value)
    unknown = [name for name in value if name not in children]
    if unknown:
        raise WrongError(
            *(
                FieldError(name, "is no known field", value[name], tuple(children))
                for name in unknown
            )
        )
    return value


def _read(given: Mapping[str, Json], child: Child) -> Json:
    value = given.get(child.name)
    if value is None:
        if child.required:
            raise WrongError(FieldError(child.name, "is required", None))
        return child.default
    try:
        return child.check(value)
    except WrongError as error:
        raise WrongError(*(each.below(child.name) for each in error.errors)) from None


def _read_all(
    given: Mapping[str, Json], children: Iterable[Child], errors: Iterable[FieldError]
) -> dict[str, Json]:
    """Check every child; all that is wrong is told at once, ``errors`` included."""
    found = list(errors)
    checked: dict[str, Json] = {}
    for child in children:
        try:
            checked[child.name] = _read(given, child)
        except WrongError as error:
            found.extend(error.errors)
    if found:
        raise WrongError(*found)
    return checked
