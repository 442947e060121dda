"""Servers that attack or flood the station: other items go on, memory stays. F48, F49, F50."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from itertools import count

import pytest

from tests.scenarios.mirrors import TIME_SCALE, Mirror, assert_equal_final_state, took
from tests.scenarios.plants import node_id
from tests.scenarios.stations import server_body
from tests.scenarios.waiting import eventually, steadily

#: Everything in one process: what a hostile server does to it, it does to its neighbours.
PIPE_WORKERS = 1

TAGS = [f"T{index:06}" for index in range(10)]
MIB = 1 << 20
_numbers = count(1000)


@pytest.fixture(scope="module")
def source(shared_plant):
    return shared_plant(items=20)


@pytest.fixture(scope="module")
def target(shared_plant):
    return shared_plant(items=20)


def host(station):
    return station.role("pipes", 1)


def with_neighbour(mirror, hostile, *, hostile_is: str):
    """Add pipe P2 between the hostile server and one of the honest ones."""
    mirror.configuration["servers"].append(server_body("BAD", hostile))
    pipe = (
        {"source": "SRC", "target": "BAD"}
        if hostile_is == "target"
        else {
            "source": "BAD",
            "target": "TGT",
        }
    )
    mirror.configuration["pipes"].append({"name": "P2", **pipe})
    mirror.configuration["items"].append(
        {"pipe": "P2", "source_node": node_id("T000015"), "target_node": node_id("T000015")}
    )
    return mirror


class Peak:
    """The largest memory of a process, and the longest time until a change arrived."""

    def __init__(self, process) -> None:
        self.start = self.most = process.memory_info().rss
        self.cpu = sum(process.cpu_times()[:2])
        self.longest = 0.0

    @property
    def growth(self) -> float:
        return (self.most - self.start) / MIB


@contextmanager
def watched(station, source, target):
    """Change an honest item all the time and watch how late it arrives, and the host's memory."""
    process = host(station)
    peak = Peak(process)
    is_over = threading.Event()
    errors: list[BaseException] = []

    def watch():
        try:
            while not is_over.is_set():
                value = float(next(_numbers))
                source.set("T000000", value)
                began = time.monotonic()
                eventually(lambda v=value: target.value("T000000") == v, within=20, every=0.01)
                peak.longest = max(peak.longest, time.monotonic() - began)
                peak.most = max(peak.most, process.memory_info().rss)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        is_over.set()
        thread.join()
        peak.cpu = sum(process.cpu_times()[:2]) - peak.cpu
    assert not errors, errors


@pytest.mark.parametrize(
    "how", ["bomb", "huge_array", "negative", "nested", "null_variants", "endless_chunks"]
)
def test_f48_f49_a_server_that_answers_with_bombs_is_left_alone(
    shared_station, source, target, make_plant, how
):
    hostile = make_plant("hostile", how=how)
    mirror = Mirror(shared_station, source, target, TAGS).apply()
    assert_equal_final_state(mirror, within=15)
    pid = host(shared_station).pid

    with watched(shared_station, source, target) as peak:
        with_neighbour(mirror, hostile, hostile_is="target").apply()
        status = mirror.wait_for_server("BAD", "quarantined", within=10)
        steadily(lambda: mirror.server("BAD")["state"] == "quarantined", during=0.5)

    sys.stdout.write(
        f"MEASURED F48 {how}: {peak.growth:.0f} MiB more, others at most {peak.longest:.2f} s late"
        f", {peak.cpu:.2f} s CPU: {status['reason']}\n"
    )
    assert "BAD" in status["reason"] or "BAD" in (status["last_error"] or "")
    assert peak.growth < 64
    assert peak.longest < 1.0 * TIME_SCALE
    assert host(shared_station).pid == pid
    assert shared_station.pipe("P1")["state"] == "running"
    assert shared_station.pipe("P2")["state"] == "waiting"
    event = eventually(lambda: shared_station.events(search="BAD is left alone"), within=10)
    assert event


