from __future__ import annotations

from typing import Any

import pytest

from pipes.core.choices import Quality
from pipes.core.problems import WrongError
from pipes.core.quality_table import (
    MOST_ROWS,
    NO_TABLE,
    Ruling,
    check_quality_table,
    compile_table,
    table_of,
)
from pipes.core.status_codes import code_of

TABLE = table_of(
    {
        "Bad": "hold",
        "BadSensorFailure": "UncertainSubNormal",
        "UncertainSubNormal": "Good",
        "GoodLocalOverride": "stop",
        "0x8ABC0000": "substitute",
    }
)


@pytest.mark.parametrize(
    ("status", "ruling"),
    [
        ("BadSensorFailure", code_of("UncertainSubNormal")),
        ("BadDeviceFailure", Quality.HOLD),
        ("0x8ABC0480", Quality.SUBSTITUTE),  # info bits do not count
        ("0xC0000000", Quality.HOLD),  # the reserved severity counts as Bad
        ("UncertainSubNormal", 0),
        ("UncertainInitialValue", None),
        ("GoodLocalOverride", Quality.STOP),
        ("GoodClamped", None),
        ("Good", None),
    ],
)
def test_the_exact_status_comes_before_its_class(status: str, ruling: Ruling | None) -> None:
    assert TABLE.ruling(code_of(status)) == ruling


def test_equal_tables_are_one_object_and_none_is_false() -> None:
    assert table_of({"Bad": "hold"}) is compile_table((("Bad", "hold"),))
    assert table_of({}) is NO_TABLE
    assert not NO_TABLE
    assert table_of({"Bad": "hold"})
    assert table_of({"BadTimeout": "hold"})


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ({}, {}),
        ({"bad": "HOLD"}, {"Bad": "hold"}),
        ({"Uncertain": "good"}, {"Uncertain": "Good"}),
        ({"Bad_SensorFailure": "Uncertain_SubNormal"}, {"BadSensorFailure": "UncertainSubNormal"}),
        ({" 0x80340000 ": "0x8abc0001"}, {"BadNodeIdUnknown": "0x8ABC0000"}),
        ({"0x80000000": "Bad"}, {"Bad": "Bad"}),
    ],
)
def test_names_have_one_spelling(given: dict[str, Any], checked: dict[str, Any]) -> None:
    assert check_quality_table(given) == checked
    assert check_quality_table(checked) == checked


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ([], "", "must be a table such as Bad=hold"),
        ({"Bda": "hold"}, "Bda", "must be Uncertain, Bad or the name of a StatusCode"),
        ({"Good": "hold"}, "Good", "must not be Good"),
        ({"0x00000000": "hold"}, "0x00000000", "must not be Good"),
        ({"Bad": "keep"}, "Bad", "must be propagate, hold, substitute, stop or the name"),
        ({"Bad": 5}, "Bad", "must be propagate, hold, substitute, stop or the name"),
        ({"Bad": "hold", "BAD": "stop"}, "BAD", "stands in the table twice, as Bad"),
        ({f"0x80{n:02X}{m:02X}00": "hold" for n in range(2) for m in range(200)}, "", "at most"),
    ],
)
def test_wrong_rows_are_named(given: Any, field: str, message: str) -> None:
    with pytest.raises(WrongError) as caught:
        check_quality_table(given)
    assert caught.value.errors[0].field == field
    assert message in caught.value.errors[0].message


def test_all_wrong_rows_are_told_at_once() -> None:
    with pytest.raises(WrongError) as caught:
        check_quality_table({"x": "hold", "Bad": "y", "Uncertain": "hold"})
    assert [error.field for error in caught.value.errors] == ["x", "Bad"]


def test_a_row_of_another_version_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="no StatusCode"):
        compile_table((("Bad", "guess"),))
    assert MOST_ROWS >= 274, "every standard code may stand in it"
