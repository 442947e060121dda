"""Bad input to a running station: refused with the thing and the remedy; values do not notice."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from tests.scenarios.moving import Moving
from tests.scenarios.plants import Plant, free_port, node_id
from tests.scenarios.stations import Answer, Station
from tests.scenarios.waiting import eventually

TAGS = [f"T{index:06}" for index in range(40)]
ROWS = 30_001
WRONG_ROW = 17_123
CSV = "text/csv"
PIPE_WORKERS = 1


@pytest.fixture(scope="module")
def moving(shared_station: Station, shared_plant: Callable[..., Plant]) -> Moving:
    plants = shared_plant(items=len(TAGS)), shared_plant(items=len(TAGS))
    return Moving(shared_station, *plants, TAGS).configure()


@pytest.fixture(autouse=True)
def _values_do_not_notice(moving: Moving) -> Iterator[None]:
    """Values move all the time, and configuration is afterwards what it was before."""
    moving.start()
    before = moving.station.get("/configuration")
    with moving.window() as window:
        yield
    moving.stop(within=30)
    assert moving.station.get("/configuration") == before
    assert window.longest_gap() <= 2.0


def problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status, (answer.status, answer.raw[:2000])
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    body: dict[str, Any] = answer.json
    assert body["status"] == status
    assert body["detail"]
    return body


# -- at the start -----------------------------------------------------------------------------


def refused(station: Station, *options: str, **environment: str) -> str:
    """What a station says that must not start."""
    plain = dict(station.environment)
    station.environment = plain | environment
    try:
        done = station.manage("station", *options, check=False)
    finally:
        station.environment = plain
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    return str(done.stderr)


@pytest.fixture
def other(tmp_path: Any) -> Station:
    """A station that is not running."""
    return Station(tmp_path / "other")


def test_a_taken_port_is_named_with_its_option(moving, other):
    port = moving.station.port
    text = refused(other, "--http", f"127.0.0.1:{port}")
    assert f"--http 127.0.0.1:{port}" in text
    assert "another program listens there" in text


def test_a_second_station_on_one_data_folder_is_refused(moving):
    station = moving.station
    text = refused(station, "--http", f"127.0.0.1:{free_port()}")
    assert str(station.data_dir) in text
    assert str(station.launcher.pid) in text
    assert station.get("/station")["state"] == "active"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MIRRORSITE_HTTP", "8000"),
        ("MIRRORSITE_HTTP", "127.0.0.1:99999"),
        ("MIRRORSITE_PIPE_WORKERS", "none"),
        ("MIRRORSITE_PIPE_WORKERS", "0"),
        ("MIRRORSITE_STATION", "a/b"),
        ("MIRRORSITE_INITIAL_ROLE", "boss"),
        ("MIRRORSITE_REDIS_URL", "http://127.0.0.1"),
        ("MIRRORSITE_CHAOS", "perhaps"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(other, variable, value):
    text = refused(other, **{variable: value})
    assert variable in text
    assert "takes" in text or "is 1 to 64" in text
    assert not other.data_dir.exists()


# -- tables -----------------------------------------------------------------------------------


def table(rows: int, wrong: dict[int, str]) -> bytes:
    """A CSV of items that do not exist yet; ``wrong`` is a direction by line number."""
    lines = ["pipe,source_node,target_node,direction"]
    lines += [
        f"P1,{node_id(f'New{line}')},{node_id(f'New{line}')},{wrong.get(line, 'forward')}"
        for line in range(2, rows + 2)
    ]
    return "\r\n".join(lines).encode()


def test_one_wrong_cell_of_30001_rows_is_named_and_nothing_is_applied(moving, record_property):
    station = moving.station
    content = table(ROWS, {WRONG_ROW: "sideways"})
    path = "/items/import?format=csv&mode=merge"

    began = time.monotonic()
    plan = station.api("POST", f"{path}&dry_run=true", content, Content_Type=CSV)
    record_property("plan_s", round(time.monotonic() - began, 2))
    applied = station.api("POST", path, content, Content_Type=CSV)

    assert plan.status == 200, plan.raw[:1000]
    counts = plan.json["counts"]
    assert (counts["error"], counts["add"]) == (1, ROWS - 1)
    wrong = plan.json["rows"][0]
    assert (wrong["row"], wrong["action"]) == (WRONG_ROW, "error")
    (error,) = wrong["errors"]
    assert (error["column"], error["value"]) == ("direction", "sideways")
    assert "forward" in error["message"]
    refusal = problem(applied, 400)["errors"][0]
    assert (refusal["row"], refusal["column"]) == (WRONG_ROW, "direction")
    assert station.get("/items?limit=1")["count"] == len(TAGS)


def test_a_hundred_megabytes_are_refused_fast_and_the_station_stays_responsive(
    moving, record_property
):
    station = moving.station
    (web,) = (psutil.Process(p.pid) for p in station.processes("mirrorsite.web"))
    before = web.memory_info().rss
    highest, slowest = [before], [0.0]
    done = threading.Event()

    def look_at_web() -> None:
        while not done.wait(0.05):
            highest.append(web.memory_info().rss)
            began = time.monotonic()
            assert station.api("GET", "/healthz", timeout=10).status == 200
            slowest.append(time.monotonic() - began)

    looking = threading.Thread(target=look_at_web)
    looking.start()
    began = time.monotonic()
    try:
        declared = upload(station, chunked=False)
        chunked = upload(station, chunked=True)
    finally:
        done.set()
        looking.join()
    record_property("both_s", round(time.monotonic() - began, 2))
    record_property("grown_mib", (max(highest) - before) // 2**20)
    record_property("slowest_healthz_s", round(max(slowest), 2))
    for status, body in (declared, chunked):
        assert status == 413, body
        assert json.loads(body)["code"] == "too_large"
        assert "64 MiB" in json.loads(body)["detail"]
    assert max(highest) - before < 96 * 2**20
    assert max(slowest) < 2.0


def upload(station: Station, *, chunked: bool) -> tuple[int, bytes]:
    """100 MB to the import, sent as a client does that looks at the answer only afterwards."""
    connection = http.client.HTTPConnection("127.0.0.1", station.port, timeout=60)
    connection.putrequest("POST", "/api/v1/items/import?format=csv&mode=merge")
    connection.putheader("Authorization", f"Bearer {station.token}")
    connection.putheader("Content-Type", CSV)
    piece = b"x" * 1_000_000
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    else:
        connection.putheader("Content-Length", str(100 * len(piece)))
    connection.endheaders()
    for _ in range(100):
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        connection.send(b"0\r\n\r\n")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def bomb(megabytes: int) -> bytes:
    """A small workbook whose sheet unpacks to ``megabytes``."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.'
            'openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        )
        archive.writestr(
            "xl/workbook.xml",
            '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/'
            '2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/'
            'relationships"><sheets><sheet name="items" sheetId="1" r:id="rId1"/></sheets>'
            "</workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/'
            '2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/'
            'officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
            "</Relationships>",
        )
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            for _ in range(megabytes):
                sheet.write(b"<!--" + b" " * (2**20 - 7) + b"-->")
    return content.getvalue()


