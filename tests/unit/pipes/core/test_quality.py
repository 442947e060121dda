from __future__ import annotations

import pytest

from pipes.core.choices import Quality, Timestamps
from pipes.core.quality import (
    Ability,
    Decision,
    Hold,
    HoldReason,
    Reading,
    Rules,
    WriteAsIs,
    WriteLastWithStatus,
    WriteValueOnly,
    decide_quality,
    writes_source_timestamp,
    writes_status,
)

GOOD, LOCAL_OVERRIDE, UNCERTAIN, BAD = 0, 0x00960000, 0x40920000, 0x80310000
FULL, UNPROBED, VALUE_ONLY = Ability(True, True), Ability(), Ability(writes_status=False)
PROPAGATE = Rules(Quality.PROPAGATE)


@pytest.mark.parametrize(
    ("reading", "ability", "decision"),
    [
        (Reading(GOOD, True), FULL, WriteAsIs()),
        (Reading(GOOD, True), VALUE_ONLY, WriteAsIs()),
        (Reading(LOCAL_OVERRIDE, True), UNPROBED, WriteAsIs()),
        (Reading(LOCAL_OVERRIDE, True), VALUE_ONLY, WriteValueOnly()),
        (Reading(UNCERTAIN, True), FULL, WriteAsIs()),
        (Reading(UNCERTAIN, True), VALUE_ONLY, WriteValueOnly()),
        (Reading(BAD, True), UNPROBED, WriteAsIs()),
        (Reading(BAD, True), VALUE_ONLY, Hold(HoldReason.NO_STATUS)),
        (Reading(UNCERTAIN, False), VALUE_ONLY, Hold(HoldReason.NO_STATUS)),
        (Reading(BAD, False, has_last_good=True), FULL, WriteLastWithStatus(BAD)),
        (Reading(BAD, False), FULL, Hold(HoldReason.NO_VALUE)),
        (
            Reading(BAD, False, has_last_good=True, is_reported=True),
            FULL,
            Hold(HoldReason.REPORTED),
        ),
        (Reading(GOOD, False), FULL, Hold(HoldReason.NO_VALUE)),
    ],
)
def test_propagate_passes_the_status_on_as_far_as_the_target_takes_it(
    reading: Reading, ability: Ability, decision: Decision
) -> None:
    assert decide_quality(PROPAGATE, reading, ability) == decision


@pytest.mark.parametrize(
    ("hold_seconds", "reading", "ability", "decision"),
    [
        (None, Reading(GOOD, True), FULL, WriteAsIs()),
        (None, Reading(UNCERTAIN, True, 1e9), FULL, Hold(HoldReason.POLICY)),
        (5, Reading(BAD, True, 2), FULL, Hold(HoldReason.POLICY, 3)),
        (5, Reading(BAD, True, 5, has_last_good=True), FULL, WriteLastWithStatus(BAD)),
        (5, Reading(BAD, True, 5, has_last_good=True), VALUE_ONLY, Hold(HoldReason.POLICY)),
        (5, Reading(BAD, True, 5), FULL, WriteAsIs()),
        (5, Reading(BAD, False, 5), FULL, Hold(HoldReason.NO_VALUE)),
        (5, Reading(BAD, True, 9, True, True), FULL, Hold(HoldReason.REPORTED)),
        (0, Reading(BAD, False, 0, has_last_good=True), FULL, WriteLastWithStatus(BAD)),
    ],
)
def test_hold_keeps_the_last_value_and_tells_the_target_once_when_time_is_up(
    hold_seconds: float | None, reading: Reading, ability: Ability, decision: Decision
) -> None:
    assert decide_quality(Rules(Quality.HOLD, hold_seconds), reading, ability) == decision


def test_policies_of_a_later_version_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="quality substitute is not available"):
        decide_quality(Rules(Quality.SUBSTITUTE), Reading(GOOD, True), FULL)


@pytest.mark.parametrize(
    ("wanted", "ability", "goes_along"),
    [
        (Timestamps.AUTO, True, True),
        (Timestamps.AUTO, None, True),
        (Timestamps.AUTO, False, False),
        (Timestamps.SOURCE, False, True),
        (Timestamps.NONE, True, False),
    ],
)
def test_source_timestamps_go_along_as_configured_and_possible(
    wanted: Timestamps, ability: bool | None, goes_along: bool
) -> None:
    assert writes_source_timestamp(wanted, Ability(writes_timestamps=ability)) is goes_along


def test_status_goes_along_until_the_target_refuses_it() -> None:
    assert writes_status(UNPROBED)
    assert not writes_status(VALUE_ONLY)
