"""The supervisor of a station: observe, decide, act, publish, once per heartbeat.

It keeps the lease on the board alive while it is in time; if it hangs or dies, nobody has to do
anything: the lease runs out and every gate shuts by itself. Nothing that can block runs on its
loop: files, database, Redis and web are asked in side threads (`redundancy.surroundings`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Final

from redundancy.board import Board, Process
from redundancy.command import CommandServer
from redundancy.core.clock_steps import ClockPair, step
from redundancy.core.codes import Code
from redundancy.core.decide import Decision, Demote, Fail, Hold, Promote, Reason, Renew, decide
from redundancy.core.health import HealthState, HealthTable, host_health
from redundancy.core.lease import SECOND
from redundancy.core.progress import Verdict, limits
from redundancy.core.stations import MAY_HOLD_LEASE, StationEvent, StationState, after
from redundancy.core.view import StationView
from redundancy.exclusive import held
from redundancy.processes import start_time
from redundancy.record import RecordFile
from redundancy.reporting import Reporter
from redundancy.revisions import RevisionWatch
from redundancy.setup import Setup
from redundancy.side_thread import SideThread
from redundancy.supervisor_commands import handlers
from redundancy.surroundings import Surroundings
from redundancy.systemd import notify
from redundancy.term import TermKeeper
from redundancy.watchdog import HostEvent, HostHung, Watchdog

log = logging.getLogger(__name__)

HOST_STILL_NS: Final = 1 * SECOND  # simplex: nobody stands by, so a host may take its time
HOST_STARTING_NS: Final = 15 * SECOND
DRAIN_NS: Final = 10 * SECOND
GRACE_NS: Final = 30 * SECOND
NEWS_PAUSE_NS: Final = 60 * SECOND


class Supervisor:
    """One station's supervisor; `run` lives until `stop` and the end of draining."""

    def __init__(self, setup: Setup, reporter: Reporter | None = None) -> None:
        self.setup = setup
        self.timing = setup.timing
        self.board = Board.open_or_create(setup.board_file)
        self.reporter = reporter or Reporter(setup.station)
        self.health = HealthTable()
        self.term = TermKeeper(RecordFile(setup.record_file), self.board)
        self.surroundings = Surroundings(
            setup.data_dir, self.health, self.reporter, setup.probes, setup.timers
        )
        self.state = StationState.INIT
        self.reason = Reason.READING_RECORD
        self.started_at_ns = setup.clocks.wall()
        self.revisions = RevisionWatch(self.board)
        self._started_ns = setup.clocks.boot()
        self._stop_until = 0
        self._ended = asyncio.Event()
        self._clock_pair = self._read_clocks()
        self._verdicts: dict[int, Verdict] = {}
        self._stall_told_ns = 0
        self._fault = ""
        self._watchdog = Watchdog(
            self.board,
            limits(setup.timing.heartbeat, HOST_STILL_NS, HOST_STARTING_NS),
            self._host_event,
        )

    # Life

    async def run(self) -> None:
        """Supervise until stopped; waits while another supervisor of the station lives."""
        async with held(self.setup.lock_file):
            await self._supervise()

    async def _supervise(self) -> None:
        self.board.supervise(Process(os.getpid(), start_time(os.getpid())))
        self.reporter.report(Code.STATION_STARTED)
        server = CommandServer(self.setup.socket, handlers(self))
        companions = [
            asyncio.create_task(self._prepare_term(), name="term"),
            asyncio.create_task(self.surroundings.run(), name="surroundings"),
            asyncio.create_task(self._poll_revisions(), name="revisions"),
            asyncio.create_task(server.serve(), name="commands"),
            asyncio.create_task(self._tell_systemd(), name="systemd"),
        ]
        try:
            await self._turn_until_ended()
        finally:
            self._watchdog.close()
            for companion in companions:
                companion.cancel()
            await asyncio.gather(*companions, return_exceptions=True)
            self.board.grant(self.board.lease().term, 0)
            self.reporter.report(Code.STATION_STOPPED, reason=self.reason.value)

    def stop(self) -> None:
        """Begin to end: keep the lease until the pipe hosts are gone or the time is up."""
        if not self._stop_until:
            self._stop_until = self.setup.clocks.boot() + DRAIN_NS
            notify("STOPPING=1")

    async def _turn_until_ended(self) -> None:
        planned = self.setup.clocks.boot()
        while not self._ended.is_set():
            late_by = max(0, self.setup.clocks.boot() - planned)
            self._guarded_tick(late_by)
            now = self.setup.clocks.boot()
            planned += self.timing.heartbeat
            if planned < now:  # turns were missed: let the loop catch up, then look afresh
                planned = now + self.timing.heartbeat
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((planned - now) / SECOND):
                    await self._ended.wait()

    def _guarded_tick(self, late_by: int) -> None:
        """A turn that fails renews nothing, and the next one tries again."""
        try:
            self.tick(late_by)
        except Exception as error:
            if repr(error) != self._fault:
                log.exception("a turn of the supervisor failed")
            self._fault = repr(error)
        else:
            self._fault = ""

    # One turn

    def tick(self, late_by: int = 0) -> Decision:
        """One turn of the loop; ``late_by`` is how much later than planned it began, in ns."""
        view = self._observe(late_by)
        decision = decide(view, self.timing)
        self._act(decision, view)
        self._publish(decision, view)
        return decision

    def _observe(self, late_by: int) -> StationView:
        self._keep_board()
        self._look_at_clocks()
        self._verdicts = self._watchdog.look()
        found = list(self._verdicts.values())
        return StationView(
            now=self.setup.clocks.boot(),
            late_by=late_by,
            state=self.state,
            record=self.term.state,
            is_failed=self.term.record.failed,
            is_in_maintenance=self.term.record.maintenance,
            has_peer=self.setup.has_peer,
            hosts_present=sum(verdict is not Verdict.ABSENT for verdict in found),
            hosts_moving=sum(verdict is Verdict.MOVING for verdict in found),
            is_stopping=bool(self._stop_until),
            stop_until=self._stop_until,
        )

    def _act(self, decision: Decision, view: StationView) -> None:
        match decision:
            case Promote(reason, deadline):
                self._enter(StationEvent.PROMOTED)
                self.board.grant(self.term.term, deadline)
                self.reporter.report(Code.ROLE_ACTIVE, term=self.term.term, reason=reason.value)
            case Renew(_, deadline):
                if view.is_stopping and self.state is StationState.ACTIVE:
                    self._enter(StationEvent.DRAIN_BEGUN)
                self.board.grant(self.term.term, deadline)
            case Demote(reason):
                self._give_up(reason)
            case Fail(reason):
                self._fail(reason)
            case Hold(reason):
                self._hold(reason, view)

    def _hold(self, reason: Reason, view: StationView) -> None:
        if reason is Reason.LOOP_LATE:
            self._tell_stall(view)
        elif reason is Reason.IN_MAINTENANCE and self.state is not StationState.MAINTENANCE:
            self._enter(StationEvent.MAINTENANCE_BEGUN)

    def _give_up(self, reason: Reason) -> None:
        """End this station's part; the gates shut before anything is reported."""
        self.board.grant(self.term.term, 0)
        self._ended.set()
        if self.state is StationState.ACTIVE:
            self._enter(StationEvent.DRAIN_BEGUN)
        if self.state is StationState.DRAINING:
            self._enter(StationEvent.HANDED_OVER)
            self.reporter.report(Code.ROLE_GIVEN_UP, term=self.term.term, reason=reason.value)

    def _fail(self, reason: Reason) -> None:
        self.board.grant(self.board.lease().term, 0)
        self._enter(StationEvent.STATION_FAILED)
        cause = self.term.why or self.term.record.cause
        sentence = f"{reason.value} {cause}".strip()
        self.reporter.report(Code.STATION_FAILED, reason=sentence)

    def _enter(self, event: StationEvent) -> None:
        self.state = after(self.state, event)

    def _publish(self, decision: Decision, view: StationView) -> None:
        self.board.tick()
        if decision.reason is not self.reason:
            self.reason = decision.reason
            log.info("%s: %s", self.state, decision.reason.value)
        young = view.now - self._started_ns < GRACE_NS
        wall = self.setup.clocks.wall()
        for index in range(1, self.setup.pipe_workers + 1):
            state, why = host_health(self._verdicts[index], young=young)
            self.health.report(f"pipes/{index}", state, why, wall)
        self.health.report("supervisor", HealthState.GOOD, "", wall)

    # What happens beside the turns

    async def _prepare_term(self) -> None:
        """Read the record and make the next term durable; tries until the disk takes it."""
        thread = SideThread("term-record")
        try:
            told = ""
            while not await self.term.prepare(thread):
                if self.term.why != told:
                    self.reporter.report(Code.RECORD_UNWRITABLE, why=self.term.why)
                told = self.term.why
                await asyncio.sleep(1.0)
            if self.term.was_healed:
                self.reporter.report(Code.RECORD_HEALED)
            if self.state is StationState.INIT and self.term.is_good:
                self._enter(StationEvent.TERM_RECORDED)
        finally:
            thread.close()

    async def _poll_revisions(self) -> None:
        await self.revisions.poll(self.setup.newest_revision, self.setup.revision_seconds)

    async def _tell_systemd(self) -> None:
        notify("READY=1")
        while True:
            notify("WATCHDOG=1")
            await asyncio.sleep(1.0)

    def _host_event(self, event: HostEvent) -> None:
        if isinstance(event, HostHung):
            ticks = event.still_ticks
            self.reporter.report(Code.HOST_HUNG, index=event.index, pid=event.pid, ticks=ticks)
        elif not event.was_killed:
            self.reporter.report(Code.HOST_CRASH, index=event.index, pid=event.pid)

    def _read_clocks(self) -> ClockPair:
        return ClockPair(self.setup.clocks.wall(), self.setup.clocks.boot())

    def _keep_board(self) -> None:
        """Without a folder to lay it in, the old mapping still reaches the hosts that have it."""
        with contextlib.suppress(OSError):
            if self.board.lay_again():
                self.reporter.report(Code.BOARD_REPLACED)

    def _look_at_clocks(self) -> None:
        before, self._clock_pair = self._clock_pair, self._read_clocks()
        moved = step(before, self._clock_pair)
        if moved:
            self.reporter.report(Code.CLOCK_STEP, seconds=round(moved / SECOND, 1))
        if moved or self.health.state("clock") is None:
            self.health.report("clock", HealthState.GOOD, "", self._clock_pair.wall)

    def _tell_stall(self, view: StationView) -> None:
        if view.now - self._stall_told_ns > NEWS_PAUSE_NS:
            self._stall_told_ns = view.now
            self.reporter.report(Code.SUPERVISOR_STALLED, late_ms=view.late_by // 1_000_000)

    async def rejoin(self, user: str) -> bool:
        """Let a failed station begin anew; false if it has not failed."""
        if self.state is not StationState.FAILED:
            return False
        thread = SideThread("term-record")
        try:
            await self.term.clear(thread)
        finally:
            thread.close()
        self._enter(StationEvent.FAILURE_CLEARED)
        self.reporter.report(Code.FAILURE_CLEARED, user=user)
        if self.term.is_good:
            self._enter(StationEvent.TERM_RECORDED)
        return True

    def applied_revision(self) -> int:
        """The lowest revision that a present pipe host runs; 0 without one."""
        present = [index for index, seen in self._verdicts.items() if seen is not Verdict.ABSENT]
        return min((self.board.host(index).applied_revision for index in present), default=0)

    @property
    def lease_left_ns(self) -> int:
        """How much of the lease is left; 0 for a station that may not write."""
        if self.state not in MAY_HOLD_LEASE:
            return 0
        return max(0, self.board.lease().deadline_ns - self.setup.clocks.boot())
