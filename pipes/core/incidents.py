"""Writes that failed, on their way to the chronicle: each item by name, and never a flood.

A flow keeps a few of them until the next look at the clock, and counts the rest. A pipe tells so
many a minute; what it leaves out it sums up in one event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Between two looks; the others are counted.
MOST_KEPT: Final = 20
MOST_TOLD: Final = 10
WINDOW_SECONDS: Final = 60.0
#: How long failures that are left out are gathered before they are summed up.
GATHER_SECONDS: Final = 2.0


class Trouble(StrEnum):
    REFUSED = "refused"
    UNKNOWN = "without an answer"
    MISMATCH = "read back as another value"


@dataclass(frozen=True, slots=True)
class Incident:
    """``value`` is what was sent and ``found`` what the target holds, as encoded DataValues."""

    trouble: Trouble
    handle: int
    value: bytes
    why: str = ""
    status: int = 0
    found: bytes = b""


class Incidents:
    """Those of one flow since the last `take`."""

    def __init__(self) -> None:
        self._kept: list[Incident] = []
        self._others: Counter[Trouble] = Counter()

    def add(self, incident: Incident) -> None:
        if len(self._kept) < MOST_KEPT:
            self._kept.append(incident)
        else:
            self._others[incident.trouble] += 1

    def unknown(self, batch: Mapping[int, bytes], why: str) -> None:
        """A whole request had no answer; ``batch`` is in the order of sending."""
        for count, (handle, value) in enumerate(batch.items()):
            if len(self._kept) >= MOST_KEPT:
                self._others[Trouble.UNKNOWN] += len(batch) - count
                return
            self._kept.append(Incident(Trouble.UNKNOWN, handle, value, why))

    def take(self) -> tuple[list[Incident], Counter[Trouble]]:
        """The incidents, and how many more there were of each kind."""
        taken = self._kept, self._others
        self._kept, self._others = [], Counter()
        return taken


class Budget:
    """How many events of its items a pipe may send: `MOST_TOLD` in a window, and summaries."""

    def __init__(self) -> None:
        self.left_out: Counter[Trouble] = Counter()
        self._began = float("-inf")
        self._told = 0
        self._first_left_out = 0.0
        self._has_summed_up = False

    def allows(self, now: float) -> bool:
        """Whether one more event may go; it counts as sent."""
        if self._is_over(now) and not self.left_out:
            self._began = now
            self._told = 0
            self._has_summed_up = False
        if self._is_over(now) or self._told >= MOST_TOLD:
            return False
        self._told += 1
        return True

    def leave_out(self, counts: Mapping[Trouble, int], now: float) -> None:
        if counts and not self.left_out:
            self._first_left_out = now
        self.left_out.update(counts)

    def summary(self, now: float) -> Counter[Trouble]:
        """What to sum up now: soon after the first was left out, then when the window ends."""
        is_first = not self._has_summed_up and now - self._first_left_out >= GATHER_SECONDS
        if not self.left_out or not (is_first or self._is_over(now)):
            return Counter()
        self._has_summed_up = True
        summed, self.left_out = self.left_out, Counter()
        return summed

    def _is_over(self, now: float) -> bool:
        return now - self._began >= WINDOW_SECONDS


def in_words(counts: Mapping[Trouble, int]) -> str:
    """Such as "12 refused, 3 without an answer"."""
    parts: Iterable[str] = (f"{counts[kind]} {kind}" for kind in Trouble if counts.get(kind))
    return ", ".join(parts)
