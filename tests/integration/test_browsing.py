"""Browses of large address spaces in the background, on servers with limits and faults."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipes import browsing as browsing_module
from pipes.browse_cache import BrowseCache, CacheError
from pipes.browse_writer import CacheWriter
from pipes.browsing import Browsing
from pipes.core.wanted import Server
from pipes.opcua import crawl
from pipes.pki import Pki
from redundancy.command import CommandError
from tests.servers.clients import APPLICATION_URI, server_of
from tests.servers.harness import ServerProcess, running

#: 100,000 for the acceptance of large servers.
NODES = int(os.environ.get("BROWSE_NODES", "5000"))
PREFIX = "nsu=urn:test:plant;s="
OVER = {"done", "failed", "cancelled"}


class Host:
    """What `Browsing` needs of a pipe host."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder / "browse"
        self.servers: dict[str, Server] = {server.name: server}
        self.browsing = Browsing(
            self.folder, Pki(folder), APPLICATION_URI, lambda: self.servers, lambda _name: None
        )

    async def ask(self, what: str, **params: Any) -> Any:
        return await self.browsing.handlers[f"browse_{what}"]({"server": "A", **params})

    async def start(self, node: str = "i=85", max_nodes: int = 1_000_000) -> Any:
        return await self.ask("start", node=node, max_nodes=max_nodes)

    async def state(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (await self.ask("state"))["browse"]
        return found

    async def until(self, condition: Any, seconds: float = 60.0) -> Mapping[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            state = await self.state()
            if condition(state):
                return state
            assert time.monotonic() < deadline, state
            await asyncio.sleep(0.02)

    async def end(self, seconds: float = 60.0) -> Mapping[str, Any]:
        return await self.until(lambda state: state["state"] in OVER, seconds)

    @contextmanager
    def cache(self) -> Iterator[BrowseCache]:
        with BrowseCache(self.folder, "A", self.servers["A"].endpoint) as cache:
            yield cache


@asynccontextmanager
async def host_of(process: ServerProcess, folder: Path) -> Any:
    host = Host(folder, server_of(process))
    try:
        yield host
    finally:
        await host.browsing.close()


def leaves(cache: BrowseCache) -> int:
    root = cache.find("i=85")
    assert root is not None
    return sum(row.is_leaf for _, row in cache.walk(root.id))


async def test_an_address_space_with_loops_is_browsed_whole_through_few_points(
    tmp_path: Path,
) -> None:
    with running("vast", "--nodes", str(NODES), "--points", "2") as process:
        async with host_of(process, tmp_path) as host:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began, cpu = time.monotonic(), time.process_time()
            await host.start()
            state = await host.end(600)
            took = time.monotonic() - began
            spent = time.process_time() - cpu
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    print(f"{NODES} variables: {took:.1f} s, {spent:.1f} s of CPU, {grown:.1f} MB more")  # noqa: T201
    assert (state["state"], state["reason"]) == ("done", "")
    assert grown < 40
    with host.cache() as cache:
        assert leaves(cache) == NODES
        properties = -(-NODES // 500) * 50
        assert int(cache.meta["nodes"]) == NODES + properties + -(-NODES // 500) + 1
        variable = cache.find(f"{PREFIX}F1.V7")
        assert variable is not None
        assert (variable.name, variable.type, variable.data_type) == ("V7", "Double", "Double")
        assert (variable.rank, variable.access, variable.is_leaf) == (-1, 3, True)
        parent = cache.find(f"{PREFIX}F1.V10")
        assert parent is not None
        assert (parent.has_children, parent.is_leaf) == (True, True)


async def test_a_folder_whose_point_was_forgotten_is_browsed_again(tmp_path: Path) -> None:
    with running("vast", "--nodes", "3000", "--per-folder", "1000", "--forget", "7") as process:
        async with host_of(process, tmp_path) as host:
            await host.start()
            state = await host.end()

    assert state["state"] == "done", state
    assert state["resumed"] >= 1
    assert state["refused"] == 0
    with host.cache() as cache:
        assert leaves(cache) == 3000


async def test_a_browse_goes_on_after_the_server_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing_module, "TRY_EVERY", 0.05)
    arguments = ("--nodes", "2000", "--delay-ms", "3")
    with running("vast", *arguments) as first:
        async with host_of(first, tmp_path) as host:
            await host.start()
            await host.until(lambda state: state["nodes"] > 700)
            first.kill()
            waiting = await host.until(lambda state: state["state"] == "waiting")
            with running("vast", *arguments, "--port", str(first.port)):
                state = await host.end()

    assert waiting["reason"]
    assert (state["state"], state["sessions"]) == ("done", 2)
    with host.cache() as cache:
        assert leaves(cache) == 2000
        known_start = int(cache.meta["start_time"])
    assert known_start > 0, "of the server that it began with: the newer one shows as restarted"


async def test_a_server_that_stays_away_ends_the_browse_and_leaves_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing_module, "TRY_EVERY", 0.05)
    monkeypatch.setattr(browsing_module, "PATIENCE", 0.5)
    with running("vast", "--nodes", "500", "--delay-ms", "2") as process:
        async with host_of(process, tmp_path) as host:
            await host.start()
            assert (await host.end())["state"] == "done"
            await host.start()
            await host.until(lambda state: state["nodes"] > 100)
            process.kill()
            state = await host.end()

    assert state["state"] == "failed"
    assert "was away" in state["reason"]
    with host.cache() as cache:
        assert leaves(cache) == 500


async def test_a_cancelled_browse_leaves_nothing_behind(tmp_path: Path) -> None:
    with running("vast", "--nodes", "5000", "--delay-ms", "2") as process:
        async with host_of(process, tmp_path) as host:
            await host.start()
            await host.until(lambda state: state["nodes"] > 300)
            state = await host.ask("cancel")
            left = list(host.folder.glob("*.part"))
            again = await host.start()

    assert state["state"] == "cancelled"
    assert left == []
    assert again["state"] == "waiting", "the lock is free"
    with pytest.raises(CacheError, match="not browsed yet"), host.cache():
        pass


async def test_more_nodes_than_allowed_end_the_browse_with_the_limit_in_the_words(
    tmp_path: Path,
) -> None:
    with running("vast", "--nodes", "2000") as process:
        async with host_of(process, tmp_path) as host:
            await host.start(max_nodes=700)
            state = await host.end()

    assert state["state"] == "failed"
    assert "more than 700 nodes" in state["reason"]
    assert "max_nodes" in state["reason"]


async def test_only_one_browse_of_a_server_at_a_time(tmp_path: Path) -> None:
    with running("vast", "--nodes", "2000", "--delay-ms", "2") as process:
        async with host_of(process, tmp_path) as host:
            await host.start()
            with pytest.raises(CommandError, match="browsed by another"):
                await host.start()
            await host.ask("cancel")
            other = CacheWriter(host.folder, "a")
            with pytest.raises(CommandError, match="browsed by another"):
                await host.start()
            other.abandon()


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ("ns=2;s=Nowhere", "BadNodeIdUnknown"),
        ("nsu=urn:not:here;s=X", "urn:not:here"),
    ],
)
async def test_a_start_that_is_not_there_is_named(tmp_path: Path, node: str, words: str) -> None:
    with running("vast") as process:
        async with host_of(process, tmp_path) as host:
            await host.start(node=node)
            state = await host.end()

    assert state["state"] == "failed"
    assert words in state["reason"]