def test_a_workbook_that_is_a_bomb_is_refused_in_bounded_memory(moving, record_property):
    station = moving.station
    (web,) = station.processes("mirrorsite.web")
    before = web.memory_info().rss
    began = time.monotonic()
    answer = station.api(
        "POST",
        "/items/import?format=xlsx&mode=merge&dry_run=true",
        bomb(600),
        Content_Type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    )
    record_property("refused_s", round(time.monotonic() - began, 2))
    assert answer.status in (400, 413), answer.raw[:500]
    problem(answer, answer.status)
    assert web.memory_info().rss - before < 200 * 2**20


@pytest.mark.parametrize(
    ("path", "content_type", "body", "statuses"),
    [
        ("/pipes", "text/plain", b"name=P9", (415,)),
        ("/pipes", "application/xml", b"<pipe/>", (415,)),
        ("/pipes", "application/json", b"{'name': 1}", (400,)),
        ("/pipes", "application/json", b"\xff\xfe", (400,)),
        ("/items/import?format=xlsx&mode=merge", "text/csv", b"pipe,source_node", (400,)),
        ("/items/import?format=csv&mode=merge", CSV, b"\x89PNG\r\n\x1a\n\x00", (400,)),
        ("/items/import?format=pdf&mode=merge", CSV, b"pipe", (400,)),
    ],
)
def test_content_of_a_wrong_type_is_refused(moving, path, content_type, body, statuses):
    answer = moving.station.api("POST", path, body, Content_Type=content_type)
    assert answer.status in statuses, (answer.status, answer.raw[:1000])
    problem(answer, answer.status)