@pytest.mark.parametrize("how", ["publish_bomb", "cut_publish"])
def test_f48_a_damaged_notification_ends_its_session_and_nothing_else(
    shared_station, source, target, make_plant, how
):
    hostile = make_plant("hostile", how=how)
    mirror = Mirror(shared_station, source, target, TAGS).apply()
    assert_equal_final_state(mirror, within=15)

    with watched(shared_station, source, target) as peak:
        with_neighbour(mirror, hostile, hostile_is="source").apply()
        took(
            f"F48 {how} noticed",
            lambda: (
                mirror.server("BAD")["state"] != "connected"
                or shared_station.pipe("P2")["healed_subscriptions"] > 0
            ),
            within=10,
        )

    assert peak.growth < 64
    assert peak.longest < 1.0 * TIME_SCALE
    assert target.value("T000015") == 15.0, "nothing of a damaged notification is written"


@pytest.mark.parametrize("how", ["garbage", "huge_chunk", "tiny_buffers", "silent"])
def test_f49_a_server_that_breaks_the_handshake_costs_nothing(
    shared_station, source, target, make_plant, how
):
    hostile = make_plant("hostile", how=how)
    mirror = Mirror(shared_station, source, target, TAGS).apply()
    assert_equal_final_state(mirror, within=15)

    with watched(shared_station, source, target) as peak:
        with_neighbour(mirror, hostile, hostile_is="source").apply()
        status = eventually(
            lambda: (s := mirror.server("BAD"))["last_error"] and s, within=15 * TIME_SCALE
        )

    assert status["state"] in ("quarantined", "disconnected")
    assert "BAD" in status["reason"]
    assert peak.growth < 64
    assert peak.longest < 1.0 * TIME_SCALE


@pytest.mark.parametrize("how", ["endless_pages", "repeating_point"])
def test_f49_browsing_without_an_end_is_ended(shared_station, source, target, make_plant, how):
    hostile = make_plant("hostile", how=how)
    mirror = Mirror(shared_station, source, target, TAGS)
    with_neighbour(mirror, hostile, hostile_is="source").apply()
    assert_equal_final_state(mirror, within=15)

    with watched(shared_station, source, target) as peak:
        began = time.monotonic()
        answer = shared_station.api("GET", "/servers/BAD/browse?limit=100&depth=3")
        seconds = time.monotonic() - began

    sys.stdout.write(f"MEASURED F49 browse {how}: {seconds:.2f} s, HTTP {answer.status}\n")
    assert seconds < 15 * TIME_SCALE
    assert answer.status in (200, 409), answer.raw
    assert len(answer.raw) < MIB
    assert peak.growth < 64
    assert peak.longest < 1.0 * TIME_SCALE


def test_f50_a_storm_on_few_tags_is_conflated_and_a_slow_tag_is_not_late(
    shared_station, target, make_plant
):
    storm = make_plant("hostile", how="storm")
    mirror = Mirror(shared_station, storm, target, TAGS[:6]).apply()
    slow = TAGS[5]
    eventually(lambda: target.value(slow) < 5.0, within=15)
    process = host(shared_station)
    before = shared_station.pipe()
    start = process.memory_info().rss
    latest, late, most = [0.0], [0.0], [start]

    def look():
        shown = target.read([slow])[slow]
        latest[0] = max(latest[0], shown["value"])
        late[0] = max(late[0], time.time() - shown["stamp"] / 1e6)
        most[0] = max(most[0], process.memory_info().rss)
        return True

    began = time.monotonic()
    steadily(look, during=8, what="the storm")
    seconds = time.monotonic() - began
    after = shared_station.pipe()

    received = (after["received"] - before["received"]) / seconds
    sys.stdout.write(
        f"MEASURED F50: slow tag at most {late[0]:.2f} s old, RSS +{(most[0] - start) / MIB:.0f}"
        f" MiB, {received:.0f} values/s after the scan, {after['writes'] - before['writes']}"
        f" writes, {after['conflated'] - before['conflated']} conflated\n"
    )
    assert late[0] < 2.0 * TIME_SCALE
    assert (most[0] - start) / MIB < 16
    assert latest[0] >= 5.0, "the slow tag moves"
    assert after["queued"] <= len(TAGS)
    assert mirror.server("SRC")["state"] == "connected"
