"""Which items have to be written again because nothing was written for too long.

Each item has one entry in a heap, however often it is written: an entry that comes up too early is
put back for the rest of its time.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import heapify, heappop, heappush


class Refresh:
    """The refresh times of one direction of a pipe; instants are seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._since: dict[int, float] = {}  # handle -> when it was written last, or tried
        self._heap: list[tuple[float, int]] = []

    def __bool__(self) -> bool:
        return bool(self._seconds)

    def add(self, handle: int, seconds: float, now: float) -> None:
        """Ask for a write of ``handle`` at least every ``seconds``."""
        self.forget((handle,))
        self._seconds[handle] = seconds
        self._since[handle] = now
        heappush(self._heap, (now + seconds, handle))

    def forget(self, handles: Collection[int]) -> None:
        if self._seconds.keys().isdisjoint(handles):
            return
        for handle in handles:
            self._seconds.pop(handle, None)
            self._since.pop(handle, None)
        self._heap = [entry for entry in self._heap if entry[1] in self._seconds]
        heapify(self._heap)

    def written(self, handles: Collection[int], now: float) -> None:
        """These were written; those that are not refreshed are passed over."""
        for handle in self._seconds.keys() & handles:
            self._since[handle] = now

    def due(self, now: float) -> list[int]:
        """The handles whose time has come; the next time of each begins now."""
        found: list[int] = []
        while self._heap and self._heap[0][0] <= now:
            handle = heappop(self._heap)[1]
            seconds = self._seconds[handle]
            if self._since[handle] + seconds <= now:
                found.append(handle)
                self._since[handle] = now
            heappush(self._heap, (self._since[handle] + seconds, handle))
        return found
