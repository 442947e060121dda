"""Which items are stopped by their quality contract, and the edges of that, for the chronicle.

Thousands of items stop together when a server is lost, and one may flap for a night: what happens
close together is one report, and the more reports there are the longer the next one gathers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipes.core.patience import Patience

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 300.0
CALM_SECONDS: Final = 900.0
#: Items that a report names.
MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class StopReport:
    """How many items stopped, or went on, since the last report, and the first of them."""

    is_stop: bool
    count: int
    items: tuple[int, ...]


class Stops:
    def __init__(self) -> None:
        self.current: set[int] = set()
        self._news: dict[bool, dict[int, None]] = {True: {}, False: {}}
        self._patience = Patience(FIRST_SECONDS, LONGEST_SECONDS, CALM_SECONDS)
        self._next_at = 0.0

    def note(self, handle: int, *, is_stopped: bool) -> None:
        """The state of an item; only a change is news."""
        if is_stopped is (handle in self.current):
            return
        if is_stopped:
            self.current.add(handle)
        else:
            self.current.discard(handle)
        self._news[is_stopped][handle] = None

    def forget(self, handle: int) -> None:
        self.current.discard(handle)
        for news in self._news.values():
            news.pop(handle, None)

    def reports(self, now: float) -> list[StopReport]:
        """What is to be told now: stops before resumptions."""
        if not any(self._news.values()) or now < self._next_at:
            return []
        self._next_at = now + self._patience.limit(now)
        self._patience.use(now)
        found = [
            StopReport(is_stop, len(news), tuple(news)[:MOST_NAMED])
            for is_stop, news in self._news.items()
            if news
        ]
        for news in self._news.values():
            news.clear()
        return found