# -- objects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a/b", "", "x" * 65, "../../etc/passwd", "a\x00b", "line\nbreak", None, 7, ["P"], "\ud800"],
    ids=repr,
)
def test_a_hostile_name_is_refused_and_named(moving, name):
    body = json.dumps({"name": name, "source": "SRC", "target": "TGT"}).encode()
    refusal = problem(moving.station.api("POST", "/pipes", body), 400)
    assert "name" in json.dumps(refusal.get("errors", [])) or "body" in refusal["detail"]


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "=cmd|'C calc'!A0", "Ünï ✓", "%2e%2e"]
)
def test_an_odd_name_is_only_a_name(moving, name):
    station = moving.station
    made = station.api("POST", "/pipes", {"name": name, "source": "SRC", "target": "TGT"})
    assert made.status == 201, made.raw
    try:
        assert name in {pipe["name"] for pipe in station.get("/pipes")["results"]}
        assert name in {pipe["name"] for pipe in station.get("/configuration")["pipes"]}
        page = station.api("GET", "/api/v1/diagnostics?depth=4")
        assert page.status == 200, page.raw[:500]
    finally:
        gone = station.api("DELETE", f"/pipes/{quote(name, safe='')}")
        assert gone.status in (200, 204), gone.raw


def test_an_unknown_field_is_refused_with_those_that_exist(moving):
    station = moving.station
    item = station.get("/items?limit=1")["results"][0]
    for method, path, body in (
        ("POST", "/pipes", {"name": "P9", "source": "SRC", "target": "TGT", "colour": "red"}),
        ("PATCH", "/pipes/P1", {"colour": "red"}),
        ("PATCH", f"/items/{item['id']}", {"colour": "red"}),
        ("PUT", "/configuration", {"format": "mirrorsite", "version": 1, "colour": []}),
    ):
        refusal = problem(station.api(method, path, body), 400)
        assert "colour" in json.dumps(refusal["errors"]), refusal


def test_a_stale_if_match_is_refused_with_the_present_object(moving):
    station = moving.station
    item = station.get("/items?limit=1")["results"][0]
    path = f"/items/{item['id']}"
    old = station.api("GET", path).headers["ETag"]
    assert station.api("PATCH", path, {"note": "first"}, If_Match=old).status == 200
    late = problem(station.api("PATCH", path, {"note": "second"}, If_Match=old), 412)
    assert late["current"]["note"] == "first"
    new = station.api("GET", path).headers["ETag"]
    assert new != old
    assert station.api("PATCH", path, {"note": None}, If_Match=new).status == 200


def test_wrong_references_and_values_are_named_all_at_once(moving):
    items = [
        {"pipe": "P1", "source_node": "ns=2;s=A", "target_node": node_id("B")},
        {"pipe": "Nowhere", "source_node": node_id("C"), "target_node": node_id("C")},
        {"pipe": "P1", "source_node": "nonsense", "target_node": node_id("D")},
        {
            "pipe": "P1",
            "source_node": node_id("E"),
            "target_node": node_id("E"),
            "enabled": "maybe",
        },
    ]
    refusal = problem(moving.station.api("POST", "/items", items), 400)
    fields = {error["field"] for error in refusal["errors"]}
    assert {"pipe", "source_node", "enabled"} <= fields


def test_a_configuration_of_another_version_is_refused(moving):
    for wrong in ({"format": "other", "version": 1}, {"format": "mirrorsite", "version": 99}):
        refusal = problem(moving.station.api("PUT", "/configuration", wrong), 400)
        assert {"format", "version"} & {error["field"] for error in refusal["errors"]}


def test_a_broken_request_line_and_a_silent_client_harm_nobody(moving):
    port = moving.station.port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as broken:
            broken.sendall(os.urandom(64) + b"\r\n\r\n")
            broken.recv(1024)
        eventually(lambda: moving.station.api("GET", "/healthz").status == 200, within=5)
    finally:
        for connection in silent:
            connection.close()
