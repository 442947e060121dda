"""The five states of a diagnosed thing (NAMUR NE 107) and their precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from redundancy.core.health import HealthState

#: NE 107: Failure > Function check > Out of specification > Maintenance required > good.
_RANK: Final[Mapping[HealthState, int]] = {
    HealthState.GOOD: 0,
    HealthState.MAINTENANCE: 1,
    HealthState.OUT_OF_SPEC: 2,
    HealthState.CHECK: 3,
    HealthState.FAILED: 4,
}


def rank(state: HealthState) -> int:
    """The place of ``state`` in NE 107's precedence; a higher one wins."""
    return _RANK[state]


def worst(states: Iterable[HealthState]) -> HealthState:
    """The state that wins; nothing at all is good."""
    return max(states, key=rank, default=HealthState.GOOD)


def parse_state(text: object) -> HealthState:
    """The state named ``text``; what nobody can name counts as failed, never as good."""
    try:
        return HealthState(str(text))
    except ValueError:
        return HealthState.FAILED
