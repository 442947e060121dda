"""Which member of a redundant server is to be used (Part 4, 6.6: ServiceLevel and failover).

A member that is dead, or says that it has no data or is in maintenance, is left at once. A merely
better one is waited for: it must be of a better band or better by a margin, without interruption,
and must not have fallen lately. So a member that comes and goes never makes the values flap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from math import inf
from typing import Final

#: What a member without a ServiceLevel is taken for: to be reachable is all that can be asked.
ASSUMED_LEVEL: Final = 255
_FIRST_DEGRADED: Final = 2
_FIRST_HEALTHY: Final = 200


class Band(IntEnum):
    """The ranges of a ServiceLevel (Part 4, 6.6.2.4.2); a higher one is better."""

    DEAD = 0
    MAINTENANCE = 1
    NO_DATA = 2
    DEGRADED = 3
    HEALTHY = 4


@dataclass(frozen=True, slots=True)
class Rules:
    """``margin`` in ServiceLevels; a member is better for ``hold_seconds`` before it is moved to,
    and is no better one for ``rest_seconds`` after it fell.
    """

    margin: int = 20
    hold_seconds: float = 10.0
    rest_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Move:
    endpoint: str
    why: str


@dataclass(frozen=True, slots=True)
class MemberState:
    """``state`` is the name of a band, or ``unknown`` before the first look; ``reason`` says why
    a member cannot be used.
    """

    endpoint: str
    state: str
    service_level: int | None
    in_use: bool
    reason: str


def band_of(level: int | None) -> Band:
    """The band of a member that is reachable; ``None``: it has no ServiceLevel."""
    if level is None or level >= _FIRST_HEALTHY:
        return Band.HEALTHY
    if level >= _FIRST_DEGRADED:
        return Band.DEGRADED
    return Band.NO_DATA if level == 1 else Band.MAINTENANCE


class _Member:
    __slots__ = (
        "band", "better_since", "endpoint", "fell_at", "is_known", "known_level", "place",
    )  # fmt: skip

    def __init__(self, endpoint: str, place: int) -> None:
        self.endpoint = endpoint
        self.place = place
        self.band = Band.DEAD
        self.is_known = False
        self.known_level: int | None = None
        self.better_since: float | None = None
        self.fell_at = -inf

    @property
    def is_usable(self) -> bool:
        return self.band > Band.NO_DATA

    @property
    def level(self) -> int:
        return ASSUMED_LEVEL if self.known_level is None else self.known_level

    def rank(self, now: float, rest_seconds: float) -> tuple[bool, Band, int, int]:
        is_rested = now - self.fell_at >= rest_seconds
        return (self.is_usable and is_rested, self.band, self.level, -self.place)

    @property
    def state(self) -> str:
        return self.band.name.lower() if self.is_known else "unknown"

    def describe(self) -> str:
        if not self.is_known:
            return "was not looked at yet"
        if self.band is Band.DEAD:
            return "cannot be used"
        if self.known_level is None:
            return "is reachable"
        return f"has ServiceLevel {self.known_level} ({self.state.replace('_', ' ')})"


class ServerSet:
    """What is known of the members, and which of them is ``current``. Times are in seconds of one
    clock that never goes back.
    """

    def __init__(self, endpoints: Iterable[str], rules: Rules | None = None) -> None:
        self.current: str | None = None
        self._rules = rules or Rules()
        self._members: dict[str, _Member] = {}
        for endpoint in endpoints:
            self.add(endpoint)

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(self._members)

    def add(self, endpoint: str) -> None:
        """Members that are equally good are preferred in the order in which they are added."""
        if endpoint not in self._members:
            self._members[endpoint] = _Member(endpoint, len(self._members))

    def see(self, endpoint: str, now: float, *, level: int | None = None) -> None:
        """The member is reachable, with this ServiceLevel if it has one."""
        self._note(endpoint, band_of(level), level, now)

    def miss(self, endpoint: str, now: float) -> None:
        """The member is dead, or does not let this station in."""
        self._note(endpoint, Band.DEAD, None, now)

    def use(self, endpoint: str, now: float) -> None:
        self.current = endpoint
        for member in self._members.values():
            member.better_since = None
        self._compare(now)

    def order(self, now: float) -> list[str]:
        """All members, the one to try first at the beginning."""
        return [member.endpoint for member in self._ranked(self._members.values(), now)]

    def is_reachable(self, endpoint: str) -> bool:
        return self._members[endpoint].band > Band.DEAD

    def describe(self, endpoint: str) -> str:
        """What is known of the member, as the end of a sentence that begins with it."""
        return self._members[endpoint].describe()

    def states(self, *, in_use: str | None, reasons: Mapping[str, str]) -> tuple[MemberState, ...]:
        """All members, in their order; ``reasons`` of those that cannot be used by endpoint."""
        return tuple(
            MemberState(
                each.endpoint,
                each.state,
                each.known_level,
                each.endpoint == in_use,
                reasons.get(each.endpoint, ""),
            )
            for each in self._members.values()
        )

    def move(self, now: float) -> Move | None:
        """The member to be used instead of the current one, and why; None if it is to stay."""
        if self.current is None:
            return None
        current = self._members[self.current]
        found = self._ranked(
            [member for member in self._members.values() if self._replaces(member, current, now)],
            now,
        )
        if not found:
            return None
        why = f"{current.endpoint} {current.describe()}, {found[0].endpoint} {found[0].describe()}"
        return Move(found[0].endpoint, why)

    def _replaces(self, member: _Member, current: _Member, now: float) -> bool:
        if current.band is Band.DEAD:
            return member.band > Band.DEAD
        if not current.is_usable:
            return member.is_usable
        return (
            member.better_since is not None
            and now - member.better_since >= self._rules.hold_seconds
            and now - member.fell_at >= self._rules.rest_seconds
        )

    def _ranked(self, members: Iterable[_Member], now: float) -> list[_Member]:
        rest = self._rules.rest_seconds
        return sorted(members, key=lambda member: member.rank(now, rest), reverse=True)

    def _note(self, endpoint: str, band: Band, level: int | None, now: float) -> None:
        member = self._members[endpoint]
        was_usable = member.is_usable
        member.band = band
        member.is_known = True
        member.known_level = level
        if was_usable and not member.is_usable:
            member.fell_at = now
        self._compare(now)

    def _compare(self, now: float) -> None:
        """Note since when each member has been better than the current one."""
        if self.current is None:
            return
        current = self._members[self.current]
        for member in self._members.values():
            if not self._is_better(member, current):
                member.better_since = None
            elif member.better_since is None:
                member.better_since = now

    def _is_better(self, member: _Member, current: _Member) -> bool:
        if not member.is_usable:
            return False
        return member.band > current.band or member.level >= current.level + self._rules.margin
