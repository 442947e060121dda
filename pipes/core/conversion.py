"""From the type of the source to the type of the target, or a reason why not.

Rules, the same for scalars and for each element of an array:

* Numbers convert to numbers. A fraction is rounded half to even for an integer target; what does
  not fit is rejected, or clamped with ``saturate``; NaN is no integer in either case. Integers
  beyond 2**53 lose digits in a Double, as everywhere.
* Boolean is 0 or 1. Text converts only if the whole of it is one value of the target type.
* ByteString never becomes text or back: its encoding is not known.
* A scalar is not an array: no element is picked, no array is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from pipes.core.values import (
    DOUBLE_MAXIMUM,
    FLOAT_MAXIMUM,
    FLOAT_TYPES,
    INTEGER_RANGES,
    LocalizedText,
    NodeId,
    Scalar,
    Variant,
    VariantType,
    as_float,
    iso_to_ticks,
    shortest_float,
    ticks_to_iso,
    type_name,
)


class AbstractType(StrEnum):
    """A DataType of a target that leaves the built-in type open (Part 3, 8)."""

    NUMBER = "Number"
    INTEGER = "Integer"
    UINTEGER = "UInteger"


TargetType = VariantType | AbstractType
"""What a node takes; `VariantType.VARIANT` is BaseDataType: anything."""


class OnOverflow(StrEnum):
    REJECT = "reject"
    SATURATE = "saturate"


class RejectReason(StrEnum):
    NO_VALUE = "no_value"
    OUT_OF_RANGE = "out_of_range"
    NOT_A_NUMBER = "not_a_number"
    NOT_PARSED = "not_parsed"
    NO_CONVERSION = "no_conversion"
    RANK_MISMATCH = "rank_mismatch"
    NOT_INVERTIBLE = "not_invertible"


@dataclass(frozen=True, slots=True)
class Converted:
    variant: Variant


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a value is not written; ``sentence`` names value and types."""

    reason: RejectReason
    sentence: str


ANY_RANK: Final = -2
SCALAR_RANK: Final = -1

_UNSIGNED: Final = frozenset(kind for kind, (low, _high) in INTEGER_RANGES.items() if low == 0)
_ABSTRACT: Final[Mapping[AbstractType, tuple[frozenset[VariantType], VariantType]]] = {
    AbstractType.NUMBER: (frozenset(INTEGER_RANGES) | FLOAT_TYPES, VariantType.DOUBLE),
    AbstractType.INTEGER: (frozenset(INTEGER_RANGES), VariantType.INT64),
    AbstractType.UINTEGER: (_UNSIGNED, VariantType.UINT64),
}
"""The built-in types that fit, and the one that others are converted to."""

_NAMESPACE_0: Final[Mapping[int, TargetType]] = {
    **{number: VariantType(number) for number in range(1, 26)},
    26: AbstractType.NUMBER,
    27: AbstractType.INTEGER,
    28: AbstractType.UINTEGER,
    29: VariantType.INT32,  # Enumeration
    30: VariantType.BYTE_STRING,  # Image
    288: VariantType.UINT32,  # IntegerId
    289: VariantType.UINT32,  # Counter
    290: VariantType.DOUBLE,  # Duration
    291: VariantType.STRING,  # NumericRange
    292: VariantType.STRING,  # Time
    293: VariantType.DATE_TIME,  # Date
    294: VariantType.DATE_TIME,  # UtcTime
    295: VariantType.STRING,  # LocaleId
}


def target_type_of(data_type: NodeId) -> TargetType | None:
    """The type behind a DataType of namespace 0; None if its supertypes have to be browsed.

    The built-in types 22 (Structure) and 24 (BaseDataType) are there by number.
    """
    if data_type.namespace_index or not isinstance(data_type.identifier, int):
        return None
    return _NAMESPACE_0.get(data_type.identifier)


def rank_fits(variant: Variant, value_rank: int) -> bool:
    """Whether a value may be written to a node of this ValueRank (Part 3, 5.6.2)."""
    return accepts_rank(variant.rank, value_rank)


def accepts_rank(rank: int, value_rank: int) -> bool:
    """As `rank_fits`, for a number of dimensions; 0 is a scalar."""
    if value_rank == ANY_RANK:
        return True
    if value_rank == -3:
        return rank <= 1
    if value_rank == 0:
        return rank >= 1
    return rank == max(value_rank, 0)


def is_convertible(source: VariantType, target: TargetType) -> bool:
    """Whether values of ``source`` become values of ``target`` at all; one may still not fit."""
    concrete = _concrete(source, target)
    return concrete is source or _step(source, concrete) is not None


