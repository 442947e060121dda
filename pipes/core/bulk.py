"""Numeric transforms of scalars from bytes to bytes, without a decoded value between.

Only what needs no second thought is done here: a number of the expected type, Good, with or
without SourceTimestamp, whose result is finite and goes to a node of type Double. All else is left
to `transfer.decide_transfer`; for what is done, both write the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from math import isfinite
from operator import attrgetter, call
from struct import Struct, pack
from typing import Final

from pipes.core.lookup import look_up
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
_EIGHT_BYTES: Final = Struct("<8s")
_ENCODING: Final = attrgetter("encoding")
_FUNCTION: Final = attrgetter("function")


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
    for alike in _alike(values):
        together = _scaled_together(alike, look_up(scalings, alike))
        results.update(_scaled_singly(alike, scalings) if together is None else together)
    return results


def _alike(values: Mapping[int, bytes]) -> Iterable[Mapping[int, bytes]]:
    """The values in groups of one length and one mask and type each."""
    if len(set(map(len, values.values()))) == 1:
        block = b"".join(values.values())
        size = len(block) // len(values)
        masks, kinds = block[::size], block[1::size]
        if masks.count(masks[:1]) == kinds.count(kinds[:1]) == len(values):
            return (values,)
    groups: dict[tuple[bytes, int], dict[int, bytes]] = {}
    for handle, value in values.items():
        groups.setdefault((value[:2], len(value)), {})[handle] = value
    return groups.values()


def _scaled_together(
    values: Mapping[int, bytes], scalings: Sequence[Scaling]
) -> dict[int, bytes] | None:
    """All at once, without byte-code per value; None if that does not do for one of them."""
    first = next(iter(values.values()))
    row = _rows(first[:2], len(first))
    kinds = first[1:2] * len(values)
    if row is None or bytes(map(_ENCODING, scalings)) != kinds:
        return None
    numbers, ends = zip(*row.iter_unpack(b"".join(values.values())), strict=True)
    try:
        results = list(map(call, map(_FUNCTION, scalings), numbers))
        if not all(map(isfinite, results)):
            return None
    except OverflowError:  # a whole number beyond the largest Double
        return None
    doubles = _EIGHT_BYTES.iter_unpack(pack(f"<{len(results)}d", *results))
    head = bytes((first[0], VariantType.DOUBLE))
    made = map(b"".join, zip(repeat(head), chain.from_iterable(doubles), ends))
    return dict(zip(values, made, strict=True))


@lru_cache(maxsize=64)
def _rows(start: bytes, size: int) -> Struct | None:
    """How to cut values of this mask and type into number and rest; None if they are not plain."""
    layout = _LAYOUTS.get(start[-1])
    if layout is None or start[0] not in _PLAIN_MASKS or size < 2 + layout.size:
        return None
    return Struct(f"<2x{layout.format[1:]}{size - 2 - layout.size}s")


def _scaled_singly(
    values: Mapping[int, bytes], scalings: Mapping[int, Scaling]
) -> dict[int, bytes]:
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
        except OverflowError:
            continue
    return results
