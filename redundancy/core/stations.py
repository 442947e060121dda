"""The states of a station, and every way from one to another.

The table is the machine: a row for each state, a column for each event, ``None`` where the event
cannot happen. What a cell does not allow raises and leaves the state as it was. `SHOWN` folds the
states into those that users, REST and OPC UA see.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final


class StationState(StrEnum):
    """What a station is right now, exactly; the value is what ``detail`` shows."""

    INIT = "INIT"
    JOINING = "JOINING"
    SYNCING = "SYNCING"
    STANDBY = "STANDBY"
    CLAIMING = "CLAIMING"
    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    FENCED = "FENCED"
    FAILED = "FAILED"
    MAINTENANCE = "MAINTENANCE"


class ShownState(StrEnum):
    """What a station is for people and programs outside."""

    STARTING = "starting"
    STANDBY = "standby"
    ACTIVE = "active"
    FAILED = "failed"
    MAINTENANCE = "maintenance"


class StationEvent(Enum):
    """What can happen to a station; the value says it."""

    TERM_RECORDED = "the record was read and the next term is durable"
    PEER_HEARD = "the peer answers"
    SYNCED = "configuration and values are those of the peer"
    CLAIM_BEGUN = "the station claims the lease"
    CLAIM_WITHDRAWN = "the claim found the other station alive"
    PROMOTED = "the station holds the lease"
    DRAIN_BEGUN = "a planned stop or switchover began"
    DRAIN_ABORTED = "the planned switchover was given up"
    HANDED_OVER = "the last write is settled and the lease is given up"
    LEASE_LOST = "the lease ran out without a handover"
    CONTACT_MADE = "the peer was heard and had not taken over"
    STATION_FAILED = "the station cannot do its work, or the peer took over"
    FAILURE_CLEARED = "a person or auto-rejoin cleared the failure"
    MAINTENANCE_BEGUN = "a person took the station out"
    MAINTENANCE_ENDED = "a person brought the station back"


class IllegalTransition(Exception):  # noqa: N818 - it names the thing that did not happen
    """The event cannot happen in this state: a defect of the caller."""

    def __init__(self, state: StationState, event: StationEvent) -> None:
        super().__init__(f"{event.name} cannot happen in {state}")
        self.state = state
        self.event = event


_S = StationState
_E = StationEvent

# fmt: off
TRANSITIONS: Final[Mapping[StationState, Mapping[StationEvent, StationState | None]]] = {
    _S.INIT: {
        _E.TERM_RECORDED: _S.JOINING,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: _S.MAINTENANCE, _E.MAINTENANCE_ENDED: None,
    },
    _S.JOINING: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: _S.SYNCING, _E.SYNCED: None,
        # both stations start: the configured initial active claims; no peer: it just begins
        _E.CLAIM_BEGUN: _S.CLAIMING, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: _S.ACTIVE,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: _S.MAINTENANCE, _E.MAINTENANCE_ENDED: None,
    },
    _S.SYNCING: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: _S.STANDBY,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: _S.MAINTENANCE, _E.MAINTENANCE_ENDED: None,
    },
    _S.STANDBY: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: _S.CLAIMING, _E.CLAIM_WITHDRAWN: None,
        _E.PROMOTED: _S.ACTIVE,  # by YIELD or HANDOVER
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: _S.MAINTENANCE, _E.MAINTENANCE_ENDED: None,
    },
    _S.CLAIMING: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: _S.STANDBY, _E.PROMOTED: _S.ACTIVE,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: None, _E.MAINTENANCE_ENDED: None,
    },
    _S.ACTIVE: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: _S.DRAINING, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: _S.FENCED, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: None, _E.MAINTENANCE_ENDED: None,  # hand over first
    },
    _S.DRAINING: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: _S.ACTIVE, _E.HANDED_OVER: _S.STANDBY,
        _E.LEASE_LOST: _S.FENCED, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: None, _E.MAINTENANCE_ENDED: None,
    },
    _S.FENCED: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: _S.STANDBY,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: _S.MAINTENANCE, _E.MAINTENANCE_ENDED: None,
    },
    _S.FAILED: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED,  # a further cause changes nothing
        _E.FAILURE_CLEARED: _S.INIT,   # a new beginning, with a new term
        _E.MAINTENANCE_BEGUN: None, _E.MAINTENANCE_ENDED: None,
    },
    _S.MAINTENANCE: {
        _E.TERM_RECORDED: None,
        _E.PEER_HEARD: None, _E.SYNCED: None,
        _E.CLAIM_BEGUN: None, _E.CLAIM_WITHDRAWN: None, _E.PROMOTED: None,
        _E.DRAIN_BEGUN: None, _E.DRAIN_ABORTED: None, _E.HANDED_OVER: None,
        _E.LEASE_LOST: None, _E.CONTACT_MADE: None,
        _E.STATION_FAILED: _S.FAILED, _E.FAILURE_CLEARED: None,
        _E.MAINTENANCE_BEGUN: None, _E.MAINTENANCE_ENDED: _S.INIT,
    },
}
# fmt: on

SHOWN: Final[Mapping[StationState, ShownState]] = {
    _S.INIT: ShownState.STARTING,
    _S.JOINING: ShownState.STARTING,
    _S.SYNCING: ShownState.STARTING,
    _S.STANDBY: ShownState.STANDBY,
    _S.CLAIMING: ShownState.STANDBY,
    _S.FENCED: ShownState.STANDBY,
    _S.ACTIVE: ShownState.ACTIVE,
    _S.DRAINING: ShownState.ACTIVE,
    _S.FAILED: ShownState.FAILED,
    _S.MAINTENANCE: ShownState.MAINTENANCE,
}

#: The only states in which a station may grant itself a lease.
MAY_HOLD_LEASE: Final = frozenset({_S.ACTIVE, _S.DRAINING})


def after(state: StationState, event: StationEvent) -> StationState:
    """The state that ``event`` leads to.

    Raises:
        IllegalTransition: the table has no such way.

    """
    following = TRANSITIONS[state][event]
    if following is None:
        raise IllegalTransition(state, event)
    return following
