from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

import pytest

from pipes.core.binary import encode_data_value
from pipes.core.json_values import (
    LONGEST_SHOWN,
    JsonValueError,
    data_value_to_json,
    value_text,
    variant_from_json,
    variant_to_json,
)
from pipes.core.values import (
    NULL,
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Variant,
    VariantType,
    as_float,
)

T = VariantType
GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"
NAMESPACES = ("ua", "own", "urn:plant:a")

BOTH_WAYS: list[tuple[VariantType, Any, Any]] = [
    (T.BOOLEAN, True, True),
    (T.BYTE, 255, 255),
    (T.INT64, -(2**63), "-9223372036854775808"),
    (T.UINT64, (1, 2**64 - 1), ["1", "18446744073709551615"]),
    (T.FLOAT, as_float(0.1), 0.1),
    (T.DOUBLE, 1.5, 1.5),
    (T.DOUBLE, math.inf, "Infinity"),
    (T.DOUBLE, -math.inf, "-Infinity"),
    (T.FLOAT, math.inf, "Infinity"),
    (T.STRING, "æ", "æ"),
    (T.STRING, None, None),
    (T.STRING, ("a", None), ["a", None]),
    (T.DATE_TIME, 1, "1601-01-01T00:00:00.0000001Z"),
    (T.GUID, UUID(GUID), GUID),
    (T.BYTE_STRING, b"\x01\x02", "AQI="),
    (T.BYTE_STRING, None, None),
    (T.XML_ELEMENT, "<a/>", "<a/>"),
    (T.NODE_ID, NodeId(2, "T"), "nsu=urn:plant:a;s=T"),
    (T.STATUS_CODE, 0x80340000, "BadNodeIdUnknown"),
    (T.LOCALIZED_TEXT, LocalizedText("t", "en"), {"Locale": "en", "Text": "t"}),
    (T.LOCALIZED_TEXT, LocalizedText(), {}),
    (T.INT32, (), []),
]


@pytest.mark.parametrize(("kind", "value", "expected"), BOTH_WAYS)
def test_values_have_their_json_and_come_back(kind: VariantType, value: Any, expected: Any) -> None:
    variant = Variant(kind, value)
    assert variant_to_json(variant, NAMESPACES) == expected
    assert variant_from_json(expected, kind, NAMESPACES) == variant
    json.dumps(expected, allow_nan=False)


def test_nan_is_a_text() -> None:
    assert variant_to_json(Variant(T.DOUBLE, math.nan)) == "NaN"
    back = variant_from_json("NaN", T.FLOAT).value
    assert isinstance(back, float)
    assert math.isnan(back)


def test_matrices_are_lists_of_lists() -> None:
    matrix = Variant(T.INT32, (1, 2, 3, 4, 5, 6), (2, 3))
    assert variant_to_json(matrix) == [[1, 2, 3], [4, 5, 6]]
    assert variant_from_json([[1, 2, 3], [4, 5, 6]], T.INT32) == matrix
    cube = Variant(T.INT32, tuple(range(8)), (2, 2, 2))
    assert variant_to_json(cube) == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert variant_from_json([[[0, 1], [2, 3]], [[4, 5], [6, 7]]], T.INT32) == cube
    assert variant_to_json(Variant(T.INT32, (), (0, 3))) == []
    assert variant_to_json(Variant(T.INT32, (), (3, 0))) == []


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (T.NULL, None, None),
        (T.STRING, "caf\udce9", "caf\ufffd"),
        (T.NODE_ID, NodeId(0, 85), "i=85"),
        (T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, 5)), "nsu=urn:plant:a;i=5"),
        (T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(0, 5), "urn:b;c", 3), "svr=3;nsu=urn:b%3Bc;i=5"),
        (T.QUALIFIED_NAME, QualifiedName(2, "N"), "2:N"),
        (T.QUALIFIED_NAME, QualifiedName(0, None), ""),
        (
            T.EXTENSION_OBJECT,
            ExtensionObject(NodeId(2, 5), b"\x01", 1),
            {"UaTypeId": "nsu=urn:plant:a;i=5", "UaEncoding": 1, "UaBody": "AQ=="},
        ),
        (T.EXTENSION_OBJECT, ExtensionObject(NodeId(0, 0)), {"UaTypeId": "i=0"}),
        (T.VARIANT, (Variant(T.INT64, 5),), [{"UaType": 8, "Value": "5"}]),
        (
            T.DATA_VALUE,
            DataValue(Variant(T.INT32, 5), 0x80340000, 1, 2, 10, 3),
            {
                "UaType": 6,
                "Value": 5,
                "Status": "BadNodeIdUnknown",
                "SourceTimestamp": "1601-01-01T00:00:00.0000001Z",
                "SourcePicoseconds": 2,
                "ServerTimestamp": "1601-01-01T00:00:00.000001Z",
                "ServerPicoseconds": 3,
            },
        ),
        (T.DATA_VALUE, DataValue(), {}),
        (
            T.DIAGNOSTIC_INFO,
            DiagnosticInfo(1, 2, 3, 4, "x", 0x80340000, DiagnosticInfo(symbolic_id=7)),
            {
                "SymbolicId": 1,
                "NamespaceUri": 2,
                "Locale": 3,
                "LocalizedText": 4,
                "AdditionalInfo": "x",
                "InnerStatusCode": "BadNodeIdUnknown",
                "InnerDiagnosticInfo": {"SymbolicId": 7},
            },
        ),
        (T.DIAGNOSTIC_INFO, DiagnosticInfo(), {}),
    ],
)
def test_the_other_types_can_be_shown(kind: VariantType, value: Any, expected: Any) -> None:
    assert variant_to_json(Variant(kind, value), NAMESPACES) == expected
    json.dumps(expected, allow_nan=False)


