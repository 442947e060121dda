from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy.core.decide import Decision, Demote, Fail, Hold, Promote, Reason, Renew, decide
from redundancy.core.lease import MILLISECOND, PROFILES, Profile
from redundancy.core.stations import MAY_HOLD_LEASE, StationState
from redundancy.core.view import RecordState, StationView

TIMING = PROFILES[Profile.STANDARD]
NOW = 1_000_000_000
UNTIL = NOW + TIMING.lease
LATE = 301 * MILLISECOND

#: A station without a peer whose checks pass.
READY = StationView(
    now=NOW,
    late_by=0,
    state=StationState.JOINING,
    record=RecordState.GOOD,
    hosts_present=2,
    hosts_moving=1,
)
ACTIVE = replace(READY, state=StationState.ACTIVE)
STOPPING = replace(ACTIVE, is_stopping=True, stop_until=NOW + 1)

ROWS: list[tuple[str, StationView, Decision]] = [
    ("begins alone", READY, Promote(Reason.ALONE, UNTIL)),
    (
        "waits for the record",
        replace(READY, state=StationState.INIT, record=RecordState.UNREAD),
        Hold(Reason.READING_RECORD),
    ),
    (
        "waits for the disk",
        replace(READY, state=StationState.INIT, record=RecordState.UNWRITABLE),
        Hold(Reason.RECORD_UNWRITABLE),
    ),
    (
        "does not guess its term",
        replace(READY, state=StationState.INIT, record=RecordState.CORRUPT),
        Fail(Reason.RECORD_CORRUPT),
    ),
    ("keeps a latched failure", replace(READY, is_failed=True), Fail(Reason.FAILURE_LATCHED)),
    (
        "stays failed",
        replace(READY, state=StationState.FAILED),
        Hold(Reason.FAILURE_LATCHED),
    ),
    (
        "stays out for maintenance",
        replace(READY, is_in_maintenance=True),
        Hold(Reason.IN_MAINTENANCE),
    ),
    ("needs a vote beside a peer", replace(READY, has_peer=True), Hold(Reason.NO_VOTE)),
    (
        "takes a vote beside a peer",
        replace(READY, has_peer=True, has_vote=True),
        Promote(Reason.ALONE, UNTIL),
    ),
    ("waits for a host", replace(READY, hosts_moving=0), Hold(Reason.NO_HOST_MOVES)),
    ("does not begin late", replace(READY, late_by=LATE), Hold(Reason.LOOP_LATE)),
    (
        "does not begin while stopping",
        replace(READY, is_stopping=True),
        Demote(Reason.NOT_PROMOTED),
    ),
    ("renews", ACTIVE, Renew(Reason.LEASE_RENEWED, UNTIL)),
    (
        "renews without hosts, which come back",
        replace(ACTIVE, hosts_present=0, hosts_moving=0),
        Renew(Reason.LEASE_RENEWED, UNTIL),
    ),
    (
        "renews with a record that broke later, its term is durable",
        replace(ACTIVE, record=RecordState.UNWRITABLE),
        Renew(Reason.LEASE_RENEWED, UNTIL),
    ),
    ("does not renew late", replace(ACTIVE, late_by=LATE), Hold(Reason.LOOP_LATE)),
    ("drains", STOPPING, Renew(Reason.DRAINING, UNTIL)),
    (
        "ends when drained",
        replace(STOPPING, state=StationState.DRAINING, hosts_present=0),
        Demote(Reason.DRAINED),
    ),
    (
        "ends when hosts take too long",
        replace(STOPPING, state=StationState.DRAINING, now=NOW + 1),
        Demote(Reason.DRAIN_OVER),
    ),
]


@pytest.mark.parametrize(("view", "decision"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS])
def test_decision(view: StationView, decision: Decision) -> None:
    assert decide(view, TIMING) == decision


VIEWS = st.builds(
    StationView,
    now=st.integers(0, 2**62),
    late_by=st.integers(0, 10**10),
    state=st.sampled_from(StationState),
    record=st.sampled_from(RecordState),
    is_failed=st.booleans(),
    is_in_maintenance=st.booleans(),
    has_peer=st.booleans(),
    has_vote=st.booleans(),
    hosts_present=st.integers(0, 16),
    hosts_moving=st.integers(0, 16),
    is_stopping=st.booleans(),
    stop_until=st.integers(0, 2**62),
)


@given(VIEWS)
def test_a_lease_is_granted_in_time_and_never_past_its_length(view: StationView) -> None:
    decision = decide(view, TIMING)

    if isinstance(decision, Promote | Renew):
        assert decision.deadline == view.now + TIMING.lease
        assert 2 * view.late_by <= TIMING.lease


@given(VIEWS)
def test_a_station_begins_only_with_a_durable_term_and_nothing_against_it(
    view: StationView,
) -> None:
    if isinstance(decide(view, TIMING), Promote):
        assert view.record is RecordState.GOOD
        assert not any((view.is_failed, view.is_in_maintenance, view.is_stopping))
        assert not view.has_peer or view.has_vote
        assert view.state not in {StationState.FAILED, *MAY_HOLD_LEASE}


@given(VIEWS)
def test_only_a_station_that_may_hold_a_lease_renews_one(view: StationView) -> None:
    if isinstance(decide(view, TIMING), Renew):
        assert view.state in MAY_HOLD_LEASE
