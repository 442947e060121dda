"""A relay in front of a server: it delays what passes, or keeps what clients send.

It carries bytes and knows nothing of OPC UA; `unsecured_services` reads what it kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator

NONE = b"http://opcfoundation.org/UA/SecurityPolicy#None"
PART = 1 << 16
#: What waits in one direction of a connection; beyond it the sender has to wait.
WAITING_PARTS = 1_000


class Relay:
    """Listens on a port of its own; every byte arrives ``delay`` seconds later, in each direction.

    Args:
        port: of the server on this machine.
        delay: seconds, half of the round trip.

    """

    def __init__(self, port: int, *, delay: float = 0.0) -> None:
        self._server_port = port
        self._delay = delay
        #: What clients sent, one entry per connection; new entries come at the end.
        self.sent: list[bytearray] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the relay does not listen"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the relay does not end"

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                await self._connect(reader, writer)
            except asyncio.CancelledError:  # only `_serve` cancels; streams complain of it
                pass
            finally:
                connections.discard(task)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        open_ones = list(connections)
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept = bytearray()
        self.sent.append(kept)
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(
                self._carry(reader, there, kept), self._carry(there_reader, writer, None)
            )
        finally:
            writer.close()
            there.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        kept: bytearray | None,
    ) -> None:
        """Carry one direction to its end, which is an end of the other side, too."""
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING_PARTS)

        async def deliver() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    due, part = await parts.get()
                    await asyncio.sleep(max(0.0, due - loop.time()))
                    if not part:
                        break
                    writer.write(part)
                    await writer.drain()
            writer.close()

        delivery = asyncio.create_task(deliver())
        part = b"-"
        try:
            while part and not delivery.done():
                try:
                    part = await reader.read(PART)
                except ConnectionError:
                    part = b""
                if kept is not None:
                    kept += part
                await parts.put((loop.time() + self._delay, part))
            await delivery
        finally:
            delivery.cancel()


def unsecured_services(sent: bytes) -> list[int]:
    """The type ids of all requests that a client sent over a channel of policy None."""
    return [
        struct.unpack_from("<H", chunk, 26)[0]
        for chunk in _unsecured(sent)
        if chunk[24:26] == b"\x01\x00"  # a four byte NodeId of namespace 0
    ]


def _unsecured(sent: bytes) -> Iterator[bytes]:
    """MSG chunks of policy None; Part 6, 6.7.2."""
    is_none = False
    for chunk in _chunks(sent):
        if chunk.startswith(b"OPN"):
            (length,) = struct.unpack_from("<i", chunk, 12)
            is_none = chunk[16 : 16 + length] == NONE
        elif chunk.startswith(b"MSG") and is_none:
            yield chunk


def _chunks(sent: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(sent):
        (size,) = struct.unpack_from("<I", sent, at + 4)
        assert size >= 8, "what was sent is no OPC UA"
        yield bytes(sent[at : at + size])
        at += size
