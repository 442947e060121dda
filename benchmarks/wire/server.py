"""One server of a load: it listens, changes its values, and misbehaves on demand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from benchmarks.names import NAMESPACE_INDEX, node_name
from benchmarks.wire.channel import Channel, Reply
from benchmarks.wire.fields import string_node_id
from benchmarks.wire.services import Services
from benchmarks.wire.store import STORES, State
from benchmarks.wire.subscriptions import Changes
from benchmarks.wire.writes import state_of

TICK: Final = 0.01
#: A source that fell behind makes up for so much time at once; the rest is never changed.
MOST_BEHIND: Final = 0.2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a server has: items of a kind of `store.STORES`, and its limits."""

    items: int
    kind: str = "doubles"
    notifications: int = 1000
    operations: int = 1000


class WireServer:
    def __init__(self, shape: Shape, port: int) -> None:
        self._port = port
        self._items = shape.items
        self.changes = Changes(shape.items)
        self.services = Services(
            f"opc.tcp://127.0.0.1:{port}/load/",
            [string_node_id(NAMESPACE_INDEX, node_name(index)) for index in range(shape.items)],
            STORES[shape.kind](shape.items),
            self.changes,
            notifications=shape.notifications,
            operations=shape.operations,
            may_publish=lambda: not self._is_stalled,
            delayed=self._delayed,
        )
        self.made = 0  # values changed since `run`
        self.connections = 0  # since the process began
        self._channels: dict[Channel, list[bytes]] = {}  # and the tokens of their sessions
        self._listening: asyncio.Server | None = None
        self._is_stalled = False
        self._delay = 0.0
        self._busy_until = 0.0
        self._changing: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._channel, "127.0.0.1", self._port)

    def _channel(self) -> Channel:
        self.connections += 1
        channel = Channel(self.connections, self._handle, self._opened, self._closed)
        self._channels[channel] = []
        return channel

    def _handle(self, channel: Channel, body: bytes, reply: Reply) -> None:
        token = self.services.handle(body, reply)
        if token is not None:
            self._channels[channel].append(token)

    def _opened(self, channel: Channel) -> None:
        if self._is_stalled and channel.transport is not None:
            channel.transport.pause_reading()

    def _closed(self, channel: Channel) -> None:
        self.services.disconnected(self._channels.pop(channel, []))

    # -- values ---------------------------------------------------------------------------------

    def reset(self, value: float) -> None:
        self.services.store.fill(value)
        self.services.writes.reset()
        self.services.created_from = self.services.created_until = None

    def state(self, index: int) -> State:
        written = self.services.writes.last.get(index)
        return self.services.store.state(index) if written is None else state_of(written)

    def run(self, rate: float) -> None:
        self.halt()
        self.made = 0
        self._changing = asyncio.create_task(self._change(rate))

    def halt(self) -> None:
        if self._changing is not None:
            self._changing.cancel()
            self._changing = None

    async def _change(self, rate: float) -> None:
        loop = asyncio.get_running_loop()
        last, due = loop.time(), 0.0
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            due = min(due + (now - last) * rate, MOST_BEHIND * rate)
            last = now
            count = int(due)
            due -= count
            self.change(count)

    def change(self, count: int) -> None:
        """Give the next ``count`` items a new value."""
        changes, store = self.changes, self.services.store
        serial = changes.serial
        for start, stop in changes.ranges(serial, serial + count):
            store.change(start, stop, serial)
            serial += stop - start
        changes.serial = serial
        self.made += count

    # -- misbehaviour ---------------------------------------------------------------------------

    def slow(self, seconds_per_value: float) -> None:
        """From now on each written value takes so long, one after the other."""
        self._delay = seconds_per_value

    def _delayed(self, count: int, reply: Reply) -> Reply:
        if not self._delay:
            return reply
        loop = asyncio.get_running_loop()
        self._busy_until = max(self._busy_until, loop.time()) + count * self._delay
        when = self._busy_until

        def later(answer: bytes) -> None:
            loop.call_at(when, reply, answer)

        return later

    async def stall(self, seconds: float) -> None:
        """Neither read nor publish for a while; nobody is told."""
        self._is_stalled = True
        for channel in self._channels:
            if channel.transport is not None:
                channel.transport.pause_reading()
        await asyncio.sleep(seconds)
        self._is_stalled = False
        for channel in list(self._channels):
            if channel.transport is not None:
                channel.transport.resume_reading()

    async def restart(self, seconds: float) -> None:
        """Drop everybody, be away for a while, and come back with the same values."""
        await self.stop_listening()
        self.services.restarted()
        await asyncio.sleep(seconds)
        await self.listen()

    async def stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for channel in list(self._channels):
            if channel.transport is not None:
                channel.transport.abort()

    async def stop(self) -> None:
        self.halt()
        await self.stop_listening()
