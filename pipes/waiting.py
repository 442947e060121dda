"""The values of a flow that have to wait, and what lets them go.

An item waits for its condition, for the end of its minimum interval, for the end of a fault's
time, for the end of a hold that its quality contract put on it, or because its values may go
round through our writes. Whatever it was: when it is over, the newest value is decided about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Final, Protocol

from pipes.conditions import Conditions
from pipes.echoes import Echoes
from pipes.faults import Faults
from pipes.feed import Feed, Receiver
from pipes.known import Known
from pipes.oscillations import Oscillations
from pipes.passing import Passing
from pipes.throttle import Throttle
from pipes.writer import Writer

#: Items decided about in one tick because of something that befell many at once.
MOST_AT_ONCE: Final = 3_000


class NewestValues(Protocol):
    def offer(self, handles: Iterable[int], *, is_retry: bool = False) -> None:
        """Decide anew about the newest value of each."""


class PutInError(Protocol):
    def __call__(self, handle: int, status: int, message: str, *, retries: bool) -> None: ...


class Waiting:
    """As `conditions.Owner` and `oscillations.Owner`."""

    def __init__(
        self,
        name: str,
        known: Known,
        passing: Passing,
        writer: Writer,
        echoes: Echoes,
        faults: Faults,
        newest: NewestValues,
        put_in_error: PutInError,
        now: Callable[[], float],
        *,
        way: tuple[str, str],
        source: str,
        receiver: Receiver,
        feed: Feed,
        new_feed: Callable[[Receiver], Feed] | None,
    ) -> None:
        """``way``: the server that is written, and the one that is read; ``source`` is either.

        ``receiver``, ``feed`` and ``new_feed`` are those of `Conditions`.
        """
        self._known = known
        self._passing = passing
        self._writer = writer
        self._echoes = echoes
        self._faults = faults
        self._newest = newest
        self._put_in_error = put_in_error
        self._holds: dict[int, float] = {}  # handle -> when to decide again
        self._due_soon: dict[int, None] = {}  # to be decided about anew, some in each tick
        self._written_before = 0
        self.throttle = Throttle(self._interval_over, now)
        self.conditions = Conditions(source, receiver, self, feed, new_feed)
        self.oscillations = Oscillations(name, way, self, now)

    # -- what waits -----------------------------------------------------------------------------

    def has_to_wait(self, handle: int) -> bool:
        """Whether the newest value must not be written now; it is decided about later.

        Raises:
            DecodeError: the value is damaged.
        """
        if handle in self.oscillations.seen and self.oscillations.holds(handle):
            self._echoes.not_written(handle)
            return True
        why = self.conditions.why_closed(handle)
        if why:
            self._known.held_back[handle] = why
            self._echoes.not_written(handle)
            return True
        if handle in self._faults.throttled:
            self._faults.owe(handle)
            return True
        return self.throttle.holds(handle)

    def may_pass(self, handle: int) -> bool:
        """Whether the item never has to wait, but for what `Passing` is told of when it comes."""
        return handle not in self.throttle and handle not in self.oscillations.seen

    def hold(self, handle: int, until: float) -> None:
        self._holds[handle] = until

    def hold_over(self, handle: int) -> None:
        self._holds.pop(handle, None)

    def due(self, now: float) -> list[int]:
        """The handles whose hold is over; each is due until it is decided about."""
        return [handle for handle, when in self._holds.items() if when <= now]

    def tick(self, now: float) -> None:
        self.conditions.tick(now)
        self.throttle.tick()
        if self._due_soon:
            self._offer_in_parts()

    def forget(self, handles: Collection[int]) -> None:
        self.conditions.remove(handles)
        self.oscillations.forget(handles)
        self.throttle.forget(handles)
        for handle in handles:
            self._holds.pop(handle, None)
            self._due_soon.pop(handle, None)

    def withhold(self, handle: int, why: str) -> None:
        self.look_at_each(handle)
        self._known.held_back[handle] = why
        if self._writer.pending.withdraw(handle, for_good=False):
            self._known.histories[handle].not_written()
        self._echoes.not_written(handle)

    def _interval_over(self, handles: list[int]) -> None:
        self._newest.offer(handles, is_retry=True)

    def _offer_in_parts(self) -> None:
        part = list(islice(self._due_soon, MOST_AT_ONCE))
        for handle in part:
            del self._due_soon[handle]
        self._newest.offer(part)

    # -- conditions -----------------------------------------------------------------------------

    def conditions_met(self, items: Collection[int]) -> None:
        for handle in items:  # the newest value goes, whatever the filter
            self._known.histories[handle].passed = None
        self._due_soon.update(dict.fromkeys(items))
        self._offer_in_parts()

    def conditions_failed(self, items: Collection[int]) -> None:
        """What waits was decided about while they were met; it does not go any more."""
        for handle in items:
            self.withhold(handle, self.conditions.why_closed(handle))

    # -- values that may go round ---------------------------------------------------------------

    @property
    def last(self) -> Mapping[int, bytes]:
        return self._known.last

    def written_lately(self) -> Collection[int]:
        if self._writer.writes == self._written_before:
            return ()
        self._written_before = self._writer.writes
        batch = self._writer.newest_batch.keys()
        return batch - self._known.queued if self._known.queued else batch

    def look_at_each(self, handle: int) -> None:
        self._passing.look_at((handle,))

    def suspend(self, handle: int, why: str) -> None:
        fault = self._faults.current.get(handle)
        if fault is None or fault.message != why:
            self.withhold(handle, why)
            self._put_in_error(handle, 0, why, retries=False)

    def release(self, handle: int, said: str) -> None:
        self.acquit(handle, said)
        self._known.histories[handle].not_written()
        self._newest.offer((handle,), is_retry=True)

    def acquit(self, handle: int, said: str) -> None:
        if self._known.held_back.get(handle) == said:
            del self._known.held_back[handle]
        fault = self._faults.current.get(handle)
        if fault is not None and fault.message == said:
            self._faults.clear((handle,))
