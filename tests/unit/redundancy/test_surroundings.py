from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from redundancy.core.health import MEBIBYTE, HealthState, HealthTable
from redundancy.reporting import Reporter
from redundancy.surroundings import Probe, Surroundings, Timer, disk_space


class Told:
    def __init__(self) -> None:
        self.codes: list[str] = []

    def __call__(self, kind: object, code: str, *_: Any, **__: Any) -> None:
        self.codes.append(code)


@pytest.fixture
def told() -> Told:
    return Told()


Make = Callable[..., Surroundings]


@pytest.fixture
def make(told: Told, tmp_path: Path) -> Make:
    def build(**fields: Any) -> Surroundings:
        defaults: dict[str, Any] = {"grace_seconds": 0.0, "disk_seconds": 0.01}
        return Surroundings(
            tmp_path, HealthTable(), Reporter("REDOPC", told), **{**defaults, **fields}
        )

    return build


@asynccontextmanager
async def running(surroundings: Surroundings) -> AsyncIterator[None]:
    task = asyncio.create_task(surroundings.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_part_that_breaks_and_comes_back_is_told_on_the_edges_only(
    make: Make, told: Told
) -> None:
    looks, is_broken = [0], [False]

    def check() -> None:
        looks[0] += 1
        if is_broken[0]:
            raise ConnectionRefusedError("refused")

    surroundings = make(probes=[Probe("redis", check, seconds=0.01)])
    async with running(surroundings):
        for broken in (False, True, False):
            is_broken[0] = broken
            seen = looks[0]
            await until(lambda n=seen: looks[0] > n + 5)

    assert told.codes == ["COMPONENT_FAILED", "COMPONENT_RECOVERED"]
    assert surroundings.health.state("redis") is HealthState.GOOD


async def test_a_young_station_waits_for_its_parts_without_an_alarm(make: Make, told: Told) -> None:
    surroundings = make(grace_seconds=60)

    surroundings.enter("web", "refused")
    surroundings.enter("web", "")

    assert told.codes == []
    assert surroundings.health.state("web") is HealthState.GOOD


async def test_a_part_that_never_came_is_an_alarm_after_the_grace(make: Make, told: Told) -> None:
    surroundings = make(grace_seconds=60)
    surroundings.enter("web", "refused")
    assert surroundings.health.state("web") is HealthState.CHECK

    surroundings.grace_seconds = 0
    surroundings.enter("web", "refused")
    surroundings.grace_seconds = 60
    surroundings.enter("web", "refused")

    assert told.codes == ["COMPONENT_FAILED"]
    assert surroundings.health.state("web") is HealthState.FAILED


async def test_a_probe_that_hangs_is_a_finding_and_stops_no_other(make: Make) -> None:
    release = threading.Event()
    looks = [0]

    def count() -> None:
        looks[0] += 1

    hanging = Probe("redis", release.wait, seconds=0.01, timeout=0.05)
    surroundings = make(probes=[hanging, Probe("web", count, seconds=0.01)])
    async with running(surroundings):
        await until(lambda: surroundings.health.state("redis") is HealthState.FAILED)
        seen = looks[0]
        await until(lambda: looks[0] > seen + 5)
    release.set()

    assert surroundings.health.state("web") is HealthState.GOOD


async def test_a_timer_is_sent_again_and_again_and_logs_only_the_edges(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sent, is_broken = [0], [False]

    def send() -> None:
        sent[0] += 1
        if is_broken[0]:
            raise ConnectionError("Redis is away")

    async with running(make(timers=[Timer("drain", 0.005, send)])):
        for broken in (False, True, False):
            is_broken[0] = broken
            seen = sent[0]
            await until(lambda n=seen: sent[0] > n + 5)

    lines = [record.message for record in caplog.records if "timer" in record.message]
    assert lines == [
        "timer drain cannot be sent: Redis is away",
        "timer drain is sent again",
    ]


async def test_a_full_disk_is_told_once_and_so_is_its_end(make: Make, told: Told) -> None:
    free = [1000 * MEBIBYTE]
    looks = [0]

    def space(_: Path) -> tuple[int, int]:
        looks[0] += 1
        return free[0], 10_000 * MEBIBYTE

    surroundings = make(disk_space=space)
    states = []
    async with running(surroundings):
        for mebibytes in (1000, 10, 100, 1000):
            free[0] = mebibytes * MEBIBYTE
            seen = looks[0]
            await until(lambda n=seen: looks[0] > n + 2)
            states.append(surroundings.health.state("disk"))

    assert told.codes == ["DISK_FULL", "DISK_OK"]
    assert states == ["good", "failed", "failed", "good"]


async def test_a_disk_that_does_not_answer_is_a_finding(make: Make, told: Told) -> None:
    def gone(_: Path) -> tuple[int, int]:
        raise OSError("stale file handle")

    surroundings = make(disk_space=gone)
    async with running(surroundings):
        await until(lambda: told.codes)

    assert told.codes == ["COMPONENT_FAILED"]
    assert surroundings.health.state("disk") is HealthState.FAILED


def test_the_real_disk_has_a_size(tmp_path: Path) -> None:
    free, total = disk_space(tmp_path)

    assert 0 < free <= total
