"""Who may write until when: the arithmetic of deadlines, and the rules that durations must keep.

All instants are nanoseconds of a clock that only moves forward, all durations nanoseconds. The
drift allowance RHO is how much faster than the other one a station's clock may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
RHO_PERCENT: Final = 1
LEAST_WRITE_TIMEOUT: Final = 200 * MILLISECOND


class Profile(StrEnum):
    """The named sets of durations; ``custom`` is none of them."""

    WIDE = "wide"
    STANDARD = "standard"
    FAST = "fast"
    QUICK = "quick"


@dataclass(frozen=True, slots=True)
class Timing:
    """H, SIL, LEASE, UT and INF of the protocol, in nanoseconds."""

    heartbeat: int
    silence: int
    lease: int
    write_timeout: int
    horizon: int


def _timing(heartbeat: int, silence: int, lease: int, write_timeout: int, horizon: int) -> Timing:
    milliseconds = (heartbeat, silence, lease, write_timeout, horizon)
    return Timing(*(duration * MILLISECOND for duration in milliseconds))


PROFILES: Final[Mapping[Profile, Timing]] = {
    Profile.WIDE: _timing(200, 700, 1000, 1000, 1600),
    Profile.STANDARD: _timing(100, 500, 600, 500, 800),
    Profile.FAST: _timing(100, 400, 400, 300, 600),
    Profile.QUICK: _timing(50, 400, 300, 200, 400),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of links, witness and servers, in nanoseconds; 0 is not known yet."""

    link_round_trip: int = 0
    witness_timeout: int = 0
    witness_p99: int = 0
    server_slack: int = 0
    path_delay: int = 0
    write_answer_p999: int = 0


class TimingRule(Enum):
    """The rules between durations; the name is the code, the value says what must hold."""

    HEARTBEAT_IN_SILENCE = "twice heartbeat_ms must be less than silence_ms"
    HEARTBEAT_IN_LEASE = "three times heartbeat_ms must not be more than lease_ms"
    ROUND_TRIP_IN_LEASE = "the link's round trip and heartbeat_ms must fit into half of lease_ms"
    WITNESS_TIMEOUT_IN_LEASE = "the witness's time-out must not be more than 0.4 of lease_ms"
    WITNESS_ANSWER_IN_LEASE = "the witness's p99 must not be more than 0.1 of lease_ms"
    WRITE_IN_HORIZON = "write_timeout_ms, server slack and path delay must fit into horizon_ms"
    WRITE_TIMEOUT_ANSWERS = "write_timeout_ms must be four times the p99.9 of a write's answer"
    WRITE_TIMEOUT_LEAST = "write_timeout_ms must be at least 200"


def broken_rules(timing: Timing, measured: Measured = Measured()) -> tuple[TimingRule, ...]:
    """The rules that these durations break, in the order of `TimingRule`; none is well."""
    t, m = timing, measured
    kept = {
        TimingRule.HEARTBEAT_IN_SILENCE: 2 * t.heartbeat < t.silence,
        TimingRule.HEARTBEAT_IN_LEASE: 3 * t.heartbeat <= t.lease,
        TimingRule.ROUND_TRIP_IN_LEASE: 2 * (m.link_round_trip + t.heartbeat) <= t.lease,
        TimingRule.WITNESS_TIMEOUT_IN_LEASE: 10 * m.witness_timeout <= 4 * t.lease,
        TimingRule.WITNESS_ANSWER_IN_LEASE: 10 * m.witness_p99 <= t.lease,
        TimingRule.WRITE_IN_HORIZON: t.write_timeout + m.server_slack + m.path_delay <= t.horizon,
        TimingRule.WRITE_TIMEOUT_ANSWERS: 4 * m.write_answer_p999 <= t.write_timeout,
        TimingRule.WRITE_TIMEOUT_LEAST: t.write_timeout >= LEAST_WRITE_TIMEOUT,
    }
    return tuple(rule for rule, holds in kept.items() if not holds)


def deadline(asked_at: int, timing: Timing) -> int:
    """How long a vote that was asked for at ``asked_at`` lets this station write."""
    return asked_at + timing.lease


def grant(timing: Timing) -> int:
    """GRANT: how long the giver of a vote does not become active, from when it was asked.

    LEASE·(1+2ρ) + INF: the lease as the fastest clock counts it, and every write that was sent
    inside it is over.
    """
    return -(-timing.lease * (100 + 2 * RHO_PERCENT) // 100) + timing.horizon


def is_late(late_by: int, timing: Timing) -> bool:
    """Is a turn of the loop so late that what it knows is too old to decide on?"""
    return 2 * late_by > timing.lease


def next_term(*seen: int) -> int:
    """A term above every one that was seen."""
    return max(seen, default=0) + 1
