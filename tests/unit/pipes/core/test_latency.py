from __future__ import annotations

import math

import pytest

from pipes.core.latency import Latency


def test_without_values_there_is_no_percentile() -> None:
    assert Latency().percentile_ms(0.5) is None


@pytest.mark.parametrize("value", [0.01, 0.5, 1, 7, 52, 99, 1000, 60_000])
def test_a_percentile_is_at_most_a_sixteenth_too_high(value: float) -> None:
    latency = Latency()
    latency.add(value)
    for share in (0, 0.5, 0.99, 1):
        found = latency.percentile_ms(share)
        assert found is not None
        assert value <= found <= value * 1.0626


def test_percentiles_follow_the_distribution() -> None:
    latency = Latency()
    for value in range(1, 101):
        latency.add(value)
    assert latency.count == 100
    assert latency.percentile_ms(0.5) == pytest.approx(50, rel=0.07)
    assert latency.percentile_ms(0.99) == pytest.approx(99, rel=0.07)


def test_many_values_cost_one_entry() -> None:
    latency = Latency()
    latency.add_many(10, 999)
    latency.add(1000)
    assert latency.count == 1000
    assert latency.percentile_ms(0.5) == pytest.approx(10, rel=0.07)
    assert latency.percentile_ms(1) == pytest.approx(1000, rel=0.07)


@pytest.mark.parametrize("value", [0, -5, math.nan])
def test_clocks_that_disagree_count_as_no_time(value: float) -> None:
    latency = Latency()
    latency.add(value)
    found = latency.percentile_ms(1)
    assert found is not None
    assert found < 0.01


def test_the_longest_bucket_takes_all_beyond() -> None:
    latency = Latency()
    latency.add(math.inf)
    latency.add(1e12)
    assert latency.percentile_ms(0.5) == 2.0**21


def test_histograms_are_added() -> None:
    first, second = Latency(), Latency()
    first.add_many(10, 3)
    second.add_many(100, 7)
    first.merge(second)
    assert first.count == 10
    assert first.percentile_ms(0.3) == pytest.approx(10, rel=0.07)
    assert first.percentile_ms(0.31) == pytest.approx(100, rel=0.07)


def test_fading_lets_the_past_go() -> None:
    latency = Latency()
    latency.add_many(10, 8)
    latency.fade()
    assert latency.count == 4
    for _ in range(3):
        latency.fade()
    assert latency.percentile_ms(0.5) is None
