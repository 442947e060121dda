from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from redundancy import supervisor as supervisor_module
from redundancy.board import Board, Process
from redundancy.command import CommandError, call
from redundancy.core.decide import Reason
from redundancy.core.events import EventKind, Severity
from redundancy.core.progress import HostState
from redundancy.core.stations import StationState
from redundancy.gate import WriteGate, boot_ns
from redundancy.loop_thread import LoopThread
from redundancy.processes import start_time
from redundancy.record import RecordFile, TermRecord
from redundancy.reporting import Reporter
from redundancy.setup import Clocks, Setup
from redundancy.supervisor import Supervisor

LONGEST = 15.0


@dataclass
class Chronicle:
    """Takes the place of the chronicle: what was reported, in order."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(
        self,
        kind: EventKind,
        code: str,
        severity: Severity,
        source: str,
        message: str,
        *,
        user: str = "",
        **details: Any,
    ) -> None:
        assert source == "REDOPC"
        assert message
        self.events.append((code, details))

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.events]


class Hosts:
    """Host processes of one test, ended with it."""

    def __init__(self, board_file: Path) -> None:
        self.board_file = board_file
        self.all: list[subprocess.Popen[str]] = []

    def start(self, index: int) -> subprocess.Popen[str]:
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.board_host", self.board_file, str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.all.append(host)
        assert host.stdout is not None
        assert host.stdout.readline() == "ready\n"
        return host

    async def begin(self, index: int) -> subprocess.Popen[str]:
        return await asyncio.to_thread(self.start, index)

    @staticmethod
    def drain(host: subprocess.Popen[str]) -> None:
        host.communicate("drain\n")

    def end(self) -> None:
        for host in self.all:
            host.kill()
            host.communicate()


@pytest.fixture
def setup() -> Iterator[Setup]:
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:
        (Path(folder) / "data").mkdir()
        yield Setup(
            station="REDOPC",
            data_dir=Path(folder) / "data",
            board_file=Path(folder) / "board",
            socket=Path(folder) / "supervisor.sock",
            pipe_workers=2,
            revision_seconds=0.05,
        )


@pytest.fixture
def chronicle() -> Chronicle:
    return Chronicle()


@pytest.fixture
def hosts(setup: Setup) -> Iterator[Hosts]:
    hosts = Hosts(setup.board_file)
    yield hosts
    hosts.end()


Start = Callable[[Setup], Supervisor]


@pytest.fixture
async def start(chronicle: Chronicle) -> AsyncIterator[Start]:
    running: list[asyncio.Task[None]] = []

    def begin(setup: Setup) -> Supervisor:
        supervisor = Supervisor(setup, Reporter(setup.station, chronicle))
        running.append(asyncio.create_task(supervisor.run()))
        return supervisor

    yield begin
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(LONGEST):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"not within {LONGEST} s: {what}")


async def tells(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    await until(lambda: text in caplog.text, text)
    return True


def is_active(supervisor: Supervisor) -> Callable[[], bool]:
    return lambda: supervisor.state is StationState.ACTIVE


async def ask(setup: Setup, method: str, **params: Any) -> Any:
    return await asyncio.to_thread(call, setup.socket, method, params, 5.0)


class TestASimplexStation:
    async def test_it_is_active_as_soon_as_a_host_moves(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        await until(lambda: supervisor.reason is Reason.NO_HOST_MOVES, "waiting for hosts")
        assert supervisor.board.lease().deadline_ns == 0

        await hosts.begin(1)
        await until(is_active(supervisor), "active")

        gate = WriteGate(Board.open(setup.board_file))
        assert gate.adopt() == 1
        assert gate.target("DCS").may_write()
        assert chronicle.codes == ["STATION_STARTED", "ROLE_ACTIVE"]
        assert supervisor.board.supervisor == Process(os.getpid(), start_time(os.getpid()))

    async def test_the_lease_is_renewed_before_it_ends(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")
        deadlines = set()

        def renewed() -> bool:
            deadlines.add(supervisor.board.lease().deadline_ns)
            return len(deadlines) > 5

        await until(renewed, "five renewals")
        assert max(deadlines) - boot_ns() <= setup.timing.lease

    async def test_status_tells_the_contracts_fields(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")

        status = await ask(setup, "status")

        assert (status["station"], status["state"], status["detail"]) == (
            "REDOPC",
            "active",
            "ACTIVE",
        )
        assert status["term"] == 1
        assert 0 < status["lease_ms"] <= 600
        assert status["revision_applied"] == 12
        assert status["generation"] == supervisor.board.generation
        assert status["started_at"].endswith("Z")
        rows = {row["component"]: row for row in status["health"]}
        assert rows["pipes/1"]["state"] == "good"
        assert rows["pipes/2"]["state"] == "check"
        assert rows["pipes/2"]["reason"] == "no process is in the slot"
        assert {"disk", "clock", "supervisor"} <= set(rows)
        assert all(row["since"].endswith("Z") for row in rows.values())

    async def test_each_start_has_a_higher_term(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        await hosts.begin(1)
        terms = []
        for _ in range(3):
            supervisor = start(setup)
            await until(is_active(supervisor), "active")
            terms.append(supervisor.board.lease().term)
            hosts.drain(hosts.all[-1])
            supervisor.stop()
            await until(lambda s=supervisor: s.state is StationState.STANDBY, "given up")
            await hosts.begin(1)

        assert terms == [1, 2, 3]

    async def test_a_term_on_the_board_above_the_record_is_passed(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        Board.open_or_create(setup.board_file).grant(41, 0)
        await hosts.begin(1)

        supervisor = start(setup)
        await until(is_active(supervisor), "active")

        assert supervisor.board.lease().term == 42
        record = RecordFile(setup.record_file).read()
        assert record is not None
        assert record.term == 42

    async def test_beside_a_peer_it_does_not_become_active_by_itself(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        await hosts.begin(1)
        supervisor = start(replace(setup, has_peer=True))

        await until(lambda: supervisor.reason is Reason.NO_VOTE, "held for want of a vote")
        assert supervisor.board.lease().deadline_ns == 0


class TestAPipeHost:
    async def test_that_crashes_is_reported_once_and_the_station_stays_active(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        victim, other = await hosts.begin(1), await hosts.begin(2)
        await until(is_active(supervisor), "active")

        victim.kill()
        await until(lambda: "HOST_CRASH" in chronicle.codes, "the crash in the chronicle")
        ticks = supervisor.board.ticks
        await until(lambda: supervisor.board.ticks > ticks + 5, "five more turns")

        assert chronicle.codes.count("HOST_CRASH") == 1
        assert ("HOST_CRASH", {"index": 1, "pid": victim.pid}) in chronicle.events
        assert supervisor.state is StationState.ACTIVE
        assert other.poll() is None

    async def test_that_freezes_is_killed_and_reported_as_hung_only(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        frozen, other = await hosts.begin(1), await hosts.begin(2)
        await until(is_active(supervisor), "active")

        frozen.send_signal(signal.SIGSTOP)
        await until(lambda: frozen.poll() is not None, "killed")
        ticks = supervisor.board.ticks
        await until(lambda: supervisor.board.ticks > ticks + 3, "three more turns")

        assert frozen.returncode == -signal.SIGKILL
        assert "HOST_HUNG" in chronicle.codes
        assert "HOST_CRASH" not in chronicle.codes
        assert other.poll() is None

    async def test_that_stops_in_order_is_no_news(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        leaving, _ = await hosts.begin(1), await hosts.begin(2)
        await until(is_active(supervisor), "active")

        await asyncio.to_thread(hosts.drain, leaving)
        ticks = supervisor.board.ticks
        await until(lambda: supervisor.board.ticks > ticks + 5, "five more turns")

        assert chronicle.codes == ["STATION_STARTED", "ROLE_ACTIVE"]

    async def test_whose_pid_belongs_to_somebody_else_is_never_killed(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(2)
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            slot = Board.open_or_create(setup.board_file).host(1)
            slot.occupy(stranger.pid, start_time(stranger.pid) - 1)
            slot.enter(HostState.RUNNING)
            ticks = supervisor.board.ticks
            await until(lambda: supervisor.board.ticks > ticks + 25, "2.5 s without progress")

            assert stranger.poll() is None
            assert "HOST_HUNG" not in chronicle.codes
        finally:
            stranger.kill()
            stranger.communicate()

    def test_that_crashes_is_noticed_on_the_workers_own_loop_too(
        self, setup: Setup, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        """The worker's loop thread uses uvloop where it can; pidfds must work there as well."""
        loop = LoopThread("supervisor")
        supervisor = Supervisor(setup, Reporter(setup.station, chronicle))
        loop.start(supervisor.run)
        try:
            victim = hosts.start(1)
            asyncio.run(until(is_active(supervisor), "active"))
            victim.kill()
            asyncio.run(until(lambda: "HOST_CRASH" in chronicle.codes, "the crash"))
        finally:
            assert loop.stop()
        assert chronicle.codes[-1] == "STATION_STOPPED"
        assert Board.open(setup.board_file).lease().deadline_ns == 0


