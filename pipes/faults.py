"""What is wrong with the items of a flow, and when each may be tried again.

An item in error is tried at most once a second, whatever its source does: a value that comes
earlier is owed, and the newest one is considered when the time is over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

#: Seconds until an item in error may be written again: the first, and the longest after doubling.
FIRST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 5.0


@dataclass(slots=True)
class Fault:
    """``status`` is an OPC UA StatusCode, 0 where the reason is ours; ``at_ns`` is UTC."""

    status: int
    message: str
    at_ns: int
    count: int = 1
    retries: bool = True


class Faults:
    def __init__(self, now: Callable[[], float]) -> None:
        self.current: dict[int, Fault] = {}
        self.last: dict[int, Fault] = {}
        self.counts: Counter[int] = Counter()
        self.total = 0
        self.throttled: dict[int, float] = {}  # handle -> until when
        self._owed: set[int] = set()
        self._now = now

    def record(self, handle: int, status: int, message: str, *, retries: bool) -> Fault:
        """Note an error of an item; it is throttled from now on."""
        before = self.current.get(handle)
        count = before.count + 1 if before is not None else 1
        fault = Fault(status, message, time.time_ns(), count, retries)
        self.current[handle] = self.last[handle] = fault
        self.counts[handle] += 1
        self.total += 1
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(count - 1, 8)) if retries else 1.0
        self.throttled[handle] = self._now() + delay
        if retries:
            self._owed.add(handle)
        return fault

    def note(self, handle: int, message: str) -> None:
        """Count an error that does not keep the item from being written."""
        before = self.last.get(handle)
        repeats = before is not None and before.message == message
        count = before.count + 1 if before is not None and repeats else 1
        self.last[handle] = Fault(0, message, time.time_ns(), count, retries=False)
        self.counts[handle] += 1
        self.total += 1

    def owe(self, handle: int) -> None:
        """A throttled item has a newer value."""
        self._owed.add(handle)

    def clear(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self.current.pop(handle, None)
            self.throttled.pop(handle, None)
            self._owed.discard(handle)

    def forgive(self, handle: int) -> bool:
        """Let the item be tried at once; False if it may be anyway."""
        return self.throttled.pop(handle, None) is not None

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self.clear((handle,))
            self.last.pop(handle, None)
            self.counts.pop(handle, None)

    def reset_throttles(self) -> None:
        """A new session: everything may be tried at once."""
        self.throttled.clear()
        self._owed.clear()

    def due(self, now: float) -> list[int]:
        """Handles whose throttle has ended and that owe a write; they are free from now on."""
        if not self.throttled:
            return []
        over = [handle for handle, until in self.throttled.items() if until <= now]
        for handle in over:
            del self.throttled[handle]
        due = [handle for handle in over if handle in self._owed]
        self._owed.difference_update(due)
        return due
