"""A long line to a server: bytes of both directions arrive later than they were sent.

``python -m benchmarks.wire.proxy --listen PORT --to PORT --round-trip SECONDS``
prints ``{"ready": true}`` when it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import deque
from typing import Any, Final, cast

HOST: Final = "127.0.0.1"


class Pipeline:
    """One direction: what is put in is handed on ``delay`` seconds later, in order."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.out: asyncio.Transport | None = None

    def put(self, data: bytes) -> None:
        """Take bytes; none at all stands for the end."""
        self._waiting.append((self._loop.time() + self._delay, data))
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._waiting[0][0], self._hand_on)

    def _hand_on(self) -> None:
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            _, data = self._waiting.popleft()
            if self.out is not None:
                self.out.write(data) if data else self.out.close()
        self._timer = None
        if self._waiting:
            self._arm()


class End(asyncio.Protocol):
    """One end of a line: what comes goes ``away``, what arrives comes out ``here``."""

    def __init__(self, away: Pipeline, here: Pipeline) -> None:
        self._away = away
        self._here = here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._here.out = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._away.put(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self._here.out = None
        self._away.put(b"")


class Near(End):
    """The end to which a client connects; it connects to the server then."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(Pipeline(delay), Pipeline(delay))
        self._port = port
        self._early: list[bytes] = []
        self._is_through = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        if self._is_through:
            super().data_received(data)
        else:
            self._early.append(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: End(self._here, self._away), HOST, self._port)
        except OSError:
            if self._here.out is not None:
                self._here.out.close()
            return
        self._is_through = True
        for data in self._early:
            self._away.put(data)


async def serve(listen: int, to: int, round_trip: float) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Near(to, round_trip / 2), HOST, listen)


async def _run(chosen: Any) -> None:
    server = await serve(chosen.listen, chosen.to, chosen.round_trip)
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="a long line to a server")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--round-trip", type=float, required=True, help="in seconds")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
