"""One decision for each turn of the supervisor's loop, and the one sentence that explains it.

A station without a peer holds all votes itself: it is active as soon as its own checks pass, and
renews its lease for as long as its loop is in time. What remains of the protocol in it: the lease
is never renewed by a turn that is late, never in a state that may not hold one, and never without
a durable record of the term.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from redundancy.core.lease import Timing, deadline, is_late
from redundancy.core.stations import MAY_HOLD_LEASE, StationState
from redundancy.core.view import RecordState, StationView


class Reason(Enum):
    """Why the supervisor decided so: the name is the code, the value the sentence."""

    READING_RECORD = "The term record is being read."
    RECORD_UNWRITABLE = "The term record cannot be written; no term is durable."
    RECORD_CORRUPT = "The term record is damaged; the station must not guess its term."
    FAILURE_LATCHED = "The station failed and waits for a person to let it rejoin."
    IN_MAINTENANCE = "A person took the station out for maintenance."
    LOOP_LATE = "The supervisor's loop was late; what it knows may be too old."
    NO_HOST_MOVES = "No pipe host makes progress yet."
    NO_VOTE = "A peer is configured, and nobody but this station votes for it."
    ALONE = "The station has no peer and its own checks pass."
    LEASE_RENEWED = "The station is active and its loop is in time."
    DRAINING = "The station is stopping; its pipe hosts finish their last writes."
    DRAINED = "The station is stopping and no pipe host is left."
    DRAIN_OVER = "The station is stopping; its pipe hosts did not finish in time."
    NOT_PROMOTED = "The station is stopping and was not active."


@dataclass(frozen=True, slots=True)
class Hold:
    """Change nothing, renew nothing."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Promote:
    """Become active, writing until ``deadline``."""

    reason: Reason
    deadline: int


@dataclass(frozen=True, slots=True)
class Renew:
    """Stay active, writing until ``deadline``."""

    reason: Reason
    deadline: int


@dataclass(frozen=True, slots=True)
class Demote:
    """Give the lease up; every gate shuts."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Fail:
    """Be failed until a person clears it."""

    reason: Reason


Decision = Hold | Promote | Renew | Demote | Fail


def decide(view: StationView, timing: Timing) -> Decision:
    """What the station does at this instant.

    Invariants (properties in the tests): a lease only in a state that may hold one, in time, and
    with the record good when it begins; never past ``now + LEASE``.
    """
    if view.state is StationState.FAILED:
        return Hold(Reason.FAILURE_LATCHED)
    if view.state not in MAY_HOLD_LEASE and view.is_stopping:
        return Demote(Reason.NOT_PROMOTED)
    if is_late(view.late_by, timing):
        return Hold(Reason.LOOP_LATE)
    if view.state in MAY_HOLD_LEASE:
        return _hold_on(view, timing)
    if view.record is not RecordState.GOOD:
        return _without_record(view.record)
    if view.is_failed:
        return Fail(Reason.FAILURE_LATCHED)
    if view.is_in_maintenance:
        return Hold(Reason.IN_MAINTENANCE)
    return _begin(view, timing)


def _without_record(record: RecordState) -> Decision:
    match record:
        case RecordState.UNREAD | RecordState.GOOD:
            return Hold(Reason.READING_RECORD)
        case RecordState.UNWRITABLE:
            return Hold(Reason.RECORD_UNWRITABLE)
        case RecordState.CORRUPT:
            return Fail(Reason.RECORD_CORRUPT)
        case _:  # pragma: no cover - mypy proves that no member is left
            assert_never(record)


def _begin(view: StationView, timing: Timing) -> Decision:
    if view.has_peer and not view.has_vote:
        return Hold(Reason.NO_VOTE)
    if view.hosts_moving == 0:
        return Hold(Reason.NO_HOST_MOVES)
    return Promote(Reason.ALONE, deadline(view.now, timing))


def _hold_on(view: StationView, timing: Timing) -> Decision:
    if not view.is_stopping:
        return Renew(Reason.LEASE_RENEWED, deadline(view.now, timing))
    if view.hosts_present == 0:
        return Demote(Reason.DRAINED)
    if view.now >= view.stop_until:
        return Demote(Reason.DRAIN_OVER)
    return Renew(Reason.DRAINING, deadline(view.now, timing))
