"""The five states of a diagnosed thing (NAMUR NE 107) and their precedence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class DiagnosticState(StrEnum):
    """How a thing is; stored and answered values never change."""

    GOOD = "good"
    MAINTENANCE = "maintenance"
    OUT_OF_SPEC = "out_of_spec"
    CHECK = "check"
    FAILED = "failed"


#: NE 107: Failure > Function check > Out of specification > Maintenance required > good.
_RANK: Final = {
    DiagnosticState.GOOD: 0,
    DiagnosticState.MAINTENANCE: 1,
    DiagnosticState.OUT_OF_SPEC: 2,
    DiagnosticState.CHECK: 3,
    DiagnosticState.FAILED: 4,
}


def rank(state: DiagnosticState) -> int:
    """The place of ``state`` in NE 107's precedence; a higher one wins."""
    return _RANK[state]


def worst(states: Iterable[DiagnosticState]) -> DiagnosticState:
    """The state that wins; nothing at all is good."""
    return max(states, key=rank, default=DiagnosticState.GOOD)


def parse_state(text: object) -> DiagnosticState:
    """The state named ``text``; what nobody can name counts as failed, never as good."""
    try:
        return DiagnosticState(str(text))
    except ValueError:
        return DiagnosticState.FAILED
