"""What the OPC UA tests share on the client's side: sessions, sinks, writes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipes.core.binary import decode_data_value
from pipes.core.choices import Auth, CodecName, SecurityMode, SecurityPolicy
from pipes.core.splice import encode_prefix
from pipes.core.values import DataValue
from pipes.core.wanted import Server
from pipes.opcua.lane import (
    MonitoredItemResult,
    MonitoredItemSpec,
    Subscription,
    SubscriptionSettings,
    WriteOutcome,
)
from pipes.opcua.session import Session
from pipes.pki import Pki
from tests.servers.harness import ServerProcess

APPLICATION_URI = "urn:mirrorsite:TEST"
PLANT = "nsu=urn:test:plant;s="


class RecordingSink:
    """Keeps what a subscription delivers, in the order in which it came."""

    def __init__(self) -> None:
        self.latest: dict[int, bytes] = {}
        self.history: dict[int, list[bytes]] = {}
        self.special: set[int] = set()
        self.keep_alives = 0
        self.lost_reasons: list[str] = []
        self.gaps: list[int] = []
        self.overflows: list[int] = []

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        self.latest.update(values)
        self.special = (self.special - values.keys()) | special
        for handle, value in values.items():
            self.history.setdefault(handle, []).append(value)

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        for handle, value in samples:
            self.history.setdefault(handle, []).append(value)

    def overflowed(self, handles: frozenset[int]) -> None:
        self.overflows += sorted(handles)

    def keep_alive(self) -> None:
        self.keep_alives += 1

    def lost(self, reason: str) -> None:
        self.lost_reasons.append(reason)

    def gap(self, missed: int) -> None:
        self.gaps.append(missed)

    def decoded(self, handle: int) -> DataValue | None:
        value = self.latest.get(handle)
        return None if value is None else decode_data_value(value)

    def plain(self, handle: int) -> Any:
        value = self.decoded(handle)
        return None if value is None or value.variant is None else value.variant.value


def server_of(process: ServerProcess, **changes: Any) -> Server:
    plain = Server("A", process.url, SecurityPolicy.NONE, SecurityMode.NONE, Auth.ANONYMOUS)
    return replace(plain, **changes)


@asynccontextmanager
async def session_on(
    server: Server, folder: Path, *, timeout: float = 5.0
) -> AsyncIterator[Session]:
    session = await Session.open(
        server,
        Pki(folder),
        application_uri=APPLICATION_URI,
        on_lost=lambda _reason: None,
        timeout=timeout,
    )
    try:
        yield session
    finally:
        await session.close()


async def subscribe(
    session: Session, codec: CodecName, sink: RecordingSink, *, keep_alive_seconds: float = 1.0
) -> Subscription:
    return await session.lane(codec).subscribe(
        SubscriptionSettings(50.0, keep_alive_seconds=keep_alive_seconds), sink
    )


def specs(session: Session, names: list[str], **more: Any) -> list[MonitoredItemSpec]:
    return [
        MonitoredItemSpec(handle, session.encode_node(PLANT + name), 0.0, **more)
        for handle, name in enumerate(names)
    ]


def statuses(results: list[MonitoredItemResult]) -> list[int]:
    return [result.status for result in results]


def prefixes(session: Session, names: list[str]) -> dict[int, bytes]:
    return {
        handle: encode_prefix(session.encode_node(PLANT + name))
        for handle, name in enumerate(names)
    }


def double(value: float, stamp_ticks: int | None = None) -> bytes:
    """The bytes of a Double DataValue, with a source timestamp or without."""
    if stamp_ticks is None:
        return b"\x01\x0b" + struct.pack("<d", value)
    return b"\x05\x0b" + struct.pack("<dq", value, stamp_ticks)


async def write(
    session: Session,
    codec: CodecName,
    known: dict[int, bytes],
    batch: dict[int, bytes],
    seconds: float = 10.0,
) -> WriteOutcome:
    """One write through the lane, waited for."""
    outcome: asyncio.Future[WriteOutcome] = asyncio.get_running_loop().create_future()
    assert session.lane(codec).write(known, batch, lambda: True, outcome.set_result)
    async with asyncio.timeout(seconds):
        return await outcome
