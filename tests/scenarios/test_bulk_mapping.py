"""Thousands of items by one rule, and address spaces browsed beside the transfer.

``BULK_ITEMS=10000`` and ``BROWSE_NODES=100000`` are the sizes of the acceptance; ``pytest -s``
shows what was measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.scenarios.plants import Plant
from tests.scenarios.stations import Station, server_body
from tests.scenarios.waiting import eventually

ITEMS = int(os.environ.get("BULK_ITEMS", "2000"))
NODES = int(os.environ.get("BROWSE_NODES", "10000"))
MOVING = [f"T{index:06}" for index in range(100)]
PERIOD = 0.1
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def source(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant(items=ITEMS)


@pytest.fixture(scope="module")
def target(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant("node", items=ITEMS)


@pytest.fixture(scope="module")
def big(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant("vast", nodes=NODES)


@pytest.fixture(scope="module")
def station(source: Plant, target: Plant, big: Plant, shared_station: Station) -> Station:
    servers = {"SRC": source, "TGT": target, "BIG": big}
    shared_station.put_configuration(
        {
            "servers": [server_body(name, plant) for name, plant in servers.items()],
            "pipes": [
                {"name": "P1", "source": "SRC", "target": "TGT", "publishing_interval_ms": 50}
            ],
        }
    )
    revision = shared_station.get("/configuration/revisions?limit=1")["results"][0]["revision"]
    eventually(
        lambda: shared_station.get("/station")["revision"]["applied"] >= revision,
        within=20,
        what="the hosts have the configuration",
    )
    return shared_station


def browse(station: Station, server: str, **body: Any) -> None:
    answer = station.api("POST", f"/servers/{server}/browse/cache", body)
    assert answer.status == 202, answer.json


def state(station: Station, server: str) -> dict[str, Any]:
    found: dict[str, Any] = station.get(f"/servers/{server}/browse/cache")
    return found


def browsed(station: Station, server: str, within: float = 120.0) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        found = state(station, server)
        assert found["state"] not in {"failed", "cancelled"}, found
        return found if found["state"] == "done" else None

    found = eventually(over, within=within, what=f"{server} is browsed", every=0.1)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def mapped(station: Station, source: Plant, target: Plant) -> dict[str, Any]:
    """The plan of the rule that maps everything, once applied."""
    for server in ("SRC", "TGT"):
        browse(station, server)
    for server in ("SRC", "TGT"):
        found = browsed(station, server)
        print(f"{server}: {found['nodes']} nodes browsed in {found['seconds']} s")  # noqa: T201
    rule = {"pipe": "P1", "item": {"sampling_interval_ms": 50}}
    preview = station.api("POST", "/items/generate?dry_run=true&rows=5", rule).json
    assert preview["counts"]["add"] > 0, preview
    began = time.monotonic()
    applied = station.api("POST", "/items/generate?rows=5", rule)
    took = time.monotonic() - began
    print(f"{applied.json['counts']['add']} items by one rule: {took:.2f} s")  # noqa: T201
    assert applied.status == 200, applied.json
    assert took < 10
    plan: dict[str, Any] = applied.json
    return {**plan, "preview": preview}


@pytest.mark.node
def test_c06_one_rule_maps_two_servers_of_two_makers_and_the_values_move(
    station: Station, source: Plant, target: Plant, mapped: dict[str, Any]
) -> None:
    assert mapped["preview"]["revision"] is None
    assert mapped["counts"]["add"] == mapped["preview"]["counts"]["add"]
    assert mapped["counts"]["add"] == ITEMS, "what the servers tell of themselves is left out"
    assert mapped["unmatched"] == [], "every node of the plants has its partner"

    last = f"T{ITEMS - 1:06}"
    source.set_many({"T000000": -1.5, last: -2.5})
    eventually(
        lambda: target.values(["T000000", last]) == {"T000000": -1.5, last: -2.5},
        within=60,
        what="values arrive at the target",
    )
    again = station.api("POST", "/items/generate?dry_run=true", {"pipe": "P1"}).json
    assert again["counts"]["add"] == 0
    assert again["counts"]["same"] == mapped["counts"]["add"]


@pytest.mark.node
def test_a_large_address_space_is_browsed_while_values_keep_moving(
    station: Station, source: Plant, target: Plant, mapped: dict[str, Any]
) -> None:
    workers = [station.role("pipes", index) for index in (1, 2)]
    eventually(lambda: station.pipe()["good"] == ITEMS, within=60, what="every item has moved")
    source.ask("move", nodes=MOVING, seconds=PERIOD)
    try:
        quiet = share(station, source, lambda began: time.monotonic() < began + 2)
        before = [process.memory_info().rss for process in workers]
        peak = before

        def under_way(_began: float) -> bool:
            nonlocal peak
            peak = [max(a, p.memory_info().rss) for a, p in zip(peak, workers, strict=True)]
            return state(station, "BIG")["state"] in {"waiting", "running"}

        browse(station, "BIG")
        browse(station, "SRC")
        during = share(station, source, under_way)
    finally:
        source.ask("move", nodes=[])
    found = browsed(station, "BIG")
    again = browsed(station, "SRC")

    grown = [(new - old) / MIB for new, old in zip(peak, before, strict=True)]
    print(  # noqa: T201
        f"{found['nodes']} nodes in {found['seconds']} s; RSS of the pipe workers"
        f" +{grown[0]:.1f}, +{grown[1]:.1f} MB; written of what moved: {quiet:.0%} before,"
        f" {during:.0%} during"
    )
    assert found["cache"]["variables"] >= NODES
    assert again["cache"]["server_restarted"] is False, "browsed through the pipes' own session"
    assert max(grown) < 40
    assert during > 0.9 * quiet
    eventually(
        lambda: source.values(MOVING) == target.values(MOVING),
        within=15,
        what="the target equals the source",
    )


def share(station: Station, source: Plant, goes_on: Callable[[float], bool]) -> float:
    """How many writes there were for each value that moved, while ``goes_on`` is true."""

    def counts() -> tuple[int, int]:
        return source.ask("traffic")["moved"], station.pipe()["writes"]

    began, first = time.monotonic(), counts()
    eventually(lambda: not goes_on(began), within=120)
    last = counts()
    return (last[1] - first[1]) / max(1, last[0] - first[0])


def test_a_browse_is_cancelled_and_the_cache_of_before_stays(
    station: Station, big: Plant, shared_plant: Callable[..., Plant]
) -> None:
    slow = shared_plant("vast", nodes=NODES, delay_ms=5)
    station.api("POST", "/servers", server_body("SLOW", slow))
    eventually(
        lambda: station.api("POST", "/servers/SLOW/browse/cache", {}).status == 202,
        within=20,
        what="the workers know the server",
    )
    eventually(lambda: state(station, "SLOW")["nodes"] > 500, within=30)

    twice = station.api("POST", "/servers/SLOW/browse/cache", {})
    cancelled = station.api("DELETE", "/servers/SLOW/browse/cache").json

    assert twice.status == 409
    assert twice.json["code"] == "browsing"
    assert (cancelled["state"], cancelled["cache"]) == ("cancelled", None)
    assert station.api("GET", "/servers/SLOW/browse?cached=true").status == 409
    assert psutil.pid_exists(slow.pid)


def test_a_restart_of_the_server_costs_a_browse_one_folder(
    station: Station, shared_plant: Callable[..., Plant]
) -> None:
    plant = shared_plant("vast", nodes=4000, delay_ms=3)
    station.api("POST", "/servers", server_body("RESTARTS", plant))
    eventually(
        lambda: station.api("POST", "/servers/RESTARTS/browse/cache", {}).status == 202,
        within=20,
        what="the workers know the server",
    )
    eventually(lambda: state(station, "RESTARTS")["nodes"] > 800, within=30)
    plant.restart()

    found = browsed(station, "RESTARTS")

    assert found["sessions"] >= 2
    assert found["refused"] == 0
    assert found["cache"]["variables"] >= 4000
