from __future__ import annotations

import pytest

from pipes.core.choices import Quality, Timestamps
from pipes.core.quality import (
    NO_DATA,
    SUBSTITUTED,
    Ability,
    Decision,
    Hold,
    HoldReason,
    Reading,
    Rules,
    WriteAsIs,
    WriteLastWithStatus,
    WriteSubstitute,
    WriteWithStatus,
    decide_quality,
    policy_for,
    writes_source_timestamp,
    writes_status,
)
from pipes.core.quality_table import table_of
from pipes.core.status_codes import code_of
from pipes.core.values import Variant, VariantType

GOOD, LOCAL_OVERRIDE, UNCERTAIN, BAD = 0, 0x00960000, 0x40920000, 0x80310000
FULL, UNPROBED, VALUE_ONLY = Ability(True, True), Ability(), Ability(writes_status=False)
PROPAGATE = Rules(Quality.PROPAGATE)


@pytest.mark.parametrize(
    ("reading", "ability", "decision"),
    [
        (Reading(GOOD, True), FULL, WriteAsIs()),
        (Reading(GOOD, True), VALUE_ONLY, WriteAsIs()),
        (Reading(LOCAL_OVERRIDE, True), UNPROBED, WriteAsIs()),
        (Reading(LOCAL_OVERRIDE, True), VALUE_ONLY, WriteWithStatus(0)),
        (Reading(UNCERTAIN, True), FULL, WriteAsIs()),
        (Reading(UNCERTAIN, True), VALUE_ONLY, WriteWithStatus(0)),
        (Reading(BAD, True), UNPROBED, WriteAsIs()),
        (Reading(BAD, True), VALUE_ONLY, Hold(HoldReason.NO_STATUS)),
        (Reading(UNCERTAIN, False), VALUE_ONLY, Hold(HoldReason.NO_STATUS)),
        (Reading(BAD, False, has_last_good=True), FULL, WriteLastWithStatus(BAD)),
        (Reading(BAD, False), FULL, Hold(HoldReason.NO_VALUE)),
        (
            Reading(BAD, False, has_last_good=True, reported=BAD),
            FULL,
            Hold(HoldReason.REPORTED),
        ),
        (
            Reading(BAD, False, has_last_good=True, reported=UNCERTAIN),
            FULL,
            WriteLastWithStatus(BAD),
        ),
        (Reading(GOOD, False, has_last_good=True), FULL, WriteLastWithStatus(NO_DATA)),
        (Reading(UNCERTAIN, False), FULL, Hold(HoldReason.NO_VALUE)),
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
        (5, Reading(BAD, True, 9, True, BAD), FULL, Hold(HoldReason.REPORTED)),
        (5, Reading(BAD, True, 9, True, UNCERTAIN), FULL, WriteLastWithStatus(BAD)),
        (0, Reading(BAD, False, 0, has_last_good=True), FULL, WriteLastWithStatus(BAD)),
    ],
)
def test_hold_keeps_the_last_value_and_tells_the_target_once_when_time_is_up(
    hold_seconds: float | None, reading: Reading, ability: Ability, decision: Decision
) -> None:
    assert decide_quality(Rules(Quality.HOLD, hold_seconds), reading, ability) == decision


SEVEN = Variant(VariantType.INT64, 7)


@pytest.mark.parametrize(
    ("substitute", "reading", "ability", "decision"),
    [
        (SEVEN, Reading(GOOD, True), FULL, WriteAsIs()),
        (SEVEN, Reading(UNCERTAIN, True), FULL, WriteSubstitute(SUBSTITUTED)),
        (SEVEN, Reading(BAD, False), UNPROBED, WriteSubstitute(SUBSTITUTED)),
        (SEVEN, Reading(BAD, False), VALUE_ONLY, WriteSubstitute(0)),
        (SEVEN, Reading(BAD, True, reported=SUBSTITUTED), FULL, Hold(HoldReason.SUBSTITUTED)),
        (SEVEN, Reading(BAD, True, reported=SUBSTITUTED), VALUE_ONLY, WriteSubstitute(0)),
        (SEVEN, Reading(BAD, True, reported=0), VALUE_ONLY, Hold(HoldReason.SUBSTITUTED)),
        (None, Reading(BAD, True, 0, True), FULL, Hold(HoldReason.NO_SUBSTITUTE)),
    ],
)
def test_substitute_writes_its_value_once_and_needs_no_good_one(
    substitute: Variant | None, reading: Reading, ability: Ability, decision: Decision
) -> None:
    rules = Rules(Quality.SUBSTITUTE, substitute=substitute)
    assert decide_quality(rules, reading, ability) == decision


