"""Real stations and real servers for the scenarios; everything started here is ended here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.plants import Plant, has_node
from tests.scenarios.stations import Station


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.scenario)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture
def make_plant() -> Iterator[Callable[..., Plant]]:
    """Start plant servers; ``maker="node"`` gives a foreign one, or skips where Node is missing."""
    yield from _plants()


@pytest.fixture(scope="module")
def shared_plant() -> Iterator[Callable[..., Plant]]:
    """As `make_plant`, for plants that serve all tests of a module."""
    yield from _plants()


def _plants() -> Iterator[Callable[..., Plant]]:
    plants: list[Plant] = []

    def make(maker: str = "asyncua", **options: Any) -> Plant:
        if maker == "node" and not has_node():
            pytest.skip("needs Node.js and `npm ci` in tests/foreign")
        plant = Plant(maker, **options)
        plants.append(plant)
        return plant

    yield make
    for plant in plants:
        plant.kill()


@pytest.fixture
def make_station(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    """Start a station in a folder of its own; it must stop cleanly in the end."""
    stations: list[Station] = []

    def make(*, start: bool = True, **options: Any) -> Station:
        station = Station(tmp_path / f"station{len(stations)}", **options)
        stations.append(station)
        if start:
            station.start()
        return station

    yield make
    statuses = [station.stop() for station in stations]
    assert not any(statuses), "a station ended with an error"


@pytest.fixture(scope="module")
def shared_station(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """One station for all tests of a module, which configure it anew by PUT /configuration.

    A module may set ``PIPE_WORKERS``. It must stop cleanly in the end.
    """
    workers = getattr(request.module, "PIPE_WORKERS", 2)
    station = Station(tmp_path_factory.mktemp("station"), workers=workers)
    station.start(within=120)
    yield station
    assert not station.stop(), "the station ended with an error"
