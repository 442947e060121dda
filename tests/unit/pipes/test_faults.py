"""An item in error is tried at most once a second, with its newest value."""

from __future__ import annotations

import pytest

from pipes.faults import FIRST_RETRY, LONGEST_RETRY, Faults

BAD_OUT_OF_RANGE = 0x803C_0000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def faults(clock):
    return Faults(clock)


def test_a_fault_that_may_be_retried_is_due_when_its_throttle_ends(faults, clock):
    faults.record(7, BAD_OUT_OF_RANGE, "why", retries=True)

    assert 7 in faults.throttled
    assert faults.due(clock.now + FIRST_RETRY / 2) == []
    assert faults.due(clock.now + FIRST_RETRY) == [7]
    assert 7 not in faults.throttled


def test_a_fault_without_retry_is_due_only_when_a_newer_value_is_owed(faults, clock):
    faults.record(7, BAD_OUT_OF_RANGE, "why", retries=False)
    assert faults.due(clock.now + 60) == []

    faults.record(7, BAD_OUT_OF_RANGE, "why", retries=False)
    faults.owe(7)

    assert faults.due(clock.now + 60) == [7]


def test_the_delay_doubles_up_to_the_longest(faults, clock):
    delays = []
    for _ in range(12):
        faults.record(7, BAD_OUT_OF_RANGE, "why", retries=True)
        delays.append(faults.throttled[7] - clock.now)

    assert delays[:3] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY]
    assert delays[-1] == LONGEST_RETRY


def test_a_cleared_fault_leaves_its_last_error_and_counts(faults):
    faults.record(7, BAD_OUT_OF_RANGE, "first", retries=True)
    faults.record(7, BAD_OUT_OF_RANGE, "second", retries=True)

    faults.clear([7])

    assert not faults.current
    assert not faults.throttled
    assert faults.last[7].message == "second"
    assert faults.counts[7] == faults.total == 2


def test_a_forgotten_item_leaves_nothing(faults):
    faults.record(7, BAD_OUT_OF_RANGE, "why", retries=True)

    faults.forget([7])

    assert not any((faults.current, faults.last, faults.throttled, faults.counts))


def test_a_new_session_may_try_everything_at_once(faults, clock):
    faults.record(7, BAD_OUT_OF_RANGE, "why", retries=True)

    faults.reset_throttles()

    assert not faults.throttled
    assert faults.due(clock.now + 60) == []
