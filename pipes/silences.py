"""Items whose values do not come: what their targets learn of it, and the end of it.

`core.outages` has the kinds of silence and what each of them reads as.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from pipes.core.outages import LOST, STALE, Outages
from pipes.faults import Faults
from pipes.known import Known

#: Items whose silence is told in one tick.
MOST_AT_ONCE: Final = 3_000


class Owner(Protocol):
    """The newest values of the flow, as its silences see them."""

    def tell_of_outages(self, handles: Collection[int]) -> None:
        """Decide about the newest values of these: that they do not come is one by now."""


class Silences:
    def __init__(
        self,
        outages: Outages,
        known: Known,
        faults: Faults,
        owner: Owner,
        now: Callable[[], float],
        *,
        is_first_attempt: Callable[[], bool],
        unmissed: Collection[int],
        is_told_at_start: bool,
    ) -> None:
        """``is_first_attempt``: whether the server has yet to be reached or missed at all.

        ``unmissed``: what this direction reads of these need not come.

        ``is_told_at_start``: also of an item that has had no value yet.
        """
        self._outages = outages
        self._known = known
        self._faults = faults
        self._owner = owner
        self._now = now
        self._is_first_attempt = is_first_attempt
        self._unmissed = unmissed
        self._is_told_at_start = is_told_at_start

    def begin(self, handles: Iterable[int], status: int) -> None:
        """These do not report any more."""
        if self._unmissed:
            handles = [handle for handle in handles if handle not in self._unmissed]
        if status == LOST and self._is_first_attempt():
            self._outages.await_connection(handles)
        else:
            self._outages.begin(handles, status, self._now())

    def stale(self, handle: int) -> None:
        self.begin((handle,), STALE)

    def reports_again(self, values: Mapping[int, bytes]) -> None:
        """Values came; of an item that is a stranger it is the former self that reports."""
        back = (self._outages.current.keys() & values.keys()) - self._known.strangers
        if back:
            self._faults.clear(self._outages.refused(back))
            self._outages.over(back)

    def reading(self, handle: int) -> bytes | None:
        """What counts as the newest value, whether the source said it or is away."""
        return self._outages.reading(handle, self._known.last.get(handle), self._now())

    def tick(self, now: float) -> None:
        if self._outages.awaited and not self._is_first_attempt():
            self._outages.attempted(now)
        due = self._outages.due(now, MOST_AT_ONCE)
        if not self._is_told_at_start:
            due = [handle for handle in due if handle in self._known.last]
        if due:
            self._owner.tell_of_outages(due)
