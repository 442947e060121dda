"""The ``transform`` of an item, compiled once and applied to each value.

A transform is defined from source to target; reverse and both use its computed inverse. The
result then still has to be converted to the type of the written node (`conversion.convert`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core.choices import Direction
from pipes.core.conversion import (
    Converted,
    OnOverflow,
    Rejected,
    RejectReason,
    TargetType,
    convert,
)
from pipes.core.values import (
    DOUBLE_MAXIMUM,
    INTEGER_RANGES,
    Scalar,
    Variant,
    VariantType,
    type_named,
)
from pipes.core.wanted import Json


class InvalidTransformError(ValueError):
    """The configuration object is wrong; ``field`` is the path below the item."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnsupportedTransformError(InvalidTransformError):
    """A kind of the contract that this version does not carry out yet."""


_Function = Callable[[Variant], Variant | Rejected]


@dataclass(frozen=True, slots=True)
class Transform:
    """One direction of a transform. An identity leaves the bytes of a value as they are."""

    is_identity: bool
    on_overflow: OnOverflow
    function: _Function

    def apply(self, variant: Variant) -> Variant | Rejected:
        """The value in the terms of the written side, or why there is none."""
        return self.function(variant)


@dataclass(frozen=True, slots=True)
class Plan:
    """Both directions; the one that the item does not use is None."""

    forward: Transform | None
    reverse: Transform | None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A row of the table of kinds: its own fields, and the two functions made from them.

    ``make`` returns (forward, inverse); None is the identity, a sentence in place of the inverse
    says why there is none.
    """

    fields: frozenset[str]
    make: Callable[
        [Mapping[str, Json], OnOverflow], tuple[_Function | None, _Function | str | None]
    ]


def compile_transform(spec: Mapping[str, Json], direction: Direction = Direction.FORWARD) -> Plan:
    """Check the contract's object and make it ready for values.

    Raises:
        InvalidTransformError: an unknown kind or field, a wrong value, or no inverse for a
            direction that needs one.
        UnsupportedTransformError: a kind that is not carried out yet.
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
    steps = [step for step in (forward, _typed(to_type, on_overflow)) if step is not None]
    return Plan(
        None if direction is Direction.REVERSE else _transform(steps, on_overflow),
        None
        if direction is Direction.FORWARD
        else _transform([] if inverse is None else [inverse], on_overflow),
    )


def _transform(steps: list[_Function], on_overflow: OnOverflow) -> Transform:
    if not steps:
        return Transform(is_identity=True, on_overflow=on_overflow, function=_same)
    if len(steps) == 1:
        return Transform(is_identity=False, on_overflow=on_overflow, function=steps[0])
    first, second = steps

    def both(variant: Variant) -> Variant | Rejected:
        result = first(variant)
        return result if isinstance(result, Rejected) else second(result)

    return Transform(is_identity=False, on_overflow=on_overflow, function=both)


def _same(variant: Variant) -> Variant:
    return variant


# --- the object's fields ----------------------------------------------------------------------

_COMMON: Final = frozenset({"kind", "to_type", "on_overflow"})
_EXACT: Final = 2**63
"""Integers below are computed with exactly, larger ones as Double."""


def _kind(spec: Mapping[str, Json]) -> _Kind:
    name = spec.get("kind", "none")
    if name in PLANNED:
        raise UnsupportedTransformError(
            "transform.kind", f"{name} is not available in this version; use one of {_names()}"
        )
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidTransformError("transform.kind", f"{name!r} is not one of {_names()}")
    return kind


def _names() -> str:
    return ", ".join(KINDS)


def _refuse_unknown_fields(spec: Mapping[str, Json], kind: _Kind) -> None:
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


def _to_type(spec: Mapping[str, Json]) -> TargetType | None:
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


def _typed(to_type: TargetType | None, on_overflow: OnOverflow) -> _Function | None:
    if to_type is None:
        return None

    def to_that_type(variant: Variant) -> Variant | Rejected:
        result = convert(variant, to_type, on_overflow=on_overflow)
        return result.variant if isinstance(result, Converted) else result

    return to_that_type


