"""The members of a redundant server that are not in use: visited (warm) or kept ready (hot)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pipes.core.choices import Failover
from pipes.core.wanted import Server
from pipes.opcua.errors import ConnectFailed, FailureKind
from pipes.opcua.server_sets import read_service_level
from pipes.opcua.session import Session

OpenSession = Callable[[Server, Callable[[str], None]], Awaitable[Session]]


class _Standing:
    """A session that is kept ready; whoever uses it says who is told of its loss."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.is_lost = False
        self.tell: Callable[[str], None] | None = None

    def lost(self, why: str) -> None:
        self.is_lost = True
        if self.tell is not None:
            self.tell(why)


class Spares:
    """``is_taken`` says of an endpoint whether it came into use, or is just being opened for it."""

    def __init__(
        self, server: Server, open_session: OpenSession, is_taken: Callable[[str], bool]
    ) -> None:
        self._server = server
        self._open_session = open_session
        self._is_taken = is_taken
        self._standing: dict[str, _Standing] = {}

    def is_kept(self, endpoint: str) -> bool:
        """Whether a session on this member stands ready."""
        return endpoint in self._standing

    async def take(
        self, endpoint: str, on_lost: Callable[[str], None]
    ) -> tuple[Session, int | None]:
        """A session for use, the one that stands ready if there is one, and its ServiceLevel.

        Raises:
            ConnectFailed: nothing of it is left.
        """
        standing = self._standing.pop(endpoint, None)
        if standing is not None and standing.session is not None and not standing.is_lost:
            standing.tell = on_lost
            session = standing.session
        else:
            session = await self._open(endpoint, on_lost)
        return session, await self._level_at_first(session)

    async def ask(self, endpoint: str) -> int | None:
        """The ServiceLevel of a member that is not in use; None if it has none.

        Raises:
            ConnectFailed: it is dead, or does not let this station in.
        """
        if self._server.server_set.failover is Failover.HOT:
            return await self._ask_standing(endpoint)
        session = await self._open(endpoint, _ignore)
        try:
            return await self._level_at_first(session)
        finally:
            await session.close()

    async def close(self) -> None:
        standing, self._standing = list(self._standing.values()), {}
        sessions = [each.session for each in standing if each.session is not None]
        await asyncio.gather(*(session.close() for session in sessions))

    async def _ask_standing(self, endpoint: str) -> int | None:
        standing = self._standing.get(endpoint)
        if standing is None or standing.is_lost:
            standing = _Standing()
            standing.session = await self._open(endpoint, standing.lost)
            if self._is_taken(endpoint):  # it came into use meanwhile
                await standing.session.close()
                return None
            self._standing[endpoint] = standing
        session = standing.session
        assert session is not None, "it was opened"  # noqa: S101
        try:
            return await read_service_level(session)
        except (ConnectionError, TimeoutError) as error:
            if self._standing.get(endpoint) is standing:  # else it is in use by now
                del self._standing[endpoint]
                session.abort()
            raise ConnectFailed(
                FailureKind.UNREACHABLE, f"it does not answer: {str(error) or 'no answer in time'}"
            ) from error

    async def _open(self, endpoint: str, on_lost: Callable[[str], None]) -> Session:
        return await self._open_session(replace(self._server, endpoint=endpoint), on_lost)

    async def _level_at_first(self, session: Session) -> int | None:
        """The ServiceLevel of a session that was just opened."""
        try:
            return await read_service_level(session)
        except (ConnectionError, TimeoutError) as error:
            session.abort()
            raise ConnectFailed(
                FailureKind.UNREACHABLE,
                f"{self._server.name} did not answer after the login: {error}",
            ) from error
        except BaseException:
            session.abort()
            raise


def _ignore(why: str) -> None:
    del why
