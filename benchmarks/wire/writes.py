"""The sink: takes WriteRequests by the prefixes that it knows, and remembers the last bytes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from itertools import chain
from struct import Struct
from typing import Final

from benchmarks.wire.fields import NULL, Reader, now_ticks
from benchmarks.wire.store import State

VALUE: Final = 13
LATENCY_EVERY: Final = 16
LATENCIES: Final = 50_000
TICKS_PER_MS: Final = 10_000
BAD_NODE_ID_UNKNOWN: Final = 0x8034_0000
BAD_TYPE_MISMATCH: Final = 0x8074_0000
_STAMP: Final = Struct("<q")
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE = 1, 2, 4
#: Bytes of a scalar by its built-in type.
SCALARS: Final = {
    1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, 13: 8, 14: 16, 19: 4,
}  # fmt: skip
_TAILS: Final = {_HAS_STATUS: 4, _HAS_SOURCE: 8, 8: 8, 16: 2, 32: 2}
TAIL_SIZES: Final = tuple(
    sum(size for bit, size in _TAILS.items() if mask & bit) for mask in range(64)
)
#: The fields in the order in which they stand in a DataValue.
_ORDER: Final = (_HAS_STATUS, _HAS_SOURCE, 16, 8, 32)
_STRINGS: Final = (12, 15, 16)


def value_end(body: bytes, at: int) -> int:
    """Where the Variant of the DataValue at ``at`` ends.

    Raises:
        KeyError: a type that no item of a load has.
    """
    if not body[at] & _HAS_VALUE:
        return at + 1
    encoding = body[at + 1]
    kind, at = encoding & 0x3F, at + 2
    if encoding & 0xC0 == 0x80:
        count = int.from_bytes(body[at : at + 4], "little", signed=True)
        return at + 4 + SCALARS[kind] * max(0, count)
    if kind in _STRINGS:
        return at + 4 + max(0, int.from_bytes(body[at : at + 4], "little", signed=True))
    return at + SCALARS[kind]


def state_of(value: bytes) -> State:
    """What a DataValue says, in the form in which a source tells its own."""
    end = value_end(value, 0)
    status = ticks = 0
    at = end
    for bit in _ORDER:
        if not value[0] & bit:
            continue
        size = _TAILS[bit]
        number = int.from_bytes(value[at : at + size], "little")
        status = number if bit == _HAS_STATUS else status
        ticks = number if bit == _HAS_SOURCE else ticks
        at += size
    return value[1:end].hex(), status, ticks


class Writes:
    """What clients wrote to one server."""

    def __init__(self, nodes: Sequence[bytes]) -> None:
        self._indices = {node: index for index, node in enumerate(nodes)}
        self._size = len(nodes[0]) + 8  # NodeId, AttributeId, IndexRange
        self._prefixes = {
            node + VALUE.to_bytes(4, "little") + NULL: index for index, node in enumerate(nodes)
        }
        self._is_even = {len(node) for node in nodes} == {len(nodes[0])}
        self.last: dict[int, bytes] = {}
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self.reset()

    def reset(self) -> None:
        """Forget what was written; counting begins anew."""
        self.last.clear()
        self._latencies.clear()
        self._missing = set(range(len(self._indices)))
        self.count = self.requests = self.refused = 0
        self.first_at: float | None = None
        self.synced_at: float | None = None

    @property
    def missing(self) -> int:
        return len(self._missing)

    def latencies(self) -> list[float]:
        found = list(self._latencies)
        self._latencies.clear()
        return found

    def take(self, body: bytes, at: int) -> tuple[int, bytes | None]:
        """Take the NodesToWrite at ``at``; how many they are, and results if not all are Good."""
        count = max(0, int.from_bytes(body[at : at + 4], "little", signed=True))
        at += 4
        try:
            pairs = self._run(body, at, count) or self._walk(body, at, count)
        except (KeyError, IndexError):
            return count, self._one_by_one(body, at, count)
        self._note(pairs)
        return count, None

    def _run(self, body: bytes, at: int, count: int) -> dict[int, bytes] | None:
        """All of one size, as far as lengths tell: no byte-code per value."""
        if not count or not self._is_even:
            return None
        value = at + self._size
        size = value_end(body, value) + TAIL_SIZES[body[value] & 0x3F] - at
        stop = at + count * size
        if len(body) != stop:
            return None
        heads = {body[value + offset : stop : size] for offset in (0, 1)}
        if any(head.strip(head[:1]) for head in heads):
            return None
        cut = Struct(f"{self._size}s{size - self._size}s").iter_unpack(body[at:stop])
        parts = list(chain.from_iterable(cut))
        return dict(zip(map(self._prefixes.__getitem__, parts[::2]), parts[1::2], strict=True))

    def _walk(self, body: bytes, at: int, count: int) -> dict[int, bytes]:
        pairs = {}
        prefixes, size = self._prefixes, self._size
        for _ in range(count):
            start = at + size
            end = value_end(body, start) + TAIL_SIZES[body[start] & 0x3F]
            pairs[prefixes[body[at:start]]] = body[start:end]
            at = end
        return pairs

    def _one_by_one(self, body: bytes, at: int, count: int) -> bytes:
        """Nodes that are not known, or no plain values among them: every one its own result."""
        reader = Reader(body, at)
        results: list[int] = []
        pairs = {}
        for _ in range(count):
            node, attribute, _ = reader.node_id(), reader.uint32(), reader.string()
            start = reader.at
            try:
                reader.at = value_end(body, start) + TAIL_SIZES[body[start] & 0x3F]
            except KeyError:  # the rest cannot be found
                results += [BAD_TYPE_MISMATCH] * (count - len(results))
                break
            index = self._indices.get(node)
            is_known = index is not None and attribute == VALUE
            results.append(0 if is_known else BAD_NODE_ID_UNKNOWN)
            if index is not None and is_known:
                pairs[index] = body[start : reader.at]
        self.refused += sum(map(bool, results))
        self._note(pairs)
        return Struct(f"<{count}I").pack(*results)

    def _note(self, pairs: dict[int, bytes]) -> None:
        self.requests += 1
        self.count += len(pairs)
        self.last.update(pairs)
        now = now_ticks()
        for value in list(pairs.values())[::LATENCY_EVERY]:
            if value[0] == _HAS_VALUE | _HAS_SOURCE:
                stamp = int(_STAMP.unpack_from(value, len(value) - 8)[0])
            else:
                stamp = state_of(value)[2]
            if stamp:
                self._latencies.append((now - stamp) / TICKS_PER_MS)
        if self._missing and pairs:
            self.first_at = self.first_at or time.monotonic()
            self._missing.difference_update(pairs)
            if not self._missing:
                self.synced_at = time.monotonic()
