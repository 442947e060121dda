"""Everything that one station knows at one instant, ``now`` included."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from redundancy.core.stations import StationState


class RecordState(Enum):
    """What the durable record says, or why it says nothing."""

    UNREAD = "not read yet"
    GOOD = "read, and the present term is durable"
    UNWRITABLE = "cannot be written"
    CORRUPT = "damaged"


@dataclass(frozen=True, slots=True)
class StationView:
    """One instant of a station; ``now`` and ``late_by`` in nanoseconds.

    ``hosts_moving`` and ``hosts_present`` count pipe hosts; ``has_vote`` tells whether an authority
    other than the station itself, such as a peer, lets it write.
    """

    now: int
    late_by: int
    state: StationState
    record: RecordState
    is_failed: bool = False
    is_in_maintenance: bool = False
    has_peer: bool = False
    has_vote: bool = False
    hosts_present: int = 0
    hosts_moving: int = 0
    is_stopping: bool = False
    stop_until: int = 0
