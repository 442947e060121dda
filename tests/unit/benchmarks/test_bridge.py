from __future__ import annotations

import itertools
import time
from struct import pack
from unittest.mock import Mock

import pytest

from benchmarks import bridges
from benchmarks.bridge import dearer, make_report
from benchmarks.bridges import OURS
from benchmarks.connections import SESSIONS, SLOPE, slope
from benchmarks.connections import make_report as make_soak_report
from benchmarks.create import BARE, BYTES, CREATE, IDLE
from benchmarks.create import make_report as make_create_report
from benchmarks.faults import make_report as make_fault_report
from benchmarks.names import node_name
from benchmarks.report import load_benches, names_of_all
from benchmarks.rig import LoadServer
from benchmarks.rules import TIMES_ABOVE_IDLE, scaled, scaled_int16
from benchmarks.rules import make_report as make_rules_report
from benchmarks.scale import RSS, SYNCED
from benchmarks.scale import make_report as make_scale_report
from benchmarks.station import document, documents
from benchmarks.trial import (
    ABOVE_IDLE,
    BACK,
    COST,
    DIFFERENCES,
    GROWN,
    count_differences,
    fresh_since,
    summary,
)
from benchmarks.trial import RSS as WORKER
from pipes.core.configuration import check_form


def run(cost: float, differ: float = 0.0) -> dict[str, float]:
    return {COST: cost, DIFFERENCES: differ}


def test_the_benches_are_found_by_name() -> None:
    wanted = {
        "bridge-10k", "bridge-saturate", "codec", "connections", "create", "encrypt", "fuzz",
        "import-30k", "latency", "mixed", "overload", "restart", "rtt", "scale-30k", "stall",
        "transform",
    }  # fmt: skip

    assert wanted == set(names_of_all())
    assert load_benches().keys() - wanted == {"soak"}


def test_the_median_of_the_rounds_counts_and_the_worst_difference() -> None:
    assert summary([run(1.0), run(9.0, 2.0), run(1.2)]) == run(1.2, 2.0)


RESULTS = {
    OURS: run(1.5),
    "asyncua_batch": run(36.0),
    "asyncua_tuned": run(15.0),
    "node_opcua": run(6.0),
}


def test_a_ratio_is_the_cost_of_a_peer_over_ours() -> None:
    report = make_report("race", RESULTS, list(dearer(RESULTS, {"asyncua_batch": 20.0, "o6": 3.0})))

    assert report.ratios == {"asyncua_batch": 24.0, "asyncua_tuned": 10.0, "node_opcua": 4.0}
    assert [(demand.name, demand.wanted, demand.ok) for demand in report.demands] == [
        ("times the CPU of ours: asyncua_batch", ">= 20", True),
        ("items that differ, ours", "<= 0", True),
    ]
    assert report.ok


def test_a_run_that_left_differences_fails_the_bench() -> None:
    assert not make_report("race", RESULTS | {OURS: run(1.0, 3.0)}, []).ok


def test_a_peer_that_left_differences_does_not_count() -> None:
    report = make_report("race", RESULTS | {"asyncua_batch": run(50.0, 1.0)}, [])

    assert not report.ok
    assert report.demands[-1].name == "items that differ, peers"


def test_a_machine_without_node_opcua_names_it_as_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges.shutil, "which", lambda _name: None)

    assert bridges.skipped_peers() == ("node_opcua",)


def test_states_differ_in_value_status_or_timestamp() -> None:
    source = [[1.0, 0, 10], [2.0, 0, 10], [3.0, 0, 10], [4.0, 0, 10]]
    sink = [[1.0, 0, 10], [2.5, 0, 10], [3.0, 1, 10], [4.0, 0, 11]]

    assert count_differences(source, source) == 0
    assert count_differences(source, sink) == 3


def test_the_configuration_of_a_bench_is_a_document_of_the_product() -> None:
    made = document("opc.tcp://127.0.0.1:1/", "opc.tcp://127.0.0.1:2/", 3)

    assert check_form(made) == []
    assert [item["id"] for item in made["items"]] == [1, 2, 3]
    assert made["items"][2]["source_node"].endswith(f";s={node_name(2)}")


def test_node_names_are_distinct_and_as_long_as_those_of_a_plant() -> None:
    names = {node_name(index) for index in range(30_000)}

    assert len(names) == 30_000
    assert {len(name) for name in names} == {24}


