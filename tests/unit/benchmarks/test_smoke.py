"""Benches with a handful of items: they run to their end, and nothing differs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks import bridge, connections, create, faults, latency, rules
from benchmarks.bridges import OURS, ours
from benchmarks.report import Options, Report, load_benches
from benchmarks.trial import BACK, DIFFERENCES, GIVE_UP_SECONDS, P50

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(200)]

AT_A_TIME = 3
SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "bridge-10k": (bridge, {}),
    "create": (create, {"ITEMS": 1_500}),
    "encrypt": (rules, {"ENCRYPT_ITEMS": 20, "ENCRYPT_RATE": 200.0}),
    "rtt": (latency, {"LINE_ITEMS": 20, "LINE_RATE": 200.0, "ROUND_TRIPS": (20,)}),
    "soak": (connections, {"SOAK_PIPES": 3, "SOAK_ITEMS": 10, "SOAK_RATE": 300.0}),
    "stall": (faults, {"ITEMS": 20, "RATE": 400.0, "GONE_SECONDS": 0.3}),
    "transform": (rules, {"TRANSFORM_ITEMS": 20, "TRANSFORM_RATE": 200.0}),
}


@pytest.fixture(scope="module")
def hurry() -> Iterator[None]:
    """A handful of items, short pauses, and no bridge but ours (`test_peers` has the others)."""
    with pytest.MonkeyPatch.context() as patch:
        for module, sizes in SMALL.values():
            for constant, value in sizes.items():
                patch.setattr(module, constant, value)
        patch.setattr("benchmarks.trial.Load.__init__.__defaults__", (0.2, 0.0, 0.0))
        patch.setattr(rules, "IDLE_SECONDS", 0.2)
        patch.setattr(latency, "LINE_WARM_UP", 0.2)
        patch.setattr(faults, "WARM_UP", 0.3)
        patch.setattr(connections, "LOOK_SECONDS", 0.2)
        patch.setattr(connections, "RESTART_EVERY", (0.3, 0.6))
        patch.setattr(connections, "AWAY", (0.1, 0.2))
        patch.setattr(bridge, "all_bridges", lambda station, *_: [ours(station)])
        yield


@pytest.fixture(scope="module")
def reports(hurry: None, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Report]]]:
    """Some at a time: here they wait for processes that start, and nobody looks at figures."""
    here = [item for item in request.session.items if item.path == request.path]
    chosen = [item.callspec.params["name"] for item in here]
    load_benches()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {name: pool.submit(run, name) for name in chosen}


@pytest.mark.parametrize("name", SMALL)
def test_a_bench_leaves_both_sides_equal(name: str, reports: dict[str, Future[Report]]) -> None:
    report = reports[name].result()

    assert report.results
    assert {figures[DIFFERENCES] for figures in report.results.values()} == {0}


def run(name: str) -> Report:
    options = Options(seconds=0.4, rounds=1, minutes=0.03)
    if name == "bridge-10k":  # with the slow target of `overload`
        load = bridge.Load(400.0, options.seconds, delay=1e-4)
        results = bridge.compare(name, 40, load, options.rounds, kind="mixed")
        assert results[OURS][P50] > 0
        assert 0 <= results[OURS][BACK] < GIVE_UP_SECONDS
        return bridge.make_report(name, results, [])
    return load_benches()[name](options)
