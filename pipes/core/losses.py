"""Samples that were lost: counted one by one, told once when it begins and once when it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

#: Seconds without a loss after which it is over.
QUIET_SECONDS: Final = 10.0


class Cause(StrEnum):
    """Why samples were lost; the value is the sentence."""

    COUNT = "the queue of the item was full"
    AGE = "they waited longer than the pipe allows"
    SOURCE = "the queue of the item at the source server was full"
    UNKNOWN = "the target did not say whether it took them, and events are not repeated"
    AWAY = "the target was not there, and events are not kept for later"
    REFUSED = "they could not be written"
    ENDED = "the item or the pipe was changed"


@dataclass(slots=True)
class _Run:
    handle: int
    value: bytes | None
    count: int = 0
    handles: set[int] = field(default_factory=set)
    last: float = 0.0
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """``count`` samples of ``items`` items, the first of ``handle``; its bytes if it is known."""

    cause: Cause
    count: int
    items: int
    handle: int
    value: bytes | None
    is_over: bool


class Losses:
    def __init__(self) -> None:
        self.counts: Counter[Cause] = Counter()
        self._runs: dict[Cause, _Run] = {}

    @property
    def total(self) -> int:
        """Samples lost here; how many a source server lost, it does not say."""
        return self.counts.total() - self.counts[Cause.SOURCE]

    def record(
        self,
        cause: Cause,
        handle: int,
        value: bytes | None,
        now: float,
        *,
        is_told: bool = True,
    ) -> None:
        """Count a sample of ``handle``; ``value`` is None if nobody has it.

        A station that may not write has full queues by nature: it counts and does not tell.
        """
        self.counts[cause] += 1
        if not is_told:
            return
        run = self._runs.get(cause)
        if run is None:
            run = self._runs[cause] = _Run(handle, value)
        run.count += 1
        run.handles.add(handle)
        run.last = now

    def reports(self, now: float) -> Iterable[Report]:
        """What is to be told now: each beginning, and each end after a quiet time."""
        for cause, run in list(self._runs.items()):
            is_over = run.is_told and now - run.last >= QUIET_SECONDS
            if is_over or not run.is_told:
                run.is_told = True
                yield Report(cause, run.count, len(run.handles), run.handle, run.value, is_over)
            if is_over:
                del self._runs[cause]
