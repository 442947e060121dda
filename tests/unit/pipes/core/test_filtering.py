from __future__ import annotations

import math
from typing import Any

import pytest

from pipes.core.choices import Trigger
from pipes.core.filtering import passes
from pipes.core.values import DataValue, Variant, VariantType

T = VariantType


def double(value: Any, status: int = 0, timestamp: int = 1) -> DataValue:
    return DataValue(Variant(T.DOUBLE, value), status, timestamp)


@pytest.mark.parametrize("trigger", list(Trigger))
def test_the_first_value_and_a_change_of_status_always_pass(trigger: Trigger) -> None:
    assert passes(None, double(1.0), trigger, 100)
    assert passes(double(1.0), double(1.0, 0x80340000), trigger, 100)
    assert passes(double(1.0), double(1.0, 0x480), trigger, 100)


@pytest.mark.parametrize(
    ("trigger", "new_value", "new_time"),
    [
        (Trigger.STATUS, False, False),
        (Trigger.STATUS_VALUE, True, False),
        (Trigger.STATUS_VALUE_TIMESTAMP, True, True),
    ],
)
def test_the_trigger_says_what_counts(trigger: Trigger, new_value: bool, new_time: bool) -> None:
    assert passes(double(1.0), double(2.0), trigger) is new_value
    assert passes(double(1.0), double(1.0, timestamp=2), trigger) is new_time
    assert not passes(double(1.0), double(1.0), trigger)


def test_with_a_deadband_a_new_timestamp_is_no_change() -> None:
    trigger = Trigger.STATUS_VALUE_TIMESTAMP
    assert not passes(double(1.0), double(1.0, timestamp=2), trigger, 0.5)


@pytest.mark.parametrize(
    ("old", "new", "passed"),
    [
        (1.0, 1.5, False),
        (1.0, 1.51, True),
        (1.0, 0.4, True),
        (math.nan, math.nan, False),
        (math.nan, 1.0, True),
        (1.0, math.nan, True),
        (math.inf, math.inf, False),
        (math.inf, 1.0, True),
        (math.inf, -math.inf, True),
        ((1.0, 2.0), (1.1, 2.1), False),
        ((1.0, 2.0), (1.1, 3.0), True),
        ((1.0, 2.0), (1.0,), True),
        ((1.0, math.nan), (1.0, math.nan), False),
    ],
)
def test_the_deadband_is_absolute_and_holds_for_each_element(
    old: Any, new: Any, passed: bool
) -> None:
    assert passes(double(old), double(new), Trigger.STATUS_VALUE, 0.5) is passed


def test_a_deadband_holds_for_numbers_only() -> None:
    def boolean(value: bool) -> DataValue:
        return DataValue(Variant(T.BOOLEAN, value))

    assert passes(boolean(False), boolean(True), Trigger.STATUS_VALUE, 5)
    first, second = (DataValue(Variant(T.STRING, text)) for text in "ab")
    assert passes(first, second, Trigger.STATUS_VALUE, 5)
    assert not passes(first, first, Trigger.STATUS_VALUE, 5)


def test_64_bit_integers_are_compared_exactly() -> None:
    first, second = (DataValue(Variant(T.UINT64, 2**63 + n)) for n in (0, 1))
    assert passes(first, second, Trigger.STATUS_VALUE)
    assert not passes(first, second, Trigger.STATUS_VALUE, 1)


def test_another_type_shape_or_no_value_is_a_change() -> None:
    one = DataValue(Variant(T.DOUBLE, 1.0))
    for other in (
        DataValue(Variant(T.FLOAT, 1.0)),
        DataValue(Variant(T.DOUBLE, (1.0,))),
        DataValue(None),
    ):
        assert passes(one, other, Trigger.STATUS_VALUE, 5)
        assert passes(other, one, Trigger.STATUS_VALUE, 5)
    assert not passes(DataValue(None), DataValue(None), Trigger.STATUS_VALUE)
    flat = DataValue(Variant(T.DOUBLE, (1.0, 2.0)))
    matrix = DataValue(Variant(T.DOUBLE, (1.0, 2.0), (1, 2)))
    assert passes(flat, matrix, Trigger.STATUS_VALUE, 5)
