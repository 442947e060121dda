"""Values that wait to be written to one target: the conflation queue and the order guard.

Order guard: servers may execute the requests of a session in parallel, so two writes of one item
must never be in flight together, or the older may win. A handle that was taken is busy until its
answer is there; a newer value of it waits and is replaced by a still newer one.

Three disjoint places hold a handle: ``ready`` (may be taken), ``waiting`` (newer value of a busy
handle), ``busy`` (in flight; may stand in ``waiting`` too). The batch that was taken last is busy
as a whole: mostly it is answered before anything else happens, and nothing was done per value.

Values that wait are bounded by the number of items; the overflow policy is *latest*: a newer value
replaces the older (``conflated``) and a handle beyond the limit is not taken in (``refused``).
Every operation costs O(its batch).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

__all__ = ["Pending"]


class Pending:
    """What one direction of a pipe still has to write, by handle.

    Args:
        limit: how many handles may wait, which is the number of items.
    """

    __slots__ = (
        "_busy_before", "_forgotten", "_newest", "_ready", "_waiting", "conflated", "limit",
        "refused",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.conflated = 0
        self.refused = 0
        self._ready: dict[int, bytes] = {}
        self._waiting: dict[int, bytes] = {}
        self._newest: Collection[int] = ()  # the batch that was taken last
        self._busy_before: set[int] = set()
        self._forgotten: set[int] = set()

    def __len__(self) -> int:
        """Values that wait to be sent; those in flight do not count."""
        return len(self._ready) + len(self._waiting)

    @property
    def blocked(self) -> int:
        """Values that wait for the answer to an older write of their item."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        return len(self._busy)

    @property
    def _busy(self) -> set[int]:
        self._take_apart()
        return self._busy_before

    def _take_apart(self) -> None:
        if self._newest:
            self._busy_before.update(self._newest)
            self._newest = ()

    def put(self, values: dict[int, bytes]) -> None:
        """Take in new values, and the dictionary; each replaces the one under its handle."""
        before, ready_before = len(self), len(self._ready)
        if not self._ready and not self._newest and not self._busy_before:
            self._ready = values
        elif self._busy.isdisjoint(values):
            self._ready.update(values)
        else:
            for handle, value in values.items():
                place = self._waiting if handle in self._busy_before else self._ready
                place[handle] = value
        self.conflated += before + len(values) - len(self)
        if len(self) > self.limit:
            self._refuse(len(self) - self.limit, ready_before)

    def _refuse(self, excess: int, ready_before: int) -> None:
        """Drop the handles that came last; new ones stand at the end of both places."""
        self.refused += excess
        for _ in range(excess):
            place = self._ready if len(self._ready) > ready_before else self._waiting
            place.popitem()

    def take(self, limit: int) -> dict[int, bytes]:
        """Up to ``limit`` values to write now, longest waiting first; they are busy from here."""
        ready = self._ready
        if len(ready) <= limit:
            batch, self._ready = ready, {}
        elif len(ready) < 2 * limit:
            batch, self._ready = ready, dict(islice(ready.items(), limit, None))
            for handle in self._ready:
                del batch[handle]
        else:
            batch = dict(islice(ready.items(), max(limit, 0)))
            for handle in batch:
                del ready[handle]
        self._take_apart()
        self._newest = batch
        return batch

    def done(self, batch: Collection[int]) -> None:
        """The writes of these handles were answered, or never will be."""
        if batch is self._newest:
            self._newest = ()
        else:
            self._busy.difference_update(batch)
        if self._forgotten:
            self._forgotten.difference_update(batch)
        waiting = self._waiting
        if waiting and not waiting.keys().isdisjoint(batch):
            for handle in batch:
                if handle in waiting:
                    self._ready[handle] = waiting.pop(handle)

    def retry(self, batch: Mapping[int, bytes]) -> None:
        """These writes failed and are no longer in flight: write again what has no newer value.

        Call it instead of ``done`` for the handles concerned.
        """
        outdated = self._forgotten.intersection(batch)
        self.done(batch)
        for handle, value in batch.items():
            if handle in outdated:
                continue
            if handle in self._ready:
                self.conflated += 1
            elif len(self) < self.limit:
                self._ready[handle] = value
            else:
                self.refused += 1

    def unknown(self, batch: Mapping[int, bytes]) -> None:
        """Nobody knows what became of these writes: the newest value is written again."""
        self.retry(batch)

    def abandoned(self, batch: Mapping[int, bytes]) -> None:
        """These writes ended with their session; what is due is decided anew."""
        self.done(batch)

    def declined(self, handle: int) -> None:
        """The server refused this write."""
        self.done((handle,))

    def reserve(self, handles: Iterable[int]) -> None:
        """Writes of these handles that did not come from here are in flight: they are busy."""
        self._busy.update(handles)

    def is_busy(self, handle: int) -> bool:
        return handle in self._busy

    def is_due(self, handle: int) -> bool:
        """Whether a value is on its way or waits, so that the target will not keep what it has."""
        return handle in self._busy or handle in self._ready

    def clear(self) -> None:
        """Drop all values, as `forget` does: what is due is decided anew."""
        self._ready.clear()
        self._waiting.clear()
        self._forgotten.update(self._busy)

    def withdraw(self, handle: int, *, for_good: bool = False) -> bool:
        """Take back the value that waits under ``handle``; False if there is none.

        ``for_good`` is nothing to this queue: only newer values count.
        """
        del for_good
        place = self._ready if handle in self._ready else self._waiting
        return place.pop(handle, None) is not None

    def postpone(self, handle: int) -> None:
        """The node of ``handle`` is not what it was: its newest value is decided anew later."""
        self.withdraw(handle)

    def forget(self, handles: Iterable[int]) -> None:
        """Drop the values of items that are no longer wanted.

        A write in flight keeps its handle busy until it is answered, and is not tried again.
        """
        for handle in handles:
            self._ready.pop(handle, None)
            self._waiting.pop(handle, None)
            if handle in self._busy:
                self._forgotten.add(handle)
