from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mirrorsite.env import StationSettings, made_up_run_name, read_station
from mirrorsite.run_folder import leave_run_folder

OURS = (
    "board", "supervisor.sock", "supervisor.lock", "pipes-1.sock", "pipes-16.sock", "redis.sock",
    "jobs.pulse", "claims/worker-1", "claims/pipe-0123456789abcdef01234567",
)  # fmt: skip


@pytest.fixture
def station(tmp_path: Path) -> StationSettings:
    station = read_station({"MIRRORSITE_DATA_DIR": str(tmp_path / "data")})
    station = replace(station, run_dir=tmp_path / made_up_run_name(station.data_dir))
    fill(station.run_dir)
    return station


def fill(folder: Path) -> None:
    (folder / "claims").mkdir(parents=True)
    for name in OURS:
        (folder / name).touch()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_a_folder_that_the_station_made_is_gone(station: StationSettings) -> None:
    leave_run_folder(station)

    assert not station.run_dir.exists()


def test_a_folder_that_was_given_stays_empty(station: StationSettings, tmp_path: Path) -> None:
    given = replace(station, run_dir=tmp_path / "given")
    fill(given.run_dir)

    leave_run_folder(given)

    assert given.run_dir.is_dir()
    assert left(given.run_dir) == set()


def test_what_somebody_else_put_there_stays(station: StationSettings) -> None:
    (station.run_dir / "notes.txt").touch()
    (station.run_dir / "claims" / "pipe-of-mine").touch()

    leave_run_folder(station)

    assert left(station.run_dir) == {"notes.txt", "claims", "pipe-of-mine"}


def test_a_folder_that_is_gone_already_is_no_fault(station: StationSettings) -> None:
    leave_run_folder(station)
    leave_run_folder(station)

    assert not station.run_dir.exists()
