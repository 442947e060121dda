"""Commands to a pipe worker: short, always with ``expires``, never retried.

A task runs in a thread of the worker and asks the host's loop. What it answers is the contract's
body, or ``{"error": {"status", "code", "message"}}`` for the problem that the web makes of it.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from celery import shared_task

from pipes import hosting
from pipes.core.node_ids import NodeIdError
from pipes.core.wanted import Server
from pipes.opcua.browse import browse as browse_address_space
from pipes.opcua.browse import read_nodes as read_node_values
from pipes.opcua.discovery import discover as discover_endpoints
from pipes.opcua.discovery import test_connection
from pipes.opcua.index_ranges import ignores_index_range
from pipes.opcua.node_facts import read_facts
from pipes.opcua.session import ConnectFailed, FailureKind, RequestFailed, Session

SECONDS: Final = 10.0

Body = dict[str, Any]


class UnknownServerError(LookupError):
    """The configuration that this worker has names no such server."""


@shared_task(name="pipes.poke", ignore_result=True, expires=10)
def poke(**_: object) -> None:
    """Look at the configuration now."""
    hosted = hosting.current()
    if hosted is not None:
        hosted.loop.run(_poke(hosted))


async def _poke(hosted: hosting.Hosted) -> None:
    hosted.host.poke()


@shared_task(name="pipes.test_server", expires=10)
def test_server(*, server: str, **_: object) -> Any:
    async def work(hosted: hosting.Hosted) -> Body:
        host = hosted.host
        return await test_connection(_server(hosted, server), host.pki, host.application_uri)

    return _run(work)


@shared_task(name="pipes.browse", expires=10)
def browse(
    *,
    server: str,
    node: str | None = None,
    depth: int = 1,
    search: str = "",
    limit: int = 1000,
    continuation: str | None = None,
    **_: object,
) -> Any:
    async def work(hosted: hosting.Hosted) -> Body:
        async with _session(hosted, server) as session:
            return await browse_address_space(session, node, depth, search, limit, continuation)

    return _run(work)


@shared_task(name="pipes.read_nodes", expires=10)
def read_nodes(*, server: str, nodes: list[str], **_: object) -> Any:
    async def work(hosted: hosting.Hosted) -> Any:
        async with _session(hosted, server) as session:
            return await read_node_values(session, nodes)

    return _run(work)


@shared_task(name="pipes.node_facts", expires=10)
def node_facts(
    *, server: str, nodes: list[str], with_range: list[str], with_part: bool = False, **_: object
) -> Any:
    """``with_part``: tell whether the server ignores an IndexRange, too."""

    async def work(hosted: hosting.Hosted) -> Body:
        endpoint = _server(hosted, server).endpoint
        async with _session(hosted, server) as session:
            found = await read_facts(session, nodes, frozenset(with_range))
            ignores = await ignores_index_range(session) if with_part else None
        rows = [facts.row() for facts in found]
        return {"endpoint": endpoint, "facts": rows, "ignores_index_range": ignores}

    return _run(work)


@shared_task(name="pipes.discover", expires=10)
def discover(*, url: str, **_: object) -> Any:
    async def work(_hosted: hosting.Hosted) -> Any:
        return await discover_endpoints(url)

    return _run(work)


def _run(work: Callable[[hosting.Hosted], Awaitable[Any]]) -> Any:
    hosted = hosting.current()
    if hosted is None:
        return _error(503, "worker_away", "no pipe host runs here")

    async def body() -> Any:
        return await work(hosted)

    future = hosted.loop.run(body())
    try:
        return future.result(timeout=SECONDS)
    except concurrent.futures.TimeoutError:
        future.cancel()
        return _error(504, "no_answer", f"no answer within {SECONDS:g} s")
    except (
        NodeIdError,
        RequestFailed,
        ConnectFailed,
        ConnectionError,
        UnknownServerError,
    ) as error:
        return _refusal(error)


def _refusal(error: Exception) -> Body:
    match error:
        case UnknownServerError():
            return _error(404, "not_found", str(error))
        case NodeIdError():
            return _error(400, "invalid_node", str(error))
        case RequestFailed():
            return _error(502, "server_refused", str(error))
        case ConnectFailed(kind=FailureKind.UNREACHABLE):
            return _error(504, "no_answer", error.message)
        case ConnectFailed():
            return _error(409, error.kind.value, error.message)
        case _:
            return _error(504, "connection_lost", str(error))


def _error(status: int, code: str, message: str) -> Body:
    return {"error": {"status": status, "code": code, "message": message}}


def _server(hosted: hosting.Hosted, name: str) -> Server:
    wanted = hosted.host.wanted.servers
    for server in wanted.values():
        if server.name.lower() == name.lower():
            return server
    raise UnknownServerError(f"this worker knows no server {name!r} yet")


@asynccontextmanager
async def _session(hosted: hosting.Hosted, name: str) -> AsyncIterator[Session]:
    """The session that pipes use already, else one of our own that ends with the command."""
    server = _server(hosted, name)
    host = hosted.host
    connection = host.connections.get(server.name)
    if connection is not None and connection.session is not None:
        yield connection.session
        return
    session = await Session.open(
        server, host.pki, application_uri=host.application_uri, on_lost=lambda _why: None
    )
    try:
        yield session
    finally:
        await session.close()
