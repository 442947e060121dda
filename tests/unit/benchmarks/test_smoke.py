"""Benches with a handful of items: they run to their end, and nothing differs."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import bridge, connections, create, faults, latency, rules
from benchmarks.bridges import OURS, ours
from benchmarks.report import Options, Report, load_benches
from benchmarks.trial import DIFFERENCES, P50

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(200)]

SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "bridge-10k": (bridge, {}),
    "create": (create, {"ITEMS": 1_500}),
    "encrypt": (rules, {"ENCRYPT_ITEMS": 20, "ENCRYPT_RATE": 200.0}),
    "rtt": (latency, {"LINE_ITEMS": 20, "LINE_RATE": 200.0, "ROUND_TRIPS": (20,)}),
    "soak": (connections, {"SOAK_PIPES": 3, "SOAK_ITEMS": 10, "SOAK_RATE": 300.0}),
    "stall": (faults, {"ITEMS": 20, "RATE": 400.0, "GONE_SECONDS": 0.3}),
    "transform": (rules, {"TRANSFORM_ITEMS": 20, "TRANSFORM_RATE": 200.0}),
}


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses; and of the bridges only ours (`test_peers` has the others)."""
    monkeypatch.setattr("benchmarks.trial.Load.__init__.__defaults__", (0.2, 0.0))
    monkeypatch.setattr(latency, "LINE_WARM_UP", 0.2)
    monkeypatch.setattr(faults, "WARM_UP", 0.3)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(connections, "RESTART_EVERY", (0.3, 0.6))
    monkeypatch.setattr(connections, "AWAY", (0.1, 0.2))
    monkeypatch.setattr(bridge, "all_bridges", lambda station, *_: [ours(station)])


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("name", SMALL)
def test_a_bench_leaves_both_sides_equal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, sizes = SMALL[name]
    for constant, value in sizes.items():
        monkeypatch.setattr(module, constant, value)

    report = run(name)

    assert report.results
    assert {figures[DIFFERENCES] for figures in report.results.values()} == {0}


def run(name: str) -> Report:
    options = Options(seconds=0.4, rounds=1, minutes=0.03)
    if name == "bridge-10k":  # with the slow target of `overload`
        load = bridge.Load(400.0, options.seconds, delay=1e-4)
        results = bridge.compare(name, 40, load, options.rounds, kind="mixed")
        assert results[OURS][P50] > 0
        return bridge.make_report(name, results, [])
    return load_benches()[name](options)
