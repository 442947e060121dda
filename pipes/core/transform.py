"""The ``transform`` of an item, compiled once and applied to each value.

A transform is defined from source to target; reverse and both use its computed inverse. The
result then still has to be converted to the type of the written node (`conversion.convert`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import pos
from typing import Final

from pipes.core.choices import Direction
from pipes.core.conversion import Converted, OnOverflow, Rejected, convert
from pipes.core.transform_kinds import KINDS, Function, InvalidTransformError, Kind, Numeric
from pipes.core.values import Variant, VariantType, type_named
from pipes.core.wanted import Json

__all__ = ["InvalidTransformError", "Plan", "Transform", "compile_transform"]


@dataclass(frozen=True, slots=True)
class Transform:
    """One direction of a transform. An identity leaves the bytes of a value as they are."""

    is_identity: bool
    on_overflow: OnOverflow
    function: Function
    number: Callable[[float], float] | None = None
    """The transform as a function of numbers, if it is nothing but that."""
    to_type: VariantType | None = None
    """The type that the result has to become after it, if one is asked for."""

    def apply(self, variant: Variant) -> Variant | Rejected:
        """The value in the terms of the written side, or why there is none."""
        return self.function(variant)


@dataclass(frozen=True, slots=True)
class Plan:
    """Both directions; the one that the item does not use is None."""

    forward: Transform | None
    reverse: Transform | None


def compile_transform(spec: Mapping[str, Json], direction: Direction = Direction.FORWARD) -> Plan:
    """Check the contract's object and make it ready for values.

    Raises:
        InvalidTransformError: an unknown kind or field, a wrong value, or no inverse for a
            direction that needs one.
    """
    kind = _kind(spec)
    _refuse_unknown_fields(spec, kind)
    on_overflow = _on_overflow(spec)
    to_type = _to_type(spec)
    forward, inverse = kind.make(spec, on_overflow)
    if isinstance(inverse, str):
        if direction is not Direction.FORWARD:
            message = f"cannot be used with direction {direction}: {inverse}"
            raise InvalidTransformError("transform", message)
        inverse = None
    return Plan(
        None if direction is Direction.REVERSE else _transform(forward, to_type, on_overflow),
        None if direction is Direction.FORWARD else _transform(inverse, None, on_overflow),
    )


def _transform(
    function: Function | None, to_type: VariantType | None, on_overflow: OnOverflow
) -> Transform:
    return Transform(
        is_identity=function is None and to_type is None,
        on_overflow=on_overflow,
        function=_in_turn(function, _typed(to_type, on_overflow)),
        number=_number(function),
        to_type=to_type,
    )


def _number(function: Function | None) -> Callable[[float], float] | None:
    if function is None:
        return pos  # the very number
    return function.function if isinstance(function, Numeric) else None


def _in_turn(first: Function | None, second: Function | None) -> Function:
    if first is None or second is None:
        return first or second or _same

    def both(variant: Variant) -> Variant | Rejected:
        result = first(variant)
        return result if isinstance(result, Rejected) else second(result)

    return both


def _same(variant: Variant) -> Variant:
    return variant


# --- the object's fields ----------------------------------------------------------------------

_COMMON: Final = frozenset({"kind", "to_type", "on_overflow"})


def _kind(spec: Mapping[str, Json]) -> Kind:
    name = spec.get("kind", "none")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidTransformError("transform.kind", f"{name!r} is not one of {_names()}")
    return kind


def _names() -> str:
    return ", ".join(KINDS)


def _refuse_unknown_fields(spec: Mapping[str, Json], kind: Kind) -> None:
    unknown = sorted(spec.keys() - _COMMON - kind.fields)
    if unknown:
        allowed = ", ".join(sorted(kind.fields | {"to_type", "on_overflow"}))
        raise InvalidTransformError(
            f"transform.{unknown[0]}",
            f"is not a field of kind {spec.get('kind', 'none')}; it takes {allowed}",
        )


def _on_overflow(spec: Mapping[str, Json]) -> OnOverflow:
    value = spec.get("on_overflow")
    if value is None:
        return OnOverflow.REJECT
    try:
        return OnOverflow(str(value))
    except ValueError:
        raise InvalidTransformError(
            "transform.on_overflow", f"{value!r} is neither reject nor saturate"
        ) from None


def _to_type(spec: Mapping[str, Json]) -> VariantType | None:
    value = spec.get("to_type")
    if value is None or value == "":
        return None
    kind = type_named(value) if isinstance(value, str) else None
    if kind is None or kind not in _TO_TYPES:
        names = "Boolean, SByte … UInt64, Float, Double, String, DateTime, Guid, LocalizedText"
        raise InvalidTransformError("transform.to_type", f"{value!r} is not one of {names}")
    return kind


_TO_TYPES: Final = frozenset(VariantType(number) for number in range(1, 15)) | {
    VariantType.LOCALIZED_TEXT
}


def _typed(to_type: VariantType | None, on_overflow: OnOverflow) -> Function | None:
    if to_type is None:
        return None

    def to_that_type(variant: Variant) -> Variant | Rejected:
        result = convert(variant, to_type, on_overflow=on_overflow)
        return result.variant if isinstance(result, Converted) else result

    return to_that_type
