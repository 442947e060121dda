"""One server as a pipe host sees it: connect, watch, heal, and tell the flows that use it.

There is one connection per server and host, whatever number of pipes use it. It never gives up;
a fresh session is made for every attempt, with back-off and jitter. Three watchdogs judge a
session that says it is connected: bytes that do not arrive, a server clock that stands still, and
(in the flows) subscriptions that are silent and values that are stale.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from pipes.core.backoff import Backoff
from pipes.core.choices import ServerSetMode, ServerState
from pipes.core.reasons import Reason
from pipes.core.server_set import MemberState
from pipes.core.values import unix_to_ticks
from pipes.core.wanted import Server
from pipes.members import Members
from pipes.opcua.session import ConnectFailed, FailureKind, Session
from pipes.pki import Pki
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

log = logging.getLogger(__name__)

#: Seconds of silence after which the server is asked, and after which the session is given up.
ASK_AFTER: Final = 0.6
DEAD_AFTER: Final = 1.4
WATCH_EVERY: Final = 0.2
CANCEL_AGAIN: Final = 0.5
#: How long an attempt may go on after the end was asked for, in seconds.
OPEN_PATIENCE: Final = 1.5
#: How often the server's clock is read, and how often it may show the same time, in seconds.
CLOCK_EVERY: Final = 5.0
CLOCK_STUCK_READS: Final = 3
BACKOFF: Final = Backoff(first_seconds=0.3, longest_seconds=3.0, factor=1.6)
#: A session that lived so long was a success: the next back-off begins anew.
SETTLED_SECONDS: Final = 3.0
REJECTED_DELAY: Final = 15.0
QUARANTINE: Final = 60.0
#: Servers renew CurrentTime as seldom as once a second: a smaller difference says nothing.
CLOCK_TOLERANCE_TICKS: Final = 20_000_000
#: A clock that falls back further than any answer is late was set.
CLOCK_STEP_TICKS: Final = 100_000_000

_STATES: Final = {
    FailureKind.REJECTED_CERTIFICATE: (ServerState.REJECTED, Reason.CERTIFICATE_REJECTED),
    FailureKind.REJECTED_LOGIN: (ServerState.REJECTED, Reason.SERVER_REFUSED),
    FailureKind.SECURITY: (ServerState.REJECTED, Reason.SERVER_REFUSED),
    FailureKind.QUARANTINE: (ServerState.QUARANTINED, Reason.SERVER_QUARANTINED),
    FailureKind.UNREACHABLE: (ServerState.DISCONNECTED, Reason.SERVER_UNREACHABLE),
    FailureKind.PROTOCOL: (ServerState.DISCONNECTED, Reason.SERVER_UNREACHABLE),
}


class Listener(Protocol):
    """A user of a connection; both calls are synchronous and return at once."""

    def connected(self, connection: ServerConnection) -> None: ...

    def disconnected(self, connection: ServerConnection) -> None: ...

    def failed(self, error: Exception) -> None:
        """One of the calls above raised this."""


class ServerConnection:
    def __init__(self, server: Server, pki: Pki, application_uri: str) -> None:
        self.server = server
        self.session: Session | None = None
        self.state = ServerState.CONNECTING
        self.reason = ""
        self.since = datetime.now(UTC)
        self.last_error: str | None = None
        self.connects = 0
        self.writes_status: bool | None = None
        self.writes_timestamps: bool | None = None
        self.service_level: int | None = None
        self.clock_offset_ticks = 0
        self._differences: deque[int] = deque(maxlen=12)
        self._pki = pki
        self._application_uri = application_uri
        self._listeners: list[Listener] = []
        self._members: Members | None = None  # none: the server has this one address
        if server.server_set.mode is not ServerSetMode.NONE:
            self._members = Members(
                server, self._open_at, on_ready=self._wake, on_edge=self._report_member
            )
        self._endpoint = ""
        self._attempt = 0
        self._again = asyncio.Event()
        self._is_stopping = False
        self._is_opening = False
        self._lost: asyncio.Future[str] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def members(self) -> tuple[MemberState, ...]:
        """What is known of the members of a redundant server; nothing of any other."""
        return () if self._members is None else self._members.states()

    def explain(self) -> str:
        """Why it is in this state; of a redundant server which member is used, as it is now."""
        is_used = self._members is not None and self.state is ServerState.CONNECTED
        return self._members.sentence() if is_used and self._members else self.reason

    @property
    def is_first_attempt(self) -> bool:
        """No attempt to connect has ended yet, neither in a session nor in vain."""
        return self.state is ServerState.CONNECTING

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"connection {self.name}")

    async def stop(self) -> None:
        """Close the session politely; the server then keeps nothing of it.

        One that is just being opened is waited for: cut off half-way it would stay on the server.
        """
        self._is_stopping = True
        task = self._task
        if task is not None and self._is_opening:
            await asyncio.wait({task}, timeout=OPEN_PATIENCE)
        while task is not None and not task.done():
            task.cancel()  # once may be not enough: a cancelled wait_for can lose it (Python 3.11)
            await asyncio.wait({task}, timeout=CANCEL_AGAIN)
        if self._members is not None:
            await self._members.stop()
        session, self.session = self.session, None
        if session is not None:
            await session.close()

    def retry_now(self) -> None:
        """Try at once instead of at the end of the back-off: something may have changed."""
        if self._members is not None:
            self._members.retry_now()
        self._wake()

    def _wake(self) -> None:
        if self.session is None:
            self._again.set()

    def give_up_session(self, why: str) -> None:
        """End the present session as lost; a new one follows."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(why)

    def add_listener(self, listener: Listener) -> None:
        self._listeners.append(listener)
        if self.session is not None:
            listener.connected(self)

    def remove_listener(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def learn(
        self, *, writes_status: bool | None = None, writes_timestamps: bool | None = None
    ) -> None:
        """Remember what the server takes in a write; a refusal is said once."""
        for field, value, what in (
            ("writes_status", writes_status, "status codes"),
            ("writes_timestamps", writes_timestamps, "source timestamps"),
        ):
            if value is None or getattr(self, field) == value:
                continue
            setattr(self, field, value)
            if not value:
                self._report(Reason.CAPABILITY_LEARNED, Severity.LOW, what=what)

    # -- the life of a connection ---------------------------------------------------------------

    async def _run(self) -> None:
        while not self._is_stopping:
            try:
                await self._attempt_once()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("connection to %s failed unexpectedly", self.name)
                self._failed(ConnectFailed(FailureKind.PROTOCOL, str(error)))
            await self._pause()

    async def _attempt_once(self) -> None:
        self._again.clear()
        self._lost = asyncio.get_running_loop().create_future()
        self._is_opening = True
        try:
            session = await self._open()
        except ConnectFailed as failure:
            self._failed(failure)
            return
        finally:
            self._is_opening = False
        self.session = session
        if self._is_stopping:
            return
        self.connects += 1
        self._enter(ServerState.CONNECTED, self._members.sentence() if self._members else "")
        self._report(Reason.SERVER_CONNECTED, Severity.INFO)
        self._report_move()
        why = await self._use(session, self._lost)
        self.session = None
        if self._members is not None:
            self._members.leave(why, is_hostile=session.is_hostile)
            if self._members.is_moving:
                await self._move_away(session, why)
                return
        session.abort()
        self.last_error = why
        if session.is_hostile:
            self._enter(ServerState.QUARANTINED, f"{self.name} breaks the protocol: {why}")
            self._report(Reason.SERVER_QUARANTINED, Severity.HIGH, why=why, seconds=int(QUARANTINE))
        else:
            self._enter(ServerState.DISCONNECTED, why)
            self._report(Reason.SERVER_LOST, Severity.HIGH, why=why)
        self._tell(lambda listener: listener.disconnected(self))

    async def _open(self) -> Session:
        if self._members is not None:
            return await self._members.open(self.give_up_session)
        return await self._open_at(self.server, self.give_up_session)

    async def _open_at(self, server: Server, on_lost: Callable[[str], None]) -> Session:
        return await Session.open(
            server, self._pki, application_uri=self._application_uri, on_lost=on_lost
        )

    def _has_other(self) -> bool:
        return self._members is not None and self._members.is_ready()

    async def _move_away(self, session: Session, why: str) -> None:
        """Another member is better. The users let go first, so that none writes to the former."""
        self.last_error = why
        self._enter(ServerState.DISCONNECTED, why)
        try:
            self._tell(lambda listener: listener.disconnected(self))
            await session.close()
        finally:
            session.abort()

    def _report_move(self) -> None:
        if self._members is None:
            return
        former, self._endpoint = self._endpoint, self._members.endpoint
        if former not in ("", self._endpoint):
            self._report(
                Reason.SERVER_MOVED,
                Severity.HIGH,
                endpoint=self._endpoint,
                former=former,
                why=self._members.left,
            )

    def _report_member(self, what: str) -> None:
        self._report(Reason.SERVER_MEMBER, Severity.LOW, what=what)

    async def _use(self, session: Session, lost: asyncio.Future[str]) -> str:
        """Hand the session to its users until it is lost; whatever they do, it ends once."""
        try:
            self._tell(lambda listener: listener.connected(self))
            return await self._watch(session, lost)
        except Exception as error:
            log.exception("the session on %s failed unexpectedly", self.name)
            return f"an internal error: {error!r}"

    def _tell(self, what: Callable[[Listener], None]) -> None:
        """Tell every user of the connection; one that fails is told so and hinders no other."""
        for listener in list(self._listeners):
            try:
                what(listener)
            except Exception as error:  # noqa: BLE001 - it is raised again in its own pipe
                listener.failed(error)

    def _failed(self, failure: ConnectFailed) -> None:
        state, reason = _STATES[failure.kind]
        self.last_error = failure.message
        if (self.state, self.reason) != (state, failure.message):
            if self.state is not state:
                self._report_failure(reason, failure.message)
            self._enter(state, failure.message)

    async def _pause(self) -> None:
        if self._is_stopping or self._has_other():
            return
        if self.state is ServerState.QUARANTINED:
            delay = QUARANTINE
        elif self.state is ServerState.REJECTED:
            delay = REJECTED_DELAY
        else:
            chance = random.random()  # noqa: S311 - spreads attempts, keeps no secret
            delay = BACKOFF.delay_seconds(self._attempt + 1, chance)
        self._attempt += 1
        try:
            async with asyncio.timeout(delay):
                await self._again.wait()
        except TimeoutError:
            pass

    # -- the watchdogs of a session -------------------------------------------------------------

    async def _watch(self, session: Session, lost: asyncio.Future[str]) -> str:
        """Watch the session until it is lost; returns why."""
        clock = asyncio.create_task(self._watch_clock(session), name=f"clock of {self.name}")
        silence = asyncio.create_task(self._watch_silence(session), name=f"silence of {self.name}")
        tasks = [clock, silence]
        if self._members is not None:
            tasks.append(asyncio.create_task(self._members.moves(), name=f"moves of {self.name}"))
        try:
            await asyncio.wait({lost, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in (lost, *tasks):
                if task.done():
                    return task.result()
            return "stopped"
        finally:
            for task in tasks:
                task.cancel()

    async def _watch_silence(self, session: Session) -> str:
        """Ask a quiet server for its status; no byte at all in answer means a dead session."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Task[None] | None = None
        asked_at = 0.0
        began = loop.time()
        quiet = 0.0
        try:
            while True:
                # No wake-up before something can be due: it costs more than the look.
                await asyncio.sleep(max(WATCH_EVERY, ASK_AFTER - quiet))
                now = loop.time()
                quiet = now - session.last_heard
                if quiet < ASK_AFTER:
                    if now - began > SETTLED_SECONDS:
                        self._attempt = 0
                elif asked is None or asked.done():
                    asked_at = now
                    asked = asyncio.create_task(self._ask(session), name=f"ask {self.name}")
                elif now - max(asked_at, session.last_heard) > DEAD_AFTER:
                    return f"no answer for {quiet:.1f} s"
        finally:
            if asked is not None:
                asked.cancel()

    async def _ask(self, session: Session) -> None:
        try:
            await session.read_status()
        except (TimeoutError, ConnectionError) as error:
            log.debug("%s: status not read: %s", self.name, error)

    async def _watch_clock(self, session: Session) -> str:
        """The server's own clock must move: a server can answer and be dead behind."""
        before = 0
        stuck = 0
        while True:
            try:
                status = await session.read_status()
            except (TimeoutError, ConnectionError) as error:
                log.debug("%s: clock not read: %s", self.name, error)
            else:
                stuck = stuck + 1 if status.current_time == before else 0
                before = status.current_time
                self._note_clock(before - unix_to_ticks(time.time()))
                self.service_level = status.service_level
                if stuck >= CLOCK_STUCK_READS:
                    self._report(Reason.SERVER_CLOCK_STUCK, Severity.HIGH)
                    return "its clock stands still"
            await asyncio.sleep(CLOCK_EVERY)

    def _note_clock(self, difference_ticks: int) -> None:
        """The clock as read is never ahead of the clock as it is: the largest is the nearest.

        What was read before either clock was set says nothing about now.
        """
        if self._differences and difference_ticks < max(self._differences) - CLOCK_STEP_TICKS:
            self._differences.clear()
        self._differences.append(difference_ticks)
        nearest = max(self._differences)
        self.clock_offset_ticks = nearest if abs(nearest) > CLOCK_TOLERANCE_TICKS else 0

    def _enter(self, state: ServerState, reason: str) -> None:
        if state is not self.state:
            self.since = datetime.now(UTC)
        self.state = state
        self.reason = reason

    def _report_failure(self, reason: Reason, why: str) -> None:
        """A message that begins with the server is a sentence of its own; nothing is said twice."""
        is_whole = why.startswith((f"{self.name} ", f"the certificate of {self.name}"))
        if is_whole and reason is not Reason.SERVER_QUARANTINED:
            self._say(reason, Severity.HIGH, why)
        else:
            self._report(reason, Severity.HIGH, why=why, seconds=int(QUARANTINE))

    def _report(self, reason: Reason, severity: Severity, **blanks: object) -> None:
        self._say(reason, severity, reason.sentence(server=self.name, **blanks))

    def _say(self, reason: Reason, severity: Severity, sentence: str) -> None:
        log.info(sentence)
        emit(EventKind.SERVER, reason.name, severity, self.name, sentence)
