"""Steady traffic at a plant server: values that move by themselves, and what clients wrote when."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua

KEPT_REQUESTS = 20_000


class Traffic:
    """Moves nodes of its own server, and logs the writes of clients from the first look on."""

    def __init__(
        self, server: Server, write: Callable[[str, ua.DataValue], Awaitable[None]]
    ) -> None:
        self._server = server
        self._write = write
        self._mover: asyncio.Task[None] | None = None
        self._moved = 0
        self._written = 0
        self._requests: deque[tuple[float, int, str]] = deque(maxlen=KEPT_REQUESTS)
        self._is_logging = False

    def move(self, names: list[str], seconds: float) -> None:
        """Give all of ``names`` a new number every ``seconds``; none ends the movement."""
        if self._mover is not None:
            self._mover.cancel()
        self._mover = asyncio.create_task(self._move(names, seconds)) if names else None

    def look(self, since: float) -> dict[str, Any]:
        """Values moved and values written by clients, and each Write request after ``since``.

        Instants are seconds of the monotonic clock, which all processes of a machine share. A
        request is its instant, its number of values and its first node.
        """
        if not self._is_logging:
            self._is_logging = True
            self._log_writes()
        requests = [request for request in self._requests if request[0] > since]
        return {"moved": self._moved, "written": self._written, "requests": requests}

    async def _move(self, names: list[str], seconds: float) -> None:
        value = 1_000.0
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            value += 1
            moved = ua.DataValue(
                ua.Variant(value, ua.VariantType.Double), SourceTimestamp=datetime.now(UTC)
            )
            for name in names:
                await self._write(name, moved)
            self._moved += len(names)
            due = max(due + seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    def _log_writes(self) -> None:
        service = self._server.iserver.isession.__class__
        plain = service.write

        async def write(session: Any, parameters: ua.WriteParameters, *more: Any) -> Any:
            if session.external:
                count = len(parameters.NodesToWrite)
                first = str(parameters.NodesToWrite[0].NodeId.Identifier)
                self._written += count
                self._requests.append((time.monotonic(), count, first))
            return await plain(session, parameters, *more)

        service.write = write