def _number(spec: Mapping[str, Json], name: str, default: float) -> float:
    value = spec.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTransformError(f"transform.{name}", f"{value!r} is not a number")
    if not abs(value) <= DOUBLE_MAXIMUM:
        raise InvalidTransformError(f"transform.{name}", "must be a finite number")
    return value if abs(value) < _EXACT else float(value)


# --- the kinds --------------------------------------------------------------------------------


def _make_none(
    _spec: Mapping[str, Json], _on_overflow: OnOverflow
) -> tuple[_Function | None, _Function | str | None]:
    return None, None


def _make_linear(
    spec: Mapping[str, Json], on_overflow: OnOverflow
) -> tuple[_Function | None, _Function | str | None]:
    gain = _number(spec, "gain", 1)
    offset = _number(spec, "offset", 0)
    if gain == 1 and offset == 0:
        return None, None

    def scaled(number: float) -> float:
        return number * gain + offset

    if gain == 0:
        return _numeric(scaled, on_overflow), "linear with gain 0 has no inverse"

    def unscaled(number: float) -> float:
        moved = number - offset
        if isinstance(moved, int) and isinstance(gain, int) and moved % gain == 0:
            return moved // gain
        return moved / gain

    return _numeric(scaled, on_overflow), _numeric(unscaled, on_overflow)


def _numeric(function: Callable[[float], float], on_overflow: OnOverflow) -> _Function:
    """A function of numbers as one of variants, element by element.

    The result is Double. Integers stay exact, as Int64 or UInt64, while gain and offset are
    integers and the result fits: a 64 bit counter with an offset must not lose its last digits.
    """

    def apply(variant: Variant) -> Variant | Rejected:
        exact = variant.type in INTEGER_RANGES
        operand = variant
        if not exact:
            converted = convert(variant, VariantType.DOUBLE)
            if isinstance(converted, Rejected):
                return converted
            operand = converted.variant
        try:
            return _mapped(operand, function, on_overflow)
        except OverflowError as error:
            return Rejected(RejectReason.OUT_OF_RANGE, str(error))

    return apply


def _mapped(
    operand: Variant, function: Callable[[float], float], on_overflow: OnOverflow
) -> Variant:
    value = operand.value
    if value is None:  # a null array
        return Variant(VariantType.DOUBLE, None, operand.dimensions)
    elements = value if isinstance(value, tuple) else (value,)
    results = [_bounded(element, function, on_overflow) for element in elements]
    kind = _result_type(results)
    typed = tuple(results if kind is not VariantType.DOUBLE else map(float, results))
    return Variant(kind, typed if operand.is_array else typed[0], operand.dimensions)


def _bounded(element: Scalar, function: Callable[[float], float], on_overflow: OnOverflow) -> float:
    number: float = element  # type: ignore[assignment]
    result = function(number)
    if not math.isinf(result) or math.isinf(number):
        return result
    if on_overflow is OnOverflow.SATURATE:
        return math.copysign(DOUBLE_MAXIMUM, result)
    raise OverflowError(f"the result for {number} does not fit Double")


def _result_type(results: list[float]) -> VariantType:
    if results and all(isinstance(result, int) for result in results):
        for kind in (VariantType.INT64, VariantType.UINT64):
            low, high = INTEGER_RANGES[kind]
            if all(low <= result <= high for result in results):
                return kind
    return VariantType.DOUBLE


KINDS: Final[Mapping[str, _Kind]] = {
    "none": _Kind(frozenset(), _make_none),
    "linear": _Kind(frozenset({"gain", "offset"}), _make_linear),
    "convert": _Kind(frozenset(), _make_none),
}
PLANNED: Final = ("range", "invert", "lookup", "bits", "pack", "format", "parse", "unit")
"""Kinds of the contract that have no row in `KINDS` yet."""
