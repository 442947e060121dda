"""The ``minimum_interval_ms`` of items: the newest value wins, and the last one always goes.

An interval begins with a value that goes. A value that comes while it lasts waits for its end; the
one that is newest then is decided about and goes. So an item that changes all the time goes once
an interval, and one that has come to rest shows its last value after one interval at the latest.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush


class Pacing:
    """Of one direction of a pipe; instants are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._free_at: dict[int, float] = {}
        self._waiting: dict[int, float] = {}  # handle -> the end of its interval, in the heap too
        self._heap: list[tuple[float, int]] = []

    def __contains__(self, handle: int) -> bool:
        return handle in self._seconds

    def add(self, handle: int, seconds: float) -> None:
        self.forget((handle,))
        self._seconds[handle] = seconds

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            for table in (self._seconds, self._free_at, self._waiting):
                table.pop(handle, None)

    def holds(self, handle: int, now: float) -> bool:
        """Whether the newest value has to wait; it is `due` at the end of the interval then."""
        free_at = self._free_at.get(handle, now)
        if free_at <= now:
            return False
        if handle not in self._waiting:
            self._waiting[handle] = free_at
            heappush(self._heap, (free_at, handle))
        return True

    def went(self, handle: int, now: float) -> None:
        """A value goes: the next interval begins."""
        if handle in self._seconds:
            self._free_at[handle] = now + self._seconds[handle]
            self._waiting.pop(handle, None)

    @property
    def next_at(self) -> float | None:
        """When something is due; None if nothing waits."""
        while self._heap and self._waiting.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)  # it was forgotten, or its value went meanwhile
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[int]:
        """The handles whose interval is over and that have a value waiting; once each."""
        found: list[int] = []
        while (at := self.next_at) is not None and at <= now:
            handle = heappop(self._heap)[1]
            del self._waiting[handle]
            found.append(handle)
        return found
