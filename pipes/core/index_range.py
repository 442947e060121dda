"""A part of an array: NumericRange (Part 4, 7.27), applied by our own hand.

Servers are asked for the part. One that gives the whole array nevertheless is found out by
`IndexRange.cut`, which then takes the part out of it, so that an item means the same everywhere.
Strings and ByteStrings are sequences too: a range of a scalar one is a piece of it, and a last
bound more than an array has dimensions cuts each of its elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Final

from pipes.core.binary import (
    DecodeError,
    array_shape,
    decode_data_value,
    encode_data_value,
    peek_type,
)
from pipes.core.status_codes import code_of
from pipes.core.values import NULL, DataValue, Scalar, Variant, VariantType

NO_DATA: Final = code_of("BadIndexRangeNoData")

_SEQUENCES: Final = frozenset({VariantType.STRING, VariantType.BYTE_STRING})
Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class IndexRange:
    """``bounds`` are the first and last index of each dimension, both included."""

    text: str
    bounds: tuple[Bounds, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many elements it names in each dimension."""
        return tuple(last - first + 1 for first, last in self.bounds)

    @property
    def is_single(self) -> bool:
        """Whether it names one element."""
        return prod(self.sizes) == 1

    def cut(self, value: bytes, *, is_whole: bool) -> bytes:
        """The part of an encoded DataValue; the value itself if it is that part already.

        ``is_whole`` says that the server was not asked for the part. What was asked for counts as
        the part unless it is larger than that can be. A value without anything in the range gets
        the status that a server would give it.
        """
        try:
            if not is_whole and self._may_be_part(value):
                return value
            data_value = decode_data_value(value)
        except DecodeError:
            return value  # whoever decides about it says so
        variant = data_value.variant
        if variant is None or variant.type is VariantType.NULL:
            return value
        part = self.part(variant)
        stamp = data_value.source_timestamp
        if part is None:
            return encode_data_value(DataValue(None, data_value.status or NO_DATA, stamp))
        return encode_data_value(DataValue(part, data_value.status, stamp))

    def _may_be_part(self, value: bytes) -> bool:
        """Whether it is no larger than the part; a text or bytes are walked, an array is not."""
        peeked = peek_type(value)
        if peeked is None:
            return True
        kind, is_array = peeked
        if is_array:
            shape = array_shape(value)
        elif kind in _SEQUENCES:
            shape = _lengths(decode_data_value(value).variant or NULL)
        else:
            return True
        return all(size <= most for size, most in zip(shape, self.sizes, strict=False))

    def part(self, variant: Variant) -> Variant | None:
        """The elements in the range; None if there is none, or no such dimension."""
        if not variant.is_array:
            return self._piece(variant)
        shape = _lengths(variant)
        inner = self.bounds[len(shape) :]
        if len(self.bounds) < len(shape) or len(inner) > (variant.type in _SEQUENCES):
            return None
        spans = [
            range(first, min(last + 1, size))
            for (first, last), size in zip(self.bounds, shape, strict=False)
        ]
        if not all(spans) or not isinstance(variant.value, tuple):
            return None
        elements = _picked(variant.value, shape, spans)
        if inner:
            elements = tuple(_piece_of(element, inner[0]) for element in elements)
        dimensions = None if len(shape) == 1 else tuple(map(len, spans))
        return Variant(variant.type, elements, dimensions)

    def _piece(self, variant: Variant) -> Variant | None:
        if variant.type not in _SEQUENCES or len(self.bounds) != 1:
            return None
        piece = _piece_of(variant.value, self.bounds[0])  # type: ignore[arg-type]  # a scalar
        return Variant(variant.type, piece) if piece else None

    def filled(self, variant: Variant) -> Variant | None:
        """A value as a write into the range takes it; None if its shape is another one.

        A scalar fills a range of one element.
        """
        if not variant.is_array and self.is_single:
            dimensions = self.sizes if len(self.bounds) > 1 else None
            return Variant(variant.type, (variant.value,), dimensions)  # type: ignore[arg-type]
        return variant if _lengths(variant) == self.sizes else None


def _lengths(variant: Variant) -> tuple[int, ...]:
    """The length of each dimension; that of the text or bytes of a scalar."""
    if variant.dimensions:
        return variant.dimensions
    value = variant.value
    return (len(value),) if isinstance(value, tuple | str | bytes) else (0,)


def _picked(
    elements: tuple[Scalar, ...], shape: tuple[int, ...], spans: list[range]
) -> tuple[Scalar, ...]:
    """The last dimension varies fastest (Part 6, 5.2.2.16)."""
    last = spans[-1]
    picked: list[Scalar] = []
    for index in product(*spans[:-1]):
        row = 0
        for place, size in zip(index, shape[:-1], strict=True):
            row = row * size + place
        start = row * shape[-1]
        picked += elements[start + last.start : start + last.stop]
    return tuple(picked)


def _piece_of(element: Scalar, bounds: Bounds) -> Scalar:
    if isinstance(element, str | bytes):
        return element[bounds[0] : bounds[1] + 1]
    return element


@lru_cache(maxsize=256)
def parse(text: str) -> IndexRange:
    """The range of a text that `checks.index_range` has let pass, not empty."""
    bounds = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        bounds.append((int(first), int(last or first)))
    return IndexRange(text, tuple(bounds))
