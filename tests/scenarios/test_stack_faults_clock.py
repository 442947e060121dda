"""The wall clock jumps while values move (F65): no role changes, nothing is done twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.moving import Moving
from tests.scenarios.plants import Plant
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually, steadily

TAGS = [f"T{index:06}" for index in range(40)]
SHIM = Path(__file__).with_name("clock_shim")
HOURS = 3600


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By how many seconds the wall clock of the station's processes is wrong."""
    file = tmp_path_factory.mktemp("clock") / "seconds"
    file.write_text("0")
    return file


@pytest.fixture(scope="module")
def moving(
    clock: Path,
    tmp_path_factory: pytest.TempPathFactory,
    shared_plant: Callable[..., Plant],
) -> Iterator[Moving]:
    path = os.pathsep.join(filter(None, [str(SHIM), os.environ.get("PYTHONPATH", "")]))
    station = Station(
        tmp_path_factory.mktemp("clocked"), PYTHONPATH=path, TEST_CLOCK_FILE=str(clock)
    )
    station.start(within=120)
    plants = shared_plant(items=len(TAGS)), shared_plant(items=len(TAGS))
    bench = Moving(station, *plants, TAGS).configure()
    bench.start()
    yield bench
    assert station.stop() == 0


def commands_work(station: Station) -> bool:
    answer = station.api("POST", "/servers/SRC/test", {}, timeout=20)
    return answer.status == 200 and bool(answer.json["ok"])


@pytest.mark.parametrize("step", [2 * HOURS, -2 * HOURS])
def test_f65_a_step_of_the_wall_clock_changes_no_role(moving, clock, record_property, step):
    station = moving.station
    eventually(lambda: commands_work(station), within=60, what="commands work before the step")
    roles = len(station.events(kind="role"))
    term = station.get("/station")["term"]
    hosts = [station.role("pipes", index).pid for index in (1, 2)]
    steps = len(station.events(code="CLOCK_STEP"))
    clock.write_text(str(step))
    try:
        with moving.window() as window:
            eventually(
                lambda: len(station.events(code="CLOCK_STEP")) == steps + 1,
                within=15,
                what="one event of the step",
            )
            steadily(lambda: station.get("/station")["state"] == "active", during=6)
            eventually(lambda: commands_work(station), within=20, what="commands work after it")
        revision = station.get("/station")["revision"]["saved"]
        item = station.get("/items?limit=1")["results"][0]["id"]
        note = f"after a step of {step} s"
        assert station.api("PATCH", f"/items/{item}", {"note": note}).status == 200
        assert station.get("/station")["revision"]["saved"] == revision + 1
        eventually(
            lambda: [
                event
                for event in station.events(code="REVISION_APPLIED")
                if event["details"].get("revision") == revision + 1
            ],
            within=15,
            what="the event of the edit",
        )
    finally:
        clock.write_text("0")
    eventually(
        lambda: len(station.events(code="CLOCK_STEP")) == steps + 2,
        within=15,
        what="the event of the way back",
    )

    record_property("share", round(window.share, 3))
    seen = [(event["at"], event["code"], event["message"]) for event in station.events()]
    assert len(seen) == len(set(seen)), "an event is there twice"
    assert window.share >= 0.95
    assert len(station.events(kind="role")) == roles
    assert station.get("/station")["term"] == term
    assert [station.role("pipes", index).pid for index in (1, 2)] == hosts
