"""The pipe host: the part of a pipe worker that owns the loop and its pipes.

It knows nothing of Celery, Redis or the web. The board's generation word tells it to look at the
configuration again; the database, or the last-good file when that is away, says what is wanted;
claims say which pipes are its own. Everything else is reconciling.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pipes import ledger_answer
from pipes.browsing import Browsing
from pipes.claims import Claims
from pipes.connections import ServerConnection
from pipes.core.reasons import Reason
from pipes.core.reconcile import PipeChange, changed_servers, pipe_change
from pipes.core.sharing import may_claim
from pipes.core.wanted import Pipe, Wanted
from pipes.opcua.session import Session
from pipes.pki import Pki
from pipes.runner import PipeRunner
from pipes.status import item_status, pipe_status, server_status
from pipes.ticker import Ticker
from redundancy.board import Board, HostSlot
from redundancy.command import CommandServer
from redundancy.core.events import EventKind, Severity
from redundancy.core.progress import HostState
from redundancy.gate import WriteGate
from redundancy.processes import start_time
from redundancy.signals import emit

log = logging.getLogger(__name__)

#: Seconds between two beats: progress on the board, a look at the generation word.
BEAT: Final = 0.1
#: Seconds between two looks of the pipes at the clock.
TICK_EVERY: Final = 0.2
#: Seconds between two looks for another board file.
REOPEN_EVERY: Final = 0.5
#: Seconds between two looks at pipes that nobody has claimed.
CLAIM_EVERY: Final = 0.1
#: A configuration that cannot be read is asked for again after so many seconds.
LOAD_RETRY: Final = 2.0
DRAIN_SECONDS: Final = 1.0
#: A pipe that ends alone waits for its writes longer than one may stay unanswered.
END_SECONDS: Final = 6.0
#: How long a pipe that failed rests, in seconds: longer than its end takes, and ever longer.
FIRST_REST: Final = 2.0
LONGEST_REST: Final = 60.0
EMPTY: Final = Wanted(revision=0, servers={}, pipes={})


class PipeHost:
    def __init__(
        self,
        *,
        index: int,
        workers: int,
        claims: Claims,
        board: Board,
        pki: Pki,
        application_uri: str,
        load_wanted: Callable[[], Wanted],
        socket_path: Path,
        browse_folder: Path | None = None,
    ) -> None:
        self.index = index
        self.wanted = EMPTY
        self.connections: dict[str, ServerConnection] = {}
        self.runners: dict[str, PipeRunner] = {}
        self.lag_seconds = 0.0
        self._workers = workers
        self._claims = claims
        self._board = board
        self._gate = WriteGate(board)
        self.pki = pki
        self.application_uri = application_uri
        self._load_wanted = load_wanted
        self._browsing = Browsing(
            browse_folder or socket_path.parent / "browse",
            pki,
            application_uri,
            lambda: self.wanted.servers,
            self._session_of,
        )
        self._socket = CommandServer(
            socket_path,
            {
                "status": self._answer_status,
                "items": self._answer_items,
                "ledger": self._answer_ledger,
                "namespaces": self._answer_namespaces,
                **self._browsing.handlers,
            },
        )
        self._generation = -1
        self._claim_at = 0.0
        self._tick_at = 0.0
        self._reopen_at = 0.0
        self._started = time.monotonic()
        self._unclaimed_since: dict[str, float] = {}
        self._resting: dict[str, tuple[float, int]] = {}  # pipe -> until when, faults so far
        self._endings: set[asyncio.Task[None]] = set()
        self._ending: set[PipeRunner] = set()
        self._is_applying = False
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    def poke(self) -> None:
        """Look at the configuration now; without it the generation word says so soon."""
        self._generation = -1
        self._wake.set()

    async def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`; then let go of everything in order."""
        self._take_slot()
        serving = asyncio.create_task(self._socket.serve(), name="socket")
        beat = Ticker(BEAT, self._beat)
        configuration = asyncio.create_task(self._follow_configuration(), name="configuration")
        tasks: set[asyncio.Future[Any]] = {beat.failed, configuration}
        try:
            stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
            done, _ = await asyncio.wait(tasks | {stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & tasks:
                task.result()  # a loop of the host never ends by itself: raise what ended it
        finally:
            self._stopping.set()  # however it came here: claim nothing more
            configuration.cancel()
            await asyncio.gather(configuration, return_exceptions=True)
            await self._let_go()
            beat.stop()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _let_go(self) -> None:
        """Drain: no new values, writes on their way end, sessions are closed, claims released."""
        self._board.host(self.index).enter(HostState.DRAINING)
        await self._browsing.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await asyncio.gather(*(runner.drain() for runner in self.runners.values()))
        self._gate.shut()
        for runner in self.runners.values():
            runner.close()
        await asyncio.gather(
            *(connection.stop() for connection in self.connections.values()),
            return_exceptions=True,
        )
        self._claims.release_all()

    # -- beat -----------------------------------------------------------------------------------

    def _beat(self, now: float, late: float) -> None:
        if now >= self._reopen_at:
            self._reopen_at = now + REOPEN_EVERY
            if self._board.reopen():  # the run folder was cleaned and the board laid anew
                self._take_slot()
        slot = self._board.host(self.index)
        self._alive()
        self.lag_seconds = late
        slot.lagged(int(late * 1e9))
        if self._adopt_term(slot) or now >= self._tick_at:  # what waited for the term goes at once
            self._tick_at = now + TICK_EVERY
            for runner in list(self.runners.values()):
                self._tick(runner, now)
        if self._board.generation != self._generation:
            self._wake.set()
        self._claim_if_due(now)

    def _tick(self, runner: PipeRunner, now: float) -> None:
        try:
            runner.tick(now)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other pipes go on
            self._set_aside(runner.pipe.name, error)

    def _set_aside(self, name: str, error: Exception) -> None:
        """One pipe's fault is that pipe's: it rests and is started again, others do not notice."""
        log.error("pipe %s failed", name, exc_info=error)
        sentence = Reason.PIPE_FAULTED.sentence(pipe=name, why=error)
        emit(EventKind.PIPE, Reason.PIPE_FAULTED.name, Severity.HIGH, name, sentence)
        now = time.monotonic()
        until, faults = self._resting.get(name, (0.0, 0))
        if now - until > LONGEST_REST:
            faults = 0  # it ran well for long
        rest = min(LONGEST_REST, FIRST_REST * 2.0**faults)
        self._resting[name] = (now + rest, min(faults + 1, 16))
        if name in self.runners:
            ending = asyncio.create_task(self._end(name), name=f"end of {name}")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
        else:
            self._claims.release(name)

    def _alive(self) -> None:
        self._board.host(self.index).progress()

    def _take_slot(self) -> None:
        slot = self._board.host(self.index)
        slot.occupy(os.getpid(), start_time(os.getpid()))
        if self._generation >= 0:
            slot.applied(self.wanted.revision, self._generation)

    def _adopt_term(self, slot: HostSlot) -> bool:
        """Write in a new term only when no write of an older one is on its way; True if so."""
        if not self._gate.has_newer_term():
            return False
        runners = (*self.runners.values(), *self._ending)
        flows = (flow for runner in runners for flow in runner.flows)
        if any(flow.writer.window.in_flight for flow in flows):
            return False
        slot.quiesced(self._gate.adopt())
        return True

    # -- configuration --------------------------------------------------------------------------

    async def _follow_configuration(self) -> None:
        while True:
            generation = self._board.generation
            try:
                wanted, changes = await asyncio.to_thread(self._load, self.wanted)
            except Exception as error:  # noqa: BLE001 - whatever it is, values go on
                log.warning("configuration not loaded, tried again: %s", error)
                await asyncio.sleep(LOAD_RETRY)
                continue
            if wanted is not self.wanted:
                await self._apply(wanted, changes)
                _freeze_once()
            for connection in self.connections.values():
                connection.retry_now()  # trust and reachability may have changed with it
            self._generation = generation
            self._board.host(self.index).applied(self.wanted.revision, generation)
            await self._wake.wait()
            self._wake.clear()

    def _load(self, actual: Wanted) -> tuple[Wanted, dict[str, PipeChange]]:
        """In a thread: read what is wanted, and find what differs from what is done."""
        wanted = self._load_wanted()
        if wanted.revision == actual.revision:
            return actual, {}
        changes = {
            name: pipe_change(pipe, wanted.pipes[name])
            for name, pipe in actual.pipes.items()
            if name in wanted.pipes
        }
        return wanted, changes

    async def _apply(self, wanted: Wanted, changes: Mapping[str, PipeChange]) -> None:
        before, self.wanted = self.wanted, wanted
        altered = changed_servers(before.servers, wanted.servers)
        self._is_applying = True  # nothing is begun on a connection that is about to go
        try:
            for name in list(self.runners):
                await self._reconcile(name, changes, altered)
            await self._drop_unused_connections(altered)
        finally:
            self._is_applying = False
        self._claim_now()

    async def _reconcile(
        self, name: str, changes: Mapping[str, PipeChange], altered: frozenset[str]
    ) -> None:
        if name not in self.runners:
            return  # it failed meanwhile
        pipe = self.wanted.pipes.get(name)
        if pipe is None or name not in self.wanted.running:
            await self._end(name)
        elif changes[name].restart or {pipe.source, pipe.target} & altered:
            await self._end(name, keep_claim=True)
        elif not changes[name].is_nothing:
            self._change(name, pipe, changes[name])
        else:
            self.runners[name].pipe = pipe

    def _change(self, name: str, pipe: Pipe, change: PipeChange) -> None:
        try:
            self.runners[name].change(pipe, change)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other pipes go on
            self._set_aside(name, error)

    async def _drop_unused_connections(self, altered: frozenset[str]) -> None:
        used = {
            server
            for runner in self.runners.values()
            for server in (runner.pipe.source, runner.pipe.target)
        }
        gone = [name for name in self.connections if name not in used or name in altered]
        await asyncio.gather(*(self.connections.pop(name).stop() for name in gone))

    # -- questions ------------------------------------------------------------------------------

    async def _answer_status(self, _params: dict[str, Any]) -> dict[str, Any]:
        return {
            "revision": self.wanted.revision,
            "pid": os.getpid(),
            "lag_ms": round(self.lag_seconds * 1000, 1),
            "servers": {name: server_status(c) for name, c in self.connections.items()},
            "pipes": {name: pipe_status(runner) for name, runner in self.runners.items()},
        }

    async def _answer_namespaces(self, _params: dict[str, Any]) -> dict[str, list[str]]:
        return {
            name: list(connection.session.namespaces)
            for name, connection in self.connections.items()
            if connection.session is not None
        }

    def _session_of(self, server: str) -> Session | None:
        connection = self.connections.get(server)
        return None if connection is None else connection.session

    async def _answer_items(self, params: dict[str, Any]) -> dict[str, Any]:
        ids = {int(item_id) for item_id in params.get("ids", [])}
        return {
            str(item_id): item_status(runner, runner.pipe.items[item_id])
            for runner in self.runners.values()
            for item_id in ids & runner.pipe.items.keys()
        }

    async def _answer_ledger(self, params: dict[str, Any]) -> dict[str, Any]:
        return ledger_answer.answer(self.runners.values(), params)

    # -- claiming -------------------------------------------------------------------------------

    def _claim_if_due(self, now: float) -> None:
        if now >= self._claim_at and not self._is_applying and not self._stopping.is_set():
            self._claim_at = now + CLAIM_EVERY
            self._claim_now()

    def _claim_now(self) -> None:
        """Take what this worker should have: its own pipes, and those of dead workers."""
        running = self.wanted.running
        if all(name in self.runners for name in running):
            return
        now = time.monotonic()
        living = self._claims.living_workers(self._workers)
        for place, name in enumerate(running):
            if name in self.runners or self._rests(name, now):
                continue
            unclaimed = now - self._unclaimed_since.setdefault(name, now)
            if may_claim(
                place,
                me=self.index,
                workers=self._workers,
                living=living,
                up_seconds=now - self._started,
                unclaimed_seconds=unclaimed,
            ) and self._claims.claim(name):
                self._begin(self.wanted.pipes[name])

    def _rests(self, name: str, now: float) -> bool:
        if any(runner.pipe.name == name for runner in self._ending):
            return True
        return name in self._resting and self._resting[name][0] > now

    def _begin(self, pipe: Pipe) -> None:
        self._unclaimed_since.pop(pipe.name, None)
        try:
            self.runners[pipe.name] = PipeRunner(
                pipe,
                self._connection(pipe.source),
                self._connection(pipe.target),
                self._gate,
                self._alive,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the other pipes go on
            self._set_aside(pipe.name, error)

    def _connection(self, name: str) -> ServerConnection:
        connection = self.connections.get(name)
        if connection is None:
            connection = ServerConnection(self.wanted.servers[name], self.pki, self.application_uri)
            self.connections[name] = connection
            connection.start()
        return connection

    async def _end(self, name: str, *, keep_claim: bool = False) -> None:
        """End a pipe whose servers go on being used: no write of it may outlive it there."""
        runner = self.runners.pop(name)
        self._ending.add(runner)
        try:
            await _in_order(name, runner.drain(), END_SECONDS)
            await _in_order(name, runner.unsubscribe(), END_SECONDS)
        finally:
            runner.give_up_writes()
            runner.close()
            self._ending.discard(runner)
            if not keep_claim:
                self._claims.release(name)


async def _in_order(name: str, step: Awaitable[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await step
    except Exception as error:  # noqa: BLE001 - it ends all the same
        log.warning("pipe %s did not end in order: %r", name, error)


@cache
def _freeze_once() -> None:
    """Keep the first configuration out of the garbage collector's sight: its pauses would grow.

    What imports and loading left behind goes back to the system: 30 MB of 160.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
