from __future__ import annotations

import pytest

from pipes.core.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first_seconds=0.5, longest_seconds=3)
    delays = [backoff.delay_seconds(failures, 0) for failures in range(1, 6)]
    assert delays == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_chance_only_shortens_a_delay_by_the_share_of_the_jitter() -> None:
    backoff = Backoff(first_seconds=1, jitter=0.3)
    assert backoff.delay_seconds(1, 1) == pytest.approx(0.7)
    assert backoff.delay_seconds(1, 0) == 1


def test_any_number_of_failures_is_bounded() -> None:
    assert Backoff().delay_seconds(10**9, 0) == 30
    assert Backoff().delay_seconds(0, 0) == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_seconds": 0},
        {"first_seconds": 31},
        {"factor": 0.5},
        {"jitter": 1.5},
        {"jitter": -0.1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Backoff(**wrong)
