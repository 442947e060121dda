"""What a source would say of itself if it could: readings in the place of values that do not come.

Three things end the stream of an item while nothing is reported: its server is lost, the server
refuses to watch the node, or it has stopped reporting although the value changes (stale). After a
grace each of them is a reading that is not Good, and the item's quality contract deals with it:

===================  =============================================  ==========================
lost                 no value, BadNoCommunication                   the session is away
refused              no value, the status of the refusal            the node cannot be watched
stale                the newest value, UncertainLastUsableValue     found by the watchdog
===================  =============================================  ==========================

The grace keeps a short reconnection from becoming two writes of each item. At a start it begins
when the first attempt to connect is over, well or not: a server at the end of a long line is not
lost while it is being reached for the first time. Whatever was the matter, the next value that is
reported ends it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipes.core.binary import DecodeError, encode_data_value, replace_status, status_of
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue, is_good

#: How long an outage is kept from the target, in seconds.
GRACE_SECONDS: Final = 3.0
LOST: Final = code_of("BadNoCommunication")
STALE: Final = code_of("UncertainLastUsableValue")


@dataclass(frozen=True, slots=True)
class Outage:
    """``counts_at`` is the end of the grace, in seconds of the monotonic clock."""

    status: int
    counts_at: float

    @property
    def is_refusal(self) -> bool:
        return self.status not in (LOST, STALE)


class Outages:
    """The outages of one direction of a pipe, by handle."""

    def __init__(self) -> None:
        self.current: dict[int, Outage] = {}
        self.awaited: set[int] = set()
        self._untold: deque[tuple[float, list[int]]] = deque()

    def await_connection(self, handles: Iterable[int]) -> None:
        """The first attempt to connect is under way: nothing is said of these before its end."""
        self.awaited.update(handles)

    def attempted(self, now: float) -> None:
        """The first attempt is over; what was awaited has not reported yet: its grace begins."""
        awaited, self.awaited = self.awaited, set()
        self.begin(awaited, LOST, now)

    def begin(self, handles: Iterable[int], status: int, now: float) -> None:
        """These do not report any more; an outage that goes on for another reason is none anew."""
        begun = Outage(status, now + GRACE_SECONDS)  # one object for thousands
        told: dict[float, list[int]] = {}
        for handle in handles:
            before = self.current.get(handle)
            if before is None:
                outage = begun
            elif before.status == status:
                continue
            else:
                outage = Outage(status, before.counts_at)
            self.current[handle] = outage
            told.setdefault(outage.counts_at, []).append(handle)
        self._untold.extend(told.items())

    def over(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self.current.pop(handle, None)
            self.awaited.discard(handle)
        if not self.current:
            self.current = {}  # a table that held thousands would keep its size
            self._untold.clear()

    def due(self, now: float, most: int) -> list[int]:
        """At most ``most`` handles whose target has to learn of the outage now."""
        found: list[int] = []
        for _ in range(len(self._untold)):
            counts_at, handles = self._untold.popleft()
            if counts_at > now:
                self._untold.append((counts_at, handles))
                continue
            room = most - len(found)
            found += [handle for handle in handles[:room] if self._counts(handle, now)]
            if len(handles) > room:
                self._untold.append((counts_at, handles[room:]))
        return found

    def _counts(self, handle: int, now: float) -> bool:
        outage = self.current.get(handle)
        return outage is not None and outage.counts_at <= now

    def reading(self, handle: int, newest: bytes | None, now: float) -> bytes | None:
        """What counts as the newest value of a handle; ``newest`` is the last one that came."""
        if not self.current:
            return newest
        outage = self.current.get(handle)
        if outage is None or outage.counts_at > now:
            return newest
        if outage.status != STALE or newest is None:
            return _no_value(outage.status)
        return _no_longer_good(newest)

    def refused(self, handles: Collection[int]) -> set[int]:
        """Those of ``handles`` that the server refuses to watch."""
        return {h for h in self.current.keys() & handles if self.current[h].is_refusal}


@lru_cache(maxsize=64)
def _no_value(status: int) -> bytes:
    return encode_data_value(DataValue(None, status))


def _no_longer_good(value: bytes) -> bytes:
    """A Good value becomes uncertain; one that says already that it is not Good stays as it is."""
    try:
        return replace_status(value, STALE) if is_good(status_of(value)) else value
    except DecodeError:
        return value
