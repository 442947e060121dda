"""A flow between two servers that a test plays by hand: what was sent, and each answer."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipes import targets, verify
from pipes.connections import ServerConnection
from pipes.core.binary import encode_data_value
from pipes.core.choices import Direction, ServerState
from pipes.core.node_ids import encode, resolve
from pipes.core.sizes import ValueLimits
from pipes.core.structures import Structures
from pipes.core.values import DataValue, Variant, VariantType
from pipes.core.wanted import Item, Pipe, Server
from pipes.flow import Flow
from pipes.opcua.lane import (
    MonitoredItemResult,
    MonitoredItemSpec,
    SubscriptionSettings,
    WriteOutcome,
)
from pipes.opcua.session import OperationLimits
from pipes.opcua.written import TargetInfo
from pipes.pki import Pki

NAMESPACES = ("http://opcfoundation.org/UA/", "urn:server", "urn:plant")


def double(number: float, *, status: int = 0, stamp: int | None = 1) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.DOUBLE, number), status, stamp))


def no_value(status: int) -> bytes:
    return encode_data_value(DataValue(None, status, 1))


def number_in(value: bytes) -> float:
    """The Double of an encoded DataValue."""
    assert value[1] == VariantType.DOUBLE
    return struct.unpack_from("<d", value, 2)[0]


def item(handle: int, **more: Any) -> Item:
    node = f"nsu=urn:plant;s=T{handle}"
    return Item(id=handle, source_node=node, target_node=node, **more)


class Gate:
    is_open = True

    def may_write(self) -> bool:
        return self.is_open


class PlayedSubscription:
    def __init__(self, session: PlayedSession) -> None:
        self.subscription_id = 1
        self.publishing_interval_ms = max(100.0, session.least_interval_ms)
        self.keep_alive_seconds = session.keep_alive_count * self.publishing_interval_ms / 1000
        self.items: list[MonitoredItemSpec] = []
        self._session = session

    async def add(self, items: Sequence[MonitoredItemSpec]) -> list[MonitoredItemResult]:
        self.items += items
        self._session.monitored += items
        refused = self._session.refused_items
        return [
            MonitoredItemResult(item.handle, refused.get(item.handle, 0), 100 + item.handle)
            for item in items
        ]

    async def remove(self, monitored_item_ids: Sequence[int]) -> None:
        return None

    async def delete(self) -> None:
        return None


class PlayedSession:
    """A session and its lane in one; a write waits in ``sent`` until the test answers it."""

    def __init__(self, *, write_limit: int = 0) -> None:
        self.namespaces = NAMESPACES
        self.limits = OperationLimits(write=write_limit)
        self.value_limits = ValueLimits()
        self.structures = Structures()
        self.ignores_index_range: bool | None = False
        self.sent: list[tuple[dict[int, bytes], Callable[[WriteOutcome], None]]] = []
        self.written: list[dict[int, bytes]] = []
        self.reads: list[tuple[list[bytes], asyncio.Future[list[bytes]]]] = []
        self.infos: dict[bytes, TargetInfo] = {}
        self.refused_items: dict[int, int] = {}
        self.sink: Any = None
        self.monitored: list[MonitoredItemSpec] = []
        self.least_interval_ms = 0.0
        self.keep_alive_count = 25
        self.subscribed: list[float] = []  # publishing intervals asked for

    def lane(self, _codec: object) -> PlayedSession:
        return self

    def encode_node(self, text: str) -> bytes:
        return encode(resolve(text, self.namespaces))

    async def subscribe(self, asked: SubscriptionSettings, sink: Any) -> PlayedSubscription:
        self.sink = sink
        self.subscribed.append(asked.publishing_interval_ms)
        self.keep_alive_count = round(
            asked.keep_alive_seconds * 1000 / asked.publishing_interval_ms
        )
        return PlayedSubscription(self)

    def write(
        self,
        prefixes: Mapping[int, bytes],
        batch: Mapping[int, bytes],
        may_write: Callable[[], bool],
        done: Callable[[WriteOutcome], None],
    ) -> bool:
        assert all(prefixes[handle] for handle in batch)
        if not may_write():
            return False
        self.sent.append((dict(batch), done))
        self.written.append(dict(batch))
        return True

    def answer(self, *results: int, failure: str = "", service_result: int = 0) -> None:
        """Answer the oldest write; without results it is accepted."""
        batch, done = self.sent.pop(0)
        assert not results or len(results) == len(batch)
        done(WriteOutcome(service_result, list(results) or None, failure))

    async def answer_read(self, *values: bytes) -> None:
        """Answer the oldest reading back with what the written nodes hold; nothing is a failure."""
        prefixes, answer = self.reads.pop(0)
        assert not values or len(values) == len(prefixes)
        if values:
            answer.set_result(list(values))
        else:
            answer.set_exception(TimeoutError("no answer"))
        await settle()


class PlayedFlow:
    """A forward flow whose servers are connected by the test."""

    def __init__(
        self, *items: Item, pipe: Mapping[str, Any] | None = None, is_reverse: bool = False
    ) -> None:
        self.now = 1000.0
        self.gate = Gate()
        self.given_up: list[str] = []
        self.reader, self.writer = self._connection("SRC"), self._connection("TGT")
        self.writer.give_up_session = self.given_up.append  # type: ignore[method-assign]
        wanted = {one.id: one for one in items}
        self.flow = Flow(
            Pipe("P1", "SRC", "TGT", wanted, **(pipe or {})),
            self.reader,
            self.writer,
            self.gate,  # type: ignore[arg-type]
            {},
            self._offer_again,
            is_reverse=is_reverse,
        )
        clock = self.flow._now = lambda: self.now
        self.flow.oscillations._now = clock
        flow = self.flow
        for part in (
            flow.faults,
            flow.targets,
            flow.writer,
            flow.staleness,
            flow.read_back,
            flow.throttle,
            flow.ranges,
            flow.silences,
            flow.deciding,
            flow.answers,
        ):
            part._now = clock
        self.flow.feed.now = clock
        self.flow.start()
        self.flow.add(items)

    def _connection(self, name: str) -> ServerConnection:
        return ServerConnection(Server(name, "opc.tcp://127.0.0.1:1"), Pki(Path("unused")), "urn:t")

    def _offer_again(self, _direction: Direction, handle: int) -> None:
        self.flow.offer_one(handle)

    async def connect_reader(self, *, least_interval_ms: float = 0.0) -> PlayedSession:
        session = PlayedSession()
        session.least_interval_ms = least_interval_ms
        self.reader.session = session  # type: ignore[assignment]
        self.reader.state = ServerState.CONNECTED
        self.flow.connected(self.reader)
        await settle()
        return session

    async def connect_writer(self, **options: Any) -> PlayedSession:
        session = PlayedSession(**options)
        self.writer.session = session  # type: ignore[assignment]
        self.flow.connected(self.writer)
        await settle()
        return session

    def lose_writer(self) -> None:
        self.writer.session = None
        self.flow.disconnected(self.writer)

    def lose_reader(self) -> None:
        """The session ended, or the first attempt to have one failed."""
        self.reader.session = None
        self.reader.state = ServerState.DISCONNECTED
        self.flow.disconnected(self.reader)

    def come(self, **values: bytes) -> None:
        """Values of items, such as ``i1=double(5)``, arrive from the source."""
        by_handle = {int(name[1:]): value for name, value in values.items()}
        special = frozenset(h for h, value in by_handle.items() if not value[0] & 1)
        self.flow.values(by_handle, special)

    async def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.flow.tick(self.now)
        await settle()

    def fault(self, handle: int) -> str:
        fault = self.flow.faults.current.get(handle)
        return "" if fault is None else fault.message


async def settle() -> None:
    """Let the tasks that are ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def read_played_targets(
    session: PlayedSession, nodes: Sequence[bytes], *, values: bool
) -> list[TargetInfo]:
    usual = TargetInfo(0, VariantType.DOUBLE, -1)
    return [session.infos.get(node, usual) for node in nodes]


async def read_played_values(session: PlayedSession, prefixes: Sequence[bytes]) -> list[bytes]:
    answer: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
    session.reads.append((list(prefixes), answer))
    return await answer


def play_reads(monkeypatch: Any) -> None:
    """What is read back waits in ``reads`` until the test answers it."""
    monkeypatch.setattr(verify, "read_back", read_played_values)


def play_targets(monkeypatch: Any) -> None:
    """Targets are Doubles of which nothing is known, unless a test says so in ``infos``."""
    monkeypatch.setattr(targets, "read_targets", read_played_targets)
