"""A pipe host when one of its pipes fails: the others do not notice."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from pipes import host as host_module
from pipes.claims import Claims
from pipes.core.reconcile import PipeChange
from pipes.core.wanted import Pipe, Server, Wanted
from pipes.host import PipeHost
from pipes.pki import Pki
from redundancy.signals import event_emitted


class PlayedRunner:
    """A runner that fails where the test says so."""

    fails_at: ClassVar[dict[str, str]] = {}

    def __init__(self, pipe: Pipe, source: Any, target: Any, *_: Any) -> None:
        self.pipe = pipe
        self.connections = source, target
        self.ticks = 0
        self.is_closed = False
        self._fail("start")

    def _fail(self, when: str) -> None:
        if self.fails_at.get(self.pipe.name) == when:
            raise RuntimeError(f"broken {when}")

    def tick(self, _now: float) -> None:
        self.ticks += 1
        self._fail("tick")

    def change(self, *_: Any) -> None:
        self._fail("change")

    async def drain(self) -> None:
        self._fail("drain")

    async def unsubscribe(self) -> None:
        await asyncio.sleep(0.3)  # a server takes its time

    def give_up_writes(self) -> None:
        self.gave_up = True

    def close(self) -> None:
        self.is_closed = True


class PlayedConnection:
    def __init__(self, server: Server, *_: Any) -> None:
        self.server = server

        self.is_stopped = False

    def start(self) -> None:
        return None

    async def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(host_module, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def host(monkeypatch, tmp_path, clock):
    monkeypatch.setattr(host_module, "PipeRunner", PlayedRunner)
    monkeypatch.setattr(host_module, "ServerConnection", PlayedConnection)
    monkeypatch.setattr(PlayedRunner, "fails_at", {})
    found = PipeHost(
        index=1,
        workers=1,
        claims=Claims(tmp_path / "claims", 1),
        board=SimpleNamespace(term=1),  # type: ignore[arg-type]
        pki=Pki(tmp_path),
        application_uri="urn:mirrorsite:TEST",
        load_wanted=lambda: found.wanted,
        socket_path=tmp_path / "socket",
    )
    servers = {name: Server(name, "opc.tcp://127.0.0.1:1") for name in ("A", "B")}
    pipes = {name: Pipe(name, "A", "B", {}) for name in ("P1", "P2")}
    found.wanted = Wanted(1, servers, pipes)
    return found


@pytest.fixture
def events():
    seen = []

    def receive(sender, **details):
        seen.append(details["event"])

    event_emitted.connect(receive)
    yield seen
    event_emitted.disconnect(receive)


def beat(host: PipeHost) -> None:
    for runner in list(host.runners.values()):
        host._tick(runner, 0.0)


async def ended(host: PipeHost) -> None:
    await asyncio.gather(*host._endings)


async def test_a_pipe_that_fails_rests_and_the_other_goes_on(host, clock, events):
    host._claim_now()
    failed, well = host.runners["P1"], host.runners["P2"]
    PlayedRunner.fails_at["P1"] = "tick"
    beat(host)
    await ended(host)

    assert failed.is_closed
    assert list(host.runners) == ["P2"]
    host._claim_now()
    assert list(host.runners) == ["P2"], "it rests"
    assert [e.code for e in events] == ["PIPE_FAULTED"]
    assert "broken tick" in events[0].message

    PlayedRunner.fails_at.clear()
    clock.seconds += host_module.FIRST_REST + 0.1
    host._claim_now()
    assert host.runners["P1"] is not failed
    assert host.runners["P2"] is well
    assert not well.is_closed


async def test_a_pipe_that_fails_again_and_again_rests_longer_and_longer(host, clock):
    PlayedRunner.fails_at["P1"] = "start"
    starts = []
    for _ in range(3000):  # five minutes
        before = host._resting.get("P1")
        host._claim_now()
        if host._resting.get("P1") != before:
            starts.append(clock.seconds)
        clock.seconds += 0.1

    assert 7 <= len(starts) <= 10
    assert starts[-1] - starts[-2] <= host_module.LONGEST_REST + 1
    assert list(host.runners) == ["P2"]


async def test_a_rest_is_short_again_after_the_pipe_ran_well_for_long(host, clock):
    host._claim_now()
    for _ in range(3):
        PlayedRunner.fails_at["P1"] = "tick"
        beat(host)
        await ended(host)
        PlayedRunner.fails_at.clear()
        clock.seconds += 1000.0
        host._claim_now()
        assert "P1" in host.runners

    assert host._resting["P1"][1] == 1


async def test_a_change_that_cannot_be_carried_out_is_the_fault_of_its_pipe(host, events):
    host._claim_now()
    PlayedRunner.fails_at["P1"] = "change"

    host._change("P1", host.wanted.pipes["P1"], SimpleNamespace())
    await ended(host)

    assert list(host.runners) == ["P2"]
    assert [e.code for e in events] == ["PIPE_FAULTED"]


async def test_a_pipe_that_cannot_drain_is_ended_all_the_same(host):
    host._claim_now()
    runner = host.runners["P1"]
    PlayedRunner.fails_at["P1"] = "drain"

    await host._end("P1")

    assert runner.gave_up, "an unanswered write could land after a newer one"
    assert runner.is_closed
    assert host._claims.claim("P1")


async def keep_claiming(host: PipeHost) -> None:
    now = 0.0
    while True:
        now += host_module.CLAIM_EVERY
        host._claim_if_due(now)
        await asyncio.sleep(0)


async def test_a_pipe_whose_server_changed_begins_on_the_new_connection(host):
    host._claim_now()
    claiming = asyncio.create_task(keep_claiming(host))
    before = host.runners["P1"]
    servers = {**host.wanted.servers, "B": Server("B", "opc.tcp://127.0.0.1:2")}
    wanted = Wanted(2, servers, host.wanted.pipes)

    await host._apply(wanted, dict.fromkeys(wanted.pipes, PipeChange()))
    claiming.cancel()

    for name in ("P1", "P2"):
        runner = host.runners[name]
        assert runner is not before
        assert not any(connection.is_stopped for connection in runner.connections)
        assert runner.connections[1] is host.connections["B"]
        assert runner.connections[1].server is servers["B"]


async def test_a_pipe_that_fails_while_another_ends_is_passed_over(host):
    host._claim_now()
    wanted = Wanted(2, host.wanted.servers, {"P2": host.wanted.pipes["P2"]})
    applying = asyncio.create_task(host._apply(wanted, {"P2": PipeChange(restart=True)}))
    await asyncio.sleep(0)
    PlayedRunner.fails_at["P2"] = "tick"
    beat(host)

    await applying
    await ended(host)

    assert host.runners == {}
