"""Station, pair, tree, chronicle and logs over REST, with real parts of a station."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext

from diagnostics import receivers, services
from diagnostics.core.chronicle import Query
from diagnostics.models import ChronicleEvent
from diagnostics.selectors import Listing
from pipes import services as configuration
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit
from tests.integration.rest_client import BASE, Rest, rest_as, rest_of_nobody
from tests.integration.station_parts import Parts, station_parts

pytestmark = pytest.mark.django_db(transaction=True)

MIRROR = "REDOPC/REDOPC/mirror"
LIMITS = {"read": 1000, "write": 1000, "monitored_items": 1000}


@pytest.fixture(autouse=True)
def parts(settings: Any, tmp_path: Path) -> Iterator[Parts]:
    cache.clear()
    with station_parts(settings, tmp_path) as made:
        yield made
    receivers.close()


@pytest.fixture
def viewer() -> Rest:
    return rest_as("viewer")


@pytest.fixture
def operator() -> Rest:
    return rest_as("operator")


def report(code: str = "SERVER_LOST", message: str = "PLC1 does not answer", **more: Any) -> None:
    kind = more.pop("kind", EventKind.SERVER)
    severity = more.pop("severity", Severity.HIGH)
    emit(kind, code, severity, "PLC1", message, **more)


def configure(items: int = 3) -> None:
    server = {"security_policy": "None", "security_mode": "None"}
    configuration.apply_document(
        {
            "format": "mirrorsite",
            "version": 1,
            "servers": [
                {"name": "PLC1", "endpoint": "opc.tcp://10.0.0.5:4840", **server},
                {"name": "DCS", "endpoint": "opc.tcp://10.0.0.6:4840", **server},
            ],
            "pipes": [{"name": "P1", "source": "PLC1", "target": "DCS"}],
            "items": [
                {
                    "pipe": "P1",
                    "source_node": f"nsu=urn:plant:a;s=T{number}",
                    "target_node": f"nsu=urn:plant:b;s=T{number}",
                }
                for number in range(items)
            ],
            "points": [],
            "modules": [],
            "redundancy": {},
        },
        user="test",
        reason="",
    )


def serve_host(parts: Parts, pipe_state: str = "running", items: int = 3) -> None:
    """A pipe host that has the pipe; every other item is bad."""

    def item_status(params: dict[str, Any]) -> dict[str, Any]:
        return {
            str(number): {
                "state": "bad" if number % 2 == 0 else "good",
                "reason": "BadNodeIdUnknown" if number % 2 == 0 else "",
                "source": {"value": 1.5, "status": "Good", "source_timestamp": None},
                "written": None,
                "last_error": None,
                "writes": 4,
                "errors": 0,
                "age_ms": 80,
            }
            for number in params["ids"]
        }

    server = {"state": "connected", "reason": "", "since": None, "limits": LIMITS}
    pipe = {
        "state": pipe_state,
        "reason": "" if pipe_state == "running" else "DCS is missing",
        "items": items,
        "good": items,
        "rate": 12.5,
        "writes": 40,
        "errors": 1,
        "latency_ms": {"p50": 52, "p99": 99},
        "conflated": 2,
        "queued": 0,
    }
    parts.serve(
        parts.station.host_socket(1),
        status={
            "revision": 1,
            "pid": 1,
            "servers": {"PLC1": server, "DCS": server},
            "pipes": {"P1": pipe},
        },
        items=item_status,
    )


class TestStation:
    def test_an_active_station_answers_in_the_contracts_form(
        self, parts: Parts, viewer: Rest
    ) -> None:
        configure()
        parts.start_active()

        body = viewer.get("/station").json()
        assert (body["name"], body["state"], body["detail"]) == ("REDOPC", "active", "ACTIVE")
        assert (body["ready"], body["reasons"], body["simplex"]) == (True, [], True)
        assert (body["pair"], body["peer"], body["link"]) == (None, None, None)
        assert body["lease_ms"] > 0
        assert body["revision"]["saved"] == 1
        assert body["revision"]["applied"] == 3
        assert body["revision"]["digest"] == configuration.digest()
        rows = {row["component"]: row["state"] for row in body["health"]}
        assert {"supervisor", "pipes/1", "web", "database", "redis", "disk", "clock"} <= set(rows)
        assert rows["pipes/1"] == "good"

    def test_with_every_part_away_it_still_answers_with_reasons(self, viewer: Rest) -> None:
        answer = viewer.get("/station")

        assert answer.status_code == 200
        body = answer.json()
        assert (body["state"], body["ready"]) == ("failed", False)
        assert body["reasons"][0]["code"] == "SUPERVISOR_AWAY"
        rows = {row["component"]: row["state"] for row in body["health"]}
        assert rows["supervisor"] == "failed"
        assert rows["redis"] == "failed"
        assert rows["database"] == rows["disk"] == rows["web"] == "good"

    def test_the_pair_of_a_simplex_station_is_that_station(
        self, parts: Parts, viewer: Rest
    ) -> None:
        parts.start_active()

        pair = viewer.get("/pair").json()
        assert (pair["state"], pair["active"], pair["standby"]) == ("simplex", "REDOPC", None)
        assert pair["stations"][0]["state"] == "active"

    def test_there_are_no_switchovers_yet(self, viewer: Rest) -> None:
        listed = viewer.get("/switchovers").json()

        assert listed == {"count": 0, "next": None, "previous": None, "results": []}
        assert viewer.get("/switchovers/3").status_code == 404
        assert viewer.get("/switchovers/3/evidence").status_code == 404


class TestTree:
    def test_the_tree_shows_a_running_station(self, parts: Parts, viewer: Rest) -> None:
        configure()
        parts.start_active()
        serve_host(parts)

        root = viewer.get("/diagnostics").json()
        assert [child["path"] for child in root["children"]] == ["REDOPC"]
        pipe = viewer.get(f"/diagnostics/{MIRROR}/pipes/P1").json()
        assert (pipe["kind"], pipe["state"]) == ("pipe", "good")
        values = {each["name"]: each["value"] for each in pipe["parameters"]}
        assert (values["Values"], values["Latency, half of values"]) == (12.5, 52)
        server = viewer.get(f"/diagnostics/{MIRROR}/servers/PLC1").json()
        assert server["state"] == "good"

    def test_a_pipe_that_waits_marks_every_node_above_it(self, parts: Parts, viewer: Rest) -> None:
        configure()
        parts.start_active()
        serve_host(parts, "waiting")

        pair = viewer.get("/diagnostics/REDOPC?depth=4").json()
        assert pair["state"] == "failed"
        assert "DCS is missing" in pair["reason"]
        assert pair["own_state"] == "good"

    def test_items_come_in_parts_and_one_by_one(self, parts: Parts, viewer: Rest) -> None:
        configure(items=30)
        serve_host(parts, items=30)

        items = viewer.get(f"/diagnostics/{MIRROR}/pipes/P1/items?limit=4&offset=10").json()
        assert items["children_count"] == 30
        assert [child["path"].rpartition("/")[2] for child in items["children"]] == [
            "11",
            "12",
            "13",
            "14",
        ]
        assert [child["state"] for child in items["children"]] == ["good", "failed"] * 2
        one = viewer.get(f"/diagnostics/{MIRROR}/pipes/P1/items/12").json()
        assert (one["kind"], one["reason"]) == ("item", "BadNodeIdUnknown")
        deep = viewer.get(f"/diagnostics/{MIRROR}/pipes/P1?depth=2").json()
        assert len(deep["children"][0]["children"]) == 30

    @pytest.mark.parametrize(
        "path",
        [
            "NOPE",
            f"{MIRROR}/pipes/P9",
            f"{MIRROR}/pipes/P1/items/99",
            f"{MIRROR}/pipes/P1/items/{9**30}",
        ],
    )
    def test_a_path_that_is_not_there_is_404(self, viewer: Rest, path: str) -> None:
        configure()

        answer = viewer.get(f"/diagnostics/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize("query", ["depth=11", "depth=-1", "depth=x", "limit=0", "dept=1"])
    def test_a_wrong_parameter_is_named(self, viewer: Rest, query: str) -> None:
        answer = viewer.get(f"/diagnostics?{query}")

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]

    def test_without_hosts_and_supervisor_the_tree_says_what_is_missing(self, viewer: Rest) -> None:
        configure()

        station = viewer.get("/diagnostics/REDOPC/REDOPC?depth=3").json()
        assert station["state"] == "failed"
        assert "the supervisor does not answer" in station["reason"]
        pipe = viewer.get(f"/diagnostics/{MIRROR}/pipes/P1").json()
        assert (pipe["state"], pipe["reason"]) == ("failed", "no pipe worker answers")

    def test_with_the_database_away_the_hosts_pipes_are_shown(
        self, parts: Parts, viewer: Rest
    ) -> None:
        from diagnostics import sources
        from diagnostics.core.tree import build, find

        serve_host(parts)

        def refuse(*arguments: object) -> None:
            raise DatabaseError("disk I/O error")

        with connection.execute_wrapper(refuse):
            tree = build(sources.document())
        pipe = find(tree, f"{MIRROR}/pipes/P1")
        mirror = find(tree, MIRROR)
        assert pipe is not None
        assert mirror is not None
        assert pipe.state == "good"
        assert "cannot be read" in mirror.reason


class TestChronicle:
    def test_an_event_is_listed_within_a_second_without_any_worker(self, viewer: Rest) -> None:
        report(user="anna", attempts=3)
        reported = time.monotonic()
        while not (found := viewer.get("/chronicle?code=SERVER_LOST").json()["results"]):
            assert time.monotonic() - reported < 1.0
            threading.Event().wait(0.02)

        (event,) = found
        assert event["at"].endswith("Z")
        assert {key: event[key] for key in ("station", "kind", "severity", "user", "details")} == {
            "station": "REDOPC",
            "kind": "server",
            "severity": "high",
            "user": "anna",
            "details": {"attempts": 3},
        }
        assert (event["acknowledged_at"], event["acknowledged_by"]) == (None, "")
        assert ChronicleEvent.objects.count() == 0

    def test_pages_and_filters_work_over_spool_and_database(self, viewer: Rest) -> None:
        for number in range(10):
            report("CODE_A" if number % 2 else "CODE_B", f"number {number}")
            if number == 4:
                receivers.current_spool().flush()
                services.drain()
        receivers.current_spool().flush()

        page = viewer.get("/chronicle?code=CODE_A,CODE_B&limit=4&offset=3").json()
        assert page["count"] == 10
        assert [event["message"] for event in page["results"]] == [
            f"number {number}" for number in (6, 5, 4, 3)
        ]
        assert "offset=7" in page["next"]
        assert "offset=0" in page["previous"]
        oldest = viewer.get("/chronicle?code=CODE_A&ordering=at&search=NUMBER").json()
        assert [event["message"] for event in oldest["results"]] == [
            f"number {number}" for number in (1, 3, 5, 7, 9)
        ]
        assert viewer.get("/chronicle?severity=critical,info&code=CODE_A").json()["count"] == 0
        assert viewer.get("/chronicle?since=2999-01-01").json()["count"] == 0
        assert viewer.get("/chronicle?until=2000-01-01T00:00:00Z").json()["count"] == 0

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("kind=gossip", "kind"),
            ("severity=mild", "severity"),
            ("since=yesterday", "since"),
            ("until=9999-99-99", "until"),
            ("ordering=message", "ordering"),
            ("format=pdf", "format"),
            ("serverity=low", "serverity"),
            ("limit=-1", "limit"),
            ("search=" + "x" * 201, "search"),
            ("code=" + "x," * 51, "code"),
        ],
    )
    def test_a_wrong_parameter_is_named(self, viewer: Rest, query: str, field: str) -> None:
        answer = viewer.get(f"/chronicle?{query}")

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field

    def test_the_listing_says_when_it_has_the_spool_alone(
        self, viewer: Rest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report()
        receivers.current_spool().flush()
        assert viewer.get("/chronicle")["X-Mirrorsite-Chronicle"] == "database, spool"

        def away(*arguments: object) -> None:
            raise DatabaseError("disk I/O error")

        monkeypatch.setattr("diagnostics.selectors._rows", away)
        answer = viewer.get("/chronicle?code=SERVER_LOST")
        assert answer["X-Mirrorsite-Chronicle"] == "spool"
        assert answer.json()["count"] == 1

    def test_a_csv_export_has_every_match_and_no_formula(self, viewer: Rest) -> None:
        for number in range(450):
            report(message=f"=HYPERLINK({number})")
        receivers.current_spool().flush()
        services.drain()

        answer = viewer.get("/chronicle?format=csv&code=SERVER_LOST")
        assert answer["Content-Disposition"] == 'attachment; filename="chronicle-REDOPC.csv"'
        text = b"".join(answer.streaming_content).decode("utf-8")
        assert text.startswith("\ufeff")
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
        assert len(rows) == 450
        assert rows[0]["message"] == "'=HYPERLINK(449)"
        assert rows[0]["kind"] == "server"

    def test_a_json_export_has_every_match(self, viewer: Rest) -> None:
        nothing = b"".join(viewer.get("/chronicle?format=json&code=NONE").streaming_content)
        for number in range(450):
            report(message=f"number {number}", number=number)
        receivers.current_spool().flush()

        answer = viewer.get("/chronicle?format=json&code=SERVER_LOST&ordering=at")
        events = json.loads(b"".join(answer.streaming_content))
        assert json.loads(nothing) == []
        assert [event["details"]["number"] for event in events] == list(range(450))

    async def test_an_export_is_sent_while_it_is_read_under_asgi(self) -> None:
        from asgiref.sync import sync_to_async

        def prepare() -> str:
            for number in range(450):
                report(message=f"number {number}")
            receivers.current_spool().flush()
            services.drain()
            from mirrorsite.accounts.services import create_token

            return str(create_token("export", "viewer"))

        token = await sync_to_async(prepare)()
        answer = await AsyncClient().get(
            f"{BASE}/chronicle?format=json&code=SERVER_LOST",
            headers={"Authorization": f"Bearer {token}"},
        )
        pieces = [piece async for piece in answer.streaming_content]
        assert len(pieces) == 3
        assert len(json.loads(b"".join(pieces))) == 450

    def test_an_operator_acknowledges_what_is_only_spooled(
        self, viewer: Rest, operator: Rest
    ) -> None:
        report()
        receivers.current_spool().flush()
        (event,) = viewer.get("/chronicle?code=SERVER_LOST").json()["results"]

        answer = operator.post(f"/chronicle/{event['id']}/acknowledge")
        assert answer.status_code == 200
        assert answer.json()["acknowledged_by"] == "test-operator"
        (seen,) = viewer.get("/chronicle?code=SERVER_LOST").json()["results"]
        assert seen["acknowledged_by"] == "test-operator"
        assert viewer.post(f"/chronicle/{event['id']}/acknowledge").status_code == 403
        assert operator.post("/chronicle/99/acknowledge").status_code == 404
        assert operator.post(f"/chronicle/{2**63}/acknowledge").status_code == 404

    def test_a_refused_login_is_in_the_chronicle(self, viewer: Rest) -> None:
        from django.contrib.auth import authenticate
        from django.test import RequestFactory

        authenticate(RequestFactory().post("/login/"), username="mallory\n", password="guess")
        receivers.current_spool().flush()

        (event,) = viewer.get("/chronicle?kind=security&search=mallory").json()["results"]
        assert "\n" not in json.dumps(event["message"] + str(event["details"]))


class TestLogs:
    def write(self, parts: Parts, process: str, *lines: object) -> None:
        folder = parts.station.data_dir / "logs"
        folder.mkdir(exist_ok=True)
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (folder / f"{process}.log").write_text("\n".join(texts) + "\n")

    def test_an_admin_reads_the_newest_lines_of_all_processes(self, parts: Parts) -> None:
        self.write(parts, "web", {"at": "2026-11-24T09:00:02Z", "level": "info", "event": "third"})
        self.write(
            parts,
            "pipes-1",
            "Traceback",
            {"at": "2026-11-24T09:00:00Z", "level": "info", "event": "first"},
            {"at": "2026-11-24T09:00:01Z", "level": "error", "event": "second"},
        )
        admin = rest_as("admin")

        events = [line["event"] for line in admin.get("/logs").json()["results"]]
        assert events == ["third", "second", "first", "Traceback"]
        urgent = admin.get("/logs?level=warning").json()["results"]
        assert [(line["process"], line["event"]) for line in urgent] == [("pipes-1", "second")]
        assert admin.get("/logs?process=web&limit=1").json()["count"] == 1

    @pytest.mark.parametrize(
        "query", ["process=../../etc/passwd", "process=none", "level=loud", "limit=0", "tail=5"]
    )
    def test_a_wrong_parameter_is_refused(self, parts: Parts, query: str) -> None:
        self.write(parts, "web", "line")

        answer = rest_as("admin").get(f"/logs?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]

    def test_logs_are_for_admins(self) -> None:
        assert rest_as("engineer").get("/logs").status_code == 403

    def test_a_long_file_is_read_from_its_end(self, parts: Parts) -> None:
        self.write(parts, "web", *(f"line {number} " + "x" * 100 for number in range(20_000)))

        lines = rest_as("admin").get("/logs?limit=1").json()["results"]
        assert lines[0]["event"].startswith("line 19999 ")


@pytest.mark.parametrize(
    "path",
    ["/station", "/pair", "/diagnostics", "/chronicle", "/chronicle?format=csv", "/switchovers"],
)
def test_nothing_is_shown_to_strangers(path: str) -> None:
    assert rest_of_nobody().get(path).status_code == 401


def test_a_listing_asks_the_database_the_same_few_questions_however_long_it_is() -> None:
    for number in range(300):
        report(message=f"number {number}")
    receivers.current_spool().flush()
    services.drain()

    with CaptureQueriesContext(connection) as queries:
        assert len(Listing(Query())[0:300]) == 300
    assert len(queries) < 10
