"""The kinds of the contract's ``transform``, a row of `KINDS` for each.

A kind makes two functions from its fields: the way forward and its inverse, or a sentence that
says why there is none. Both work on a Variant, in an array on each element, and give the value or
the reason why there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

from pipes.core.conversion import OnOverflow, Rejected, RejectReason, convert
from pipes.core.table_keys import (
    NUMBER_OF_BOOLEAN,
    key_of,
    value_key,
    variants_of,
    with_shortest_floats,
)
from pipes.core.text_pattern import PatternError, Plain, TextPattern, compile_pattern
from pipes.core.units import UnitError, conversion
from pipes.core.values import (
    DOUBLE_MAXIMUM,
    INTEGER_RANGES,
    Scalar,
    Variant,
    VariantType,
)
from pipes.core.wanted import Json


class InvalidTransformError(ValueError):
    """The configuration object is wrong; ``field`` is the path below the item."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


Function = Callable[[Variant], Variant | Rejected]
Spec = Mapping[str, Json]
Made = tuple[Function | None, Function | str | None]
"""Forward and inverse; None is the identity, a sentence says why there is no inverse."""


@dataclass(frozen=True, slots=True)
class Kind:
    fields: frozenset[str]
    make: Callable[[Spec, OnOverflow], Made]


_EXACT: Final = 2**63
"""Integers below are computed with exactly, larger ones as Double."""


# --- fields -----------------------------------------------------------------------------------


def _number(spec: Spec, name: str, default: float | None) -> float:
    value = spec.get(name)
    if value is None:
        if default is None:
            raise InvalidTransformError(f"transform.{name}", "is missing; it is a number")
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidTransformError(f"transform.{name}", f"{value!r} is not a number")
    if not abs(value) <= DOUBLE_MAXIMUM:
        raise InvalidTransformError(f"transform.{name}", "must be a finite number")
    return value if abs(value) < _EXACT else float(value)


def _whole(spec: Spec, name: str, default: int, low: int, high: int) -> int:
    value = _number(spec, name, default)
    if not isinstance(value, int) or not low <= value <= high:
        message = f"{value} is not a whole number from {low} to {high}"
        raise InvalidTransformError(f"transform.{name}", message)
    return value


def _text(spec: Spec, name: str) -> str:
    value = spec.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidTransformError(f"transform.{name}", "is missing; it is text")
    return value


# --- functions of elements --------------------------------------------------------------------


class _NoValueError(Exception):
    """There is no result for this element; the text goes on after its value."""


def _each(kind: VariantType, function: Callable[[Scalar], Scalar], wanted: str) -> Function:
    """A function of elements as one of variants; the result has the type ``kind``."""

    def apply(variant: Variant) -> Variant | Rejected:
        value = variant.value
        if value is None:
            return Rejected(RejectReason.NO_VALUE, f"a null value is no {wanted}")
        try:
            if isinstance(value, tuple):
                return Variant(kind, tuple(map(function, value)), variant.dimensions)
            return Variant(kind, function(value))
        except _NoValueError as error:
            return Rejected(RejectReason.NO_CONVERSION, str(error))

    return apply


def _converted_first(kind: VariantType, function: Function) -> Function:
    """The operand is first made a value of ``kind``."""

    def apply(variant: Variant) -> Variant | Rejected:
        operand = convert(variant, kind)
        return operand if isinstance(operand, Rejected) else function(operand.variant)

    return apply


@dataclass(frozen=True, slots=True)
class Numeric:
    """A function of numbers as one of variants, element by element.

    The result is Double. Integers stay exact, as Int64 or UInt64, while gain and offset are
    integers and the result fits: a 64 bit counter with an offset must not lose its last digits.
    """

    function: Callable[[float], float]
    on_overflow: OnOverflow

    def __call__(self, variant: Variant) -> Variant | Rejected:
        exact = variant.type in INTEGER_RANGES
        operand = variant
        if not exact:
            converted = convert(variant, VariantType.DOUBLE)
            if isinstance(converted, Rejected):
                return converted
            operand = converted.variant
        try:
            return _mapped(operand, self.function, self.on_overflow)
        except OverflowError as error:
            return Rejected(RejectReason.OUT_OF_RANGE, str(error))


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
    number = cast("float", element)
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


# --- numbers ----------------------------------------------------------------------------------


def _make_none(_spec: Spec, _on_overflow: OnOverflow) -> Made:
    return None, None


def _make_linear(spec: Spec, on_overflow: OnOverflow) -> Made:
    return _linear(_number(spec, "gain", 1), _number(spec, "offset", 0), on_overflow)


def _linear(gain: float, offset: float, on_overflow: OnOverflow) -> Made:
    if gain == 1 and offset == 0:
        return None, None

    def scaled(number: float) -> float:
        return number * gain + offset

    if gain == 0:
        return Numeric(scaled, on_overflow), "linear with gain 0 has no inverse"

    def unscaled(number: float) -> float:
        moved = number - offset
        if isinstance(moved, int) and isinstance(gain, int) and moved % gain == 0:
            return moved // gain
        return moved / gain

    return Numeric(scaled, on_overflow), Numeric(unscaled, on_overflow)


