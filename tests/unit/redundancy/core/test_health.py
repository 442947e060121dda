from __future__ import annotations

import pytest

from redundancy.core.health import (
    MEBIBYTE,
    Health,
    HealthState,
    HealthTable,
    host_health,
    is_disk_full,
)
from redundancy.core.progress import Verdict


def test_since_moves_only_when_the_state_changes() -> None:
    table = HealthTable()

    assert table.report("redis", HealthState.GOOD, "", 1)
    assert not table.report("redis", HealthState.GOOD, "", 2)
    assert table.report("redis", HealthState.FAILED, "refused", 3)
    assert not table.report("redis", HealthState.FAILED, "timed out", 4)

    assert table.rows() == (Health("redis", HealthState.FAILED, "timed out", 3),)
    assert table.state("redis") is HealthState.FAILED
    assert table.state("web") is None


@pytest.mark.parametrize(
    ("free_mib", "total_mib", "was_full", "full"),
    [
        pytest.param(65, 100_000, False, False, id="a large disk above its reserve"),
        pytest.param(63, 100_000, False, True, id="a large disk below its reserve"),
        pytest.param(100, 100_000, True, True, id="not yet free again"),
        pytest.param(128, 100_000, True, False, id="free again at twice the reserve"),
        pytest.param(2, 20, False, False, id="a small disk has a small reserve"),
        pytest.param(0, 20, False, True, id="a small disk that is full"),
    ],
)
def test_a_full_disk(free_mib: int, total_mib: int, was_full: bool, full: bool) -> None:
    assert is_disk_full(free_mib * MEBIBYTE, total_mib * MEBIBYTE, was_full=was_full) is full


@pytest.mark.parametrize(
    ("verdict", "young", "state"),
    [
        (Verdict.MOVING, False, HealthState.GOOD),
        (Verdict.STILL, True, HealthState.GOOD),
        (Verdict.ABSENT, True, HealthState.CHECK),
        (Verdict.ABSENT, False, HealthState.FAILED),
        (Verdict.HUNG, False, HealthState.FAILED),
    ],
)
def test_the_row_of_a_host(verdict: Verdict, young: bool, state: HealthState) -> None:
    found, why = host_health(verdict, young=young)

    assert found is state
    assert bool(why) == (state is not HealthState.GOOD)
