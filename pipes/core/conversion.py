"""From the type of the source to the type of the target, or a reason why not.

Rules, the same for scalars and for each element of an array:

* Numbers convert to numbers. A fraction is rounded half to even for an integer target; what does
  not fit is rejected, or clamped with ``saturate``; NaN is no integer in either case. Integers
  beyond 2**53 lose digits in a Double, as everywhere.
* Boolean is 0 or 1. Text converts only if the whole of it is one value of the target type.
* A StatusCode is a number to numbers and its name to texts; integers and names become one.
* ByteString never becomes text or back: its encoding is not known. Its 16 bytes may be a Guid.
* A NodeId, a DateTime and a structure are no numbers, and no text is taken for XML.
* A scalar is not an array: no element is picked, no array is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipes.core.elements import (
    ElementRejectedError,
    Rejected,
    RejectReason,
    float_text,
    step_between,
)
from pipes.core.values import (
    FLOAT_TYPES,
    INTEGER_RANGES,
    NodeId,
    Variant,
    VariantType,
    type_name,
)

__all__ = [
    "ANY_RANK",
    "SCALAR_RANK",
    "AbstractType",
    "Converted",
    "OnOverflow",
    "RejectReason",
    "Rejected",
    "TargetType",
    "accepts_rank",
    "concrete_type",
    "convert",
    "float_text",
    "is_convertible",
    "rank_fits",
    "target_type_of",
]


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


@dataclass(frozen=True, slots=True)
class Converted:
    variant: Variant


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
    concrete = concrete_type(source, target)
    return concrete is source or step_between(source, concrete) is not None


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
    concrete = concrete_type(variant.type, target)
    if concrete is variant.type:
        return Converted(variant)
    return _converted(variant, concrete, on_overflow)


def _shape(variant: Variant) -> str:
    return f"an array of rank {variant.rank}" if variant.is_array else "a scalar"


def concrete_type(kind: VariantType, target: TargetType) -> VariantType:
    """The built-in type that values of ``kind`` are written in."""
    if target is VariantType.VARIANT:
        return kind
    if isinstance(target, VariantType):
        return target
    fitting, otherwise = _ABSTRACT[target]
    return kind if kind in fitting else otherwise


def _converted(
    variant: Variant, kind: VariantType, on_overflow: OnOverflow
) -> Converted | Rejected:
    step = step_between(variant.type, kind)
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
        except ElementRejectedError as error:
            return error.rejected()
    elements = []
    for index, element in enumerate(variant.value):
        try:
            elements.append(step(element, kind, saturate))
        except ElementRejectedError as error:
            return error.rejected(f"element {index}: ")
    return Converted(Variant(kind, tuple(elements), variant.dimensions))
