"""The form of REST: problems for every error, bounded bodies, parts that are away."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, OperationalError, connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import Client

from mirrorsite.body_limit import LARGE, MIB, USUAL, BodyLimit, limit_for
from mirrorsite.rest import as_problem
from pipes import live
from redundancy.command import CommandError, CommandServer
from tests.integration.rest_client import BASE, Rest, rest_as, rest_of_nobody

SERVER = {
    "name": "PLC1",
    "endpoint": "opc.tcp://10.0.0.5:4840",
    "security_policy": "None",
    "security_mode": "None",
}


@pytest.fixture(autouse=True)
def _fresh_throttles() -> None:
    cache.clear()


def send(rest: Rest, path: str, body: bytes, media_type: str = "application/json") -> Any:
    return rest.client.generic("POST", BASE + path, body, content_type=media_type)


@pytest.mark.django_db
class TestProblems:
    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"\xff\xfe",
            b'{"name": NaN}',
            b'{"name": 1e999}',
            b'{"name": "\\ud800"}',
            b"[" * 100_000,
            b'{"name": ' + b"9" * 5000 + b"}",
            b'"text"',
            b"5",
            b"[1]",
        ],
        ids=lambda body: body[:12].decode("ascii", "replace"),
    )
    @pytest.mark.parametrize("path", ["/servers", "/users"])
    def test_a_body_that_is_no_object_of_json_is_a_400(self, path: str, body: bytes) -> None:
        answer = send(rest_as("admin"), path, body)

        assert answer.status_code == 400, answer.content
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "code", "detail", "instance"} <= set(answer.json())

    def test_another_media_type_is_a_415(self) -> None:
        answer = send(rest_as("engineer"), "/servers", b"<a/>", "text/xml")

        assert answer.status_code == 415
        assert answer.json()["code"] == "unsupported_media_type"

    def test_an_answer_that_is_no_json_cannot_be_asked_for(self) -> None:
        answer = rest_as("viewer").get("/servers", HTTP_ACCEPT="text/csv")

        assert answer.status_code == 406

    def test_a_wrong_method_is_a_405_with_a_problem(self) -> None:
        answer = rest_as("viewer").put("/servers", {})

        assert answer.status_code == 405
        assert answer.json()["code"] == "method_not_allowed"

    def test_a_host_that_is_not_ours_is_refused(self) -> None:
        answer = rest_as("viewer").get("/servers", HTTP_HOST="evil.example")

        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_a_fault_shows_no_trace(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> None:
            raise RuntimeError("a secret inside")

        monkeypatch.setattr("pipes.selectors.servers", fail)

        answer = rest_as("viewer").get("/servers")

        assert answer.status_code == 500
        assert "secret" not in answer.content.decode()
        assert "a secret inside" in caplog.text

    @pytest.mark.parametrize("path", ["/items/99999999999999999999999", "/tokens/0"])
    def test_a_number_beyond_every_column_is_not_found(self, path: str) -> None:
        assert rest_as("admin").get(path).status_code == 404

    @pytest.mark.parametrize(
        "query", ["id=99999999999999999999999", "id=x", "offset=9007199254740993", "limit=-1"]
    )
    def test_a_number_that_cannot_be_is_a_400(self, query: str) -> None:
        assert rest_as("viewer").get(f"/items?{query}").status_code == 400

    def test_nulls_and_percent_signs_in_a_search_are_text(self) -> None:
        for text in ("%25", "%00", "_", "%27%22", "%F0%9F%98%80", "%FF"):
            assert rest_as("viewer").get(f"/items?search={text}").status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("database is locked"), 503, "database_locked"),
        (OperationalError("database or disk is full"), 503, "disk_full"),
        (OperationalError("unable to open database file"), 503, "database_away"),
        (DatabaseError("database disk image is malformed"), 503, "database_away"),
        (IntegrityError("UNIQUE constraint failed"), 500, "fault"),
        (ValueError("anything"), 500, "fault"),
    ],
    ids=str,
)
def test_errors_of_the_database_say_whether_to_try_again(
    error: Exception, status: int, code: str
) -> None:
    problem = as_problem(error)

    assert (problem.status_code, problem.problem_code) == (status, code)
    assert ("Retry-After" in problem.headers) is (status == 503)
    assert str(error) not in problem.text


class TestDatabaseLocked:
    """A real SQLite file, held by another connection."""

    @pytest.fixture
    def file(self, tmp_path: Path, django_db_blocker: Any) -> Iterator[Path]:
        file = tmp_path / "db.sqlite3"
        before = connections["default"]
        options = {**before.settings_dict["OPTIONS"], "timeout": 0.2}
        settings = {**before.settings_dict, "NAME": str(file), "OPTIONS": options}
        connections["default"] = DatabaseWrapper(settings, "default")
        with django_db_blocker.unblock():
            try:
                call_command("migrate", verbosity=0)
                yield file
            finally:
                connections["default"].close()
                connections["default"] = before

    def test_a_write_to_a_locked_database_is_a_503_within_its_time(self, file: Path) -> None:
        engineer = rest_as("engineer")
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        started = time.monotonic()

        refused = engineer.post("/servers", SERVER)
        read = engineer.get("/servers")
        waited = time.monotonic() - started
        holder.execute("ROLLBACK")
        holder.close()
        done = engineer.post("/servers", SERVER)

        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json()["code"] == "database_locked"
        assert read.status_code == 200
        assert waited < 6
        assert done.status_code == 201


class TestBodyLimit:
    """The ASGI application before Django, by its own protocol."""

    class Inner:
        def __init__(self) -> None:
            self.received = 0

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            while True:
                message = await receive()
                self.received += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    def ask(self, path: str, sizes: list[int], headers: dict[str, str]) -> tuple[Any, Inner, int]:
        inner = self.Inner()
        sent: list[Any] = []
        taken = 0

        async def receive() -> Any:
            nonlocal taken
            body = b"x" * sizes[taken]
            taken += 1
            return {"type": "http.request", "body": body, "more_body": taken < len(sizes)}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "path": path,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }
        asyncio.run(BodyLimit(inner)(scope, receive, send))
        return sent, inner, taken

    @pytest.mark.parametrize(
        ("path", "limit"),
        [
            ("/api/v1/items", USUAL),
            ("/login/", USUAL),
            ("/api/v1/items/import", LARGE),
            ("/api/v1/configuration", LARGE),
            ("/api/v1/restore", LARGE),
            ("/api/v1/items/import/more", USUAL),
        ],
    )
    def test_each_path_has_its_limit(self, path: str, limit: int) -> None:
        assert limit_for(path) == limit

    def test_a_declared_length_beyond_the_limit_never_reaches_django(self) -> None:
        sent, inner, taken = self.ask(
            "/api/v1/items/import", [MIB] * 100, {"content-length": str(100 * MIB)}
        )

        assert sent[0]["status"] == 413
        assert json.loads(sent[1]["body"])["code"] == "too_large"
        assert inner.received == 0
        assert taken == 100  # read and thrown away: the client sees the answer

    def test_a_client_that_waits_for_a_go_ahead_is_answered_at_once(self) -> None:
        sent, _, taken = self.ask(
            "/api/v1/items",
            [MIB] * 100,
            {"content-length": str(100 * MIB), "expect": "100-continue"},
        )

        assert sent[0]["status"] == 413
        assert taken == 0

    def test_a_body_without_a_length_is_cut_at_the_byte_that_is_too_much(self) -> None:
        sent, inner, _ = self.ask("/api/v1/items", [MIB] * 12, {"transfer-encoding": "chunked"})

        assert sent[0]["status"] == 413
        assert inner.received == USUAL

    def test_a_body_of_the_limit_passes(self) -> None:
        sent, inner, _ = self.ask("/api/v1/items", [MIB] * 10, {"content-length": str(USUAL)})

        assert sent[0]["status"] == 200
        assert inner.received == USUAL

    @pytest.mark.parametrize("length", ["-1", "ten", ""])
    def test_a_length_that_is_no_number_is_refused(self, length: str) -> None:
        sent, inner, _ = self.ask("/api/v1/items", [0], {"content-length": length})

        assert sent[0]["status"] == 413
        assert inner.received == 0


@pytest.mark.django_db(transaction=True)
class TestAway:
    """Redis and pipe workers that do not answer."""

    @pytest.fixture
    def engineer(self, settings: Any, tmp_path: Path) -> Rest:
        settings.STATION = replace(settings.STATION, run_dir=tmp_path, pipe_workers=2)
        settings.REDIS_URL = f"unix://{tmp_path}/redis.sock"
        engineer = rest_as("engineer")
        assert engineer.post("/servers", SERVER).status_code == 201
        return engineer

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/servers/PLC1/test", {}),
            ("GET", "/servers/PLC1/browse", None),
            ("POST", "/servers/PLC1/read", {"nodes": ["i=2258"]}),
            ("POST", "/discovery", {"url": "opc.tcp://10.0.0.5:4840"}),
        ],
    )
    def test_without_redis_a_command_is_a_503_that_says_when_to_try_again(
        self, engineer: Rest, method: str, path: str, body: Any
    ) -> None:
        started = time.monotonic()

        answer = engineer.client.generic(
            method, BASE + path, json.dumps(body), content_type="application/json"
        )

        assert answer.status_code == 503
        assert answer.json()["code"] == "redis_away"
        assert int(answer.headers["Retry-After"]) > 0
        assert time.monotonic() - started < 6

    @pytest.mark.parametrize(
        ("path", "body", "field"),
        [
            ("/servers/PLC1/read", {"nodes": []}, "nodes"),
            ("/servers/PLC1/read", {"nodes": ["x"]}, "nodes"),
            ("/servers/PLC1/read", {"nodes": ["i=1"] * 1001}, "nodes"),
            ("/servers/PLC1/read", {"nodes": ["i=1"], "depth": 2}, "depth"),
            ("/discovery", {"url": "http://10.0.0.5"}, "url"),
            ("/discovery", {"url": "opc.tcp://169.254.169.254:80"}, "url"),
            ("/discovery", {"url": "opc.tcp://user:pass@plc:4840"}, "url"),
            ("/discovery", {}, "url"),
        ],
    )
    def test_a_wrong_command_is_refused_before_it_is_sent(
        self, engineer: Rest, path: str, body: Any, field: str
    ) -> None:
        answer = engineer.post(path, body)

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field
        assert b"pass@" not in answer.content

    @pytest.mark.parametrize(
        "query", ["node=x", "depth=0", "limit=5000", "colour=red", f"search={'x' * 300}"]
    )
    def test_a_wrong_browse_is_refused_before_it_is_sent(self, engineer: Rest, query: str) -> None:
        answer = engineer.get(f"/servers/PLC1/browse?{query}")

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]

    def test_connections_on_demand_are_limited(self, engineer: Rest) -> None:
        statuses = [engineer.post("/servers/PLC1/test").status_code for _ in range(31)]

        assert statuses == [503] * 30 + [429]

    def test_a_command_to_an_unknown_server_is_not_found(self, engineer: Rest) -> None:
        assert engineer.post("/servers/other/test").status_code == 404


class TestLive:
    """Real sockets of hosts, with answers of the contract's form."""

    @pytest.fixture
    def run_dir(self, settings: Any, tmp_path: Path) -> Path:
        settings.STATION = replace(settings.STATION, run_dir=tmp_path, pipe_workers=2)
        return tmp_path

    async def serve(self, run_dir: Path, index: int, answers: dict[str, Any]) -> CommandServer:
        def handler(answer: Any) -> Any:
            async def handle(params: dict[str, Any]) -> Any:
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, dict) and "ids" in params:
                    return {
                        key: value for key, value in answer.items() if int(key) in params["ids"]
                    }
                return answer

            return handle

        server = CommandServer(
            run_dir / f"pipes-{index}.sock",
            {method: handler(answer) for method, answer in answers.items()},
        )
        await server.start()
        return server

    async def test_answers_of_all_hosts_are_put_together(self, run_dir: Path) -> None:
        one = await self.serve(
            run_dir,
            1,
            {
                "status": {
                    "pipes": {"P1": {"state": "running"}},
                    "servers": {"PLC1": {"state": "connected"}},
                },
                "items": {"1": {"state": "good"}},
            },
        )
        other = await self.serve(
            run_dir,
            2,
            {
                "status": {
                    "pipes": {"P2": {"state": "waiting"}},
                    "servers": {"PLC1": {"state": "rejected"}},
                },
                "items": {"2": {"state": "bad"}},
            },
        )

        pipes = await asyncio.to_thread(live.ask_about_pipes)
        items = await asyncio.to_thread(live.ask_about_items, [1, 2, 3])
        await one.stop()
        await other.stop()

        assert pipes.hosts == 2
        assert pipes.server("PLC1", enabled=True)["state"] == "rejected"
        assert pipes.pipe("P1", enabled=True, items=1)["state"] == "running"
        assert pipes.pipe("P3", enabled=True, items=7)["reason"] == live.NOT_TAKEN
        assert pipes.pipe("P3", enabled=True, items=7)["items"] == 7
        assert pipes.server("DCS", enabled=True)["reason"] == live.UNUSED
        assert [items.item(n, enabled=True)["state"] for n in (1, 2, 3)] == [
            "good",
            "bad",
            "waiting",
        ]

    async def test_what_one_host_has_learned_of_a_server_is_not_hidden_by_another(
        self, run_dir: Path
    ) -> None:
        fresh = {
            "state": "connecting",
            "reason": "first try",
            "service_level": None,
            "product": "",
            "writes_status": None,
            "writes_timestamps": None,
            "last_error": None,
            "connects": 0,
            "clock_offset_ms": 0.0,
        }
        settled = {
            "state": "connected",
            "reason": "",
            "service_level": 255,
            "product": "Plant",
            "writes_status": True,
            "writes_timestamps": True,
            "last_error": "away",
            "connects": 3,
            "clock_offset_ms": -2500.0,
        }
        refused = {**settled, "writes_timestamps": False, "service_level": 200}
        hosts = [
            await self.serve(run_dir, 1, {"status": {"servers": {"A": settled, "B": refused}}}),
            await self.serve(run_dir, 2, {"status": {"servers": {"A": fresh, "B": settled}}}),
        ]

        servers = (await asyncio.to_thread(live.ask_about_pipes)).servers
        for host in hosts:
            await host.stop()

        assert servers["A"] == {**settled, "state": "connecting", "reason": "first try"}
        assert servers["B"] == {**refused, "connects": 6}

    async def test_a_host_that_refuses_or_hangs_is_left_out(self, run_dir: Path) -> None:
        refusing = await self.serve(
            run_dir, 1, {"status": CommandError("internal", "x"), "items": {}}
        )
        hanging = await asyncio.start_unix_server(
            lambda *_: asyncio.sleep(0), run_dir / "pipes-2.sock"
        )
        started = time.monotonic()

        pipes = await asyncio.to_thread(live.ask_about_pipes)
        waited = time.monotonic() - started
        await refusing.stop()
        hanging.close()

        assert pipes.hosts == 0
        assert pipes.pipe("P1", enabled=True, items=0)["reason"] == live.NOBODY
        assert waited < 3

    def test_hosts_that_are_not_there_cost_nothing(self, run_dir: Path) -> None:
        assert live.ask_about_pipes().hosts == 0
        assert not live.hosts_answer()
        assert live.poke(3) is False
        assert live.ask_about_items([]).hosts == 0

    def test_what_is_disabled_is_disabled_without_any_host(self, run_dir: Path) -> None:
        nobody = live.ask_about_pipes()

        assert nobody.pipe("P1", enabled=False, items=0)["state"] == "disabled"
        assert nobody.server("PLC1", enabled=False)["state"] == "disabled"
        assert live.ask_about_items([1]).item(1, enabled=False)["state"] == "disabled"


@pytest.mark.django_db
def test_a_form_from_another_site_is_refused_on_the_api_as_a_problem() -> None:
    strict = Client(enforce_csrf_checks=True)

    answer = strict.post(f"{BASE}/tokens", {}, content_type="application/json")

    assert answer.status_code == 401
    assert rest_of_nobody().get("/tokens").status_code == 401
