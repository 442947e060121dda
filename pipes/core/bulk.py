"""Numeric transforms of scalars from bytes to bytes, without a decoded value between.

Only what needs no second thought is done here: a number of the expected type, Good, with or
without SourceTimestamp, whose result is finite and within the range of the written type. All else
is left to `transfer.decide_transfer`; for what is done, both write the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from math import isfinite
from operator import attrgetter, call
from struct import Struct, pack, unpack
from struct import error as StructError  # noqa: N812 - of this module
from typing import Final

from pipes.core.lookup import look_up
from pipes.core.values import INTEGER_RANGES, VariantType

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
_RANGES: Final[Mapping[int, tuple[int, int]]] = {int(k): r for k, r in INTEGER_RANGES.items()}
_BYTES: Final[Mapping[int, Struct]] = {size: Struct(f"{size}s") for size in (1, 2, 4, 8)}
_FUNCTION: Final = attrgetter("function")
_ROUTE: Final = attrgetter("route")


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the values of one item are scaled.

    ``route`` are the types on the way: that which the value must have, perhaps one that the result
    takes between, and that of the written node.
    """

    function: Callable[[float], float]
    route: bytes


def scaling_for(
    value: bytes,
    function: Callable[[float], float] | None,
    to: Iterable[int] = (VariantType.DOUBLE,),
) -> Scaling | None:
    """The scaling of values like this one; ``to`` are the types that its result takes in turn.

    None if one of the types is no number or nothing scales it.
    """
    if function is None or len(value) < 2:
        return None
    route = bytes((value[1], *to))
    return Scaling(function, _shared(route)) if _LAYOUTS.keys() >= set(route) else None


@lru_cache(maxsize=1024)
def _shared(route: bytes) -> bytes:
    return route


def scaled(values: Mapping[int, bytes], scalings: Mapping[int, Scaling]) -> dict[int, bytes]:
    """What is written for the values that can be scaled here, by handle."""
    results: dict[int, bytes] = {}
    for alike, chosen in _alike(values, look_up(scalings, values)):
        batch = _batch(alike, chosen)
        if batch is not None:
            _scale(batch, results)
    return results


# --- values that are alike --------------------------------------------------------------------

_Alike = tuple[Mapping[int, bytes], Sequence[Scaling]]


def _alike(values: Mapping[int, bytes], scalings: Sequence[Scaling]) -> Iterable[_Alike]:
    """The values in groups of one length, mask, type and route each."""
    if len(set(map(_ROUTE, scalings))) == 1 and _start_alike(values.values()):
        return ((values, scalings),)
    groups: dict[tuple[bytes, int, bytes], tuple[dict[int, bytes], list[Scaling]]] = {}
    for (handle, value), scaling in zip(values.items(), scalings, strict=True):
        key = (value[:2], len(value), scaling.route)
        group = groups.get(key)
        if group is None:
            group = groups[key] = ({}, [])
        group[0][handle] = value
        group[1].append(scaling)
    return groups.values()


def _start_alike(values: Iterable[bytes]) -> bool:
    values = list(values)
    if len(set(map(len, values))) > 1:
        return False
    block, count = b"".join(values), len(values)
    size = len(block) // count
    masks, kinds = block[::size], block[1::size]
    return masks.count(masks[:1]) == kinds.count(kinds[:1]) == count


@dataclass(slots=True)  # not frozen: a publish of one value pays for it
class _Batch:
    """Numbers that take one route, between the bytes before and after them."""

    route: bytes
    head: bytes
    handles: Sequence[int]
    functions: Sequence[Callable[[float], float]]
    numbers: Sequence[float]
    ends: Sequence[bytes]

    def halves(self) -> Iterable[_Batch]:
        middle = len(self.handles) // 2
        for part in (slice(middle), slice(middle, None)):
            yield _Batch(
                self.route,
                self.head,
                self.handles[part],
                self.functions[part],
                self.numbers[part],
                self.ends[part],
            )


def _batch(values: Mapping[int, bytes], scalings: Sequence[Scaling]) -> _Batch | None:
    """The numbers of values that are alike; None if they are not plain or of another type."""
    first, route = next(iter(values.values())), scalings[0].route
    row = _rows(first[0], len(first), route[0]) if first[1:2] == route[:1] else None
    if row is None:
        return None
    numbers, ends = zip(*row.iter_unpack(b"".join(values.values())), strict=True)
    head = bytes((first[0], route[-1]))
    return _Batch(route, head, list(values), list(map(_FUNCTION, scalings)), numbers, ends)


@lru_cache(maxsize=64)
def _rows(mask: int, size: int, kind: int) -> Struct | None:
    """How to cut values of this mask and type into number and rest; None if they are not plain."""
    layout = _LAYOUTS[kind]
    if mask not in _PLAIN_MASKS or size < 2 + layout.size:
        return None
    return Struct(f"<2x{layout.format[1:]}{size - 2 - layout.size}s")


# --- the numbers ------------------------------------------------------------------------------


def _scale(batch: _Batch, results: dict[int, bytes]) -> None:
    """All at once, without byte-code per value; a number that does not fit is searched by halves.

    `conversion` has the rules; here a result that it would reject or clamp is left out.
    """
    try:
        numbers = _packed(batch)
    except (OverflowError, StructError):
        if len(batch.handles) > 1:
            for half in batch.halves():
                _scale(half, results)
        return
    made = map(b"".join, zip(repeat(batch.head), numbers, batch.ends))
    results.update(zip(batch.handles, made, strict=True))


def _packed(batch: _Batch) -> Iterable[bytes]:
    """The results in the type of the written node.

    Raises:
        OverflowError: one is not finite or out of the range of a type on its route.
        struct.error: a whole number is beyond the largest Float.
    """
    found: Sequence[float] = list(map(call, batch.functions, batch.numbers))
    if not all(map(isfinite, found)):
        raise OverflowError
    for kind in batch.route[1:-1]:
        found = unpack(_many(kind, len(found)), _pack(kind, found))
    kind = batch.route[-1]
    return chain.from_iterable(_BYTES[_LAYOUTS[kind].size].iter_unpack(_pack(kind, found)))


def _pack(kind: int, numbers: Sequence[float]) -> bytes:
    """Numbers as those of a type: a fraction becomes the nearest whole number, half to even."""
    if kind in _RANGES:
        numbers = list(map(round, numbers))
        low, high = _RANGES[kind]
        if min(numbers) < low or max(numbers) > high:
            raise OverflowError
    return pack(_many(kind, len(numbers)), *numbers)


def _many(kind: int, count: int) -> str:
    return f"<{count}{_LAYOUTS[kind].format[1:]}"
