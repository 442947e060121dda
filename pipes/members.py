"""The members of a redundant server: watch them, learn of more, open the one to be used.

`pipes.core.server_set` decides; this module looks, connects and remembers why. A connection has a
`Members` if its server is a set; without one it has exactly one address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pipes.core.choices import ServerSetMode
from pipes.core.server_set import MemberState, Move, Rules, ServerSet
from pipes.core.wanted import Server
from pipes.opcua.errors import ConnectFailed, FailureKind
from pipes.opcua.server_sets import learn_members, read_service_level
from pipes.opcua.session import Session
from pipes.spares import OpenSession, Spares

log = logging.getLogger(__name__)

MOST_MEMBERS: Final = 16
#: How long a member that does not let this station in is left alone, in seconds.
_RESTS: Final = {
    FailureKind.REJECTED_CERTIFICATE: 15.0,
    FailureKind.REJECTED_LOGIN: 15.0,
    FailureKind.SECURITY: 15.0,
    FailureKind.QUARANTINE: 60.0,
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the member in use and a standing session are asked, how often the others of a
    warm set are visited, and how long until what was not learned is asked for again, in seconds.
    """

    ask_every: float = 1.0
    visit_every: float = 5.0
    learn_every: float = 30.0


@dataclass(frozen=True, slots=True)
class _Failure:
    failure: ConnectFailed
    retry_at: float


