from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import pytest

from pipes.core.binary import encode_data_value
from pipes.core.condition import FIRST_HANDLE, NO_EDGES, ConditionTable, Edges, is_equal
from pipes.core.status_codes import code_of
from pipes.core.values import (
    NULL,
    DataValue,
    LocalizedText,
    NodeId,
    Variant,
    VariantType,
    as_float,
    iso_to_ticks,
)
from pipes.core.wanted import Item, Json

T = VariantType
GUID = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("kind", "value", "wanted", "equal"),
    [
        (T.BOOLEAN, True, True, True),
        (T.BOOLEAN, True, False, False),
        (T.BOOLEAN, True, 1, True),
        (T.BOOLEAN, False, "false", True),
        (T.BOOLEAN, True, "on", False),
        (T.INT16, 1, True, True),
        (T.INT32, 3, 3, True),
        (T.INT32, 3, 3.5, False),
        (T.INT32, 3, "3", True),
        (T.INT32, 3, "three", False),
        (T.UINT64, 2**53 + 1, 2**53, False),
        (T.DOUBLE, 3.0, 3, True),
        (T.DOUBLE, 0.1, 0.1, True),
        (T.DOUBLE, math.nan, 0, False),
        (T.DOUBLE, math.nan, "NaN", False),
        (T.FLOAT, as_float(0.1), 0.1, True),
        (T.FLOAT, as_float(0.1), 0.2, False),
        (T.FLOAT, 1.0, 1e300, False),
        (T.STRING, "Run", "Run", True),
        (T.STRING, "Run", "run", False),
        (T.STRING, None, "", True),
        (T.STRING, "5.0", 5, True),
        (T.STRING, "five", 5, False),
        (T.STRING, "true", True, True),
        (T.STRING, "yes", True, False),
        (T.LOCALIZED_TEXT, LocalizedText("Run", "en"), "Run", True),
        (T.LOCALIZED_TEXT, LocalizedText(None), "", True),
        (T.XML_ELEMENT, "<a/>", "<a/>", True),
        (T.DATE_TIME, iso_to_ticks("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z", True),
        (T.GUID, GUID, str(GUID), True),
        (T.GUID, GUID, 5, False),
        (T.STATUS_CODE, code_of("BadTimeout"), "BadTimeout", True),
        (T.STATUS_CODE, code_of("BadTimeout"), "late", False),
        (T.BYTE_STRING, b"a", "a", False),
        (T.NODE_ID, NodeId(2, "a"), "ns=2;s=a", False),
        (T.NODE_ID, NodeId(2, "a"), 5, False),
        (T.BOOLEAN, (True, True), True, True),
        (T.BOOLEAN, (True, False), True, False),
        (T.BOOLEAN, (), True, False),
    ],
)
def test_when_a_value_is_equal(kind: VariantType, value: Any, wanted: Json, equal: bool) -> None:
    assert is_equal(Variant(kind, value), wanted) is equal


def test_no_value_and_a_null_array_are_equal_to_nothing() -> None:
    assert not is_equal(NULL, 0)
    assert not is_equal(NULL, "")
    assert not is_equal(Variant(T.STRING, None, ()), "")


def item(number: int, wanted: Json = True, node: str = "ns=2;s=Run") -> Item:
    condition = {"node": node, "equals": wanted}
    return Item(number, "ns=2;s=a", "ns=2;s=b", condition=condition)


def value(wanted: Any, kind: VariantType = T.BOOLEAN, status: int = 0) -> bytes:
    return encode_data_value(DataValue(Variant(kind, wanted), status))


def test_each_node_is_watched_once_under_a_handle_that_no_item_has() -> None:
    table = ConditionTable()
    assert table.add(item(1)) == (FIRST_HANDLE, "ns=2;s=Run")
    assert table.add(item(2, wanted=False)) is None
    assert table.add(item(3, node="ns=2;s=Mode")) == (FIRST_HANDLE + 1, "ns=2;s=Mode")
    assert set(table.handles) == {FIRST_HANDLE, FIRST_HANDLE + 1}


def test_items_open_and_close_with_their_node() -> None:
    table = ConditionTable()
    for each in (item(1), item(2), item(3, wanted=False)):
        table.add(each)
    assert "has not reported a value yet" in table.why_closed(1)

    assert table.values({FIRST_HANDLE: value(True)}) == Edges(opened=frozenset({1, 2}))
    assert table.why_closed(1) == ""
    assert table.why_closed(3) == "the condition is not met: ns=2;s=Run is true, not false"
    assert table.values({FIRST_HANDLE: value(True)}) == NO_EDGES
    assert table.values({FIRST_HANDLE: value(False)}) == Edges(
        opened=frozenset({3}), closed=frozenset({1, 2})
    )
    assert table.why_closed(9) == "", "an item without a condition always goes"


@pytest.mark.parametrize(
    ("unknown", "why"),
    [
        (value(True, status=code_of("BadTimeout")), "ns=2;s=Run is BadTimeout"),
        (value(True, status=code_of("UncertainInitialValue")), "is UncertainInitialValue"),
        (b"\x01", "cannot be decoded"),
    ],
)
def test_a_node_that_is_not_good_is_not_known(unknown: bytes, why: str) -> None:
    table = ConditionTable()
    table.add(item(1))
    table.values({FIRST_HANDLE: value(True)})
    assert table.values({FIRST_HANDLE: unknown}) == Edges(closed=frozenset({1}))
    assert "the condition is not known" in table.why_closed(1)
    assert why in table.why_closed(1)


def test_a_new_look_and_a_refusal_make_it_unknown() -> None:
    table = ConditionTable()
    table.add(item(1))
    table.values({FIRST_HANDLE: value(True)})
    assert table.unknown(FIRST_HANDLE) == Edges(closed=frozenset({1}))
    assert "not reported" in table.why_closed(1)
    assert table.unknown(FIRST_HANDLE, "it is gone") == NO_EDGES
    assert table.why_closed(1) == "the condition is not known: it is gone"
    assert table.unknown(77) == NO_EDGES
    assert table.values({77: value(True)}) == NO_EDGES


def test_an_item_that_joins_later_knows_what_its_node_said() -> None:
    table = ConditionTable()
    table.add(item(1))
    table.values({FIRST_HANDLE: value(1, T.INT32)})
    table.add(item(2, wanted=1))
    table.add(item(3, wanted=2))
    assert [table.why_closed(number) for number in (1, 2)] == ["", ""]
    assert "is 1, not 2" in table.why_closed(3)


def test_a_node_that_nobody_asks_for_is_let_go_and_gets_a_new_handle() -> None:
    table = ConditionTable()
    for number in (1, 2):
        table.add(item(number))
    table.values({FIRST_HANDLE: value(True)})
    assert table.remove([1, 99]) == []
    assert table.remove([2]) == [FIRST_HANDLE]
    assert not table.handles
    assert table.add(item(3)) == (FIRST_HANDLE + 1, "ns=2;s=Run")
    assert "has not reported" in table.why_closed(3)
