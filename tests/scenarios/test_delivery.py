"""What becomes of samples, events and first values when the target dies in the middle of a write.

One outage serves several tests: a counter, a short queue, an event and first values, each on a pipe
of its own, while the target is killed by the write of the event and is away for two seconds. What
the target was sent is in its journal, which outlives it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.mirrors import TIME_SCALE
from tests.scenarios.plants import Plant, node_id
from tests.scenarios.stations import Station, server_body
from tests.scenarios.waiting import eventually, steadily

pytestmark = pytest.mark.node
PIPE_WORKERS = 1
AWAY_SECONDS = 2.0
COUNTER, SHORT, EVENT, NEVER, DIFFERENT, AGED = (f"T{index:06}" for index in (1, 2, 3, 4, 5, 10))
PIPES: dict[str, dict[str, Any]] = {
    COUNTER: {"overflow": "queue", "queue_limit": 2000},
    SHORT: {"overflow": "queue", "queue_limit": 5},
    EVENT: {},
    NEVER: {"initial_write": "never"},
    DIFFERENT: {"initial_write": "if_different"},
    AGED: {"overflow": "queue", "queue_age_seconds": 0.5},
}


def written(journal: Path, name: str) -> list[Any]:
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    return [value for node, value in map(json.loads, lines) if node == name]


def configure(station: Station, source: Plant, target: Plant, pipes: dict, items: dict) -> None:
    """A pipe for each name in ``pipes``, with the item of that name."""
    plan = station.put_configuration(
        {
            "servers": [server_body("SRC", source), server_body("TGT", target)],
            "pipes": [
                {"name": name, "source": "SRC", "target": "TGT", **more}
                for name, more in pipes.items()
            ],
            "items": [
                {
                    "pipe": name,
                    "source_node": node_id(name),
                    "target_node": node_id(name),
                    **items.get(name, {}),
                }
                for name in pipes
            ],
        }
    )
    eventually(
        lambda: station.get("/station")["revision"]["applied"] >= plan["revision"],
        within=15 * TIME_SCALE,
    )
    eventually(
        lambda: all(station.pipe(name)["good"] == 1 for name in pipes), within=15 * TIME_SCALE
    )


def item_of(station: Station, name: str) -> dict[str, Any]:
    return station.get(f"/items?pipe={name}")["results"][0]


@dataclass
class Outage:
    journal: Path
    lasted: float = 0.0
    at_death: dict[str, list[Any]] = field(default_factory=dict)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    items: dict[str, int] = field(default_factory=dict)

    def written(self, name: str) -> list[Any]:
        return written(self.journal, name)


@pytest.fixture(scope="module")
def source(shared_plant):
    return shared_plant("node", items=11)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return tmp_path_factory.mktemp("journal") / "written"


@pytest.fixture(scope="module")
def target(shared_plant, journal):
    return shared_plant(items=11, journal=journal)


@pytest.fixture(scope="module")
def shared_station(source, target, shared_station):
    """Started while the plants start."""
    return shared_station


@pytest.fixture(scope="module")
def outage(shared_station: Station, source, target, journal) -> Outage:
    found = Outage(journal)
    configure(shared_station, source, target, PIPES, {EVENT: {"kind": "event"}})
    source.set_many({NEVER: 44.0, DIFFERENT: 55.0})
    eventually(lambda: found.written(NEVER) and found.written(DIFFERENT), within=10)
    found.items = {name: item_of(shared_station, name)["id"] for name in PIPES}

    source.ask("count", node=COUNTER, first=1001, last=2000, seconds=4.5)
    eventually(lambda: len(found.written(COUNTER)) > 100, within=10)
    target.ask("die_of", nodes=[EVENT])
    source.set(EVENT, 7.0)
    target.wait_for_end()
    began = time.monotonic()
    found.at_death = {name: found.written(name) for name in PIPES}
    source.ask("count", node=SHORT, first=100, last=119, seconds=1.5)
    source.ask("count", node=AGED, first=200, last=204, seconds=0.2)
    steadily(
        lambda: time.monotonic() - began < AWAY_SECONDS + 1, during=AWAY_SECONDS, what="target away"
    )
    target.start()
    found.lasted = time.monotonic() - began
    eventually(lambda: found.written(COUNTER)[-1:] == [2000.0], within=20 * TIME_SCALE)
    eventually(lambda: found.written(SHORT)[-1:] == [119.0], within=10)
    eventually(lambda: found.written(DIFFERENT)[-1:] == [55.0], within=10)
    eventually(lambda: shared_station.pipe(COUNTER)["queued"] == 0, within=10)
    found.statuses = {name: shared_station.pipe(name) for name in PIPES}
    found.events = eventually(
        lambda: (e := shared_station.events()) and "EVENT_UNKNOWN" in str(e) and e, within=10
    )
    return found


def test_c10_a_thousand_samples_arrive_complete_and_in_order(outage):
    assert outage.lasted >= AWAY_SECONDS
    assert 100 < len(outage.at_death[COUNTER]) < 900, "the outage is in the middle"
    numbers = [number for number, _ in groupby(outage.written(COUNTER)) if number > 1000]

    assert numbers == [float(number) for number in range(1001, 2001)]
    assert len(outage.written(COUNTER)) - len(numbers) <= 2, "only what nobody knew of is repeated"
    assert outage.statuses[COUNTER]["lost"] == 0
    assert outage.statuses[COUNTER]["lost_at_source"] == 0


def test_c10_samples_beyond_the_limit_are_named_oldest_first(outage):
    after = outage.written(SHORT)[len(outage.at_death[SHORT]) :]

    assert after == [115.0, 116.0, 117.0, 118.0, 119.0]
    assert outage.statuses[SHORT]["lost"] == 15
    (event,) = [
        event
        for event in outage.events
        if event["code"] == "SAMPLES_LOST" and event["source"] == SHORT
    ]
    assert event["severity"] == "high"
    assert f"of item {outage.items[SHORT]}: the queue of the item was full" in event["message"]
    assert "first 100" in event["message"]


def test_c10_samples_that_waited_longer_than_the_pipe_allows_are_named(outage, source):
    after = outage.written(AGED)[len(outage.at_death[AGED]) :]

    assert after == [204.0], "the present value, as after every outage, and nothing older"
    assert outage.statuses[AGED]["lost"] == 5
    (event,) = [
        event
        for event in outage.events
        if event["code"] == "SAMPLES_LOST" and event["source"] == AGED
    ]
    assert "they waited longer than the pipe allows" in event["message"]
    source.set(AGED, 205.0)
    eventually(lambda: outage.written(AGED)[-1:] == [205.0], within=5)


def test_an_event_is_not_repeated_when_its_target_dies_of_it(outage):
    assert outage.at_death[EVENT] == [7.0], "written, and not answered"
    assert outage.written(EVENT) == [7.0]
    (event,) = [event for event in outage.events if event["code"] == "EVENT_UNKNOWN"]
    assert event["kind"] == "item"
    assert event["source"] == str(outage.items[EVENT])
    assert "nobody knows whether TGT took the event 7" in event["message"]


def test_a_target_that_lost_its_values_gets_them_as_the_pipe_says(outage):
    assert outage.written(DIFFERENT).count(55.0) == 2, "the target had started anew"
    assert outage.written(NEVER) == [44.0], "never means until the source changes"


def test_events_and_changes_go_on_after_the_outage(outage, source):
    source.set(EVENT, 8.0)
    source.set(NEVER, 45.0)

    eventually(lambda: outage.written(EVENT) == [7.0, 8.0], within=5)
    eventually(lambda: outage.written(NEVER) == [44.0, 45.0], within=5)


def test_a_dry_run_shows_what_it_would_write_and_writes_nothing(
    outage, shared_station, source, target, journal
):
    name = "T000007"
    before = target.ask("traffic")["written"]
    configure(
        shared_station,
        source,
        target,
        {name: {"dry_run": True, "initial_write": "always"}},
        {name: {"transform": {"kind": "linear", "gain": 2.0}}},
    )
    source.set(name, 21.0)
    shown = eventually(
        lambda: (
            (status := item_of(shared_station, name)["status"])["written"]
            and status["written"]["value"] == 42.0
            and status
        ),
        within=5,
    )

    assert shown["written"]["dry_run"] is True
    assert (shown["writes"], shown["would_write"]) == (0, 2)
    pipe = shared_station.pipe(name)
    assert (pipe["writes"], pipe["would_write"], pipe["state"]) == (0, 2, "running")
    assert target.ask("traffic")["written"] == before, "no Write request reaches the target"
    assert written(journal, name) == []

    answer = shared_station.api("PATCH", f"/pipes/{name}", {"dry_run": False})
    assert answer.status == 200, answer.raw
    eventually(lambda: written(journal, name) == [42.0], within=10)
    eventually(lambda: item_of(shared_station, name)["status"]["writes"] == 1, within=5)
    assert item_of(shared_station, name)["status"]["written"]["dry_run"] is False


def test_a_value_that_stands_still_is_refreshed(outage, shared_station, source, target, journal):
    still, other = "T000008", "T000009"
    configure(
        shared_station, source, target, {still: {}, other: {}}, {still: {"refresh_seconds": 1}}
    )
    source.set_many({still: 1.5, other: 1.5})

    eventually(lambda: written(journal, still).count(1.5) >= 3, within=10)
    assert written(journal, other).count(1.5) == 1
