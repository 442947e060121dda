"""Samples that wait to be written to one target: every one of them, in the order they were taken.

The sibling of `pending` for items that ask for more than the newest value. Each item has a queue
of its own, bounded in count and in age; a sample that has to go for that is *lost*, and the oldest
is the first to go. The order guard is that of `pending`: at most one sample of an item is on its
way, because servers may execute the writes of one request in parallel.

A handle that was taken is busy until one of these is told about it:

* `done`: the server has taken the sample, or nothing is to be written for it; the next may go;
* `back`: it was not sent, or was refused and may go again; it stays the next of its item;
* `unknown`: nobody knows. A sample of a handle in ``once`` is lost, because it may have been
  executed; every other one goes again, so that each arrives at least once, in order.

A handle that is paused is not taken: its target is not there, or its turn is not yet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

__all__ = ["Loss", "Sample", "SampleQueue"]


class Sample(NamedTuple):
    """One value as it came; ``at`` is the monotonic second of its arrival.

    ``is_first``: it is reported because the subscription or the target is new, and may be no news.
    """

    value: bytes
    at: float
    is_first: bool = False


class Loss(NamedTuple):
    """``sample`` of ``handle`` will not be written."""

    handle: int
    sample: Sample


class SampleQueue:
    """What one direction of a pipe still has to write, by handle and in order.

    Args:
        limit: samples that may wait under one handle.
        age_seconds: how long one may wait; 0 is for ever.
    """

    __slots__ = ("_count", "_flying", "_outdated", "_paused", "_ready", "_waiting", "age_seconds",
                 "limit", "once")  # fmt: skip

    def __init__(self, limit: int, age_seconds: float) -> None:
        self.limit = limit
        self.age_seconds = age_seconds
        self.once: set[int] = set()
        self._count = 0
        self._waiting: dict[int, deque[Sample]] = {}  # only handles that have some
        self._flying: dict[int, Sample] = {}
        self._outdated: set[int] = set()  # in flight, and not to go again
        self._paused: set[int] = set()
        self._ready: dict[int, None] = {}  # what may be taken, in the order of its turn

    def __len__(self) -> int:
        """Samples that wait to be sent; those in flight do not count."""
        return self._count

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    @property
    def paused(self) -> frozenset[int]:
        return frozenset(self._paused)

    def of(self, handle: int) -> int:
        """How many samples of ``handle`` wait or are in flight."""
        return len(self._waiting.get(handle, ())) + (handle in self._flying)

    def flying(self, handles: Collection[int]) -> set[int]:
        """Those of ``handles`` whose oldest sample is in flight."""
        return self._flying.keys() & handles

    def put(self, handle: int, sample: Sample) -> Loss | None:
        """Take in a new sample; if there is no room, the oldest that waits is lost."""
        samples = self._waiting.setdefault(handle, deque())
        lost = None
        if len(samples) >= self.limit:
            lost = Loss(handle, samples.popleft())
            self._count -= 1
        samples.append(sample)
        self._count += 1
        self._make_ready(handle)
        return lost

    def take(self, limit: int) -> list[tuple[int, Sample]]:
        """The oldest sample of each of up to ``limit`` handles; they are busy from here."""
        taken = [(handle, self._pop(handle)) for handle in islice(self._ready, max(limit, 0))]
        for handle, sample in taken:
            del self._ready[handle]
            self._flying[handle] = sample
        return taken

    def done(self, handles: Iterable[int]) -> None:
        for handle in handles:
            if self._flying.pop(handle, None) is not None:
                self._outdated.discard(handle)
                self._make_ready(handle)

    def back(self, handles: Iterable[int]) -> list[Loss]:
        """Let these samples go again; those that find no room are lost, being the oldest."""
        lost: list[Loss] = []
        for handle in handles:
            sample = self._flying.pop(handle, None)
            if sample is None:
                continue
            if handle in self._outdated:
                self._outdated.remove(handle)
            elif len(self._waiting.get(handle, ())) >= self.limit:
                lost.append(Loss(handle, sample))
            else:
                self._waiting.setdefault(handle, deque()).appendleft(sample)
                self._count += 1
            self._make_ready(handle)
        return lost

    def unknown(self, handles: Collection[int]) -> tuple[list[Loss], list[Loss]]:
        """Nobody knows what became of these: what may not go again, and what found no room."""
        once = [h for h in handles if h in self.once and h in self._flying]
        never_again = [Loss(handle, self._flying[handle]) for handle in once]
        self.done(once)
        return never_again, self.back(handles)

    def drop(self, handle: int) -> Loss | None:
        """Give up the oldest sample that waits under ``handle``."""
        if handle not in self._waiting:
            return None
        lost = Loss(handle, self._pop(handle))
        if handle not in self._waiting:
            self._ready.pop(handle, None)
        return lost

    def empty(self, handle: int) -> list[Loss]:
        """Give up all samples that wait under ``handle``."""
        samples = self._waiting.pop(handle, deque())
        self._count -= len(samples)
        self._ready.pop(handle, None)
        return [Loss(handle, sample) for sample in samples]

    def expire(self, now: float) -> list[Loss]:
        """Give up the samples that have waited too long."""
        if not self.age_seconds or not self._count:
            return []
        oldest = now - self.age_seconds
        late = [handle for handle, samples in self._waiting.items() if samples[0].at < oldest]
        lost: list[Loss] = []
        for handle in late:
            while (samples := self._waiting.get(handle)) and samples[0].at < oldest:
                lost.append(Loss(handle, self._pop(handle)))
            if handle not in self._waiting:
                self._ready.pop(handle, None)
        return lost

    def pause(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self._paused.add(handle)
            self._ready.pop(handle, None)

    def resume(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self._paused.discard(handle)
            self._make_ready(handle)

    def forget(self, handles: Iterable[int]) -> list[Loss]:
        """These items are no longer wanted; one in flight keeps its handle busy, and ends there."""
        lost: list[Loss] = []
        for handle in handles:
            lost += self.empty(handle)
            self._paused.discard(handle)
            self.once.discard(handle)
            if handle in self._flying:
                self._outdated.add(handle)
        return lost

    def _pop(self, handle: int) -> Sample:
        samples = self._waiting[handle]
        sample = samples.popleft()
        self._count -= 1
        if not samples:
            del self._waiting[handle]
        return sample

    def _make_ready(self, handle: int) -> None:
        if handle in self._waiting and handle not in self._flying and handle not in self._paused:
            self._ready.setdefault(handle)