def _make_unit(spec: Spec, on_overflow: OnOverflow) -> Made:
    try:
        gain, offset = conversion(_text(spec, "from"), _text(spec, "to"))
    except UnitError as error:
        raise InvalidTransformError(f"transform.{error.field}", str(error)) from None
    return _linear(gain, offset, on_overflow)


def _make_range(spec: Spec, on_overflow: OnOverflow) -> Made:
    in_low, in_high = _number(spec, "in_low", None), _number(spec, "in_high", None)
    out_low, out_high = _number(spec, "out_low", None), _number(spec, "out_high", None)
    clamps = spec.get("clamp")
    if clamps is not None and not isinstance(clamps, bool):
        raise InvalidTransformError("transform.clamp", f"{clamps!r} is neither true nor false")
    if in_low == in_high:
        raise InvalidTransformError("transform.in_high", "must differ from in_low")
    clamp = clamps is not False
    forward = Numeric(_ranged(in_low, in_high, out_low, out_high, clamp=clamp), on_overflow)
    if out_low == out_high:
        return forward, "range with equal out_low and out_high has no inverse"
    inverse = _ranged(out_low, out_high, in_low, in_high, clamp=clamp)
    return forward, Numeric(inverse, on_overflow)


def _ranged(
    in_low: float, in_high: float, out_low: float, out_high: float, *, clamp: bool
) -> Callable[[float], float]:
    span = in_high - in_low

    def ranged(number: float) -> float:
        share = (number - in_low) / span
        if clamp and not math.isnan(share):
            share = min(max(share, 0.0), 1.0)
        if 0 <= share <= 1:
            return out_low * (1 - share) + out_high * share  # both ends exact
        return out_low + share * (out_high - out_low)

    return ranged


# --- bits -------------------------------------------------------------------------------------


def _make_invert(_spec: Spec, _on_overflow: OnOverflow) -> Made:
    inverted = _converted_first(
        VariantType.BOOLEAN, _each(VariantType.BOOLEAN, lambda value: not value, "Boolean")
    )
    return inverted, inverted


def _bit_field(spec: Spec) -> tuple[int, int]:
    first = _whole(spec, "first", 0, 0, 63)
    count = _whole(spec, "count", 1, 1, 64)
    if first + count > 64:
        raise InvalidTransformError(
            "transform.count", f"bits {first} to {first + count - 1} are beyond the 64 of a word"
        )
    return first, (1 << count) - 1


def _integral(function: Callable[[int], int]) -> Function:
    """A function of whole numbers; every other type is converted first, fractions are none."""

    def one(value: Scalar) -> Scalar:
        return function(cast("int", value))

    return _whole_numbers(_each(VariantType.UINT64, one, "whole number"))


def _whole_numbers(function: Function) -> Function:
    through_int64 = _converted_first(VariantType.INT64, function)

    def apply(variant: Variant) -> Variant | Rejected:
        return function(variant) if variant.type in INTEGER_RANGES else through_int64(variant)

    return apply


def _extracted(first: int, mask: int) -> Function:
    return _integral(lambda word: (word >> first) & mask)  # a negative one is two's complement


def _make_bits(spec: Spec, _on_overflow: OnOverflow) -> Made:
    why = "the other bits of the word are not known; use pack for the way back"
    return _extracted(*_bit_field(spec)), why


def _make_pack(spec: Spec, on_overflow: OnOverflow) -> Made:
    first, mask = _bit_field(spec)

    def packed(value: int) -> int:
        if not 0 <= value <= mask:
            if on_overflow is OnOverflow.REJECT:
                raise _NoValueError(f"{value} does not fit in {mask.bit_length()} bits")
            value = min(max(value, 0), mask)
        return value << first

    return _integral(packed), _extracted(first, mask)


# --- tables and text --------------------------------------------------------------------------


def _make_lookup(spec: Spec, _on_overflow: OnOverflow) -> Made:
    table = spec.get("table")
    if not isinstance(table, Mapping) or not table:
        raise InvalidTransformError("transform.table", "is missing; it is an object, key to value")
    entries = {str(key): _entry(value) for key, value in table.items()}
    default = spec.get("default")
    forward = _looked_up(entries, None if default is None else _entry(default))
    keys = variants_of(entries)
    back = {key_of(cast("Scalar", value.value)): keys[key] for key, value in entries.items()}
    if len(back) < len(entries):
        return forward, "two keys of the table have the same value"
    return forward, _looked_up(back, None)


