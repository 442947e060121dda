"""What a not-Good value does to the target: the policies propagate, hold, substitute and stop.

*Not Good* is a reading whose status is Uncertain or Bad, or that has no value; a source that is
lost, an item that cannot be watched and one that is stale are readings of that kind, too. A row of
the pipe's table comes before the policy and can send a Good status to a policy as well.

Two rules stand above all of them. A Bad value is never written as if it were Good, unless a row of
the table says ``Good``: a target that takes no status keeps what it has. A target whose source
gives no value at all is told so on the last good value, because a DataValue without value is
refused by most servers.

``stop`` ends with the next Good value and with nothing else: a row of the table, a status that gets
better without being Good, or a new session do not set an item going again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipes.core.choices import Quality, Timestamps
from pipes.core.quality_table import NO_TABLE, QualityTable
from pipes.core.status_codes import code_of
from pipes.core.values import Variant, is_bad, is_good, without_info_bits

NO_DATA: Final = code_of("BadNoData")
"""What a reading counts as that has no value and does not say that it is Bad."""

SUBSTITUTED: Final = code_of("UncertainSubstituteValue")
"""The status of a substitute, where the target takes one (Part 8, 6.3.2)."""


class HoldReason(StrEnum):
    """Why the value that came is not written; the value is what an operator reads of the target.

    It follows what is wrong at the source: "the source has no value; the target …".
    """

    POLICY = "the target holds the last good value"
    NO_STATUS = "the target takes no status and keeps the last value"
    NO_VALUE = "the target keeps what it has, as there is no last good value to put the status on"
    REPORTED = "the target has been told, on its last good value"
    SUBSTITUTED = "the target has the substitute value"
    NO_SUBSTITUTE = "the target keeps the last value, as the item has no substitute; set substitute"
    STOPPED = "the transfer is stopped until the source is Good again"


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
    table: QualityTable = NO_TABLE
    substitute: Variant | None = None

    @property
    def is_plain(self) -> bool:
        """Whether values pass with the status that they have."""
        return self.policy is Quality.PROPAGATE and not self.table


@dataclass(frozen=True, slots=True)
class Reading:
    """What came from the source, or became of it (no connection is Bad without value)."""

    status: int
    has_value: bool
    not_good_seconds: float = 0.0
    """Since when the source has not been Good; 0 when it just turned."""
    has_last_good: bool = False
    """A Good value was written, or read from the target, since the item runs."""
    reported: int | None = None
    """The status that the target was given for this outage, without a value of its own."""
    is_stopped: bool = False
    """The outage has met ``stop``."""


@dataclass(frozen=True, slots=True)
class WriteAsIs:
    """Value and status as they came."""


@dataclass(frozen=True, slots=True)
class WriteWithStatus:
    """The value as it came, with this status; 0 is the value alone."""

    status: int


@dataclass(frozen=True, slots=True)
class WriteLastWithStatus:
    """The last good value again, with this status."""

    status: int


@dataclass(frozen=True, slots=True)
class WriteSubstitute:
    """The item's substitute value, with this status; 0 is the value alone."""

    status: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing; ask again after ``again_seconds`` (None: at the next value)."""

    reason: HoldReason
    again_seconds: float | None = None


Decision = WriteAsIs | WriteWithStatus | WriteLastWithStatus | WriteSubstitute | Hold

_AS_IS: Final = WriteAsIs()
_VALUE_ONLY: Final = WriteWithStatus(0)


def policy_for(rules: Rules, status: int, *, has_value: bool) -> tuple[Quality | None, int]:
    """The policy that a reading falls under, None if it counts as Good, and its status.

    The status is the source's, or the one that the table puts in its place.
    """
    if not has_value and not is_bad(status):
        status = NO_DATA
    usual = None if is_good(status) else rules.policy
    ruling = rules.table.ruling(status)
    if ruling is None:
        return usual, status
    if isinstance(ruling, Quality):
        return ruling, status
    return None if is_good(status) else Quality.PROPAGATE, ruling


def decide_quality(rules: Rules, reading: Reading, ability: Ability) -> Decision:
    """The write that this reading asks for."""
    policy, status = policy_for(rules, reading.status, has_value=reading.has_value)
    takes_status = ability.writes_status is not False
    if policy is not None and (reading.is_stopped or policy is Quality.STOP):
        return Hold(HoldReason.STOPPED)
    if policy is Quality.HOLD:
        return _held(rules, reading, status, takes_status=takes_status)
    if policy is Quality.SUBSTITUTE:
        return _substituted(rules, reading, takes_status=takes_status)
    return _propagated(reading, status, takes_status=takes_status)


def _propagated(reading: Reading, status: int, *, takes_status: bool) -> Decision:
    if not takes_status:
        if is_bad(status) or not reading.has_value:
            return Hold(HoldReason.NO_STATUS)
        return _VALUE_ONLY if without_info_bits(reading.status) else _AS_IS
    if reading.has_value:
        return _AS_IS if status == reading.status else WriteWithStatus(status)
    return _told(reading, status)


def _told(reading: Reading, status: int) -> Decision:
    """The target learns the status by its last good value, once for each status."""
    if reading.reported == status:
        return Hold(HoldReason.REPORTED)
    if reading.has_last_good:
        return WriteLastWithStatus(status)
    return Hold(HoldReason.NO_VALUE)


def _held(rules: Rules, reading: Reading, status: int, *, takes_status: bool) -> Decision:
    if rules.hold_seconds is None or not takes_status:
        return Hold(HoldReason.POLICY)
    left = rules.hold_seconds - reading.not_good_seconds
    if left > 0:
        return Hold(HoldReason.POLICY, left)
    if reading.has_value and not reading.has_last_good:
        return _AS_IS
    return _told(reading, status)


def _substituted(rules: Rules, reading: Reading, *, takes_status: bool) -> Decision:
    if rules.substitute is None:
        return Hold(HoldReason.NO_SUBSTITUTE)
    status = SUBSTITUTED if takes_status else 0
    if reading.reported == status:
        return Hold(HoldReason.SUBSTITUTED)
    return WriteSubstitute(status)


def writes_source_timestamp(wanted: Timestamps, ability: Ability) -> bool:
    """Whether source timestamps go along: ``source`` insists, ``auto`` gives way to the target."""
    if wanted is Timestamps.AUTO:
        return ability.writes_timestamps is not False
    return wanted is Timestamps.SOURCE


def writes_status(ability: Ability) -> bool:
    """Whether a status goes along with the value; not probed yet counts as yes."""
    return ability.writes_status is not False