class Members:
    """``on_ready`` is called when no member is in use and one is found that can be; ``on_edge``
    with each sentence about a member that a person should know.
    """

    def __init__(
        self,
        server: Server,
        open_session: OpenSession,
        *,
        on_ready: Callable[[], None],
        on_edge: Callable[[str], None],
        rules: Rules | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._server = server
        self._spares = Spares(server, open_session, self._is_taken)
        self._on_ready = on_ready
        self._on_edge = on_edge
        self._pace = pace or Pace()
        self._set = ServerSet((server.endpoint, *server.server_set.endpoints), rules)
        self._session: Session | None = None  # the one in use
        self._opening = ""
        self._target: Move | None = None
        self._left = ""  # why the former member was left
        self._before = ""  # the same, with the member
        self._moves: asyncio.Future[Move] | None = None
        self._failures: dict[str, _Failure] = {}
        self._said: dict[str, str] = {}
        self._uris: dict[str, str] = {}  # endpoints by ApplicationUri
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def endpoint(self) -> str:
        """The member in use, or the last one that was."""
        return self._set.current or self._server.endpoint

    @property
    def left(self) -> str:
        """Why the member before the present one is not used any more; empty at the first."""
        return self._left

    def sentence(self) -> str:
        """Which member is used and why, and what is known of the others."""
        parts = [f"uses {self.endpoint}, which {self._set.describe(self.endpoint)}"]
        parts += [
            f"{endpoint} {self._set.describe(endpoint)}"
            for endpoint in self._set.endpoints
            if endpoint != self.endpoint
        ]
        if self._before:
            parts.append(f"before: {self._before}")
        return "; ".join(parts)

    def states(self) -> tuple[MemberState, ...]:
        """What is known of each member; of one that cannot be used why."""
        return self._set.states(
            in_use=self._set.current if self._session is not None else None,
            reasons={endpoint: each.failure.message for endpoint, each in self._failures.items()},
        )

    async def stop(self) -> None:
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        await self._spares.close()

    # -- the member in use ----------------------------------------------------------------------

    async def open(self, on_lost: Callable[[str], None]) -> Session:
        """A session on the best member that lets this station in.

        Raises:
            ConnectFailed: none does; the message says of each of them why.
        """
        self._start()
        target, self._target = self._target, None
        order = self._set.order(_now())
        if target is not None:
            order.sort(key=lambda endpoint: endpoint != target.endpoint)
        for endpoint in order:
            if self._rests(endpoint):
                continue
            self._opening = endpoint
            try:
                session, level = await self._spares.take(endpoint, on_lost)
            except ConnectFailed as failure:
                self._failed(endpoint, failure)
                continue
            finally:
                self._opening = ""
            self._enter(endpoint, session, level)
            return session
        raise self._no_member()

    def _enter(self, endpoint: str, session: Session, level: int | None) -> None:
        self._session = session
        self._moves = asyncio.get_running_loop().create_future()
        self._failures.pop(endpoint, None)
        self._set.see(endpoint, _now(), level=level)
        self._set.use(endpoint, _now())
        if self._server.server_set.mode is ServerSetMode.AUTO:
            self._spawn("learning", self._learn(session, endpoint))

    async def moves(self) -> str:
        """Wait until another member is to be used; returns why. `is_moving` is true from then."""
        assert self._moves is not None, "a member is in use"  # noqa: S101 - of `open`
        self._target = await self._moves
        return f"moves to {self._target.endpoint}: {self._target.why}"

    @property
    def is_moving(self) -> bool:
        return self._target is not None

    def leave(self, why: str, *, is_hostile: bool = False) -> None:
        """The session on the member in use is over."""
        self._session = None
        self._moves = None
        if self._target is not None:
            self._left = self._before = self._target.why
            return
        self._left, self._before = why, f"{self.endpoint}: {why}"
        kind = FailureKind.QUARANTINE if is_hostile else FailureKind.UNREACHABLE
        self._failed(self.endpoint, ConnectFailed(kind, why))

    def is_ready(self) -> bool:
        """Whether there is a member that can be tried without a pause."""
        return any(
            self._set.is_reachable(endpoint) and not self._rests(endpoint)
            for endpoint in self._set.endpoints
        )

    def retry_now(self) -> None:
        """What refused this station may let it in now."""
        self._failures.clear()

    def _rests(self, endpoint: str) -> bool:
        found = self._failures.get(endpoint)
        return found is not None and _now() < found.retry_at

    def _failed(self, endpoint: str, failure: ConnectFailed) -> None:
        rest = _RESTS.get(failure.kind, 0.0)
        self._failures[endpoint] = _Failure(failure, _now() + rest)
        self._set.miss(endpoint, _now())

    def _no_member(self) -> ConnectFailed:
        failures = {
            endpoint: self._failures[endpoint].failure
            for endpoint in self._set.endpoints
            if endpoint in self._failures
        }
        kinds = {failure.kind for failure in failures.values()}
        told = "; ".join(f"{endpoint}: {each.message}" for endpoint, each in failures.items())
        return ConnectFailed(
            kinds.pop() if len(kinds) == 1 else FailureKind.UNREACHABLE,
            f"{self._server.name} has no member that can be used: {told}",
        )

    # -- looking at all of them -----------------------------------------------------------------

    def _start(self) -> None:
        for endpoint in self._set.endpoints:
            if endpoint not in self._tasks:
                self._spawn(endpoint, self._follow(endpoint))

    def _spawn(self, key: str, doing: Awaitable[None]) -> None:
        former = self._tasks.pop(key, None)
        if former is not None:
            former.cancel()
        task = asyncio.ensure_future(doing)
        task.set_name(f"{key} of {self._server.name}")
        self._tasks[key] = task

    async def _follow(self, endpoint: str) -> None:
        while True:
            await asyncio.sleep(self._every(endpoint))
            if endpoint == self._opening or self._rests(endpoint):
                continue
            try:
                await self._look(endpoint)
            except Exception:
                log.exception("%s: member %s was not looked at", self._server.name, endpoint)
            self._judge()

    def _every(self, endpoint: str) -> float:
        is_asked = self._is_used(endpoint) or self._spares.is_kept(endpoint)
        return self._pace.ask_every if is_asked else self._pace.visit_every

    def _is_used(self, endpoint: str) -> bool:
        return self._session is not None and endpoint == self._set.current

    def _is_taken(self, endpoint: str) -> bool:
        return endpoint == self._opening or self._is_used(endpoint)

    async def _look(self, endpoint: str) -> None:
        session = self._session
        if session is not None and self._is_used(endpoint):
            await self._ask_used(session, endpoint)
            return
        try:
            level = await self._spares.ask(endpoint)
        except ConnectFailed as failure:
            if not self._is_used(endpoint):
                self._failed(endpoint, failure)
                self._say(endpoint, "lost", f"member {endpoint} cannot be used: {failure.message}")
            return
        if not self._is_used(endpoint):
            self._failures.pop(endpoint, None)
            self._set.see(endpoint, _now(), level=level)
            self._say(endpoint, "", f"member {endpoint} {self._set.describe(endpoint)} again")
            if self._session is None:
                self._on_ready()

    async def _ask_used(self, session: Session, endpoint: str) -> None:
        """A member in use that does not answer is for the connection's watchdogs to judge."""
        try:
            level = await read_service_level(session)
        except (ConnectionError, TimeoutError) as error:
            log.debug("%s: ServiceLevel not read: %s", self._server.name, error)
            return
        if session is self._session:
            self._set.see(endpoint, _now(), level=level)
            self._said.pop(endpoint, None)

    def _judge(self) -> None:
        if self._moves is None or self._moves.done():
            return
        move = self._set.move(_now())
        if move is not None and not self._rests(move.endpoint):
            self._moves.set_result(move)

    def _say(self, endpoint: str, state: str, sentence: str) -> None:
        """Tell an edge once; that a member is there is told only if it was said to be away."""
        if self._said.get(endpoint, "") != state:
            self._said[endpoint] = state
            self._on_edge(sentence)

    # -- learning the others of ``auto`` --------------------------------------------------------

    async def _learn(self, session: Session, endpoint: str) -> None:
        """Until every member that the server names has an address."""
        is_known = await self._learn_once(session, endpoint)
        while not is_known and session is self._session:
            await asyncio.sleep(self._pace.learn_every)
            is_known = await self._learn_once(session, endpoint)

    async def _learn_once(self, session: Session, endpoint: str) -> bool:
        try:
            found = await learn_members(
                session, self._server.name, endpoint, self._uris, self._set.endpoints
            )
        except (ConnectFailed, ConnectionError, TimeoutError) as error:
            if session is not self._session:
                return False
            what = str(error) or "no answer in time"
            self._say("", "unknown", f"the members were not learned from {endpoint}: {what}")
            return False
        if found:
            self._said.pop("", None)
        else:
            self._say("", "none", f"{endpoint} names no redundant servers (ServerUriArray)")
        for uri, address in found.items():
            self._add(uri, address)
        return all(found.values())

    def _add(self, uri: str, endpoint: str) -> None:
        if not endpoint:
            self._say(uri, "lost", f"member {uri} has no address: FindServers does not know it")
            return
        if endpoint not in self._set.endpoints and len(self._set.endpoints) >= MOST_MEMBERS:
            self._say(uri, "many", f"member {uri} is left out: a set has at most {MOST_MEMBERS}")
            return
        self._uris[uri] = endpoint
        self._say(uri, "", f"member {uri} has the address {endpoint} now")
        self._set.add(endpoint)
        self._start()


def _now() -> float:
    return asyncio.get_running_loop().time()
