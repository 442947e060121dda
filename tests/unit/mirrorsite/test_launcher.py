from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mirrorsite.env import StationSettings, read_station
from mirrorsite.launcher import STOP_ORDER, programs


@pytest.fixture
def station(tmp_path: Path) -> StationSettings:
    return read_station({"MIRRORSITE_DATA_DIR": str(tmp_path / "data"), "MIRRORSITE_STATION": "S"})


def test_every_stage_that_is_started_is_stopped(station: StationSettings) -> None:
    assert set(programs(station)) == set(STOP_ORDER)


def test_pipe_workers_stop_before_the_supervisor_that_grants_their_lease() -> None:
    assert STOP_ORDER.index("pipes") < STOP_ORDER.index("supervisor") < STOP_ORDER.index("web")
    assert STOP_ORDER[-1] == "redis"


def test_there_are_as_many_pipe_workers_as_asked_for(station: StationSettings) -> None:
    found = programs(dataclasses.replace(station, pipe_workers=3))["pipes"]

    assert [program.name for program in found] == ["pipes-1", "pipes-2", "pipes-3"]


def test_a_worker_shows_its_role_and_takes_its_role_s_queue(station: StationSettings) -> None:
    command = list(programs(station)["pipes"][1].command)

    text = " ".join(command)
    assert "worker --role pipes --index 2 -n pipes-2@S -Q pipes -P threads" in text
    assert "--without-gossip --without-mingle --without-heartbeat" in text


def test_a_given_redis_is_not_started(station: StationSettings) -> None:
    given = dataclasses.replace(station, redis_url="redis://127.0.0.1:6379/0")

    assert programs(given)["redis"] == []


def test_children_get_the_station_s_own_folders_whatever_their_own_are(
    station: StationSettings,
) -> None:
    environ = programs(station)["web"][0].environ

    assert environ["MIRRORSITE_DATA_DIR"] == str(station.data_dir)
    assert environ["MIRRORSITE_RUN_DIR"] == str(station.run_dir)
    assert environ["MIRRORSITE_PROCESS"] == "web"