def test_scale_holds_the_start_against_its_demands() -> None:
    good = {SYNCED: 4.0, RSS: 200.0, DIFFERENCES: 0.0}

    assert make_scale_report([good, good]).ok
    assert not make_scale_report([good | {SYNCED: 7.0}]).ok
    assert not make_scale_report([good | {RSS: 230.0}]).ok
    assert not make_scale_report([good, good | {DIFFERENCES: 1.0}, good]).ok


def test_many_pipes_have_servers_and_items_of_their_own() -> None:
    urls = [f"opc.tcp://127.0.0.1:{port}/" for port in range(1, 7)]
    made = documents(urls[:3], urls[3:], 2)

    assert check_form(made) == []
    assert len({item["id"] for item in made["items"]}) == 6
    assert {pipe["source"] for pipe in made["pipes"]} == {"source-0", "source-1", "source-2"}


def test_the_slope_of_memory_is_that_of_the_line_through_it() -> None:
    assert slope([(0, 5.0), (1, 7.0), (2, 9.0)]) == 2.0
    assert slope([(0, 5.0), (1, 6.0), (2, 5.0)]) == 0.0
    assert slope([(0, 5.0)]) == 0.0


def test_a_soak_must_not_grow_nor_lose_sessions_or_values() -> None:
    good = {SLOPE: 0.2, SESSIONS: 100.0, DIFFERENCES: 0.0}

    assert make_soak_report(good, 50).ok
    for bad in ({SLOPE: 1.2}, {SESSIONS: 101.0}, {SESSIONS: 99.0}, {DIFFERENCES: 1.0}):
        assert not make_soak_report(good | bad, 50).ok


def test_a_stopped_server_must_be_forgotten_within_its_time() -> None:
    good = {BACK: 0.8, GROWN: 2.0, DIFFERENCES: 0.0}

    assert make_fault_report("stall", 1.0, {"source": good, "target": good}).ok
    assert not make_fault_report("stall", 1.0, {"source": good, "target": good | {BACK: 1.1}}).ok


def test_memory_of_the_items_is_what_a_worker_without_any_does_not_need() -> None:
    good = {CREATE: 0.1, WORKER: 170.0, IDLE: 110.0, BARE: 30.0, DIFFERENCES: 0.0}
    report = make_create_report(good, 30_000)

    assert report.ok
    assert report.results[OURS][BYTES] == 2000
    assert not make_create_report(good | {BARE: 41.0}, 30_000).ok  # without Django and Celery
    assert not make_create_report(good | {WORKER: 215.0, IDLE: 114.0, BARE: 0.0}, 30_000).ok


def test_a_bridge_that_is_slow_for_long_is_not_normal_again() -> None:
    sink = Mock(spec=LoadServer)
    sink.ask.side_effect = [[900.0], [10.0] * 199 + [900.0], [10.0], [], [10.0], [10.0], [10.0]]
    began = time.monotonic()

    since = fresh_since(sink, 150.0, give_up=10.0)

    assert since is not None
    assert since > began
    assert sink.ask.call_count == 7
    sink.ask.side_effect = itertools.repeat([900.0])
    assert fresh_since(sink, 150.0, give_up=0.0) is None


def test_what_a_rule_costs_above_idle_stands_among_the_figures() -> None:
    results = {
        "plain": run(2.0) | {ABOVE_IDLE: 1.0},
        "linear": run(4.0) | {ABOVE_IDLE: 3.0},
        "other": run(40.0) | {ABOVE_IDLE: 39.0},
    }
    report = make_rules_report("transform", results, "plain", "linear", 3.0)

    assert report.ok  # of the other nothing is demanded
    assert report.ratios == {"linear": 2.0, "other": 20.0}
    assert [row.get(TIMES_ABOVE_IDLE) for row in report.results.values()] == [None, 3.0, 39.0]
    assert not make_rules_report("transform", results, "plain", "linear", 1.9).ok


def test_a_scaled_state_is_that_of_the_transform() -> None:
    assert scaled_int16([pack("<Bh", 4, 20).hex(), 0, 9]) == [pack("<Bf", 10, 40.5).hex(), 0, 9]
    assert scaled([pack("<Bd", 11, 20.0).hex(), 0, 99]) == [pack("<Bd", 11, 40.5).hex(), 0, 99]
