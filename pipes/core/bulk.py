"""Numeric transforms of scalars from bytes to bytes, without a decoded value between.

Only what needs no second thought is done here: a number of the expected type, Good, with or
without SourceTimestamp, whose result is finite and goes to a node of type Double. All else is left
to `transfer.decide_transfer`; for what is done, both write the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from struct import Struct
from typing import Final

from pipes.core.values import VariantType

HAS_SOURCE_TIMESTAMP: Final = 0x04
#: Encoding masks of a DataValue (Part 6, 5.2.2.17) that is Good: value, and perhaps timestamp.
_PLAIN_MASKS: Final = frozenset({0x01, 0x01 | HAS_SOURCE_TIMESTAMP})
_LAYOUTS: Final[Mapping[int, Struct]] = {
    VariantType.SBYTE: Struct("<b"),
    VariantType.BYTE: Struct("<B"),
    VariantType.INT16: Struct("<h"),
    VariantType.UINT16: Struct("<H"),
    VariantType.INT32: Struct("<i"),
    VariantType.UINT32: Struct("<I"),
    VariantType.INT64: Struct("<q"),
    VariantType.UINT64: Struct("<Q"),
    VariantType.FLOAT: Struct("<f"),
    VariantType.DOUBLE: Struct("<d"),
}
_DOUBLE: Final = Struct("<BBd")


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the values of one item are scaled: those whose encoding byte is ``encoding``."""

    encoding: int
    function: Callable[[float], float]


def scaling_for(value: bytes, function: Callable[[float], float] | None) -> Scaling | None:
    """The scaling of values like this one; None if they are no numbers or nothing scales them."""
    if function is None or len(value) < 2 or value[1] not in _LAYOUTS:
        return None
    return Scaling(value[1], function)


def scaled(values: Mapping[int, bytes], scalings: Mapping[int, Scaling]) -> dict[int, bytes]:
    """What is written for the values that can be scaled here, by handle."""
    results: dict[int, bytes] = {}
    for handle, value in values.items():
        scaling = scalings[handle]
        if value[0] not in _PLAIN_MASKS or value[1] != scaling.encoding:
            continue
        layout = _LAYOUTS[scaling.encoding]
        try:
            result = scaling.function(layout.unpack_from(value, 2)[0])
            if isfinite(result):
                head = _DOUBLE.pack(value[0], VariantType.DOUBLE, result)
                results[handle] = head + value[2 + layout.size :]
        except OverflowError:  # a whole number beyond the largest Double
            continue
    return results
