"""Browses in the background: at most one for each server, in the pipe host that is asked.

Started, asked for and cancelled over the host's socket. A browse uses the session of the pipes if
there is one, else one of its own; it outlives sessions and changes of the configuration, as long
as the server stays the one that it is.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipes.browse_writer import BusyError, CacheWriter, Found, forget_others
from pipes.core.node_ids import NodeIdError, to_uri_form
from pipes.core.wanted import Server
from pipes.opcua.crawl import Crawl, TooManyNodes
from pipes.opcua.session import ConnectFailed, FailureKind, Session
from pipes.pki import Pki
from redundancy.command import CommandError, Handler

log = logging.getLogger(__name__)

#: Seconds without a session after which a browse is given up, and between two tries.
PATIENCE: Final = 90.0
TRY_EVERY: Final = 1.0
MOST_AT_ONCE: Final = 2
#: The cache of a server that nobody knows goes when it is so old: another worker may know more.
STRANGERS_SECONDS: Final = 3600.0
_FINAL: Final = frozenset(
    (FailureKind.REJECTED_CERTIFICATE, FailureKind.REJECTED_LOGIN, FailureKind.SECURITY)
)
_OBJECT: Final = 1

SessionOf = Callable[[str], Session | None]


class GivenUp(Exception):  # noqa: N818 - an outcome; the text is its reason
    """The browse cannot be brought to its end."""


class Browse:
    """One browse of one server. States: waiting, running, done, failed, cancelled."""

    def __init__(self, server: Server, node: str, most_nodes: int, writer: CacheWriter) -> None:
        self.server = server
        self.node = node
        self.most_nodes = most_nodes
        self.state = "waiting"
        self.reason = ""
        self.writer = writer
        self.crawl = Crawl(writer, most_nodes)
        self.sessions = 0
        self.start_time = 0
        self.namespaces: tuple[str, ...] = ()
        self.started_at = datetime.now(UTC)
        self._began = time.monotonic()
        self._seconds: float | None = None

    @property
    def is_over(self) -> bool:
        return self.state in {"done", "failed", "cancelled"}

    def end(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        self._seconds = time.monotonic() - self._began

    def body(self) -> dict[str, Any]:
        seconds = time.monotonic() - self._began if self._seconds is None else self._seconds
        writer = self.writer
        return {
            "state": self.state,
            "reason": self.reason,
            "node": self.node,
            "max_nodes": self.most_nodes,
            "nodes": writer.nodes,
            "browsed": writer.browsed,
            "refused": writer.refused,
            "refusals": list(self.crawl.refusals),
            "resumed": self.crawl.resumed,
            "sessions": self.sessions,
            "started_at": self.started_at.isoformat().replace("+00:00", "Z"),
            "seconds": round(seconds, 1),
        }


class Browsing:
    def __init__(
        self,
        folder: Path,
        pki: Pki,
        application_uri: str,
        servers: Callable[[], Mapping[str, Server]],
        session_of: SessionOf,
    ) -> None:
        self._folder = folder
        self._pki = pki
        self._application_uri = application_uri
        self._servers = servers
        self._session_of = session_of
        self._browses: dict[str, Browse] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "browse_start": self._start,
            "browse_cancel": self._cancel,
            "browse_state": self._state,
        }

    async def close(self) -> None:
        """Cancel what is under way; the caches of before stay."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # --- commands ---

    async def _start(self, params: dict[str, Any]) -> dict[str, Any]:
        """``server``, ``node`` (NodeId text), ``max_nodes``."""
        server = self._server(str(params["server"]))
        if len(self._running()) >= MOST_AT_ONCE:
            names = ", ".join(self._running())
            raise CommandError("busy", f"{names} are being browsed here; wait, or cancel one")
        try:
            writer = await asyncio.to_thread(self._new_cache, server.name)
        except BusyError as error:
            raise CommandError("browsing", str(error)) from error
        except (OSError, sqlite3.Error) as error:
            raise CommandError("disk", f"the browse cache cannot be written: {error}") from error
        browse = Browse(server, str(params["node"]), int(params["max_nodes"]), writer)
        self._browses[server.name] = browse
        task = asyncio.create_task(self._run(browse), name=f"browse {server.name}")
        self._tasks[server.name] = task
        task.add_done_callback(lambda done: self._done(server.name, done))
        return browse.body()

    async def _cancel(self, params: dict[str, Any]) -> dict[str, Any] | None:
        name = str(params["server"])
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=5.0)
        browse = self._browses.get(name)
        return None if browse is None else browse.body()

    async def _state(self, params: dict[str, Any]) -> dict[str, Any]:
        """The last browse of ``server`` here, and since when the server runs, if it is known."""
        name = str(params["server"])
        known = self._servers()
        self._browses = {each: one for each, one in self._browses.items() if each in known}
        browse, session = self._browses.get(name), self._session_of(name)
        return {
            "browse": None if browse is None else browse.body(),
            "connected": session is not None,
            "start_time": None if session is None else session.start_time,
        }

    def _new_cache(self, name: str) -> CacheWriter:
        writer = CacheWriter(self._folder, name)
        forget_others(self._folder, self._servers(), time.time() - STRANGERS_SECONDS)
        return writer

    def _running(self) -> list[str]:
        return [name for name, task in self._tasks.items() if not task.done()]

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]

    def _server(self, name: str) -> Server:
        found = self._servers().get(name)
        if found is None:
            raise CommandError("not_found", f"this worker knows no server {name!r} yet")
        return found

    # --- one browse ---

    async def _run(self, browse: Browse) -> None:
        state, reason = "cancelled", "cancelled"
        try:
            state, reason = await self._outcome(browse)
        finally:
            # A call that was cancelled goes on in its thread: waiting for it is a thread's work.
            await asyncio.to_thread(browse.writer.abandon)
            browse.end(state, reason)
            log.info("browse of %s: %s %s", browse.server.name, state, reason)

    async def _outcome(self, browse: Browse) -> tuple[str, str]:
        try:
            await self._browse(browse)
            await self._finish(browse)
        except TooManyNodes:
            reason = (
                f"more than {browse.most_nodes} nodes below {browse.node}; browse a node further"
                " down, or allow more with max_nodes"
            )
        except (GivenUp, NodeIdError) as error:
            reason = str(error)
        except (OSError, sqlite3.Error) as error:
            reason = f"the browse cache cannot be written: {error}"
        except Exception as error:  # whatever it is, it is this browse's alone
            log.exception("browsing %s failed unexpectedly", browse.server.name)
            reason = f"an internal error: {error!r}"
        else:
            return "done", ""
        return "failed", reason

    async def _browse(self, browse: Browse) -> None:
        """With one session after the other, until nothing is left to browse."""
        heard = time.monotonic()
        known = -1
        while True:
            try:
                if await self._with_a_session(browse):
                    return
            except (ConnectionError, TimeoutError, ConnectFailed) as error:
                if isinstance(error, ConnectFailed) and error.kind in _FINAL:
                    raise GivenUp(error.message) from error
                browse.reason = str(error)
            now = time.monotonic()
            if browse.writer.progress != known:
                known, heard = browse.writer.progress, now
            if now - heard > PATIENCE:
                raise GivenUp(f"{browse.server.name} was away for {PATIENCE:g} s: {browse.reason}")
            browse.state = "waiting"
            await asyncio.sleep(TRY_EVERY)

    async def _with_a_session(self, browse: Browse) -> bool:
        self._check_same(browse)
        session = self._session_of(browse.server.name)
        if session is not None:
            await self._crawl(browse, session)
            return True
        own = await Session.open(
            browse.server,
            self._pki,
            application_uri=self._application_uri,
            on_lost=lambda _why: None,
        )
        try:
            await self._crawl(browse, own)
        except ConnectionError:
            own.abort()
            raise
        finally:
            await own.close()
        return True

    def _check_same(self, browse: Browse) -> None:
        present = self._servers().get(browse.server.name)
        if present is None or present.endpoint != browse.server.endpoint:
            raise GivenUp(f"{browse.server.name} has another endpoint now, or is gone")
        browse.server = present

    async def _crawl(self, browse: Browse, session: Session) -> None:
        if not browse.sessions:
            browse.node = to_uri_form(browse.node, session.namespaces)
            root = Found(browse.node, 0, "", "", _OBJECT, is_property=False)
            await asyncio.to_thread(browse.writer.begin, root)
            # A server that restarts on the way leaves a cache that knows it is older.
            browse.start_time = session.start_time
        browse.sessions += 1
        browse.state, browse.reason = "running", ""
        await browse.crawl.run(session)
        browse.namespaces = session.namespaces

    async def _finish(self, browse: Browse) -> None:
        if browse.writer.nodes == browse.writer.refused:
            raise GivenUp(f"the server does not let it be browsed: {browse.crawl.refusals[0]}")
        meta = {
            "server": browse.server.name,
            "endpoint": browse.server.endpoint,
            "node": browse.node,
            "namespaces": "\n".join(browse.namespaces),
            "start_time": str(browse.start_time),
            "browsed_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "seconds": str(browse.body()["seconds"]),
        }
        await asyncio.to_thread(browse.writer.finish, meta)
