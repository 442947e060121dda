"""An asyncio loop in a thread of its own, for the parts of a Celery worker that are no tasks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class LoopStopped(RuntimeError):  # noqa: N818 - a state, not a fault
    """The loop does not run: not started yet, or stopped."""


class LoopThread:
    """Runs one coroutine until it returns, and others beside it from any thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start the thread; ``main`` is called and awaited on its loop."""
        if self.is_running:
            raise RuntimeError(f"loop {self.name} runs already")
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(main, started), name=self.name, daemon=True
        )
        self._thread.start()
        started.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop; call it from another thread.

        Raises:
            LoopStopped: there is no loop any more; the coroutine was closed.

        """
        with self._lock:
            if self._loop is not None:
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        coroutine.close()
        raise LoopStopped(f"loop {self.name} does not run")

    def stop(self, timeout: float = 10.0) -> bool:
        """Cancel ``main``, wait for its end, end the thread; false if it did not end in time.

        May be called when nothing was started, and again.
        """
        with self._lock:
            if self._loop is not None and self._main is not None:
                self._loop.call_soon_threadsafe(self._main.cancel)
        return self.join(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of ``main``; false if it still runs after ``timeout`` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.is_running

    def _run(self, main: Callable[[], Coroutine[Any, Any, None]], started: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                try:
                    runner.run(self._body(main, started))
                finally:
                    with self._lock:  # from here on `run` refuses, before the loop is closed
                        self._loop = None
        except asyncio.CancelledError:
            pass  # `stop`
        except Exception:
            log.exception("loop %s ended", self.name)
        finally:
            started.set()

    async def _body(
        self, main: Callable[[], Coroutine[Any, Any, None]], started: threading.Event
    ) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._main = asyncio.current_task()
        started.set()
        await main()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