def convert(
    variant: Variant,
    target: TargetType,
    value_rank: int = ANY_RANK,
    on_overflow: OnOverflow = OnOverflow.REJECT,
) -> Converted | Rejected:
    """The same value in the type of the target; the variant itself if nothing has to change."""
    if variant.type is VariantType.NULL:
        return Rejected(RejectReason.NO_VALUE, "there is no value")
    if not rank_fits(variant, value_rank):
        return Rejected(
            RejectReason.RANK_MISMATCH,
            f"{_shape(variant)} does not fit a target of ValueRank {value_rank}",
        )
    concrete = _concrete(variant.type, target)
    if concrete is variant.type:
        return Converted(variant)
    return _converted(variant, concrete, on_overflow)


def _shape(variant: Variant) -> str:
    return f"an array of rank {variant.rank}" if variant.is_array else "a scalar"


def _concrete(kind: VariantType, target: TargetType) -> VariantType:
    if target is VariantType.VARIANT:
        return kind
    if isinstance(target, VariantType):
        return target
    fitting, otherwise = _ABSTRACT[target]
    return kind if kind in fitting else otherwise


def _converted(
    variant: Variant, kind: VariantType, on_overflow: OnOverflow
) -> Converted | Rejected:
    step = _step(variant.type, kind)
    if step is None:
        return Rejected(
            RejectReason.NO_CONVERSION,
            f"{type_name(variant.type)} does not convert to {type_name(kind)}",
        )
    saturate = on_overflow is OnOverflow.SATURATE
    if not isinstance(variant.value, tuple):
        if variant.value is None and variant.is_array:
            return Converted(Variant(kind, None, variant.dimensions))
        try:
            return Converted(Variant(kind, step(variant.value, kind, saturate)))
        except _RejectedError as error:
            return error.rejected()
    elements = []
    for index, element in enumerate(variant.value):
        try:
            elements.append(step(element, kind, saturate))
        except _RejectedError as error:
            return error.rejected(f"element {index}: ")
    return Converted(Variant(kind, tuple(elements), variant.dimensions))


