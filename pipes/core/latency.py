"""Latencies in a fixed number of buckets: adding costs the same for one and for a thousand."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import ceil, frexp
from typing import Final

_PER_OCTAVE: Final = 16
_LOWEST_EXPONENT: Final = -6
_OCTAVES: Final = 28
_BUCKETS: Final = _PER_OCTAVE * _OCTAVES
_LONGEST_MS: Final = 2.0**30


def _bucket(latency_ms: float) -> int:
    """Bucket 0 takes what is below 1/128 ms, zero and negative (clocks of two machines differ)."""
    if not latency_ms > 0:
        return 0
    mantissa, exponent = frexp(min(latency_ms, _LONGEST_MS))  # 0.5 <= mantissa < 1
    index = (exponent - _LOWEST_EXPONENT) * _PER_OCTAVE + int((mantissa - 0.5) * 2 * _PER_OCTAVE)
    return min(max(index, 0), _BUCKETS - 1)


def _upper_edge_ms(bucket: int) -> float:
    octave, step = divmod(bucket + 1, _PER_OCTAVE)
    return float((0.5 + step / (2 * _PER_OCTAVE)) * 2.0 ** (octave + _LOWEST_EXPONENT))


class Latency:
    """A histogram with buckets 6 % wide, from 1/128 ms to 35 minutes; beyond counts as the last.

    Memory is constant. `fade` halves all counts: called at a steady pace it makes the
    percentiles those of the recent past.
    """

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0

    def add(self, latency_ms: float) -> None:
        self._counts[_bucket(latency_ms)] += 1
        self.count += 1

    def add_many(self, latency_ms: float, count: int) -> None:
        """``count`` values that share one latency, such as those of one WriteRequest."""
        self._counts[_bucket(latency_ms)] += count
        self.count += count

    def merge(self, other: Latency) -> None:
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count
        self.count += other.count

    def fade(self) -> None:
        self._counts = [count >> 1 for count in self._counts]
        self.count = sum(self._counts)

    def percentile_ms(self, share: float) -> float | None:
        """The latency that ``share`` (0 to 1) of the values do not exceed, at most 6 % too high.

        None without values.
        """
        if not self.count:
            return None
        wanted = max(1, ceil(share * self.count))
        return _upper_edge_ms(bisect_left(list(accumulate(self._counts)), wanted))