def _entry(value: Json) -> Variant:
    match value:
        case bool():
            return Variant(VariantType.BOOLEAN, value)
        case int() if -(2**63) <= value < _EXACT:
            return Variant(VariantType.INT64, value)
        case int() | float():
            return Variant(VariantType.DOUBLE, float(value))
        case str():
            return Variant(VariantType.STRING, value)
        case _:
            message = f"{value!r} is neither a number, a text, nor true or false"
            raise InvalidTransformError("transform.table", message)


def _looked_up(entries: Mapping[str, Variant], default: Variant | None) -> Function:
    # A text is looked up as it is written; for a number or a Boolean, 1.0 and True are 1 and true.
    of_values = {**{value_key(key): entry for key, entry in entries.items()}, **entries}

    def found(value: Scalar) -> Variant | None:
        if isinstance(value, str):
            return entries.get(value) or entries.get(NUMBER_OF_BOOLEAN.get(value, value), default)
        key = key_of(value)
        return of_values.get(key) or of_values.get(NUMBER_OF_BOOLEAN.get(key, key), default)

    def apply(variant: Variant) -> Variant | Rejected:
        value = with_shortest_floats(variant).value
        elements = value if isinstance(value, tuple) else (value,)
        results = []
        for element in elements:
            result = None if element is None else found(element)
            if result is None:
                return Rejected(
                    RejectReason.NO_CONVERSION,
                    f"the table has no entry for {element!r} and no default",
                )
            results.append(result)
        if not isinstance(value, tuple):
            return results[0]
        kinds = {result.type for result in results}
        if len(kinds) > 1:
            return Rejected(RejectReason.NO_CONVERSION, "the table's values are of several types")
        kind = kinds.pop() if kinds else VariantType.STRING
        typed = tuple(cast("Scalar", result.value) for result in results)
        return Variant(kind, typed, variant.dimensions)

    return apply


def _pattern(spec: Spec) -> TextPattern:
    try:
        return compile_pattern(_text(spec, "pattern"))
    except PatternError as error:
        raise InvalidTransformError("transform.pattern", str(error)) from None


_PLAIN_TYPES: Final = frozenset(INTEGER_RANGES) | {
    VariantType.BOOLEAN,
    VariantType.FLOAT,
    VariantType.DOUBLE,
    VariantType.STRING,
}


def _formatted(pattern: TextPattern) -> Function:
    def one(value: Scalar) -> Scalar:
        if value is None:
            raise _NoValueError("a null value cannot be formatted")
        try:
            return pattern.write(cast("Plain", value))
        except (ValueError, OverflowError) as error:
            raise _NoValueError(f"{value!r} cannot be formatted: {error}") from None

    plain = _each(VariantType.STRING, one, "value to format")
    as_text = _converted_first(VariantType.STRING, plain)

    def apply(variant: Variant) -> Variant | Rejected:
        return (
            plain(with_shortest_floats(variant))
            if variant.type in _PLAIN_TYPES
            else as_text(variant)
        )

    return apply


def _parsed(pattern: TextPattern) -> Function:
    def read(text: Scalar) -> Plain:
        if text is None:
            raise _NoValueError("a null text has no value in it")
        try:
            return pattern.read(str(text))
        except ValueError as error:
            raise _NoValueError(f"{str(text)[:60]!r}: {error}") from None

    def apply(variant: Variant) -> Variant | Rejected:
        value = variant.value
        elements = value if isinstance(value, tuple) else (value,)
        try:
            entries = [_entry(read(element)) for element in elements]
        except _NoValueError as error:
            return Rejected(RejectReason.NOT_PARSED, str(error))
        if not isinstance(value, tuple):
            return entries[0]
        kind = entries[0].type if entries else VariantType.STRING
        typed = tuple(cast("Scalar", entry.value) for entry in entries)
        return Variant(kind, typed, variant.dimensions)

    return _converted_first(VariantType.STRING, apply)


def _make_format(spec: Spec, _on_overflow: OnOverflow) -> Made:
    pattern = _pattern(spec)
    return _formatted(pattern), _parsed(pattern)


def _make_parse(spec: Spec, _on_overflow: OnOverflow) -> Made:
    pattern = _pattern(spec)
    return _parsed(pattern), _formatted(pattern)


_BIT_FIELDS: Final = frozenset({"first", "count"})
KINDS: Final[Mapping[str, Kind]] = {
    "none": Kind(frozenset(), _make_none),
    "linear": Kind(frozenset({"gain", "offset"}), _make_linear),
    "range": Kind(frozenset({"in_low", "in_high", "out_low", "out_high", "clamp"}), _make_range),
    "invert": Kind(frozenset(), _make_invert),
    "lookup": Kind(frozenset({"table", "default"}), _make_lookup),
    "bits": Kind(_BIT_FIELDS, _make_bits),
    "pack": Kind(_BIT_FIELDS, _make_pack),
    "format": Kind(frozenset({"pattern"}), _make_format),
    "parse": Kind(frozenset({"pattern"}), _make_parse),
    "unit": Kind(frozenset({"from", "to"}), _make_unit),
    "convert": Kind(frozenset(), _make_none),
}