async def test_a_server_that_is_another_one_now_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsing_module, "TRY_EVERY", 0.05)
    with running("vast", "--nodes", "3000", "--delay-ms", "2") as process:
        async with host_of(process, tmp_path) as host:
            await host.start()
            await host.until(lambda state: state["nodes"] > 300)
            host.servers["A"] = replace(host.servers["A"], endpoint="opc.tcp://127.0.0.1:1")
            process.kill()
            state = await host.end()

    assert state["state"] == "failed"
    assert "another endpoint" in state["reason"]


@pytest.mark.parametrize("how", ["repeating_point", "endless_pages"])
async def test_pages_without_an_end_are_given_up(tmp_path: Path, how: str) -> None:
    with running("hostile", "--how", how) as process:
        async with host_of(process, tmp_path) as host:
            await host.start(max_nodes=300)
            state = await host.end()

    assert state["state"] in {"done", "failed"}
    assert state["refusals"] or "more than 300 nodes" in state["reason"]


@pytest.mark.parametrize("kind", ["plant", pytest.param("foreign", marks=pytest.mark.node)])
async def test_servers_of_two_makers_are_browsed_with_their_types(
    tmp_path: Path, kind: str
) -> None:
    with running(kind, "--items", "600", "--types") as process:
        async with host_of(process, tmp_path) as host:
            await host.start()
            state = await host.end()

    assert state["state"] == "done", state
    with host.cache() as cache:
        rows = {
            name: cache.find(f"{PREFIX}{name}")
            for name in ("T000599", "Scalar.String", "Array.Int32", "Enum", "ReadOnly", "Duration")
        }
    shown = {
        name: (row.type, row.data_type, row.rank, row.access) for name, row in rows.items() if row
    }
    assert shown["T000599"] == ("Double", "Double", -1, 3)
    assert shown["Scalar.String"][:2] == ("String", "String")
    assert shown["Array.Int32"][:2] == ("Int32", "Int32")
    assert shown["Array.Int32"][2] in {0, 1}, "asyncua says: one or more dimensions"
    assert shown["Enum"][:2] == ("Int32", "ServerState")
    assert shown["Duration"][:2] == ("Double", "Duration")
    assert shown["ReadOnly"][3] == 1


async def test_a_server_that_takes_few_nodes_in_a_call_gets_few(tmp_path: Path) -> None:
    with running("foreign", "--items", "300", "--max-operations", "7") as process:
        async with host_of(process, tmp_path) as host:
            await host.start(node=f"{PREFIX}Area00")
            state = await host.end()

    assert (state["state"], state["nodes"], state["refused"]) == ("done", 301, 0)


def test_the_pieces_of_a_crawl_stay_small() -> None:
    """What one answer can hold the loop up for; a change here changes the transfer's latency."""
    assert crawl.PAGE_SIZE <= 200
    assert crawl.MOST_VARIABLES * crawl.BELOW_A_VARIABLE <= 2000