class TestTheTermRecord:
    async def test_that_is_damaged_makes_the_station_fail_until_somebody_clears_it(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        setup.record_file.write_bytes(b"\xff" * 8192)
        await hosts.begin(1)
        supervisor = start(setup)
        await until(lambda: supervisor.state is StationState.FAILED, "failed")
        assert supervisor.board.lease().deadline_ns == 0
        assert (await ask(setup, "status"))["state"] == "failed"

        await ask(setup, "rejoin", user="anna")
        await until(is_active(supervisor), "active")

        assert supervisor.board.lease().term > 1_700_000_000  # above every term of the past
        assert setup.record_file.with_name("term_record.damaged").exists()
        assert chronicle.codes == [
            "STATION_STARTED",
            "STATION_FAILED",
            "FAILURE_CLEARED",
            "ROLE_ACTIVE",
        ]

    async def test_that_latches_a_failure_keeps_it_over_a_restart(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        RecordFile(setup.record_file).write(
            TermRecord(station_id="a", term=6, failed=True, cause="POWER")
        )
        await hosts.begin(1)
        supervisor = start(setup)
        await until(lambda: supervisor.state is StationState.FAILED, "failed")

        await ask(setup, "rejoin")
        await until(is_active(supervisor), "active")

        record = RecordFile(setup.record_file).read()
        assert record is not None
        assert (record.failed, record.station_id) == (False, "a")
        assert record.term > 6

    async def test_with_one_damaged_copy_is_healed(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        RecordFile(setup.record_file).write(TermRecord(station_id="a", term=6))
        whole = setup.record_file.read_bytes()
        setup.record_file.write_bytes(b"\xff" * 4096 + whole[4096:])
        await hosts.begin(1)

        supervisor = start(setup)
        await until(is_active(supervisor), "active")

        assert supervisor.board.lease().term == 7
        assert "RECORD_HEALED" in chronicle.codes
        healed = RecordFile(setup.record_file)
        healed.read()
        assert healed.damaged_slots == 0

    async def test_that_cannot_be_written_is_said_once_and_tried_again(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        missing = replace(setup, data_dir=setup.data_dir / "later")
        await hosts.begin(1)
        supervisor = start(missing)
        await until(lambda: "RECORD_UNWRITABLE" in chronicle.codes, "the alarm")
        await until(lambda: supervisor.reason is Reason.RECORD_UNWRITABLE, "the reason")
        assert supervisor.board.lease().deadline_ns == 0

        missing.data_dir.mkdir()
        await until(is_active(supervisor), "active")

        assert chronicle.codes.count("RECORD_UNWRITABLE") == 1

    async def test_maintenance_keeps_a_station_out(
        self, setup: Setup, start: Start, hosts: Hosts
    ) -> None:
        RecordFile(setup.record_file).write(TermRecord(station_id="a", term=6, maintenance=True))
        await hosts.begin(1)

        supervisor = start(setup)
        await until(lambda: supervisor.state is StationState.MAINTENANCE, "out")

        assert (await ask(setup, "status"))["state"] == "maintenance"
        assert supervisor.board.lease().deadline_ns == 0

    async def test_rejoin_is_refused_when_nothing_failed(self, setup: Setup, start: Start) -> None:
        supervisor = start(setup)
        await until(lambda: supervisor.state is StationState.JOINING, "joining")
        await until(setup.socket.exists, "socket")

        with pytest.raises(CommandError, match="not_available: REDOPC has not failed"):
            await ask(setup, "rejoin")


class TestConfiguration:
    async def test_a_poke_raises_the_generation_always(self, setup: Setup, start: Start) -> None:
        supervisor = start(setup)
        await until(setup.socket.exists, "socket")
        before = supervisor.board.generation

        first = await ask(setup, "configuration_changed", revision=7)
        second = await ask(setup, "configuration_changed", revision=7)

        assert first == {"generation": before + 1}
        assert second == {"generation": before + 2}
        assert (await ask(setup, "status"))["revision_newest"] == 7

    async def test_a_poke_without_a_number_is_refused(self, setup: Setup, start: Start) -> None:
        start(setup)
        await until(setup.socket.exists, "socket")

        with pytest.raises(CommandError, match="revision is the number of a revision"):
            await ask(setup, "configuration_changed", revision="seven")

    async def test_a_lost_poke_is_found_by_looking(self, setup: Setup, start: Start) -> None:
        newest = [1]
        supervisor = start(replace(setup, newest_revision=lambda: newest[0]))
        await until(lambda: supervisor.revisions.newest == 1, "the first look")
        before = supervisor.board.generation

        newest[0] = 2
        await until(lambda: supervisor.board.generation > before, "a new generation")
        looked = supervisor.board.ticks
        await until(lambda: supervisor.board.ticks > looked + 3, "further looks")

        assert supervisor.board.generation == before + 1

    async def test_a_database_that_hangs_stops_nothing(
        self,
        setup: Setup,
        start: Start,
        hosts: Hosts,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("INFO")
        monkeypatch.setattr("redundancy.revisions.ANSWER_SECONDS", 0.1)
        release = threading.Event()
        supervisor = start(replace(setup, newest_revision=lambda: int(release.wait())))
        await hosts.begin(1)
        await until(is_active(supervisor), "active")

        assert await tells(caplog, "the newest revision cannot be read")
        assert supervisor.lease_left_ns > 0
        release.set()
        assert await tells(caplog, "the newest revision can be read again")

        assert supervisor.revisions.newest == 1
        assert caplog.text.count("cannot be read") == 1


class TestTheLoop:
    async def test_that_was_late_withholds_one_turn_and_says_so_once(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")

        for _ in range(2):
            time.sleep(0.45)  # what the test is about: the loop is blocked
            await until(lambda: supervisor.reason is Reason.LOOP_LATE, "a late turn")
            await until(lambda: supervisor.reason is Reason.LEASE_RENEWED, "renewed again")

        assert chronicle.codes.count("SUPERVISOR_STALLED") == 1
        assert supervisor.state is StationState.ACTIVE

    async def test_a_wall_clock_that_is_set_is_an_event_and_changes_no_role(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        moved_by = [0]
        clocks = Clocks(wall=lambda: time.time_ns() + moved_by[0])
        supervisor = start(replace(setup, clocks=clocks))
        await hosts.begin(1)
        await until(is_active(supervisor), "active")
        term = supervisor.board.lease().term

        for hours in (2, -2):
            moved_by[0] = hours * 3600 * 10**9
            count = chronicle.codes.count("CLOCK_STEP")
            await until(lambda n=count: chronicle.codes.count("CLOCK_STEP") > n, "the event")

        steps = [facts["seconds"] for code, facts in chronicle.events if code == "CLOCK_STEP"]
        assert steps == pytest.approx([7200, -14400], abs=1)
        assert supervisor.state is StationState.ACTIVE
        assert supervisor.board.lease().term == term

    async def test_a_turn_that_breaks_is_logged_once_and_the_next_goes_on(
        self,
        setup: Setup,
        start: Start,
        hosts: Hosts,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")
        broken = [0]

        def break_three_times(*_: object) -> object:
            broken[0] += 1
            if broken[0] <= 3:
                raise RuntimeError("a defect")
            return original(*_)  # type: ignore[arg-type]

        original = supervisor_module.decide
        monkeypatch.setattr(supervisor_module, "decide", break_three_times)
        await until(lambda: broken[0] > 5, "turns after the fault")

        assert caplog.text.count("a turn of the supervisor failed") == 1
        assert supervisor.lease_left_ns > 0

    async def test_a_board_that_is_removed_is_laid_again(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")
        gate = WriteGate(Board.open(setup.board_file))
        gate.adopt()

        setup.board_file.unlink()
        await until(lambda: "BOARD_REPLACED" in chronicle.codes, "the new board")
        await until(lambda: gate.target("DCS").reason() is not None, "the old mapping shuts")
        assert gate.board.reopen()

        assert gate.target("DCS").may_write()
        await until(lambda: supervisor.board.host(1).process.pid, "the host is back in its slot")

    async def test_a_run_folder_that_is_gone_does_not_end_the_lease(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")
        gate = WriteGate(Board.open(setup.board_file))
        gate.adopt()
        folder = setup.board_file.parent
        elsewhere = folder.with_name(f"{folder.name}-moved")
        folder.rename(elsewhere)
        try:
            ticks = supervisor.board.ticks
            await until(lambda: supervisor.board.ticks > ticks + 10, "longer than a lease")
            assert gate.target("DCS").may_write()
        finally:
            elsewhere.rename(folder)
        assert "BOARD_REPLACED" not in chronicle.codes


class TestTwoSupervisors:
    async def test_the_second_waits_for_the_end_of_the_first(
        self, setup: Setup, start: Start, hosts: Hosts, caplog: pytest.LogCaptureFixture
    ) -> None:
        first = start(setup)
        host = await hosts.begin(1)
        await until(is_active(first), "active")
        second = start(setup)
        await until(lambda: "another supervisor of this station lives" in caplog.text, "waiting")
        assert second.board.lease().term == 1

        await asyncio.to_thread(hosts.drain, host)
        first.stop()
        await hosts.begin(1)
        await until(is_active(second), "the second is active")

        assert second.board.lease().term == 2
        assert caplog.text.count("another supervisor of this station lives") == 1


class TestStopping:
    async def test_the_lease_outlives_the_last_host(
        self, setup: Setup, start: Start, hosts: Hosts, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        host = await hosts.begin(1)
        await until(is_active(supervisor), "active")

        await ask(setup, "stop")
        await until(lambda: supervisor.reason is Reason.DRAINING, "draining")
        ticks = supervisor.board.ticks
        await until(lambda: supervisor.board.ticks > ticks + 8, "longer than a lease")
        assert supervisor.lease_left_ns > 0
        assert (await ask(setup, "status"))["detail"] == "DRAINING"

        await asyncio.to_thread(hosts.drain, host)
        await until(lambda: "STATION_STOPPED" in chronicle.codes, "stopped")

        assert supervisor.board.lease().deadline_ns == 0
        assert chronicle.codes[-2:] == ["ROLE_GIVEN_UP", "STATION_STOPPED"]
        assert supervisor.reason is Reason.DRAINED
        assert not setup.socket.exists()

    async def test_a_host_that_does_not_leave_is_not_waited_for_for_ever(
        self, setup: Setup, start: Start, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(supervisor_module, "DRAIN_NS", 300_000_000)
        supervisor = start(setup)
        await hosts.begin(1)
        await until(is_active(supervisor), "active")

        supervisor.stop()
        supervisor.stop()
        await until(lambda: supervisor.reason is Reason.DRAIN_OVER, "given up")

        assert supervisor.board.lease().deadline_ns == 0

    async def test_a_station_that_never_was_active_stops_at_once(
        self, setup: Setup, start: Start, chronicle: Chronicle
    ) -> None:
        supervisor = start(setup)
        await until(lambda: supervisor.state is StationState.JOINING, "joining")

        supervisor.stop()
        await until(lambda: "STATION_STOPPED" in chronicle.codes, "stopped")

        assert "ROLE_GIVEN_UP" not in chronicle.codes


async def test_a_socket_that_is_served_by_another_is_waited_for(
    setup: Setup, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async def nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    other = await asyncio.start_unix_server(nobody, setup.socket)
    supervisor = start(setup)
    await until(lambda: "cannot be served yet" in caplog.text, "the warning")
    other.close()
    await until(lambda: supervisor.state is StationState.JOINING, "joining")

    async def served() -> bool:
        with contextlib.suppress(Exception):
            return bool(await ask(setup, "status"))
        return False

    await until_async(served)
    assert caplog.text.count("cannot be served yet") == 1


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONGEST):
        while not await condition():
            await asyncio.sleep(0.02)
