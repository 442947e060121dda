"""The supervisor's probes and timers against a real Redis, a real HTTP server and the database."""

from __future__ import annotations

import http.server
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.db import connection
from redis.exceptions import ConnectionError as RedisConnectionError

from mirrorsite.celery import app
from mirrorsite.redis import celery_url, embedded_url, find_server, server_command
from redundancy.station_probes import (
    NotWorking,
    client,
    database_answers,
    healthz,
    jobs_alive,
    ping,
    task_timer,
)
from redundancy.steps import setup_from_settings
from redundancy.tasks import canary


@pytest.fixture
def redis_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis of our own, which the Celery app uses as its broker too."""
    program = find_server()
    if program is None:
        pytest.skip("no redis-server on this machine")
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:
        server = subprocess.Popen(server_command(program, Path(folder)), stdout=subprocess.DEVNULL)
        url = embedded_url(Path(folder))
        try:
            _until_it_answers(url)
            monkeypatch.setattr(django_settings, "REDIS_URL", url)
            Celery("beside", broker=celery_url(url)).set_current()
            yield url
        finally:
            app.set_current()
            server.kill()
            server.wait()


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client(url).ping()
        except RedisConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def test_a_timer_puts_an_expiring_task_into_its_queue(redis_url: str) -> None:
    timer = task_timer("drain_spool", 1.0, "diagnostics.drain_spool", "jobs", redis_url)

    timer.send()

    message = json.loads(client(redis_url).lrange("jobs", 0, -1)[0])
    assert message["headers"]["task"] == "diagnostics.drain_spool"
    assert message["headers"]["expires"]
    assert message["headers"]["retries"] == 0


def test_a_timer_without_redis_fails_at_once(tmp_path: Path) -> None:
    timer = task_timer(
        "drain_spool", 1.0, "diagnostics.drain_spool", "jobs", f"unix://{tmp_path}/x"
    )
    began = time.monotonic()

    with pytest.raises(RedisConnectionError):
        timer.send()

    assert time.monotonic() - began < 2.0


def test_jobs_are_alive_while_the_canary_was_run_lately(redis_url: str) -> None:
    check = jobs_alive(redis_url, django_settings.STATION.name)
    with pytest.raises(NotWorking, match="no task was run in the last 20 s"):
        check()
    sent = json.loads(client(redis_url).lrange("jobs", 0, -1)[0])
    assert sent["headers"]["task"] == canary.name

    canary()

    check()


def test_redis_answers_or_says_why(redis_url: str, tmp_path: Path) -> None:
    assert ping(redis_url)()
    with pytest.raises(RedisConnectionError, match="No such file"):
        ping(f"unix://{tmp_path}/x")()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_writes_works() -> None:
    database_answers()


def test_a_database_file_that_is_gone_is_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "NAME", tmp_path / "db.sqlite3")

    with pytest.raises(NotWorking, match="its file is gone"):
        database_answers()

    assert list(tmp_path.iterdir()) == []


class _Web(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        assert self.path == "/healthz"
        assert self.headers["Host"] == "localhost"
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("status", [200, 503])
def test_web_works_when_healthz_says_so(status: int) -> None:
    handler = type("Web", (_Web,), {"status": status})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as web:
        serving = threading.Thread(target=web.serve_forever, daemon=True)
        serving.start()
        check = healthz("0.0.0.0", web.server_port, tls=False)
        try:
            if status == 200:
                check()
            else:
                with pytest.raises(NotWorking, match="/healthz answers 503"):
                    check()
        finally:
            web.shutdown()
            serving.join()


def test_web_that_is_not_there_says_so() -> None:
    with pytest.raises(ConnectionRefusedError):
        healthz("127.0.0.1", 1, tls=False)()


def test_a_station_is_set_up_from_its_settings() -> None:
    setup = setup_from_settings()

    assert setup.station == django_settings.STATION.name
    assert setup.socket == django_settings.STATION.supervisor_socket
    assert not setup.has_peer
    assert {probe.component for probe in setup.probes} == {"database", "redis", "web", "jobs"}
    assert [timer.name for timer in setup.timers] == [
        name for name, *_ in django_settings.SUPERVISOR_TIMERS
    ]
