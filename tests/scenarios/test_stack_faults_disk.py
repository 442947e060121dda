"""The disk of the data folder fills up (F58): values move on, and it is said."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.moving import Moving
from tests.scenarios.plants import Plant
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.root

TAGS = [f"T{index:06}" for index in range(40)]
MEBIBYTES = 16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root, to mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m,mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"mount is not allowed here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left, as a log of somebody else does."""
    hog = disk / "hog"
    with contextlib.suppress(OSError), hog.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(256 * 1024))
    with contextlib.suppress(OSError), hog.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))
    return hog


def disk_row(station: Station) -> dict[str, str]:
    rows = {row["component"]: row for row in station.get("/station")["health"]}
    found: dict[str, str] = rows["disk"]
    return found


def test_f58_values_move_on_a_full_disk_and_everything_recovers(
    small_disk: Path,
    make_station: Callable[..., Station],
    make_plant: Callable[..., Plant],
    record_property: Callable[..., None],
) -> None:
    station = make_station(start=False)
    station.data_dir = small_disk / "data"
    station.environment["MIRRORSITE_DATA_DIR"] = str(station.data_dir)
    plants = make_plant(items=len(TAGS)), make_plant(items=len(TAGS))
    station.start(within=120)
    moving = Moving(station, *plants, TAGS).configure()
    moving.start()
    item = station.get("/items?limit=1")["results"][0]["id"]
    term = station.get("/station")["term"]

    with moving.window() as window:
        hog = fill(small_disk)
        began = time.monotonic()
        row = eventually(
            lambda: (row := disk_row(station))["state"] == "failed" and row,
            within=15,
            what="the disk's row",
        )
        record_property("row_after_s", round(time.monotonic() - began, 1))
        eventually(
            lambda: station.events(code="DISK_FULL"), within=15, what="the alarm in the chronicle"
        )
        record_property("alarm_after_s", round(time.monotonic() - began, 1))
        fill(small_disk)
        asked = time.monotonic()
        refused = station.api("PATCH", f"/items/{item}", {"note": "x" * 200})
        answered = time.monotonic() - asked
    record_property("share", round(window.share, 3))
    record_property("edit", refused.status)
    assert window.share >= 0.95
    assert "MiB are free below" in row["reason"]
    assert refused.status in (200, 503), refused.raw
    assert answered <= 6.0

    # The term record can still be written: the next supervisor needs a higher term.
    supervisor = station.role("supervisor")
    fill(small_disk)
    supervisor.kill()
    killed = time.monotonic()
    eventually(
        lambda: moving.arrives(after=killed + 1.5),
        within=30,
        what="values arrive in the next term, on a full disk",
    )
    assert station.get("/station")["term"] > term

    hog.unlink()
    eventually(lambda: station.events(code="DISK_OK"), within=30, what="the disk is well again")
    assert disk_row(station)["state"] == "good"
    edited = station.api("PATCH", f"/items/{item}", {"note": "room again"})
    assert edited.status == 200, edited.raw
    moving.stop()
    assert station.stop() == 0