@pytest.mark.parametrize("ability", [FULL, UNPROBED, VALUE_ONLY])
@pytest.mark.parametrize(
    "reading", [Reading(BAD, True), Reading(UNCERTAIN, False), Reading(BAD, True, 1e9, True)]
)
def test_stop_writes_nothing_that_is_not_good(reading: Reading, ability: Ability) -> None:
    rules = Rules(Quality.STOP, hold_seconds=0)
    assert decide_quality(rules, reading, ability) == Hold(HoldReason.STOPPED)
    assert decide_quality(rules, Reading(GOOD, True, is_stopped=True), ability) == WriteAsIs()


TABLE = table_of(
    {
        "Bad": "hold",
        "BadSensorFailure": "UncertainSubNormal",
        "BadDeviceFailure": "Good",
        "BadTimeout": "propagate",
        "BadOutOfService": "stop",
        "Uncertain": "BadDataLost",
        "GoodLocalOverride": "UncertainSubNormal",
        "GoodClamped": "BadOutOfRange",
        "GoodOverload": "substitute",
        "GoodCallAgain": "Good",
    }
)
SUB_NORMAL = code_of("UncertainSubNormal")


@pytest.mark.parametrize(
    ("status", "policy", "shown"),
    [
        ("Good", None, "Good"),
        ("GoodLocalOverride", None, "UncertainSubNormal"),
        ("GoodOverload", Quality.SUBSTITUTE, "GoodOverload"),
        ("BadNoData", Quality.HOLD, "BadNoData"),
        ("BadTimeout", Quality.PROPAGATE, "BadTimeout"),
        ("BadSensorFailure", Quality.PROPAGATE, "UncertainSubNormal"),
        ("BadDeviceFailure", Quality.PROPAGATE, "Good"),
        ("UncertainInitialValue", Quality.PROPAGATE, "BadDataLost"),
    ],
)
def test_a_row_of_the_table_comes_before_the_policy(
    status: str, policy: Quality | None, shown: str
) -> None:
    rules = Rules(Quality.STOP, table=TABLE)
    assert policy_for(rules, code_of(status), has_value=True) == (policy, code_of(shown))
    assert not rules.is_plain
    assert Rules().is_plain


def test_what_has_no_value_is_looked_up_as_bad() -> None:
    rules = Rules(table=TABLE)
    assert policy_for(rules, GOOD, has_value=False) == (Quality.HOLD, NO_DATA)


@pytest.mark.parametrize(
    ("reading", "ability", "decision"),
    [
        (Reading(code_of("BadSensorFailure"), True), FULL, WriteWithStatus(SUB_NORMAL)),
        (Reading(code_of("BadSensorFailure"), True), VALUE_ONLY, WriteWithStatus(0)),
        (
            Reading(code_of("BadSensorFailure"), False, has_last_good=True),
            FULL,
            WriteLastWithStatus(SUB_NORMAL),
        ),
        # The one way to write a Bad value as Good: the engineer says so.
        (Reading(code_of("BadDeviceFailure"), True), FULL, WriteWithStatus(0)),
        (Reading(code_of("BadDeviceFailure"), True), VALUE_ONLY, WriteWithStatus(0)),
        (Reading(code_of("GoodClamped"), True), VALUE_ONLY, Hold(HoldReason.NO_STATUS)),
        (Reading(code_of("GoodCallAgain"), True), FULL, WriteWithStatus(0)),
        # Once stopped, what is not Good stays stopped, whatever its own row says.
        (Reading(code_of("BadOutOfService"), True), FULL, Hold(HoldReason.STOPPED)),
        (Reading(code_of("BadTimeout"), True, is_stopped=True), FULL, Hold(HoldReason.STOPPED)),
        (
            Reading(code_of("BadDeviceFailure"), True, is_stopped=True),
            FULL,
            Hold(HoldReason.STOPPED),
        ),
        (
            Reading(code_of("GoodLocalOverride"), True, is_stopped=True),
            FULL,
            WriteWithStatus(SUB_NORMAL),
        ),
    ],
)
def test_the_table_says_what_is_written(
    reading: Reading, ability: Ability, decision: Decision
) -> None:
    assert decide_quality(Rules(table=TABLE), reading, ability) == decision


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
