"""A source that is a set of two servers of different makers, as a station uses it.

The members number their namespaces differently and hold the same values, so that a move is seen
in nothing but the events, the status and what goes on to arrive.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.scenarios.mirrors import TIME_SCALE, Mirror, assert_equal_final_state, took
from tests.scenarios.plants import Plant
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.node

PIPE_WORKERS = 1
NAMES = [f"T{number:06}" for number in range(5)]
FOREIGN_URI, OTHER_URI = "urn:test:set:foreign", "urn:test:set:other"
HOLD_SECONDS = 10.0


class Twins:
    """Both members get every value, as two servers of one process would."""

    def __init__(self, foreign: Plant, other: Plant) -> None:
        self.foreign = foreign
        self.other = other
        self._value = 0.0

    def set_all(self) -> None:
        """A new value at each member that lives."""
        self._value += 1
        stamp = time.time_ns() // 1_000_000 * 1000
        for member in (self.foreign, self.other):
            if member.is_up:
                member.set_many(dict.fromkeys(NAMES, self._value), stamp=stamp)


@pytest.fixture(scope="module")
def twins(shared_plant: Callable[..., Plant]) -> Twins:
    return Twins(
        shared_plant("node", items=5, application_uri=FOREIGN_URI),
        shared_plant(
            items=5, application_uri=OTHER_URI, namespace_order="2013", no_redundancy=True
        ),
    )


@pytest.fixture(scope="module")
def target(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant(items=5)


def mirror_of(station: Station, source: Plant, target: Plant, server_set: dict[str, Any]) -> Mirror:
    return Mirror(
        station, source, target, NAMES, servers={"SRC": {"server_set": server_set}}
    ).apply()


def member(mirror: Mirror, plant: Plant) -> dict[str, Any]:
    found = [each for each in mirror.server("SRC")["members"] if each["endpoint"] == plant.url]
    return found[0] if found else {"in_use": False, "state": "unknown"}


def uses(mirror: Mirror, plant: Plant) -> bool:
    return mirror.server("SRC")["state"] == "connected" and member(mirror, plant)["in_use"]


def event_ids(station: Station) -> set[int]:
    return {each["id"] for each in station.events()}


def moves(station: Station, *, known: set[int]) -> list[str]:
    """What was said of moves besides the ``known`` events."""
    new = [each for each in station.events() if each["id"] not in known]
    return [each["message"] for each in new if each["code"] == "SERVER_MOVED"]


def test_the_best_of_a_set_that_names_itself_is_used_without_flapping(
    shared_station: Station, twins: Twins, target: Plant
) -> None:
    """RedundantServerArray of node-opcua, and the addresses that its FindServers knows; the other
    has no ServiceLevel, and counts as 255 while it can be reached.
    """
    foreign, other = twins.foreign, twins.other
    twins.set_all()
    foreign.ask("service_level", level=240)
    foreign.ask(
        "redundancy",
        servers={FOREIGN_URI: 240, OTHER_URI: 255},
        addresses={OTHER_URI: other.url},
    )
    known = event_ids(shared_station)
    mirror = mirror_of(shared_station, foreign, target, {"mode": "auto"})
    assert_equal_final_state(mirror, within=15, fault="first values of a set")
    assert uses(mirror, foreign)
    eventually(
        lambda: member(mirror, other)["state"] == "healthy",
        within=15 * TIME_SCALE,
        what="the other member is learned and visited",
    )
    # 255 against 240 is less than the margin. Against 150, of a lower band, it is better.
    assert uses(mirror, foreign)
    twins.set_all()
    foreign.ask("service_level", level=150)
    fell = time.monotonic()
    eventually(lambda: mirror.server("SRC")["service_level"] == 150, within=5 * TIME_SCALE)
    assert uses(mirror, foreign)
    assert_equal_final_state(mirror, fault="a degraded member is read while it is used")
    took("move to a better band", lambda: uses(mirror, other), within=HOLD_SECONDS + 5)
    assert time.monotonic() - fell >= HOLD_SECONDS - 1
    twins.set_all()
    assert_equal_final_state(mirror, within=10, fault="equal after the move")
    (moved,) = eventually(lambda: moves(shared_station, known=known), within=10)
    assert f"SRC is used at {other.url} now instead of {foreign.url}: " in moved
    assert "has ServiceLevel 150 (degraded)" in moved


def test_pipes_go_on_at_the_other_member_when_the_used_one_is_killed(
    shared_station: Station, twins: Twins, target: Plant
) -> None:
    """A list by hand of members that have neither a ServiceLevel nor a ServerUriArray; it is hot,
    so that a session waits at the other.
    """
    foreign, other = twins.foreign, twins.other
    foreign.options["no_redundancy"] = True
    foreign.restart()
    twins.set_all()
    hot = {"mode": "manual", "endpoints": [other.url], "failover": "hot"}
    mirror = mirror_of(shared_station, foreign, target, hot)
    assert_equal_final_state(mirror, within=15)
    eventually(lambda: uses(mirror, foreign), within=10 * TIME_SCALE)
    eventually(lambda: member(mirror, other)["state"] == "healthy", within=10 * TIME_SCALE)
    eventually(lambda: other.ask("counts")["connections"] == 1, within=10 * TIME_SCALE)
    known = event_ids(shared_station)
    before = target.read(NAMES)

    foreign.kill()
    seen = []
    took(
        "failover of a killed member",
        lambda: seen.append(target.read(NAMES)) or uses(mirror, other),
        within=5,
    )
    assert all(each == before for each in seen), "the last values stay meanwhile"
    twins.set_all()
    mirror.source = other
    assert_equal_final_state(mirror, fault="equal at the other member")
    (moved,) = eventually(lambda: moves(shared_station, known=known), within=10)
    assert f"SRC is used at {other.url} now instead of {foreign.url}: " in moved
    assert shared_station.get("/servers/SRC")["status"]["last_error"] in moved

    eventually(lambda: member(mirror, foreign)["state"] == "dead", within=10 * TIME_SCALE)
    status = mirror.server("SRC")
    assert status["reason"].startswith(f"uses {other.url}, which is reachable; ")
    assert f"{foreign.url} cannot be used" in status["reason"]
    shown = shared_station.get(f"/diagnostics/{pair(shared_station)}/mirror/servers/SRC")
    parameters = {each["name"]: each["value"] for each in shown["parameters"]}
    assert shown["state"] == "maintenance"
    assert f"1 of 2 members cannot be used: {foreign.url}" in shown["reason"]
    assert parameters["Member in use"] == other.url
    assert f"{foreign.url} dead" in parameters["Members"]


def pair(station: Station) -> str:
    name = station.get("/station")["name"]
    return f"{name}/{name}"
