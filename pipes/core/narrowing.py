"""Which types of numbers hold every number of another one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from pipes.core.conversion import AbstractType
from pipes.core.values import FLOAT_TYPES, INTEGER_RANGES, VariantType, type_named

#: The integers that a type of floats has exactly.
_EXACT: Final[Mapping[VariantType, int]] = {VariantType.FLOAT: 2**24, VariantType.DOUBLE: 2**53}


@lru_cache(maxsize=1024)  # some thousand pairs of nodes have a handful of types
def is_narrowing(source: str, target: str) -> bool:
    """Whether some number of the one type has no place in the other; types by name."""
    read = type_named(source)
    if read is None:
        return False
    if target in set(AbstractType):
        return _is_narrowing_to_abstract(read, AbstractType(target))
    written = type_named(target)
    return written is not None and _is_narrowing(read, written)


def _is_narrowing_to_abstract(read: VariantType, written: AbstractType) -> bool:
    if written is AbstractType.NUMBER:
        return False
    if read in FLOAT_TYPES:
        return True
    return not holds(*INTEGER_RANGES.get(read, (0, 0)), written)


def _is_narrowing(read: VariantType, written: VariantType) -> bool:
    if read in FLOAT_TYPES:
        into_float = read is VariantType.DOUBLE and written is VariantType.FLOAT
        return into_float or written in INTEGER_RANGES or written is VariantType.BOOLEAN
    if read not in INTEGER_RANGES:
        return False
    return not _holds(*INTEGER_RANGES[read], written)


def holds(low: int, high: int, target: str) -> bool:
    """Whether a type, by name, has a place for all whole numbers from ``low`` to ``high``."""
    if target in set(AbstractType):
        return low >= 0 or target != AbstractType.UINTEGER
    written = type_named(target)
    return written is None or _holds(low, high, written)


def _holds(low: int, high: int, written: VariantType) -> bool:
    if written in _EXACT:
        return -_EXACT[written] <= low and high <= _EXACT[written]
    if written is VariantType.BOOLEAN:
        return low >= 0 and high <= 1
    least, most = INTEGER_RANGES.get(written, (low, high))
    return least <= low and high <= most
