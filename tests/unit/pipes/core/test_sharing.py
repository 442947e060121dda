"""Pipes go to their preferred worker, and at once to another when that one is dead."""

from __future__ import annotations

import pytest

from pipes.core.sharing import NEGLECT, START_GRACE, may_claim, preferred_worker


def ask(place: int, **given: object) -> bool:
    situation = {
        "me": 1,
        "workers": 2,
        "living": {1, 2},
        "up_seconds": 60.0,
        "unclaimed_seconds": 0.0,
    }
    return may_claim(place, **{**situation, **given})  # type: ignore[arg-type]


def test_pipes_are_spread_over_the_workers():
    assert [preferred_worker(place, 2) for place in range(4)] == [1, 2, 1, 2]


@pytest.mark.parametrize("up_seconds", [0.0, 60.0])
def test_a_worker_claims_its_own_pipe_at_once(up_seconds):
    assert ask(0, up_seconds=up_seconds)


def test_a_worker_leaves_a_pipe_to_its_living_preferred_worker():
    assert not ask(1, unclaimed_seconds=NEGLECT / 2)


def test_a_worker_takes_a_pipe_that_its_living_worker_neglects():
    assert ask(1, unclaimed_seconds=NEGLECT)


def test_a_worker_takes_the_pipe_of_a_dead_worker_at_once():
    assert ask(1, living={1})


def test_a_worker_that_has_just_started_lets_the_others_start_too():
    assert not ask(1, living={1}, up_seconds=START_GRACE / 2)
