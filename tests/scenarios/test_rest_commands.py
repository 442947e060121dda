"""What REST asks of the pipe workers and of servers, on a real station with real servers."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pipes.pki import Pki, thumbprint_of
from tests.scenarios.plants import Plant, free_port, node_id
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.node
NONE = {"security_policy": "None", "security_mode": "None"}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A certificate and key for a plant server, and the thumbprint."""
    folder = tmp_path_factory.mktemp("identity")
    own = Pki(folder / "pki").own("urn:test:plant:server", ["127.0.0.1"])
    certificate, key = folder / "cert.pem", folder / "key.pem"
    loaded = x509.load_der_x509_certificate(own.der)
    certificate.write_bytes(loaded.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        own.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key, thumbprint_of(own.der)


@pytest.fixture(scope="module")
def open_plant(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant("node", items=5)


@pytest.fixture(scope="module")
def secured_plant(shared_plant: Callable[..., Plant], identity: tuple[Path, Path, str]) -> Plant:
    certificate, key, _ = identity
    policies = "NoSecurity,Basic256Sha256_SignAndEncrypt"
    return shared_plant(items=5, policies=policies, certificate=certificate, key=key)


@pytest.fixture
def station(shared_station: Station, open_plant: Plant, secured_plant: Plant) -> Station:
    shared_station.put_configuration(
        {
            "servers": [
                {**NONE, "name": "A", "endpoint": open_plant.url},
                {"name": "B", "endpoint": secured_plant.url},
                {**NONE, "name": "GONE", "endpoint": f"opc.tcp://127.0.0.1:{free_port()}"},
            ],
            "pipes": [{"name": "P1", "source": "A", "target": "B"}],
            "items": [
                {"pipe": "P1", "source_node": node_id(name), "target_node": node_id(name)}
                for name in ("T000000", "T000001")
            ],
        }
    )
    revision = shared_station.get("/configuration/revisions?limit=1")["results"][0]["revision"]
    eventually(
        lambda: shared_station.get("/station")["revision"]["applied"] >= revision,
        within=20,
        what="the hosts have the configuration",
    )
    return shared_station


def test_a_server_is_tested_and_says_what_it_can(station: Station) -> None:
    done = station.api("POST", "/servers/a/test")
    gone = station.api("POST", "/servers/GONE/test")

    assert done.status == 200
    assert done.json["ok"] is True
    assert done.json["capabilities"]
    assert gone.status == 200
    assert gone.json["ok"] is False
    assert "cannot be reached" in gone.json["error"]


def test_an_address_space_is_browsed_in_pages_and_read(station: Station) -> None:
    seen: list[str] = []
    query = f"/servers/A/browse?node={node_id('Area00')}&limit=2"
    answer = station.get(query)
    seen += [row["node_id"] for row in answer["results"]]
    while answer["continuation"]:
        answer = station.get(f"{query}&continuation={answer['continuation']}")
        seen += [row["node_id"] for row in answer["results"]]

    values = station.api(
        "POST", "/servers/A/read", {"nodes": [node_id("T000003"), node_id("nothing")]}
    ).json

    assert set(seen) == {node_id(f"T{number:06}") for number in range(5)}
    assert values[0]["value"] == 3.0
    assert values[0]["status"] == "Good"
    assert values[1]["status"] == "BadNodeIdUnknown"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/servers/A/browse?node=ns%3D2;s%3Dnothing", None, 404),
        ("GET", "/servers/GONE/browse", None, 504),
        ("POST", "/servers/GONE/read", {"nodes": ["i=2258"]}, 504),
        ("POST", "/discovery", {"url": "opc.tcp://127.0.0.1:9"}, 504),
        ("GET", "/servers/nothing/browse", None, 404),
    ],
)
def test_what_cannot_be_answered_is_a_problem_of_its_kind(
    station: Station, method: str, path: str, body: Any, status: int
) -> None:
    answer = station.api(method, path, body)

    assert answer.status == status, answer.raw
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["detail"]


def test_discovery_lists_the_endpoints_of_an_address(
    station: Station, secured_plant: Plant, identity: tuple[Path, Path, str]
) -> None:
    endpoints = station.api("POST", "/discovery", {"url": secured_plant.url}).json

    offered = {(each["security_policy"], each["security_mode"]) for each in endpoints}
    assert offered == {("None", "None"), ("Basic256Sha256", "SignAndEncrypt")}
    assert identity[2] in {each["thumbprint"] for each in endpoints}


def test_c18_a_refused_certificate_is_trusted_by_rest_and_values_flow(
    station: Station, open_plant: Plant, secured_plant: Plant, identity: tuple[Path, Path, str]
) -> None:
    path = "/servers/B/certificate"
    refused = eventually(
        lambda: station.get("/servers/B")["status"]["state"] == "rejected" and station.get(path),
        within=30,
        what="the certificate of B is refused",
    )
    assert refused["thumbprint"] == identity[2]
    assert refused["trusted"] is False

    trusted = station.api("POST", path, {"action": "trust", "thumbprint": refused["thumbprint"]})
    assert trusted.status == 200, trusted.raw

    open_plant.set("T000001", 47.5)
    eventually(
        lambda: secured_plant.value("T000001") == 47.5,
        within=30,
        what="the value arrives at the target over the encrypted channel",
    )
    eventually(lambda: station.pipe()["state"] == "running", within=10, what="the pipe runs")
    assert station.get("/servers/B")["status"]["state"] == "connected"
    item = station.get("/items?search=T000001")["results"][0]["status"]
    assert item["state"] == "good"
    assert item["written"]["value"] == 47.5


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_body_of_100_mib_is_refused_and_costs_nothing(station: Station, form: str) -> None:
    web = station.processes("mirrorsite.web")[0]
    before = web.memory_info().rss
    pieces = (b"x" * MIB for _ in range(100))
    headers = {"Authorization": f"Bearer {station.token}"}
    if form == "length":
        headers["Content-Length"] = str(100 * MIB)
    else:
        headers["Transfer-Encoding"] = "chunked"

    connection = http.client.HTTPConnection("127.0.0.1", station.port, timeout=60)
    connection.request(
        "POST",
        "/api/v1/items/import?format=csv",
        pieces,
        headers,
        encode_chunked=form == "chunked",
    )
    answer = connection.getresponse()
    problem = json.loads(answer.read())
    connection.close()

    assert answer.status == 413
    assert problem["code"] == "too_large"
    assert web.memory_info().rss - before < 80 * MIB
    assert station.api("GET", "/healthz").status == 200


def test_commands_say_so_while_the_workers_stand_still(station: Station) -> None:
    workers = station.processes("--role pipes")
    for worker in workers:
        os.kill(worker.pid, signal.SIGSTOP)
    try:
        answer = station.api("POST", "/servers/A/test")
        listed = station.api("GET", "/pipes")
    finally:
        for worker in workers:
            try:
                os.kill(worker.pid, signal.SIGCONT)
            except ProcessLookupError:
                assert not psutil.pid_exists(worker.pid)

    assert answer.status == 503
    assert answer.json["code"] == "worker_away"
    assert listed.status == 200
    assert listed.json["results"][0]["status"]["reason"] == "no pipe worker answers"
