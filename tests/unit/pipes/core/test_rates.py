"""A rate is what the counter gained over the last seconds."""

from __future__ import annotations

import pytest

from pipes.core.rates import WINDOW_SECONDS, Rate


def test_a_new_rate_is_zero():
    assert Rate(10.0).per_second(10.0, 0) == 0.0


def test_a_steady_counter_gives_its_slope():
    rate = Rate(0.0)
    for tenth in range(1, 300):
        rate.count(tenth / 10, tenth * 100)

    assert rate.per_second(30.0, 30_000) == pytest.approx(1_000, rel=0.01)


def test_the_past_is_forgotten_after_the_window():
    rate = Rate(0.0)
    for tenth in range(1, 600):
        rate.count(tenth / 10, min(tenth, 100) * 100)

    assert rate.per_second(10.0 + 2 * WINDOW_SECONDS + 40, 10_000) == 0.0
