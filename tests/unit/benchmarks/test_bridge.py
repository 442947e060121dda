from __future__ import annotations

import pytest

from benchmarks import bridges
from benchmarks.bridge import COST, DIFFERENCES, count_differences, make_report, summary
from benchmarks.bridges import OURS
from benchmarks.names import node_name
from benchmarks.report import load_benches
from benchmarks.scale import RSS, SYNCED
from benchmarks.scale import make_report as make_scale_report
from benchmarks.station import document
from pipes.core.configuration import check_form


def run(cost: float, differ: float = 0.0) -> dict[str, float]:
    return {COST: cost, DIFFERENCES: differ}


def test_the_benches_are_found_by_name() -> None:
    assert {"bridge-10k", "scale-30k"} <= load_benches().keys()


def test_the_median_of_the_rounds_counts_and_the_worst_difference() -> None:
    assert summary([run(1.0), run(9.0, 2.0), run(1.2)]) == run(1.2, 2.0)


def test_a_ratio_is_the_cost_of_a_peer_over_ours() -> None:
    report = make_report(
        {
            OURS: [run(1.5)],
            "asyncua_batch": [run(36.0)],
            "asyncua_tuned": [run(15.0)],
            "node_opcua": [run(6.0)],
        },
        (),
    )

    assert report.ratios == {"asyncua_batch": 24.0, "asyncua_tuned": 10.0, "node_opcua": 4.0}
    assert [(demand.name, demand.wanted, demand.ok) for demand in report.demands] == [
        ("times the CPU of ours: asyncua_batch", ">= 20", True),
        ("times the CPU of ours: node_opcua", ">= 3", True),
        ("items that differ, ours", "<= 0", True),
    ]
    assert report.ok


def test_a_run_that_left_differences_fails_the_bench() -> None:
    report = make_report({OURS: [run(1.0), run(1.0, 3.0)], "asyncua_batch": [run(50.0)]}, ())

    assert not report.ok


def test_a_peer_that_left_differences_does_not_count() -> None:
    report = make_report({OURS: [run(1.0)], "asyncua_batch": [run(50.0, 1.0)]}, ())

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
