"""Stations that start, stop, die and come back with parts of their surroundings away (F59, F61)."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.scenarios.moving import Moving
from tests.scenarios.plants import Plant
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually

TAGS = [f"T{index:06}" for index in range(20)]


@pytest.fixture(scope="module")
def moving(
    tmp_path_factory: pytest.TempPathFactory, shared_plant: Callable[..., Plant]
) -> Iterator[Moving]:
    """A configured station that the tests stop and start; it is stopped between them."""
    station = Station(tmp_path_factory.mktemp("restarted"))
    source, target = shared_plant(items=len(TAGS)), shared_plant(items=len(TAGS))
    bench = Moving(station, source, target, TAGS)
    station.start(within=120)
    bench.configure()
    bench.start()
    back_up(station)
    yield bench
    assert station.stop() == 0


@pytest.fixture(autouse=True)
def _ends_equal(moving: Moving) -> Iterator[None]:
    moving.source.ask("move", nodes=TAGS)
    yield
    moving.stop(within=30)
    moving.source.ask("move", nodes=TAGS)


def back_up(station: Station) -> None:
    station.manage("shell", "-v", "0", "-c", "from pipes import backups; backups.back_up()")


def restart(moving: Moving, *, between: Callable[[Path], None] = lambda _: None) -> None:
    """Stop, do something to the data folder, start again, and wait for values."""
    assert moving.station.stop() == 0
    between(moving.station.data_dir)
    moving.station.start(within=120)
    eventually(moving.arrives, within=20, what="values arrive")


def ids(station: Station) -> dict[str, int]:
    return {item["source_node"]: item["id"] for item in station.get("/items?limit=1000")["results"]}


# -- the database: F59 ------------------------------------------------------------------------


def delete(data_dir: Path) -> None:
    for path in data_dir.glob("db.sqlite3*"):
        path.unlink()


def flip_pages(data_dir: Path) -> None:
    """Damage the file as a dying disk does: every second page after the first is noise."""
    path = data_dir / "db.sqlite3"
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096, 2):
            file.seek(page * 4096)
            file.write(bytes(byte ^ 0x5A for byte in range(256)) * 16)
    for journal in data_dir.glob("db.sqlite3-*"):
        journal.unlink()


@pytest.mark.parametrize("damage", [delete, flip_pages])
def test_f59_a_database_lost_while_stopped_is_made_anew_at_the_start(moving, damage):
    station = moving.station
    before, document = ids(station), station.get("/configuration")

    restart(moving, between=damage)

    assert ids(station) == before
    assert station.get("/configuration") == document
    rebuilt = eventually(lambda: station.events(code="DATABASE_REBUILT"), within=15)
    assert "took the backup" in rebuilt[0]["message"]
    next_one = {**station.get("/items?limit=1")["results"][0], "id": None, "status": None}
    made = station.api(
        "POST",
        "/items",
        {"pipe": "P1", "source_node": "i=2258", "target_node": next_one["target_node"] + "x"},
    )
    assert made.json["id"] > max(before.values())
    assert station.api("DELETE", f"/items/{made.json['id']}").status in (200, 204)


@pytest.mark.parametrize("damage", [delete, flip_pages])
def test_f59_a_database_lost_under_a_running_station_is_made_anew(moving, record_property, damage):
    station = moving.station
    before, document = ids(station), station.get("/configuration")
    new_lines(station)
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    began = time.monotonic()
    with moving.window() as window:
        damage(station.data_dir)
        eventually(
            lambda: any(
                "was rebuilt" in line or "as new as" in line for line in new_lines(station)
            ),
            within=90,
            what="the launcher says that the database was rebuilt",
        )
        eventually(
            lambda: (
                station.api("GET", "/station").status == 200
                and bool(station.events(code="DATABASE_REBUILT", since=now))
            ),
            within=30,
            what="the station answers, and the event is there",
        )
    record_property("rebuilt_after_s", round(time.monotonic() - began, 1))
    record_property("share", round(window.share, 3))
    assert window.share >= 0.95
    assert window.longest_gap() <= 2.0
    assert ids(station) == before
    assert station.get("/configuration") == document
    edited = station.api("PATCH", f"/items/{min(before.values())}", {"note": damage.__name__})
    assert edited.status == 200, edited.raw
    back_up(station)


def new_lines(station: Station) -> list[str]:
    """What the station printed since this was last asked."""
    lines = []
    while station.output:
        lines.append(station.output.popleft())
    return lines


# -- start without --------------------------------------------------------------------------


def test_f61_a_station_starts_and_transfers_with_a_dead_redis(moving, record_property):
    station = moving.station
    assert station.stop() == 0
    station.environment["MIRRORSITE_REDIS_URL"] = "unix:///nonexistent/redis.sock"
    try:
        began = time.monotonic()
        record_property("ready_s", round(station.start(within=60), 1))
        eventually(moving.arrives, within=20, what="values arrive")
        record_property("values_s", round(time.monotonic() - began, 1))
        refused = station.api("POST", "/servers/SRC/test", {})
        assert refused.status == 503, refused.raw
        assert station.api("GET", "/readyz").status == 503
        assert station.stop() == 0
    finally:
        del station.environment["MIRRORSITE_REDIS_URL"]
    station.start(within=60)


def test_a_station_restarts_and_transfers_with_database_and_redis_away(moving, record_property):
    station = moving.station
    database = station.data_dir / "db.sqlite3"
    aside = station.data_dir / "aside.sqlite3"
    assert station.stop() == 0
    station.environment["MIRRORSITE_REDIS_URL"] = "unix:///nonexistent/redis.sock"
    database.rename(aside)
    database.mkdir()  # there, and cannot be opened
    began = time.monotonic()
    try:
        with pytest.raises(AssertionError, match="no READY"):
            station.start(within=0.1)  # it comes when the database does
        eventually(moving.arrives, within=25, what="values arrive from the last-good file")
        record_property("values_s", round(time.monotonic() - began, 1))
    finally:
        del station.environment["MIRRORSITE_REDIS_URL"]
        database.rmdir()
        aside.rename(database)
    eventually(lambda: station.api("GET", "/station").status == 200, within=30, what="REST answers")
    restart(moving)


# -- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_station_that_is_told_to_stop_ends_with_0_and_leaves_nothing(
    moving, record_property, number
):
    station, launcher = moving.station, moving.station.launcher
    family = launcher.children(recursive=True)
    began = time.monotonic()
    launcher.send_signal(number)
    eventually(lambda: not launcher.is_running() or launcher.status() == "zombie", within=20)
    record_property("stopped_s", round(time.monotonic() - began, 1))

    assert [process for process in family if process.is_running()] == []
    for plant in (moving.source, moving.target):
        counts = plant.ask("counts")
        assert counts["connections"] == counts["subscriptions"] == 0, counts
    assert station.stop() == 0
    station.start(within=60)


def test_no_process_outlives_a_killed_launcher(moving, record_property):
    station = moving.station
    family = station.launcher.children(recursive=True)
    assert len(family) >= 6, family
    began = time.monotonic()
    station.kill()

    eventually(
        lambda: (
            not any(
                process.is_running() and process.status() != psutil.STATUS_ZOMBIE
                for process in family
            )
        ),
        within=3,
        what="every process of the station has ended",
    )
    record_property("ended_s", round(time.monotonic() - began, 2))
    with sqlite3.connect(station.data_dir / "db.sqlite3") as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
    station.start(within=60)
