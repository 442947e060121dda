"""A timer of the loop that calls the same function again and again.

A task that sleeps wakes the loop twice for each turn and costs twice as much; at twenty turns a
second that is most of what an idle process needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Ticker:
    """Calls ``tick(now, late)`` every ``seconds``; ``late`` is how much later than asked for.

    ``failed`` gets what ``tick`` raises; then it is called no more.
    """

    def __init__(self, seconds: float, tick: Callable[[float, float], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._seconds = seconds
        self._tick = tick
        self._due = self._loop.time()
        self._timer = self._loop.call_soon(self._turn)

    def stop(self) -> None:
        self._timer.cancel()

    def _turn(self) -> None:
        now = self._loop.time()
        late = max(0.0, now - self._due)
        self._due = now + self._seconds
        self._timer = self._loop.call_at(self._due, self._turn)
        try:
            self._tick(now, late)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for ``failed``
            self._timer.cancel()
            self.failed.set_exception(error)
