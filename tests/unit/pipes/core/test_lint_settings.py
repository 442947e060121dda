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
        ({"kind": "queue", "minimum_interval_ms": 100}, {}, "kind queue"),
        (DEADBAND, {"overflow": "queue"}, "kind queue"),
        ({"kind": "event", **DEADBAND}, {}, "kind event carries"),
        ({"kind": "event", "direction": "both"}, {}, "direction both"),
        ({"trigger": "status", **DEADBAND}, {}, "deadband has no effect"),
        ({"trigger": "status", "kind": "queue"}, {}, "a change of the status only"),
        ({"substitute": 5}, {}, "substitute has no effect"),
        ({"substitute": 5, "quality": "hold"}, {"quality": "substitute"}, "substitute has no"),
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
    ],
)
def test_settings_that_fit_are_none(item: dict[str, Any], pipe: dict[str, Any]) -> None:
    assert findings(("A.x > B.y", item), pipes={"AB": pipe}) == []


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
