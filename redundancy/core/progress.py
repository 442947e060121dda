"""Does a pipe host make progress? Counted in the supervisor's own ticks.

Ticks, not seconds: a station that was paused as a whole (a frozen machine, a debugger) has a host
that stood still for long but a supervisor that stood still with it, and kills nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum


class HostState(IntEnum):
    """What a pipe host says of itself on the board; stored values never change."""

    EMPTY = 0
    STARTING = 1
    RUNNING = 2
    DRAINING = 3
    STOPPED = 4


class Verdict(Enum):
    """What the watchdog thinks of a host."""

    ABSENT = "no process is in the slot"
    MOVING = "its loop turns"
    STILL = "its loop has not turned since the last look"
    HUNG = "its loop has not turned for too long"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one tick saw in a host's slot; pid 0 is nobody."""

    pid: int
    start_time: int
    progress: int
    state: HostState


@dataclass(frozen=True, slots=True)
class Limits:
    """Ticks without progress until a host counts as hung.

    A starting host reads its configuration and connects: it gets longer.
    """

    running_ticks: int
    starting_ticks: int


@dataclass(frozen=True, slots=True)
class Track:
    """A host over time: the last sighting and how many ticks in a row saw no progress."""

    sighting: Sighting
    still_ticks: int = 0


NOBODY = Track(Sighting(0, 0, 0, HostState.EMPTY))


def limits(heartbeat_ns: int, running_ns: int, starting_ns: int) -> Limits:
    """Durations as whole ticks, rounded up; never less than two: one tick proves nothing."""
    return Limits(
        max(2, -(-running_ns // heartbeat_ns)),
        max(2, -(-starting_ns // heartbeat_ns)),
    )


def follow(track: Track, seen: Sighting) -> Track:
    """Add one tick's sighting. Another process or another counter value is a new beginning."""
    before = track.sighting
    same_process = (before.pid, before.start_time) == (seen.pid, seen.start_time)
    if same_process and before.progress == seen.progress:
        return replace(track, sighting=seen, still_ticks=track.still_ticks + 1)
    return Track(seen)


def judge(track: Track, limit: Limits) -> Verdict:
    """What the sightings so far say; a host that said it stopped is nobody's concern."""
    seen = track.sighting
    if seen.pid == 0 or seen.state in {HostState.EMPTY, HostState.STOPPED}:
        return Verdict.ABSENT
    if track.still_ticks == 0:
        return Verdict.MOVING
    starting = seen.state is HostState.STARTING
    allowed = limit.starting_ticks if starting else limit.running_ticks
    return Verdict.HUNG if track.still_ticks >= allowed else Verdict.STILL
