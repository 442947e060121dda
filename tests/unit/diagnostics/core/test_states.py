from __future__ import annotations

import pytest

from diagnostics.core.states import parse_state, rank, worst
from redundancy.core.health import HealthState


def test_failure_wins_over_check_over_out_of_spec_over_maintenance() -> None:
    ranked = sorted(HealthState, key=rank, reverse=True)

    assert ranked == ["failed", "check", "out_of_spec", "maintenance", "good"]


def test_nothing_at_all_is_good() -> None:
    assert worst([]) is HealthState.GOOD


def test_the_worst_of_several_wins() -> None:
    states = [HealthState.GOOD, HealthState.MAINTENANCE, HealthState.OUT_OF_SPEC]

    assert worst(states) is HealthState.OUT_OF_SPEC


@pytest.mark.parametrize(
    ("text", "state"), [("check", "check"), ("splendid", "failed"), (None, "failed")]
)
def test_an_unknown_state_counts_as_failed(text: object, state: str) -> None:
    assert parse_state(text) == state
