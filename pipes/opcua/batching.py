"""Many items in calls of a size that the server bears, several calls in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

from pipes.core.skip import ServiceFaultError
from pipes.core.status_codes import code_of
from pipes.opcua.errors import RequestTooLarge

Item = TypeVar("Item")
Result = TypeVar("Result")

DEFAULT_SIZE: Final = 1000
IN_FLIGHT: Final = 4
#: A server that needs longer for a call gets smaller ones, one at a time.
SLOW_SECONDS: Final = 1.0

TOO_LARGE: Final = frozenset(
    code_of(name)
    for name in (
        "BadTooManyOperations",
        "BadEncodingLimitsExceeded",
        "BadRequestTooLarge",
        "BadResponseTooLarge",
        "BadTcpMessageTooLarge",
    )
)

#: A server that fails over one item and lets all others of the call pay for it.
STUMBLED: Final = frozenset(
    code_of(name)
    for name in ("BadInternalError", "BadUnexpectedError", "BadEncodingError", "BadDecodingError")
)
MOST_SPLITS: Final = 64
TOO_LARGE_HERE: Final = code_of("BadRequestTooLarge")


class BatchSize:
    """How many items of one service a server takes in a call; learned as calls are made."""

    def __init__(self, limit: int = 0) -> None:
        self.items = min(limit, DEFAULT_SIZE) if limit > 0 else DEFAULT_SIZE
        self.in_flight = IN_FLIGHT

    def halve(self, failed: int) -> bool:
        """Make calls smaller than one of ``failed`` items; False if they cannot be smaller."""
        if failed <= 1:
            return False
        self.items = max(1, min(self.items, failed // 2))
        return True

    def took(self, items: int, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            self.in_flight = 1
            if items > 1:
                self.items = max(1, min(self.items, items // 2))


async def in_batches(
    items: Sequence[Item],
    size: BatchSize,
    call: Callable[[Sequence[Item]], Awaitable[list[Result]]],
    refused: Callable[[Item, int], Result],
) -> list[Result]:
    """The results of ``call`` for all items, in their order.

    ``call`` raises ServiceFaultError when the server refuses a batch. Too large ones are halved;
    one over which the server stumbled is split to find the item; for other reasons each item of it
    gets ``refused(item, status)``.

    Raises:
        ConnectionError, TimeoutError: as ``call`` does; the size is halved after a time-out.
    """
    run = _Run(items, size, call, refused)
    try:
        await run.all()
    finally:
        await run.cancel()
    return [run.results[index] for index in range(len(items))]


class _Run(Generic[Item, Result]):
    def __init__(
        self,
        items: Sequence[Item],
        size: BatchSize,
        call: Callable[[Sequence[Item]], Awaitable[list[Result]]],
        refused: Callable[[Item, int], Result],
    ) -> None:
        self.results: dict[int, Result] = {}
        self._items = items
        self._size = size
        self._call = call
        self._refused = refused
        self._todo = [(0, len(items))] if items else []
        self._running: set[asyncio.Task[None]] = set()
        self._splits = MOST_SPLITS

    async def all(self) -> None:
        if self._todo and len(self._items) <= self._size.items:  # one call needs no task
            await self._one(*self._todo.pop())
        while self._todo or self._running:
            while self._todo and len(self._running) < self._size.in_flight:
                start, stop = self._todo.pop()
                end = min(stop, start + self._size.items)
                if end < stop:
                    self._todo.append((end, stop))
                self._running.add(asyncio.create_task(self._one(start, end)))
            finished, self._running = await asyncio.wait(
                self._running, return_when=asyncio.FIRST_COMPLETED
            )
            for task in finished:
                task.result()

    async def _one(self, start: int, stop: int) -> None:
        batch = self._items[start:stop]
        began = asyncio.get_running_loop().time()
        try:
            answers = await self._call(batch)
        except TimeoutError:
            self._size.halve(len(batch))
            raise
        except RequestTooLarge:
            self._failed(start, stop, TOO_LARGE_HERE)
        except ServiceFaultError as fault:
            self._failed(start, stop, fault.status)
        else:
            self._size.took(len(batch), asyncio.get_running_loop().time() - began)
            self.results.update(zip(range(start, stop), answers, strict=True))

    def _failed(self, start: int, stop: int, status: int) -> None:
        if status in TOO_LARGE and self._size.halve(stop - start):
            self._todo.append((start, stop))
            return
        if status in STUMBLED and stop - start > 1 and self._splits:
            self._splits -= 1
            middle = (start + stop) // 2
            self._todo += [(start, middle), (middle, stop)]
            return
        for index in range(start, stop):
            self.results[index] = self._refused(self._items[index], status)

    async def cancel(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
