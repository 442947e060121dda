from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.core.progress import (
    NOBODY,
    HostState,
    Limits,
    Sighting,
    Track,
    Verdict,
    follow,
    judge,
    limits,
)

LIMIT = Limits(running_ticks=10, starting_ticks=100)


def _seen(progress: int, state: HostState = HostState.RUNNING, pid: int = 7) -> Sighting:
    return Sighting(pid, 70, progress, state)


def _watch(*sightings: Sighting) -> Verdict:
    track = NOBODY
    for sighting in sightings:
        track = follow(track, sighting)
    return judge(track, LIMIT)


def test_an_empty_slot_is_absent() -> None:
    assert _watch(Sighting(0, 0, 0, HostState.EMPTY)) is Verdict.ABSENT


@pytest.mark.parametrize("state", [HostState.EMPTY, HostState.STOPPED])
def test_a_host_that_left_is_absent_and_never_hangs(state: HostState) -> None:
    assert _watch(*[_seen(3, state)] * 200) is Verdict.ABSENT


def test_a_host_whose_counter_moves_is_moving() -> None:
    assert _watch(_seen(1), _seen(2), _seen(9)) is Verdict.MOVING


def test_a_host_that_stands_still_for_a_moment_is_not_killed() -> None:
    assert _watch(*[_seen(1)] * 10) is Verdict.STILL


def test_a_host_that_stands_still_for_all_its_ticks_hangs() -> None:
    assert _watch(*[_seen(1)] * 11) is Verdict.HUNG


def test_a_starting_host_gets_longer() -> None:
    starting = _seen(0, HostState.STARTING)

    assert _watch(*[starting] * 100) is Verdict.STILL
    assert _watch(*[starting] * 101) is Verdict.HUNG


def test_a_draining_host_must_move_too() -> None:
    assert _watch(*[_seen(1, HostState.DRAINING)] * 11) is Verdict.HUNG


def test_another_process_in_the_slot_begins_anew() -> None:
    assert _watch(*[_seen(1)] * 10, _seen(1, pid=8)) is Verdict.MOVING


def test_a_counter_that_falls_back_is_a_sign_of_life() -> None:
    assert _watch(*[_seen(5)] * 10, _seen(0)) is Verdict.MOVING


def test_limits_round_up_and_are_never_less_than_two_ticks() -> None:
    assert limits(100, 1_000, 15_000) == Limits(10, 150)
    assert limits(100, 1_001, 15_000) == Limits(11, 150)
    assert limits(100, 50, 50) == Limits(2, 2)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_a_host_hangs_only_after_as_many_equal_counters_in_a_row(counters: list[int]) -> None:
    track: Track = NOBODY
    for counter in counters:
        track = follow(track, _seen(counter))

    equal = 0
    for counter in reversed(counters):
        if counter != counters[-1]:
            break
        equal += 1
    assert (judge(track, LIMIT) is Verdict.HUNG) == (equal > LIMIT.running_ticks)
