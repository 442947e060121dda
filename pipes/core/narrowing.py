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
    low, _ = INTEGER_RANGES.get(read, (0, 0))
    return low < 0 and written is AbstractType.UINTEGER


def _is_narrowing(read: VariantType, written: VariantType) -> bool:
    if read in FLOAT_TYPES:
        into_float = read is VariantType.DOUBLE and written is VariantType.FLOAT
        return into_float or written in INTEGER_RANGES or written is VariantType.BOOLEAN
    if read not in INTEGER_RANGES:
        return False
    low, high = INTEGER_RANGES[read]
    if written in _EXACT:
        return high > _EXACT[written]
    if written is VariantType.BOOLEAN:
        return True
    least, most = INTEGER_RANGES.get(written, (low, high))
    return low < least or high > most
