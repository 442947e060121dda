from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from diagnostics.core.station import (
    StationFacts,
    pair_body,
    processes,
    service_level,
    station_body,
)

GOOD_ROWS = [
    {"component": "supervisor", "state": "good", "reason": "", "since": "2026-11-24T09:00:00Z"},
    {"component": "pipes/1", "state": "good", "reason": "", "since": "2026-11-24T09:00:02Z"},
    {"component": "redis", "state": "good", "reason": "", "since": "2026-11-24T09:00:02Z"},
]
SUPERVISOR: dict[str, Any] = {
    "station": "REDOPC",
    "state": "active",
    "detail": "ACTIVE",
    "term": 7,
    "lease_ms": 840,
    "started_at": "2026-11-24T09:00:00Z",
    "revision_applied": 12,
    "health": GOOD_ROWS,
}
FACTS = StationFacts(
    name="REDOPC",
    url="http://127.0.0.1:8000",
    version="0.1.0",
    pipe_workers=2,
    supervisor=SUPERVISOR,
    saved=12,
    digest="sha256:00",
)


def with_row(component: str, state: str, reason: str = "it is gone") -> StationFacts:
    row = {"component": component, "state": state, "reason": reason, "since": None}
    return replace(FACTS, supervisor=SUPERVISOR | {"health": [*GOOD_ROWS, row]})


def test_an_active_station_says_all_that_the_contract_asks_for() -> None:
    body = station_body(FACTS)

    assert body == {
        "name": "REDOPC",
        "pair": None,
        "state": "active",
        "detail": "ACTIVE",
        "ready": True,
        "reasons": [],
        "simplex": True,
        "term": 7,
        "lease_ms": 840,
        "url": "http://127.0.0.1:8000",
        "version": "0.1.0",
        "started_at": "2026-11-24T09:00:00Z",
        "service_level": 255,
        "redundancy_enabled": False,
        "revision": {"saved": 12, "applied": 12, "digest": "sha256:00"},
        "health": GOOD_ROWS,
        "peer": None,
        "link": None,
    }


def test_without_a_supervisor_the_station_has_failed_and_says_what_is_not_known() -> None:
    disk = {"component": "disk", "state": "good", "reason": "", "since": "…"}

    body = station_body(replace(FACTS, supervisor=None, checks=[disk]))

    assert (body["state"], body["detail"], body["ready"]) == ("failed", "UNKNOWN", False)
    assert [reason["code"] for reason in body["reasons"]] == ["SUPERVISOR_AWAY"]
    states = {row["component"]: row["state"] for row in body["health"]}
    assert states == {
        "supervisor": "failed",
        "pipes/1": "check",
        "pipes/2": "check",
        "jobs": "check",
        "clock": "check",
        "disk": "good",
    }
    assert (body["lease_ms"], body["service_level"]) == (0, 1)


def test_what_the_supervisor_says_goes_before_what_this_process_sees() -> None:
    rows = [
        {"component": "redis", "state": "failed", "reason": "not here", "since": None},
        {"component": "disk", "state": "failed", "reason": "full", "since": None},
    ]

    health = station_body(replace(FACTS, checks=rows))["health"]
    assert {
        row["component"]: row["state"] for row in health if row["component"] in {"redis", "disk"}
    } == {
        "redis": "good",
        "disk": "failed",
    }


@pytest.mark.parametrize(
    ("component", "state", "codes"),
    [
        ("pipes/2", "failed", ["COMPONENT_FAILED"]),
        ("pipes/2", "check", []),
        ("redis", "failed", []),
        ("database", "failed", []),
    ],
    ids=["a dead pipe worker", "a starting one", "no Redis", "no database"],
)
def test_only_what_takes_part_in_writing_makes_a_station_not_ready(
    component: str, state: str, codes: list[str]
) -> None:
    body = station_body(with_row(component, state))

    assert [reason["code"] for reason in body["reasons"]] == codes
    assert body["ready"] is not bool(codes)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ({"code": "READING_RECORD", "message": "reads its term"}, "READING_RECORD"),
        (None, "STARTING"),
        ({"code": "", "message": ""}, "STARTING"),
    ],
)
def test_a_station_that_is_not_in_service_gives_its_own_reason(reason: Any, code: str) -> None:
    starting = SUPERVISOR | {"state": "starting", "detail": "INIT", "reason": reason}

    body = station_body(replace(FACTS, supervisor=starting))
    assert [found["code"] for found in body["reasons"]] == [code]
    assert body["reasons"][0]["message"]


@pytest.mark.parametrize(
    ("state", "rows", "level"),
    [
        ("active", [], 255),
        ("active", [{"state": "failed"}], 199),
        ("active", [{"state": "check"}], 255),
        ("standby", [], 200),
        ("starting", [], 1),
        ("failed", [], 1),
        ("maintenance", [], 0),
    ],
)
def test_the_service_level_follows_opc_ua(
    state: str, rows: list[dict[str, str]], level: int
) -> None:
    assert service_level(state, rows) == level


@pytest.mark.parametrize(
    ("state", "pair_state", "active"),
    [("active", "simplex", "REDOPC"), ("failed", "no_active", None)],
)
def test_a_station_without_a_pair_is_a_pair_of_its_own_name(
    state: str, pair_state: str, active: str | None
) -> None:
    station = station_body(replace(FACTS, supervisor=SUPERVISOR | {"state": state}))

    pair = pair_body(station)
    assert (pair["name"], pair["state"], pair["active"]) == ("REDOPC", pair_state, active)
    assert (pair["standby"], pair["switchover_available"]) == (None, False)
    assert pair["switchover_blockers"][0]["code"] == "NO_PAIR"
    assert pair["stations"] == [station]


def test_processes_are_told_from_what_they_stand_on() -> None:
    assert [row["component"] for row in processes(GOOD_ROWS)] == ["supervisor", "pipes/1"]
