from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipes.core.cells import (
    COLUMNS,
    Column,
    csv_text,
    guarded,
    read_cell,
    row_cells,
    unguarded,
    write_cell,
)
from pipes.core.fields import Kind

ITEM = COLUMNS[Kind.ITEM]
LIST = COLUMNS[Kind.SERVER]["server_set.endpoints"]
TABLE = ITEM["transform.table"]
ANY = ITEM["substitute"]


def test_the_columns_of_items_stand_in_the_order_of_the_contract() -> None:
    names = list(ITEM)
    assert names[:12] == [
        "id",
        "pipe",
        "source_node",
        "target_node",
        "direction",
        "enabled",
        "kind",
        "sampling_interval_ms",
        "minimum_interval_ms",
        "trigger",
        "deadband.type",
        "deadband.value",
    ]
    assert names[12:16] == [
        "transform.kind",
        "transform.gain",
        "transform.offset",
        "transform.in_low",
    ]
    assert names[-8:] == [
        "condition.node",
        "condition.equals",
        "quality",
        "substitute",
        "refresh_seconds",
        "verify",
        "index_range",
        "note",
    ]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("note", None, None),
        ("note", "", None),
        ("note", " a ", " a "),
        ("note", "'=1+1", "=1+1"),
        ("note", "'quoted'", "'quoted'"),
        ("note", 5, "5"),
        ("note", 1.5, "1.5"),
        ("direction", " both ", "both"),
        ("enabled", "YES", True),
        ("enabled", "0", False),
        ("enabled", "perhaps", "perhaps"),
        ("id", "17", 17),
        ("id", 17.0, 17.0),
        ("sampling_interval_ms", " 100 ", 100),
        ("sampling_interval_ms", "1,5", "1,5"),
        ("sampling_interval_ms", "-.5e3", -500.0),
        ("sampling_interval_ms", "1e99999", "1e99999"),
        ("sampling_interval_ms", "nan", "nan"),
        ("substitute", "5", 5),
        ("substitute", '"5"', "5"),
        ("substitute", '"5', '"5'),
        ("substitute", '"5" and', '"5" and'),
        ("substitute", "yes", True),
        ("substitute", "No", False),
        ("substitute", "text", "text"),
        ("substitute", '""', ""),
        ("substitute", 2.5, 2.5),
        ("transform.table", "0=Off|1=On", {"0": "Off", "1": "On"}),
        ("transform.table", "0=1.5|1=true", {"0": 1.5, "1": True}),
        ("transform.table", "nonsense", "nonsense"),
        ("transform.table", "a=b=c", "a=b=c"),
    ],
)
def test_a_cell_is_read(column: str, cell: Any, value: Any) -> None:
    read = read_cell(ITEM[column], cell)
    assert read == value
    assert type(read) is type(value)


def test_a_decimal_comma_counts_only_where_it_is_said() -> None:
    gain = ITEM["transform.gain"]
    assert read_cell(gain, "0,5", decimal_comma=True) == 0.5
    assert read_cell(gain, "0.5", decimal_comma=True) == 0.5
    assert read_cell(gain, "1.000,5", decimal_comma=True) == "1.000,5"
    assert read_cell(TABLE, "0=0,5", decimal_comma=True) == {"0": 0.5}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (-5, "-5"),
        (0.5, "0.5"),
        (["a|b", "c"], "a\\|b|c"),
        ({"=x": "1"}, '\\=x="1"'),
        ({"-1": "Off"}, "'-1=Off"),
        ("=cmd", "'=cmd"),
    ],
)
def test_a_value_is_written(value: Any, text: str) -> None:
    assert csv_text(write_cell(ITEM["note"], value)) == text


def test_numbers_are_written_with_a_comma_on_demand() -> None:
    assert csv_text(0.5, decimal_comma=True) == "0,5"
    assert csv_text("0.5", decimal_comma=True) == "0.5"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''-"])
def test_a_formula_is_guarded_and_comes_back(text: str) -> None:
    assert guarded(text) == "'" + text
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["", "x", "'", "'x", "1=2", "1-2"])
def test_other_text_is_left_alone(text: str) -> None:
    assert guarded(text) == text
    assert unguarded(text) == text


@given(st.text())
def test_no_guarded_text_begins_like_a_formula(text: str) -> None:
    assert guarded(text)[:1] not in set("=+-@\t\r")
    assert unguarded(guarded(text)) == text


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(min_size=1),
)


def both_ways(column: Column, value: Any, *, comma: bool) -> Any:
    text = csv_text(write_cell(column, value), decimal_comma=comma)
    return read_cell(column, text, decimal_comma=comma)


@given(SCALARS, st.booleans())
def test_any_value_survives_a_cell(value: Any, comma: bool) -> None:
    read = both_ways(ANY, value, comma=comma)
    assert read == value
    assert isinstance(read, bool) == isinstance(value, bool)


@given(st.dictionaries(st.text(), SCALARS, min_size=1))
def test_a_lookup_table_survives_a_cell(table: dict[str, Any]) -> None:
    assert both_ways(TABLE, table, comma=False) == table


@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_list_survives_a_cell(entries: list[str]) -> None:
    assert both_ways(LIST, entries, comma=False) == entries


def test_a_row_shows_defaults_but_not_those_of_other_transforms() -> None:
    body = {"id": 1, "pipe": "P", "source_node": "i=1", "target_node": "i=2"}
    cells = dict(zip(ITEM, row_cells(Kind.ITEM, body), strict=True))
    shown = {name: cell for name, cell in cells.items() if cell is not None}
    assert shown == {
        **body,
        "direction": "forward",
        "enabled": "true",
        "kind": "state",
        "minimum_interval_ms": 0,
        "trigger": "status_value",
        "deadband.type": "none",
        "transform.kind": "none",
        "refresh_seconds": 0,
        "verify": "false",
    }
    linear = {**body, "transform": {"kind": "linear", "gain": 0.1, "offset": 0}}
    cells = dict(zip(ITEM, row_cells(Kind.ITEM, linear), strict=True))
    assert (cells["transform.gain"], cells["transform.clamp"]) == (0.1, None)
