"""The timer of `core.pacing`: one for a direction of a pipe, and none while nothing waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from pipes.core.pacing import Pacing


class Throttle:
    """``due`` gets the handles whose interval is over and that have a value waiting."""

    def __init__(self, due: Callable[[list[int]], None], now: Callable[[], float]) -> None:
        self._pacing = Pacing()
        self._due = due
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def __contains__(self, handle: int) -> bool:
        return handle in self._pacing

    def add(self, handle: int, interval_ms: int) -> None:
        self._pacing.add(handle, interval_ms / 1000)

    def forget(self, handles: Iterable[int]) -> None:
        self._pacing.forget(handles)

    def holds(self, handle: int) -> bool:
        """Whether the newest value has to wait for the end of the interval."""
        if handle not in self._pacing or not self._pacing.holds(handle, self._now()):
            return False
        self._arm()
        return True

    def went(self, handle: int) -> None:
        self._pacing.went(handle, self._now())

    def tick(self) -> None:
        """Let go what is due."""
        due = self._pacing.due(self._now())
        if due:
            self._due(due)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        at = self._pacing.next_at
        if at is None or (self._timer is not None and self._rings_at <= at):
            return
        self.close()
        self._rings_at = at
        self._timer = self._loop.call_later(max(0.0, at - self._now()), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.tick()
        self._arm()
