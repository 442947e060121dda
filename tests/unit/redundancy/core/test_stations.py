from __future__ import annotations

import pytest

from redundancy.core.stations import (
    MAY_HOLD_LEASE,
    SHOWN,
    TRANSITIONS,
    IllegalTransition,
    ShownState,
    StationEvent,
    StationState,
    after,
)

CELLS = [(state, event) for state in StationState for event in StationEvent]


def test_every_cell_of_the_table_is_there() -> None:
    assert set(TRANSITIONS) == set(StationState)
    assert all(set(row) == set(StationEvent) for row in TRANSITIONS.values())


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_a_cell_leads_on_or_raises(state: StationState, event: StationEvent) -> None:
    following = TRANSITIONS[state][event]

    if following is not None:
        assert after(state, event) is following
        return
    with pytest.raises(IllegalTransition, match=f"{event.name} cannot happen in {state}") as fault:
        after(state, event)
    assert (fault.value.state, fault.value.event) == (state, event)


def test_failed_ends_only_when_somebody_clears_it() -> None:
    ways_out = {
        event
        for event, to in TRANSITIONS[StationState.FAILED].items()
        if to not in {None, "FAILED"}
    }

    assert ways_out == {StationEvent.FAILURE_CLEARED}


def test_maintenance_never_leads_to_active() -> None:
    assert StationState.ACTIVE not in TRANSITIONS[StationState.MAINTENANCE].values()


def test_only_a_promotion_or_an_aborted_drain_leads_to_active() -> None:
    ways = {
        event
        for row in TRANSITIONS.values()
        for event, to in row.items()
        if to is StationState.ACTIVE
    }

    assert ways == {StationEvent.PROMOTED, StationEvent.DRAIN_ABORTED}


@pytest.mark.parametrize("state", StationState)
def test_every_state_can_be_reached(state: StationState) -> None:
    reached = {StationState.INIT}
    for _ in StationState:
        reached |= {to for seen in reached for to in TRANSITIONS[seen].values() if to is not None}

    assert state in reached


def test_the_states_fold_as_the_contract_says() -> None:
    folded = {
        shown: {state for state in StationState if SHOWN[state] is shown} for shown in ShownState
    }

    assert folded == {
        ShownState.STARTING: {StationState.INIT, StationState.JOINING, StationState.SYNCING},
        ShownState.STANDBY: {StationState.STANDBY, StationState.CLAIMING, StationState.FENCED},
        ShownState.ACTIVE: {StationState.ACTIVE, StationState.DRAINING},
        ShownState.FAILED: {StationState.FAILED},
        ShownState.MAINTENANCE: {StationState.MAINTENANCE},
    }
    assert {state for state in StationState if SHOWN[state] is ShownState.ACTIVE} == MAY_HOLD_LEASE