class _RejectedError(Exception):
    """One element does not convert; never leaves this module."""

    def __init__(self, reason: RejectReason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence

    def rejected(self, place: str = "") -> Rejected:
        return Rejected(self.reason, place + self.sentence)


_Step = Callable[[Scalar, VariantType, bool], Scalar]

_SOURCE_NUMBERS: Final = (
    frozenset(INTEGER_RANGES)
    | FLOAT_TYPES
    | {
        VariantType.BOOLEAN,
        VariantType.STATUS_CODE,
    }
)
_TEXTS: Final = frozenset({VariantType.STRING, VariantType.XML_ELEMENT})


def _step(source: VariantType, target: VariantType) -> _Step | None:
    if target in _TO_NUMBER:
        if source in _SOURCE_NUMBERS:
            return _TO_NUMBER[target]
        return _PARSE[target] if source in _TEXTS else None
    if target is VariantType.STRING:
        return _TO_TEXT.get(source)
    if source in _TEXTS:
        return _FROM_TEXT.get(target)
    return None


# --- to numbers -------------------------------------------------------------------------------


def _to_integer(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    low, high = INTEGER_RANGES[kind]
    number = _rounded(value, kind, saturate=saturate)
    if low <= number <= high:
        return int(number)
    if saturate:
        return low if number < low else high
    raise _RejectedError(
        RejectReason.OUT_OF_RANGE, f"{value!r} does not fit {type_name(kind)} ({low} to {high})"
    )


def _rounded(value: Scalar, kind: VariantType, *, saturate: bool) -> float:
    if not isinstance(value, float):
        return int(value)  # type: ignore[arg-type]
    if math.isnan(value):
        raise _RejectedError(RejectReason.NOT_A_NUMBER, f"NaN is no {type_name(kind)}")
    if math.isfinite(value):
        return round(value)
    if saturate:
        return value
    raise _RejectedError(RejectReason.OUT_OF_RANGE, f"{value} is no {type_name(kind)}")


def _to_boolean(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    number = _rounded(value, kind, saturate=saturate)
    if number in (0, 1) or saturate:
        return number >= 1
    raise _RejectedError(
        RejectReason.OUT_OF_RANGE, f"{value!r} is no Boolean (0 is false, 1 is true)"
    )


def _to_double(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    return float(value)  # type: ignore[arg-type]


def _to_float(value: Scalar, _kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    number = float(value)  # type: ignore[arg-type]
    try:
        return as_float(number)
    except OverflowError:
        if saturate:
            return math.copysign(FLOAT_MAXIMUM, number)
        raise _RejectedError(
            RejectReason.OUT_OF_RANGE, f"{value!r} does not fit Float (to {FLOAT_MAXIMUM:.4g})"
        ) from None


_TO_NUMBER: Final[Mapping[VariantType, _Step]] = {
    **dict.fromkeys(INTEGER_RANGES, _to_integer),
    VariantType.BOOLEAN: _to_boolean,
    VariantType.DOUBLE: _to_double,
    VariantType.FLOAT: _to_float,
}

# --- from text --------------------------------------------------------------------------------

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL: Final = re.compile(
    r"[+-]?(?:[0-9]{1,350}\.?[0-9]{0,350}|\.[0-9]{1,350})(?:[eE][+-]?[0-9]{1,4})?"
)
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def _text(value: Scalar, kind: VariantType) -> str:
    if isinstance(value, str):
        return value
    raise _RejectedError(RejectReason.NO_VALUE, f"a null text is no {type_name(kind)}")


def _not_parsed(text: str, kind: VariantType) -> _RejectedError:
    return _RejectedError(RejectReason.NOT_PARSED, f"the text {text!r:.60} is no {type_name(kind)}")


def _parse_integer(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    if not _INTEGER.fullmatch(text):
        raise _not_parsed(text, kind)
    return _to_integer(int(text), kind, saturate)


def _parse_real(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    special = _SPECIAL.get(text)
    if special is not None:
        return special
    if not _DECIMAL.fullmatch(text):
        raise _not_parsed(text, kind)
    number = float(text)
    if math.isinf(number):
        if not saturate:
            raise _RejectedError(
                RejectReason.OUT_OF_RANGE, f"{text:.60} does not fit {type_name(kind)}"
            )
        number = math.copysign(DOUBLE_MAXIMUM, number)
    return _TO_NUMBER[kind](number, kind, saturate)


def _parse_boolean(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise _not_parsed(text, kind)
    return known


def _parse_instant(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    try:
        return iso_to_ticks(text)
    except ValueError:
        raise _not_parsed(text, kind) from None


def _parse_guid(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    if not _GUID.fullmatch(text):
        raise _not_parsed(text, kind)
    return UUID(text)


def _wrap_text(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    return LocalizedText(_text(value, kind))


_PARSE: Final[Mapping[VariantType, _Step]] = {
    **dict.fromkeys(INTEGER_RANGES, _parse_integer),
    **dict.fromkeys(FLOAT_TYPES, _parse_real),
    VariantType.BOOLEAN: _parse_boolean,
}
_FROM_TEXT: Final[Mapping[VariantType, _Step]] = {
    VariantType.DATE_TIME: _parse_instant,
    VariantType.GUID: _parse_guid,
    VariantType.LOCALIZED_TEXT: _wrap_text,
}

# --- to text ----------------------------------------------------------------------------------


def float_text(value: float) -> str:
    """A Double as text that `convert` reads back: ``1.5``, ``NaN``, ``-Infinity``."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number_text(value: Scalar) -> str:
    return str(value)


def _double_text(value: Scalar) -> str:
    return float_text(float(value))  # type: ignore[arg-type]


def _float_text(value: Scalar) -> str:
    return float_text(shortest_float(float(value)))  # type: ignore[arg-type]


def _boolean_text(value: Scalar) -> str:
    return "true" if value else "false"


def _instant_text(value: Scalar) -> str:
    return ticks_to_iso(int(value))  # type: ignore[arg-type]


def _plain_text(value: Scalar) -> str | None:
    return value if isinstance(value, str) else None


def _localized_text(value: Scalar) -> str | None:
    return value.text if isinstance(value, LocalizedText) else None


def _formatted(write: Callable[[Scalar], str | None]) -> _Step:
    def step(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
        return write(value)

    return step


_TO_TEXT: Final[Mapping[VariantType, _Step]] = {
    **dict.fromkeys(INTEGER_RANGES, _formatted(_number_text)),
    VariantType.BOOLEAN: _formatted(_boolean_text),
    VariantType.FLOAT: _formatted(_float_text),
    VariantType.DOUBLE: _formatted(_double_text),
    VariantType.DATE_TIME: _formatted(_instant_text),
    VariantType.GUID: _formatted(_number_text),
    VariantType.XML_ELEMENT: _formatted(_plain_text),
    VariantType.LOCALIZED_TEXT: _formatted(_localized_text),
}
