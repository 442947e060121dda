"""The life of a connection: attempts, loss, quarantine, and an end that is an end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipes import connections
from pipes.connections import ServerConnection
from pipes.core.choices import ServerState
from pipes.core.values import DataValue
from pipes.core.wanted import Server
from pipes.opcua.session import ConnectFailed, FailureKind, ServerStatus
from pipes.pki import Pki


class PlayedSession:
    is_hostile = False
    fails: Exception | None = None

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self.on_lost = on_lost
        self.ended = ""

    @property
    def last_heard(self) -> float:
        return asyncio.get_running_loop().time()

    async def read_status(self) -> ServerStatus:
        if self.fails is not None:
            raise self.fails
        return ServerStatus(0, int(self.last_heard * 1e7), 0)

    async def read(self, nodes: list[Any]) -> list[DataValue]:
        return [DataValue() for _ in nodes]

    async def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Users:
    """Listens to a connection, and counts."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.fails: Exception | None = None

    def connected(self, _connection: ServerConnection) -> None:
        self.seen.append("connected")
        if self.fails is not None:
            raise self.fails

    def disconnected(self, _connection: ServerConnection) -> None:
        self.seen.append("disconnected")

    def failed(self, error: Exception) -> None:
        self.seen.append(f"failed: {error}")


class Played:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sessions: list[PlayedSession] = []
        self.refusals: list[ConnectFailed] = []
        self.swallows_cancel = False
        self.takes = 0.0
        self.made: type[PlayedSession] = PlayedSession
        self.users = Users()
        self.connection = ServerConnection(
            Server("PLC", "opc.tcp://127.0.0.1:1"), Pki(Path("unused")), "urn:test"
        )
        self.connection.add_listener(self.users)
        monkeypatch.setattr(connections.Session, "open", self._open)

    async def _open(self, *_: Any, on_lost: Callable[[str], None], **__: Any) -> PlayedSession:
        if self.refusals:
            raise self.refusals.pop(0)
        await asyncio.sleep(self.takes)
        if self.swallows_cancel:
            with contextlib.suppress(asyncio.CancelledError):  # as Python 3.11's wait_for can
                await asyncio.sleep(30)
        session = self.made(on_lost)
        self.sessions.append(session)
        return session

    async def until(self, state: ServerState) -> None:
        async with asyncio.timeout(5):
            while self.connection.state is not state:
                await asyncio.sleep(0.01)


@pytest.fixture
async def played(monkeypatch):
    found = Played(monkeypatch)
    yield found
    async with asyncio.timeout(10):
        await found.connection.stop()


async def test_a_lost_session_is_followed_by_a_new_one(played):
    played.connection.start()
    await played.until(ServerState.CONNECTED)

    played.connection.give_up_session("no answer")
    await played.until(ServerState.DISCONNECTED)
    await played.until(ServerState.CONNECTED)

    assert played.sessions[0].ended == "aborted"
    assert played.users.seen == ["connected", "disconnected", "connected"]
    assert played.connection.connects == 2


async def test_a_server_that_breaks_the_protocol_in_a_session_is_quarantined(played):
    played.made = type("Hostile", (PlayedSession,), {"is_hostile": True})
    played.connection.start()
    await played.until(ServerState.CONNECTED)

    played.connection.give_up_session("an answer is damaged")
    await played.until(ServerState.QUARANTINED)

    assert "PLC breaks the protocol: an answer is damaged" in played.connection.reason
    assert len(played.sessions) == 1


async def test_a_user_that_fails_is_told_so_and_hinders_no_other(played):
    played.users.fails = ZeroDivisionError("of ours")
    other = Users()
    played.connection.add_listener(other)
    played.connection.start()
    await played.until(ServerState.CONNECTED)

    assert played.users.seen == ["connected", "failed: of ours"]
    assert other.seen == ["connected"]
    assert not played.sessions[0].ended


