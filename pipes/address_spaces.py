"""The servers' address spaces as web sees them: browses in the background, and their caches.

The pipe hosts browse and write the caches; web asks the hosts and reads the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from pipes.browse_cache import BrowseCache, CacheError, Row
from pipes.core.matching import CAN_READ, CAN_WRITE
from pipes.core.node_classes import node_class_name
from pipes.core.node_ids import NodeIdError, to_uri_form
from pipes.models import Server
from pipes.refusals import Conflict, Unavailable
from redundancy.command import CommandError, CommandUnavailable, call

OBJECTS: Final = "i=85"
ASK_SECONDS: Final = 1.0
START_SECONDS: Final = 5.0
CANCEL_SECONDS: Final = 8.0
DEEPEST: Final = 64
_NEVER: Final[Mapping[str, Any]] = {
    "state": "none",
    "reason": "",
    "node": None,
    "max_nodes": None,
    "nodes": 0,
    "browsed": 0,
    "refused": 0,
    "refusals": [],
    "resumed": 0,
    "sessions": 0,
    "started_at": None,
    "seconds": None,
}


class NotInCache(Exception):  # noqa: N818 - turned into a refusal that names the field
    """The node was not there when the server was browsed; the text says where and when."""


@dataclass(frozen=True, slots=True)
class _Host:
    socket: Path
    browse: Mapping[str, Any] | None
    connected: bool
    start_time: int | None


def state(server: Server) -> dict[str, Any]:
    """The browse that runs or ran last, and ``cache``: what the present cache is, or None."""
    hosts = _hosts(server)
    return _body(server, hosts)


def start(server: Server, node: str, most_nodes: int) -> dict[str, Any]:
    """Begin to browse; by the host that has a session on the server, if there is one.

    Raises:
        Conflict: it is browsed already.
        Unavailable: no pipe worker answers, or none has the server yet.
    """
    hosts = _hosts(server)
    if not hosts:
        raise Unavailable("no pipe worker answers, so nothing can be browsed; try again")
    if any(_is_running(host) for host in hosts):
        raise Conflict("browsing", f"{server.name} is being browsed; cancel that first, or wait")
    chosen = max(hosts, key=lambda host: host.connected)
    params = {"server": server.name, "node": node, "max_nodes": most_nodes}
    try:
        call(chosen.socket, "browse_start", params, timeout=START_SECONDS)
    except CommandUnavailable as error:
        raise Unavailable(f"the pipe worker did not answer: {error}") from error
    except CommandError as error:
        if error.code == "not_found":
            raise Unavailable(error.message) from error
        raise Conflict(error.code, error.message) from error
    return state(server)


def cancel(server: Server) -> dict[str, Any]:
    """End the browse that runs, if one does; the cache of before stays."""
    for host in _hosts(server):
        if _is_running(host):
            try:
                call(host.socket, "browse_cancel", {"server": server.name}, timeout=CANCEL_SECONDS)
            except (CommandError, CommandUnavailable) as error:
                raise Unavailable(f"the pipe worker did not cancel it: {error}") from error
    return state(server)


@contextmanager
def cache_of(server: Server) -> Iterator[BrowseCache]:
    """The cache of a server, as it is now.

    Raises:
        Conflict: there is none that can be used (``no_browse_cache``).
    """
    try:
        with BrowseCache(settings.STATION.browse_folder, server.name, server.endpoint) as cache:
            yield cache
    except CacheError as error:
        hint = f"POST /api/v1/servers/{server.name}/browse/cache browses it"
        raise Conflict("no_browse_cache", f"{error}; {hint}") from error


def about(cache: BrowseCache) -> dict[str, Any]:
    """What a cache is: where it begins, how much it holds, how old it is."""
    meta = cache.meta
    age = datetime.now(UTC) - datetime.fromisoformat(meta["browsed_at"])
    return {
        "server": meta["server"],
        "node": meta["node"],
        "nodes": int(meta["nodes"]),
        "variables": int(meta["variables"]),
        "refused": int(meta["refused"]),
        "browsed_at": meta["browsed_at"],
        "age_seconds": max(0, round(age.total_seconds())),
        "seconds": float(meta["seconds"]),
    }


def find(cache: BrowseCache, node: str) -> Row:
    """The node of a NodeId text, with an index or a URI.

    Raises:
        NotInCache: it is none of this cache.
    """
    meta = cache.meta
    text = node or meta["node"]
    try:
        text = to_uri_form(text, meta["namespaces"].split("\n"))
        row = cache.find(text)
    except NodeIdError as error:
        raise NotInCache(f"is no node of {meta['server']}: {error}") from error
    if row is None:
        raise NotInCache(
            f"was not there when {meta['server']} was browsed below {meta['node']} at"
            f" {meta['browsed_at']}; browse it again"
        )
    return row


def page(
    cache: BrowseCache, node: str, depth: int, search: str, limit: int, continuation: str
) -> dict[str, Any]:
    """As a browse of the server itself, without values; ``cache`` tells of the cache.

    Raises:
        NotInCache: the node is none of this cache.
    """
    root = find(cache, node)
    after = int(continuation or 0)
    if depth == 1 and not search:
        rows = cache.children(root.id, after, limit + 1)
    else:
        rows = cache.search(root.id, depth, search, after, limit + 1)
    return {
        "node": root.node_id,
        "results": [_row_body(row) for row in rows[:limit]],
        "continuation": str(rows[limit - 1].id) if len(rows) > limit else None,
        "cache": about(cache),
    }


def _row_body(row: Row) -> dict[str, Any]:
    letters = (CAN_READ, "r"), (CAN_WRITE, "w")
    return {
        "node_id": row.node_id,
        "browse_name": f"{row.space}:{row.name}" if row.space else row.name,
        "display_name": row.shown,
        "node_class": node_class_name(row.node_class),
        "data_type": row.data_type,
        "value_rank": row.rank,
        "access": "".join(letter for bit, letter in letters if row.access & bit),
        "has_children": row.has_children,
    }


def _body(server: Server, hosts: Sequence[_Host]) -> dict[str, Any]:
    browses = [host.browse for host in hosts if host.browse is not None]
    running = [browse for browse in browses if browse["state"] in {"waiting", "running"}]
    latest = max(running or browses, key=lambda one: str(one["started_at"]), default=_NEVER)
    started = {host.start_time for host in hosts if host.start_time}
    try:
        with cache_of(server) as cache:
            shown: dict[str, Any] | None = about(cache)
            known = int(cache.meta["start_time"])
    except Conflict:
        shown, known = None, 0
    if shown is not None:
        # Other nodes may be there since; None: no worker has a session that could tell.
        shown["server_restarted"] = known not in started if started else None
    return {**latest, "cache": shown}


def _is_running(host: _Host) -> bool:
    return host.browse is not None and host.browse["state"] in {"waiting", "running"}


def _hosts(server: Server) -> list[_Host]:
    station = settings.STATION
    sockets = [station.host_socket(index) for index in range(1, station.pipe_workers + 1)]
    present = [socket for socket in sockets if socket.exists()]
    if not present:
        return []

    def ask(socket: Path) -> _Host | None:
        try:
            answer = call(socket, "browse_state", {"server": server.name}, timeout=ASK_SECONDS)
        except (CommandError, CommandUnavailable):
            return None
        return _Host(socket, answer["browse"], answer["connected"], answer["start_time"])

    with ThreadPoolExecutor(len(present), thread_name_prefix="ask-browse") as pool:
        return [host for host in pool.map(ask, present) if host is not None]
