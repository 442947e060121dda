"""Clocks, certificates, long lines and loud logs: F46, F47, F53, F67.

One station and two plants of two makers serve all of them; see docs/complaints.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from redundancy.board import Board
from tests.scenarios.mirrors import TIME_SCALE, Mirror, assert_equal_final_state, took
from tests.scenarios.moving import Moving
from tests.scenarios.plants import Plant, identity
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually, steadily
from tests.servers.relay import Relay, unsecured_services

pytestmark = pytest.mark.node
TAGS = [f"T{index:06}" for index in range(100)]
FEW = TAGS[:10]
FLOOD = Path(__file__).with_name("log_flood")
URI = "urn:test:plant:server"
ENCRYPTED = {"security_policy": "Basic256Sha256", "security_mode": "SignAndEncrypt"}
DAY = 86_400
MIB = 1 << 20
#: GetEndpoints: all that may be asked of a server without its certificate (Part 4, 5.4.4).
GET_ENDPOINTS = 428
_numbers = count(1000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    for name in ("source", "target", "flood"):
        (folder / name).write_text("0")
    return folder


@pytest.fixture(scope="module")
def station(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    path = os.pathsep.join(filter(None, [str(FLOOD), os.environ.get("PYTHONPATH", "")]))
    station = Station(
        tmp_path_factory.mktemp("station"), PYTHONPATH=path, TEST_FLOOD_FILE=str(files / "flood")
    )
    station.start(within=120)
    yield station
    assert station.stop() == 0, "the station ended with an error"


@pytest.fixture(scope="module")
def source(files: Path, shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant(items=len(TAGS), clock=files / "source")


@pytest.fixture(scope="module")
def target(
    files: Path, shared_plant: Callable[..., Plant], tmp_path_factory: pytest.TempPathFactory
) -> Plant:
    """It offers encryption and none: whoever wanted to talk it down could."""
    return shared_plant(
        "node",
        items=len(TAGS),
        clock=files / "target",
        application_uri=URI,
        secure=True,
        **identity(tmp_path_factory.mktemp("before"), URI),
    )


@pytest.fixture
def relayed() -> Iterator[Callable[..., Relay]]:
    relays: list[Relay] = []

    def make(plant: Plant, *, delay: float = 0.0) -> Relay:
        relays.append(Relay(plant.port, delay=delay))
        return relays[-1]

    yield make
    for relay in relays:
        relay.close()


def through(plant: Plant, relay: Relay) -> str:
    return plant.url.replace(f":{plant.port}", f":{relay.port}")


def test_f46_a_clock_that_is_a_day_off_is_shown_and_changes_arrive_in_their_order(
    station, source, target, files
):
    mirror = Mirror(station, source, target, FEW).apply()
    assert_equal_final_state(mirror, within=15)
    try:
        for days in (1, -1):
            files.joinpath("source").write_text(str(days * DAY))
            files.joinpath("target").write_text(str(-days * DAY))

            def is_shown(days: int = days) -> bool:
                """Each look brings a value, so that none of them may be held up meanwhile."""
                source.set_many(dict.fromkeys(FEW, float(next(_numbers))))
                assert_equal_final_state(mirror, within=1, fault=f"F46 {days} d")
                return all(
                    abs(mirror.server(name)["clock_offset_ms"] / 1000 - sign * days * DAY) < 5
                    for name, sign in (("SRC", 1), ("TGT", -1))
                )

            took(f"F46 {days} d is shown", is_shown, within=12)
            age = mirror.item(FEW[0])["age_ms"]
            assert age < 10_000, "the age of a value is that by the clock of its server"
        assert mirror.server("SRC")["connects"] == 1
        assert mirror.server("TGT")["connects"] == 1
        assert station.pipe()["healed_subscriptions"] == 0
    finally:
        files.joinpath("source").write_text("0")
        files.joinpath("target").write_text("0")


def test_f47_a_certificate_that_was_rotated_is_refused_told_and_never_talked_down(
    station, source, target, relayed, tmp_path
):
    relay = relayed(target)
    wanted = {"TGT": {**ENCRYPTED, "endpoint": through(target, relay)}}
    mirror = Mirror(station, source, target, FEW, servers=wanted).apply()
    trust(station, mirror)
    assert_equal_final_state(mirror, within=10, fault="F47 trusted")
    before = station.get("/servers/TGT/certificate")["thumbprint"]

    target.options.update(identity(tmp_path, URI))
    target.restart()
    source.set_many(dict.fromkeys(FEW, float(next(_numbers))))

    status = mirror.wait_for_server("TGT", "rejected")
    shown = station.get("/servers/TGT/certificate")
    assert shown["thumbprint"] != before
    assert shown["trusted"] is False
    assert shown["thumbprint"] in status["reason"]
    event = eventually(lambda: station.events(search=shown["thumbprint"]), within=10)[0]
    assert "not in the trust list" in event["message"]
    assert event["severity"] == "high"
    steadily(lambda: target.value(FEW[3]) == 3.0, during=1, what="nothing is written")
    asked = [service for kept in list(relay.sent) for service in unsecured_services(kept)]
    assert set(asked) == {GET_ENDPOINTS}, "only discovery may go without encryption"

    trust(station, mirror)
    assert_equal_final_state(mirror, within=10, fault="F47 new certificate trusted")


def trust(station: Station, mirror: Mirror) -> None:
    """Trust what the target shows, as an admin would."""
    mirror.wait_for_server("TGT", "rejected", within=15)
    thumbprint = station.get("/servers/TGT/certificate")["thumbprint"]
    body = {"action": "trust", "thumbprint": thumbprint}
    answer = station.api("POST", "/servers/TGT/certificate", body)
    assert answer.status == 200, answer.raw


def test_f53_a_round_trip_of_300_ms_costs_time_and_neither_values_nor_subscriptions(
    station, source, target, relayed
):
    wanted = {
        name: {"endpoint": through(plant, relayed(plant, delay=0.15))}
        for name, plant in (("SRC", source), ("TGT", target))
    }
    mirror = Mirror(station, source, target, TAGS, servers=wanted).apply()
    eventually(lambda: station.pipe()["good"] == len(TAGS), within=20, what="F53 start")
    assert_equal_final_state(mirror, within=2, fault="F53 started")
    connects = [mirror.server(name)["connects"] for name in ("SRC", "TGT")]
    before = station.pipe()["writes"]
    assert before <= len(TAGS), "that it takes seconds to be connected is not told as an outage"

    source.ask("move", nodes=TAGS, seconds=0.5)
    steadily(lambda: source.ask("counts")["subscriptions"] == 1, during=5, what="one subscription")
    shown = station.pipe()
    source.ask("move", nodes=[])

    assert_equal_final_state(mirror, within=1, fault="F53 last values")
    assert shown["rate"] > len(TAGS), "the throughput is shown"
    assert shown["writes"] - before >= 6 * len(TAGS), "nearly every change got through"
    assert shown["latency_ms"]["p50"] >= 150, "and so is what the line costs"
    assert [mirror.server(name)["connects"] for name in ("SRC", "TGT")] == connects


def test_f67_a_flood_of_log_lines_holds_up_no_value_and_fills_no_disk(
    station, source, target, files
):
    moving = Moving(station, source, target, TAGS[:40]).configure()
    moving.start()
    roles = len(station.events(kind="role"))
    board = Board.open(station.run_dir / "board", writable=False)
    lags: list[float] = []

    def look() -> bool:
        lags.append(max(board.host(index).loop_lag_ns for index in (1, 2)) / 1e6)
        return True

    files.joinpath("flood").write_text("1500")
    try:
        logs = station.data_dir / "logs"
        eventually(
            lambda: (logs / "pipes-1.log.2").exists() and (logs / "pipes-2.log.2").exists(),
            within=60 * TIME_SCALE,
            what="every file of the rotation was filled",
        )
        with moving.window() as window:
            steadily(look, during=5)
    finally:
        files.joinpath("flood").write_text("0")
    moving.stop()

    size = sum(file.stat().st_size for file in logs.glob("pipes-1.log*")) / MIB
    sys.stdout.write(
        f"MEASURED F67: loop lag at most {max(lags):.0f} ms, share {window.share:.2f},"
        f" {size:.1f} MiB of log\n"
    )
    assert size <= 15.1, "three files of 5 MiB"
    assert max(lags) <= 100 * TIME_SCALE
    assert window.share >= 0.95
    assert len(station.events(kind="role")) == roles
