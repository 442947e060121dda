from __future__ import annotations

import pytest

from redundancy.core.clock_steps import ClockPair, step

SECOND = 1_000_000_000
BEFORE = ClockPair(wall=1_000 * SECOND, boot=50 * SECOND)


@pytest.mark.parametrize(
    ("wall", "boot", "moved"),
    [
        pytest.param(0.1, 0.1, 0, id="both clocks go on"),
        pytest.param(600, 600, 0, id="the machine slept"),
        pytest.param(2.1, 0.1, 0, id="a correction within the tolerance"),
        pytest.param(7200.1, 0.1, 7200, id="two hours forward"),
        pytest.param(-7199.9, 0.1, -7200, id="two hours back"),
    ],
)
def test_step(wall: float, boot: float, moved: float) -> None:
    now = ClockPair(BEFORE.wall + int(wall * SECOND), BEFORE.boot + int(boot * SECOND))

    assert step(BEFORE, now) == moved * SECOND