@pytest.mark.parametrize(
    ("kind", "message", "told"),
    [
        (
            FailureKind.UNREACHABLE,
            "PLC cannot be reached at opc.tcp://h:1: no answer",
            "PLC cannot be reached at opc.tcp://h:1: no answer",
        ),
        (
            FailureKind.REJECTED_CERTIFICATE,
            "the certificate of PLC is refused: it is not in the trust list",
            "the certificate of PLC is refused: it is not in the trust list",
        ),
        (
            FailureKind.SECURITY,
            "the station's own certificate cannot be used: no key",
            "PLC refused the connection: the station's own certificate cannot be used: no key",
        ),
        (
            FailureKind.QUARANTINE,
            "PLC breaks the protocol: damaged",
            "PLC is left alone for 60 s: PLC breaks the protocol: damaged",
        ),
    ],
)
async def test_a_failure_is_told_in_one_sentence(played, monkeypatch, kind, message, told):
    said: list[str] = []
    monkeypatch.setattr(connections, "emit", lambda *event: said.append(event[4]))
    played.refusals = [ConnectFailed(kind, message)]
    played.connection.start()
    async with asyncio.timeout(5):
        while not said:
            await asyncio.sleep(0.01)

    assert said[0] == told
    assert played.connection.reason == message


async def test_a_server_that_was_away_for_days_is_still_tried(played):
    played.refusals = [ConnectFailed(FailureKind.UNREACHABLE, "away")]
    played.connection._attempt = 100_000
    played.connection.start()
    await played.until(ServerState.DISCONNECTED)

    played.connection.retry_now()

    await played.until(ServerState.CONNECTED)


async def test_a_watchdog_that_fails_ends_the_session_and_not_the_connection(played):
    played.made = type("Odd", (PlayedSession,), {"fails": KeyError("odd")})
    played.connection.start()
    async with asyncio.timeout(5):
        while len(played.sessions) < 2:
            await asyncio.sleep(0.01)

    assert played.sessions[0].ended == "aborted"
    assert played.users.seen[:2] == ["connected", "disconnected"]


async def test_a_refusal_is_shown_with_its_reason_and_tried_again_at_once_when_asked(played):
    why = "the certificate of PLC is refused: it is not in the trust list"
    played.refusals.append(ConnectFailed(FailureKind.REJECTED_CERTIFICATE, why))
    played.connection.start()
    await played.until(ServerState.REJECTED)
    assert played.connection.reason == why

    played.connection.retry_now()

    await played.until(ServerState.CONNECTED)
    assert played.connection.reason == ""


async def test_a_session_that_is_just_being_opened_is_closed_and_not_cut_off(played):
    played.takes = 0.2
    played.connection.start()
    await asyncio.sleep(0.05)

    await played.connection.stop()

    assert [session.ended for session in played.sessions] == ["closed"]
    assert played.users.seen == []


async def test_a_server_that_never_answers_does_not_hold_up_the_end(played, monkeypatch):
    monkeypatch.setattr(connections, "OPEN_PATIENCE", 0.1)
    played.takes = 1000.0
    played.connection.start()
    await asyncio.sleep(0.05)

    async with asyncio.timeout(2):
        await played.connection.stop()

    assert played.sessions == []


async def test_an_end_is_an_end_even_if_the_first_cancellation_is_swallowed(played):
    played.swallows_cancel = True
    played.connection.start()
    await asyncio.sleep(0.05)

    async with asyncio.timeout(5):
        await played.connection.stop()

    assert [session.ended for session in played.sessions] == ["closed"]
    assert played.users.seen == [], "nobody is told of a session that is closed again"


async def test_c09_a_server_whose_clock_stands_still_gets_a_new_session(played, monkeypatch):
    """It says that all is well and keeps the session alive, and nothing behind it moves."""
    monkeypatch.setattr(connections, "CLOCK_EVERY", 0.01)

    async def stopped(_session: Any) -> ServerStatus:
        return ServerStatus(0, 5, 0)

    played.made = type("Stopped", (PlayedSession,), {"read_status": stopped})
    played.connection.start()
    async with asyncio.timeout(5):
        while len(played.sessions) < 2:
            await asyncio.sleep(0.01)

    assert played.sessions[0].ended == "aborted"
    assert played.connection.last_error == "its clock stands still"


@pytest.mark.parametrize("days", [1, -1])
async def test_a_clock_that_was_set_is_shown_at_once_both_ways(played, days):
    day = 86_400 * 10_000_000
    for difference in (0, -5_000_000, days * day, days * day - 3_000_000):
        played.connection._note_clock(difference)

    assert played.connection.clock_offset_ticks == days * day
    played.connection._note_clock(0)
    assert played.connection.clock_offset_ticks == 0


async def test_a_late_answer_is_no_other_time(played):
    played.connection._note_clock(0)
    played.connection._note_clock(-50_000_000)

    assert played.connection.clock_offset_ticks == 0
