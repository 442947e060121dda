from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redundancy.board import Board
from redundancy.core.progress import HostState, Limits, Verdict
from redundancy.processes import start_time
from redundancy.watchdog import HostEvent, HostExited, HostHung, Watchdog

Child = subprocess.Popen[bytes]


class Station:
    """A board whose hosts are children that do nothing; the test moves their counters."""

    def __init__(self, path: Path) -> None:
        self.board = Board.open_or_create(path)
        self.events: list[HostEvent] = []
        self.watchdog = Watchdog(self.board, Limits(3, 6), self.events.append)
        self.children: list[Child] = []

    def host(self, index: int = 1, state: HostState = HostState.RUNNING) -> Child:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.children.append(child)
        slot = self.board.host(index)
        slot.occupy(child.pid, start_time(child.pid))
        slot.enter(state)
        return child

    def end(self, child: Child) -> None:
        child.kill()
        child.communicate()

    async def heard(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.events) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path / "board")
    yield station
    for child in station.children:
        station.end(child)


async def test_an_exit_is_heard_without_a_look(station: Station) -> None:
    host = station.host()
    assert station.watchdog.look()[1] is Verdict.MOVING

    host.kill()
    await station.heard(1)

    assert station.events == [HostExited(1, host.pid, was_killed=False)]
    assert station.watchdog.look()[1] is Verdict.ABSENT
    assert len(station.events) == 1


async def test_an_orderly_exit_is_no_event(station: Station) -> None:
    host, other = station.host(1), station.host(2)
    station.watchdog.look()
    station.board.host(1).vacate()

    station.end(host)
    other.kill()
    await station.heard(1)

    assert station.events == [HostExited(2, other.pid, was_killed=False)]
    station.watchdog.close()


async def test_a_host_that_stands_still_is_killed_once(station: Station) -> None:
    host = station.host()
    verdicts = [station.watchdog.look()[1] for _ in range(5)]
    await station.heard(2)

    assert verdicts == [
        Verdict.MOVING,
        Verdict.STILL,
        Verdict.STILL,
        Verdict.HUNG,
        Verdict.HUNG,
    ]
    assert station.events == [HostHung(1, host.pid, 3), HostExited(1, host.pid, was_killed=True)]


async def test_a_starting_host_may_stand_still_for_longer(station: Station) -> None:
    host = station.host(state=HostState.STARTING)

    assert [station.watchdog.look()[1] for _ in range(6)][-1] is Verdict.STILL
    assert host.poll() is None
    station.watchdog.close()


async def test_a_slot_left_by_a_process_of_the_past_is_nobody(station: Station) -> None:
    host = station.host()
    station.end(host)

    assert station.watchdog.look()[1] is Verdict.ABSENT
    assert station.events == []


async def test_a_successor_in_the_slot_does_not_hide_the_exit(station: Station) -> None:
    first = station.host()
    station.watchdog.look()
    station.end(first)
    second = station.host()  # before the loop turned: the exit was not heard yet

    assert station.watchdog.look()[1] is Verdict.MOVING
    assert station.events == [HostExited(1, first.pid, was_killed=False)]

    second.kill()
    await station.heard(2)
    assert station.events[1] == HostExited(1, second.pid, was_killed=False)


async def test_a_successor_of_a_host_that_stopped_in_order_is_no_news(station: Station) -> None:
    first = station.host()
    station.board.host(1).vacate()
    station.watchdog.look()
    station.end(first)
    station.host()

    station.watchdog.look()

    assert station.events == []
    station.watchdog.close()


async def test_a_watchdog_that_is_closed_leaves_the_hosts_alone(station: Station) -> None:
    host = station.host()
    station.watchdog.look()

    station.watchdog.close()

    assert host.poll() is None