def test_a_data_value_has_the_fields_of_the_contract() -> None:
    assert data_value_to_json(DataValue(Variant(T.DOUBLE, 1.5), 0, 1)) == {
        "value": 1.5,
        "status": "Good",
        "source_timestamp": "1601-01-01T00:00:00.0000001Z",
        "server_timestamp": None,
    }
    assert data_value_to_json(DataValue(None, 0x80310000))["value"] is None
    assert data_value_to_json(DataValue(NULL))["value"] is None


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (300, T.BYTE, r"300 is no Byte \(0 to 255\)"),
        (1.5, T.INT32, "1.5 is no Int32"),
        (True, T.INT32, "True is no Int32"),
        ("1_0", T.INT64, "is no Int64"),
        (1, T.BOOLEAN, "write true or false"),
        ("1.5", T.DOUBLE, "is no Double"),
        (True, T.DOUBLE, "is no Double"),
        (1e39, T.FLOAT, "is no Float"),
        (10**400, T.DOUBLE, "is no Double"),
        (5, T.STRING, "write it in quotes"),
        ("now", T.DATE_TIME, "is no DateTime"),
        (5, T.DATE_TIME, "is no DateTime"),
        ("x", T.GUID, "is no Guid"),
        ("***", T.BYTE_STRING, "is no ByteString"),
        ("nsu=urn:gone;i=1", T.NODE_ID, "no namespace urn:gone"),
        (5, T.NODE_ID, "is no NodeId"),
        ("BadLuck", T.STATUS_CODE, "is no StatusCode"),
        ({"text": "x"}, T.LOCALIZED_TEXT, "a LocalizedText is"),
        ({"Text": 5}, T.LOCALIZED_TEXT, "write it in quotes"),
        (5, T.LOCALIZED_TEXT, "is no LocalizedText"),
        ({}, T.EXTENSION_OBJECT, "cannot be given as JSON"),
        ([[1], [1, 2]], T.INT32, "same length"),
        ([[1], 2], T.INT32, "same length"),
    ],
)
def test_json_that_is_no_value_of_the_type_is_refused(
    value: Any, kind: VariantType, told: str
) -> None:
    with pytest.raises(JsonValueError, match=told):
        variant_from_json(value, kind, NAMESPACES)


def test_a_plain_text_is_a_localized_text_and_a_number_an_int64() -> None:
    assert variant_from_json("x", T.LOCALIZED_TEXT) == Variant(T.LOCALIZED_TEXT, LocalizedText("x"))
    assert variant_from_json(5, T.INT64) == Variant(T.INT64, 5)


class TestValueText:
    def test_a_sentence_shows_the_value(self) -> None:
        text = encode_data_value(DataValue(Variant(VariantType.STRING, "Wörter ✓")))

        assert value_text(text) == '"Wörter ✓"'
        assert value_text(encode_data_value(DataValue(None, 0x80000000))) == "null"

    def test_a_long_value_is_cut(self) -> None:
        text = encode_data_value(DataValue(Variant(VariantType.STRING, "x" * 1000)))

        assert len(value_text(text)) == LONGEST_SHOWN + 2

    def test_one_that_is_damaged_says_so(self) -> None:
        assert value_text(b"\x01\x0b") == "that cannot be decoded"
