"""What a not-Good value does to the target: the policies propagate and hold.

Two rules stand above both. A Bad value is never written as if it were Good, so a target that
takes no status keeps what it has. A target whose source gives no value at all is told so on the
last good value, because a DataValue without value is refused by most servers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipes.core.choices import Quality, Timestamps
from pipes.core.values import is_bad, is_good, without_info_bits


class HoldReason(StrEnum):
    """Why nothing is written; the value is the sentence for the status of the item."""

    POLICY = "the source is not Good; the target holds the last good value"
    NO_STATUS = "the source is Bad and the target takes no status; it keeps the last value"
    NO_VALUE = "the source has no value and there is no last good one to put its status on"
    REPORTED = "the target has been told that the source is not Good"


@dataclass(frozen=True, slots=True)
class Ability:
    """What the target lets a client write; None is not probed yet and counts as yes."""

    writes_status: bool | None = None
    writes_timestamps: bool | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    policy: Quality = Quality.PROPAGATE
    hold_seconds: float | None = None
    """How long ``hold`` waits before the target is told; None is for ever."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came from the source, or became of it (no connection is Bad without value)."""

    status: int
    has_value: bool
    not_good_seconds: float = 0.0
    """Since when the source has not been Good; 0 when it just turned."""
    has_last_good: bool = False
    """A Good value was written, or read from the target, since the item runs."""
    is_reported: bool = False
    """The target has its bad status of this outage already."""


@dataclass(frozen=True, slots=True)
class WriteAsIs:
    """Value and status as they came."""


@dataclass(frozen=True, slots=True)
class WriteValueOnly:
    """The value without its status."""


@dataclass(frozen=True, slots=True)
class WriteLastWithStatus:
    """The last good value again, with this status."""

    status: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing; ask again after ``again_seconds`` (None: at the next value)."""

    reason: HoldReason
    again_seconds: float | None = None


Decision = WriteAsIs | WriteValueOnly | WriteLastWithStatus | Hold

_AS_IS: Final = WriteAsIs()
_VALUE_ONLY: Final = WriteValueOnly()


def decide_quality(rules: Rules, reading: Reading, ability: Ability) -> Decision:
    """The write that this reading asks for.

    Raises:
        ValueError: a policy that is not carried out yet.
    """
    if rules.policy not in (Quality.PROPAGATE, Quality.HOLD):
        raise ValueError(f"quality {rules.policy} is not available in this version")
    takes_status = ability.writes_status is not False
    if is_good(reading.status) and reading.has_value:
        plain = takes_status or not without_info_bits(reading.status)
        return _AS_IS if plain else _VALUE_ONLY
    if rules.policy is Quality.HOLD:
        return _held(rules, reading, takes_status=takes_status)
    return _propagated(reading, takes_status=takes_status)


def _propagated(reading: Reading, *, takes_status: bool) -> Decision:
    if not takes_status:
        if is_bad(reading.status) or not reading.has_value:
            return Hold(HoldReason.NO_STATUS)
        return _VALUE_ONLY
    if reading.has_value:
        return _AS_IS
    if reading.is_reported:
        return Hold(HoldReason.REPORTED)
    if reading.has_last_good:
        return WriteLastWithStatus(reading.status)
    return Hold(HoldReason.NO_VALUE)


def _held(rules: Rules, reading: Reading, *, takes_status: bool) -> Decision:
    if rules.hold_seconds is None or not takes_status:
        return Hold(HoldReason.POLICY)
    left = rules.hold_seconds - reading.not_good_seconds
    if left > 0:
        return Hold(HoldReason.POLICY, left)
    if reading.is_reported:
        return Hold(HoldReason.REPORTED)
    if reading.has_last_good:
        return WriteLastWithStatus(reading.status)
    return _AS_IS if reading.has_value else Hold(HoldReason.NO_VALUE)


def writes_source_timestamp(wanted: Timestamps, ability: Ability) -> bool:
    """Whether source timestamps go along: ``source`` insists, ``auto`` gives way to the target."""
    if wanted is Timestamps.AUTO:
        return ability.writes_timestamps is not False
    return wanted is Timestamps.SOURCE


def writes_status(ability: Ability) -> bool:
    """Whether a status goes along with the value; not probed yet counts as yes."""
    return ability.writes_status is not False
