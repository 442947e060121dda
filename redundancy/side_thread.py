"""Blocking calls beside a loop: one thread per kind of call, one call at a time, never waited for.

A call that hangs (a database on a dead disk, a name server) costs its own thread and nothing else:
the loop goes on after the time-out, and further calls are refused until the old one is back. The
threads are daemons, so that a hanging one does not keep the process alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class SideThread:
    """A daemon thread for blocking calls of one kind."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_busy = False
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, function: Callable[[], T], seconds: float) -> T:
        """Run ``function`` in the thread; what it raises is raised here.

        Raises:
            TimeoutError: it did not return in ``seconds``, or the call before it has not
                returned yet.

        """
        if self.is_busy:
            raise TimeoutError(f"{self.name} is still busy with the call before")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        self.is_busy = True  # at most one call is ever in the queue
        self._calls.put(lambda: self._answer(function, loop, outcome))
        try:
            async with asyncio.timeout(seconds):
                return await outcome
        except TimeoutError as error:
            raise TimeoutError(str(error) or f"no answer within {seconds:g} s") from error

    def close(self) -> None:
        """End the thread after the call that it may be in; nobody waits for it."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def _answer(
        self,
        function: Callable[[], T],
        loop: asyncio.AbstractEventLoop,
        outcome: asyncio.Future[T],
    ) -> None:
        settle: Callable[[Any], None]
        result: Any
        try:
            settle, result = outcome.set_result, function()
        except Exception as error:  # noqa: BLE001 - handed over to whoever awaits the call
            settle, result = outcome.set_exception, error
        self.is_busy = False
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, outcome, settle, result)


def _settle(outcome: asyncio.Future[Any], settle: Callable[[Any], None], result: Any) -> None:
    if not outcome.done():
        settle(result)
