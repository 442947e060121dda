from __future__ import annotations

from typing import Any

import pytest

from pipes.core.configuration import Configuration
from pipes.core.findings import Finding, Severity
from pipes.core.lint_settings import settings_findings
from tests.unit.pipes.core.lint_cases import configuration, items

DEADBAND = {"deadband": {"type": "absolute", "value": 1}}


def findings(*moves: Any, **more: Any) -> list[Finding]:
    return list(settings_findings(configuration(*moves, **more)))


def test_open_servers_are_one_warning_that_names_them() -> None:
    bare = {"security_policy": "None", "security_mode": "None"}
    (finding,) = findings(servers={"A": bare, "C": bare})
    assert (finding.severity, finding.rule) == (Severity.WARNING, "no_security")
    assert "A and C" in finding.message


def test_an_enabled_pipe_with_a_disabled_server_is_a_warning() -> None:
    off = {"enabled": False}
    pipes = dict.fromkeys(("AB", "AC", "BA", "CA", "AA"), off)
    found = findings(servers={"A": off, "B": off}, pipes=pipes)
    assert [finding.message for finding in found] == [
        "pipe BB moves nothing: B is disabled",
        "pipe BC moves nothing: B is disabled",
        "pipe CB moves nothing: B is disabled",
    ]
    both = findings(servers={"A": off, "B": off}, pipes={"AB": {"enabled": True}})
    assert any("pipe AB moves nothing: A is disabled and B is disabled" in f.message for f in both)


@pytest.mark.parametrize(
    ("item", "pipe", "word"),
    [
        ({"kind": "queue", **DEADBAND}, {}, "kind queue"),
        ({"kind": "queue", "minimum_interval_ms": 100}, {}, "minimum_interval_ms has no effect"),
        ({"minimum_interval_ms": 100}, {"overflow": "queue"}, "minimum_interval_ms has no effect"),
        ({"kind": "event", "minimum_interval_ms": 9}, {}, "minimum_interval_ms has no effect"),
        (DEADBAND, {"overflow": "queue"}, "kind queue"),
        ({"kind": "event", **DEADBAND}, {}, "kind event carries"),
        ({"kind": "queue"}, {"queue_limit": 1}, "queue_limit 1"),
        ({"trigger": "status", **DEADBAND}, {}, "deadband has no effect"),
        ({"trigger": "status", "kind": "queue"}, {}, "a change of the status only"),
        ({"substitute": 5}, {}, "substitute has no effect"),
        ({"quality": "substitute"}, {}, "has no value to write"),
    ],
)
def test_settings_that_contradict_each_other_are_warnings(
    item: dict[str, Any], pipe: dict[str, Any], word: str
) -> None:
    (finding,) = findings("A.p > B.p", ("A.x > B.y", item), pipes={"AB": pipe})
    assert (finding.severity, finding.rule, finding.items) == (
        Severity.WARNING,
        "contradiction",
        (2,),
    )
    assert word in finding.message


@pytest.mark.parametrize(
    ("item", "pipe"),
    [
        (DEADBAND, {}),
        ({"kind": "queue"}, {}),
        ({"kind": "event"}, {}),
        ({"kind": "state", **DEADBAND}, {"overflow": "queue"}),
        ({"substitute": 5, "quality": "substitute"}, {}),
        ({"substitute": 5}, {"quality": "substitute"}),
        ({"trigger": "status"}, {}),
        ({"kind": "queue", **DEADBAND, "enabled": False}, {}),
        ({"kind": "queue"}, {"queue_limit": 2}),
        ({"minimum_interval_ms": 100}, {}),
        ({"minimum_interval_ms": 100, "direction": "both"}, {"overflow": "queue"}),
        ({"substitute": 5}, {"quality_table": {"Bad": "substitute"}}),
        ({"kind": "event"}, {"quality": "substitute"}),
        ({"quality": "hold"}, {"quality": "substitute"}),
        ({}, {"quality_table": {"Bad": "hold"}}),
    ],
)
def test_settings_that_fit_are_none(item: dict[str, Any], pipe: dict[str, Any]) -> None:
    assert findings(("A.x > B.y", item), pipes={"AB": pipe}) == []


@pytest.mark.parametrize(
    "pipe", [{"quality": "substitute"}, {"quality_table": {"Uncertain": "substitute"}}]
)
def test_a_pipe_that_substitutes_warns_of_items_without_a_value(pipe: dict[str, Any]) -> None:
    """An item's own quality refuses that when it is saved; the pipe's cannot know its items."""
    (finding,) = findings(
        "A.x > B.x",
        ("A.y > B.y", {"substitute": 5}),
        ("A.z > B.z", {"quality": "hold"}),
        ("A.w > B.w", {"enabled": False}),
        pipes={"AB": pipe},
    )
    assert (finding.rule, finding.items) == ("contradiction", (1,))
    assert "no value to write" in finding.message


def test_a_substitute_that_the_own_policy_leaves_out_has_no_effect() -> None:
    (finding,) = findings(
        ("A.x > B.y", {"substitute": 5, "quality": "hold"}), pipes={"AB": {"quality": "substitute"}}
    )
    assert "substitute has no effect" in finding.message


def test_queues_without_room_are_one_warning_that_names_the_pipes() -> None:
    short = {"overflow": "queue", "queue_limit": 1}
    (finding,) = findings("A.x > B.y", pipes={"AB": short, "BA": short, "CA": {"queue_limit": 1}})
    assert (finding.severity, finding.rule) == (Severity.WARNING, "contradiction")
    assert finding.message.startswith("overflow of AB and BA is queue, but with queue_limit 1")


def test_one_contradiction_of_many_items_is_one_finding() -> None:
    (finding,) = findings(*[(f"A.x{n} > B.y{n}", {"substitute": n}) for n in range(4)])
    assert finding.items == (1, 2, 3, 4)


def test_an_item_of_a_pipe_that_is_refused_is_looked_at_all_the_same() -> None:
    made = configuration()
    lost = {1: {**items(("A.x > B.y", {"substitute": 5}))[1], "pipe": "gone"}}
    assert len(list(settings_findings(Configuration(made.servers, made.pipes, lost)))) == 1


def test_more_than_a_station_is_measured_with_is_a_warning() -> None:
    server = {"name": "S", "endpoint": "opc.tcp://a:4840"}
    servers = {f"S{number}": server for number in range(51)}
    item = items("A.x > B.y")[1]
    many = Configuration(servers, {}, dict.fromkeys(range(30_001), item))
    assert [finding.message for finding in settings_findings(many)] == [
        "there are 51 servers; a station is measured with 50",
        "there are 30001 items; a station is measured with 30000",
    ]
