from __future__ import annotations

import pytest

from diagnostics.core.states import DiagnosticState, parse_state, rank, worst


def test_failure_wins_over_check_over_out_of_spec_over_maintenance() -> None:
    ranked = sorted(DiagnosticState, key=rank, reverse=True)

    assert ranked == ["failed", "check", "out_of_spec", "maintenance", "good"]


def test_nothing_at_all_is_good() -> None:
    assert worst([]) is DiagnosticState.GOOD


def test_the_worst_of_several_wins() -> None:
    states = [DiagnosticState.GOOD, DiagnosticState.MAINTENANCE, DiagnosticState.OUT_OF_SPEC]

    assert worst(states) is DiagnosticState.OUT_OF_SPEC


@pytest.mark.parametrize(
    ("text", "state"), [("check", "check"), ("splendid", "failed"), (None, "failed")]
)
def test_an_unknown_state_counts_as_failed(text: object, state: str) -> None:
    assert parse_state(text) == state
