"""REST of the redundancy on a station without a pair."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from redundancy.command import CommandError, CommandServer
from redundancy.loop_thread import LoopThread
from tests.integration.rest_client import rest_as, rest_of_nobody

pytestmark = pytest.mark.django_db

ACTIONS = ["switchover", "maintenance", "force", "enable", "disable", "rejoin"]


@pytest.fixture
def run_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:
        station = replace(django_settings.STATION, run_dir=Path(folder))
        monkeypatch.setattr(django_settings, "STATION", station)
        yield Path(folder)


@pytest.fixture
def supervisor(run_dir: Path) -> Iterator[list[dict[str, Any]]]:
    """A supervisor's socket; what ``rejoin`` was asked, first granted, then refused."""
    asked: list[dict[str, Any]] = []

    async def rejoin(params: dict[str, Any]) -> Any:
        asked.append(params)
        if len(asked) > 1:
            raise CommandError("not_available", "REDOPC has not failed")
        return {}

    async def serve() -> None:
        server = CommandServer(django_settings.STATION.supervisor_socket, {"rejoin": rejoin})
        await server.start()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()

    loop = LoopThread("supervisor")
    loop.start(serve)
    loop.run(asyncio.sleep(0)).result(5)
    yield asked
    loop.stop()


@pytest.mark.parametrize("action", ["switchover", "maintenance", "force", "enable", "disable"])
def test_without_a_pair_it_is_a_409_that_says_so(action: str) -> None:
    answer = rest_as("admin").post(f"/redundancy/{action}", {"reason": "upgrade"})

    assert answer.status_code == 409
    assert answer["Content-Type"].startswith("application/problem+json")
    body = answer.json()
    assert (body["status"], body["code"], body["type"]) == (409, "not_available", "about:blank")
    assert body["instance"] == f"/api/v1/redundancy/{action}"
    assert body["blockers"] == [
        {
            "code": "NO_PAIR",
            "message": "This station has no pair; there is no other station.",
            "station": django_settings.STATION.name,
        }
    ]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("role", "status"), [("", 401), ("viewer", 403)])
def test_who_may_not_is_told_so_first(action: str, role: str, status: int) -> None:
    caller = rest_as(role) if role else rest_of_nobody()

    assert caller.post(f"/redundancy/{action}", {}).status_code == status


def test_an_operator_may_ask_for_a_switchover_and_no_more() -> None:
    operator = rest_as("operator")

    assert operator.post("/redundancy/switchover", {}).status_code == 409
    assert operator.post("/redundancy/maintenance", {}).status_code == 403


def test_rejoin_clears_a_failure_once(supervisor: list[dict[str, Any]]) -> None:
    admin = rest_as("admin")

    first = admin.post("/redundancy/rejoin", {})
    second = admin.post("/redundancy/rejoin", {})

    assert first.status_code == 202
    assert supervisor[0]["user"]
    assert second.status_code == 409
    assert [row["code"] for row in second.json()["blockers"]] == ["NOT_FAILED"]


def test_rejoin_without_a_supervisor_is_a_503(run_dir: Path) -> None:
    answer = rest_as("admin").post("/redundancy/rejoin", {})

    assert answer.status_code == 503
    assert answer["Retry-After"] == "2"
    assert answer.json()["code"] == "supervisor_away"


def test_settings_show_the_defaults_and_refuse_changes() -> None:
    admin = rest_as("admin")

    shown = admin.get("/redundancy/settings").json()
    changed = admin.patch("/redundancy/settings", {"server_monitor": "any"})

    assert shown["timing"] == {
        "profile": "standard",
        "heartbeat_ms": 100,
        "silence_ms": 500,
        "lease_ms": 600,
        "write_timeout_ms": 500,
        "horizon_ms": 800,
    }
    assert shown["server_monitor"] == "off"
    assert shown["server_monitor_requires_better_standby"] is True
    assert shown["hold_down_seconds"] == 30
    assert changed.status_code == 409
    assert changed.json()["blockers"][0]["code"] == "NO_PAIR"
