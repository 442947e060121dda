from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from pipes.core.conversion import (
    Converted,
    OnOverflow,
    Rejected,
    RejectReason,
    convert,
    is_convertible,
)
from pipes.core.values import (
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Variant,
    VariantType,
    type_named,
)

T = VariantType
NUMBERS = "Boolean SByte Byte Int16 UInt16 Int32 UInt32 Int64 UInt64 Float Double"
INTEGERS = "SByte Byte Int16 UInt16 Int32 UInt32 Int64 UInt64"
TEXTS = "String LocalizedText"
#: What each built-in type converts to, besides itself.
CONVERSIONS = {
    "Null": "",
    "Boolean": f"{NUMBERS} {TEXTS}",
    **dict.fromkeys(INTEGERS.split(), f"{NUMBERS} {TEXTS} StatusCode"),
    "Float": f"{NUMBERS} {TEXTS}",
    "Double": f"{NUMBERS} {TEXTS}",
    "String": f"{NUMBERS} DateTime Guid StatusCode LocalizedText",
    "DateTime": TEXTS,
    "Guid": f"{TEXTS} ByteString",
    "ByteString": "Guid",
    "XmlElement": f"{NUMBERS} DateTime Guid StatusCode {TEXTS}",
    "NodeId": "ExpandedNodeId",
    "ExpandedNodeId": "NodeId",
    "StatusCode": f"{NUMBERS} {TEXTS}",
    "QualifiedName": TEXTS,
    "LocalizedText": "String",
    "ExtensionObject": "",
    "DataValue": "",
    "Variant": "",
    "DiagnosticInfo": "",
}
GUID = UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")
#: A value of each type that every type it converts to can hold.
SMALL: dict[VariantType, Any] = {
    T.NULL: None,
    T.BOOLEAN: True,
    **dict.fromkeys((type_named(name) or T.NULL for name in INTEGERS.split()), 1),
    T.FLOAT: 1.0,
    T.DOUBLE: 1.0,
    T.DATE_TIME: 1,
    T.GUID: GUID,
    T.BYTE_STRING: GUID.bytes_le,
    T.NODE_ID: NodeId(0, 5),
    T.EXPANDED_NODE_ID: ExpandedNodeId(NodeId(0, 5)),
    T.STATUS_CODE: 0,
    T.QUALIFIED_NAME: QualifiedName(0, "x"),
    T.LOCALIZED_TEXT: LocalizedText("1"),
    T.EXTENSION_OBJECT: ExtensionObject(NodeId(0, 5)),
    T.DATA_VALUE: DataValue(),
    T.VARIANT: Variant(T.INT32, 1),
    T.DIAGNOSTIC_INFO: DiagnosticInfo(),
}
#: Texts are values of few types at once.
TEXT_OF = {
    T.DATE_TIME: "1601-01-01T00:00:00Z",
    T.GUID: str(GUID),
    T.STATUS_CODE: "BadNodeIdUnknown",
}
PAIRS = [(source, target) for source in T for target in T if T.VARIANT not in (source, target)]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda kind: kind.name)
def test_every_pair_of_built_in_types_converts_or_is_refused(
    source: VariantType, target: VariantType
) -> None:
    names = CONVERSIONS[_name(source)].split()
    value = SMALL[source] if source in SMALL else TEXT_OF.get(target, "1")
    result = convert(Variant(source, value), target)
    if _name(target) in names or (source is target and source is not T.NULL):
        assert is_convertible(source, target)
        assert isinstance(result, Converted), result
        assert result.variant.type is target
    else:
        assert isinstance(result, Rejected), result
        wanted = RejectReason.NO_VALUE if source is T.NULL else RejectReason.NO_CONVERSION
        assert result.reason is wanted
        assert source is target or not is_convertible(source, target)


def _name(kind: VariantType) -> str:
    return next(name for name in CONVERSIONS if type_named(name) is kind)


@pytest.mark.parametrize(
    ("source", "value", "target", "expected"),
    [
        (T.UINT32, 0x80340000, T.STATUS_CODE, 0x80340000),
        (T.INT32, 0, T.STATUS_CODE, 0),
        (T.STRING, "BadNodeIdUnknown", T.STATUS_CODE, 0x80340000),
        (T.XML_ELEMENT, "0x80340001", T.STATUS_CODE, 0x80340001),
        (T.STATUS_CODE, 0x80340000, T.STRING, "BadNodeIdUnknown"),
        (T.STATUS_CODE, 0x80340001, T.STRING, "0x80340001"),
        (T.STATUS_CODE, 0, T.LOCALIZED_TEXT, LocalizedText("Good")),
        (T.INT32, -5, T.LOCALIZED_TEXT, LocalizedText("-5")),
        (T.QUALIFIED_NAME, QualifiedName(3, "Speed"), T.STRING, "Speed"),
        (T.QUALIFIED_NAME, QualifiedName(3, "Speed"), T.LOCALIZED_TEXT, LocalizedText("Speed")),
        (T.QUALIFIED_NAME, QualifiedName(0, None), T.STRING, None),
        (T.GUID, GUID, T.BYTE_STRING, GUID.bytes_le),
        (T.BYTE_STRING, GUID.bytes_le, T.GUID, GUID),
        (T.NODE_ID, NodeId(2, "x"), T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, "x"))),
        (T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, "x")), T.NODE_ID, NodeId(2, "x")),
    ],
)
def test_what_is_the_same_thing_in_another_type_converts(
    source: VariantType, value: Any, target: VariantType, expected: Any
) -> None:
    assert convert(Variant(source, value), target) == Converted(Variant(target, expected))


@pytest.mark.parametrize(
    ("source", "value", "target", "reason", "told"),
    [
        (T.INT32, -1, T.STATUS_CODE, RejectReason.OUT_OF_RANGE, "-1 does not fit"),
        (T.UINT64, 2**32, T.STATUS_CODE, RejectReason.OUT_OF_RANGE, "does not fit"),
        (T.STRING, "BadLuck", T.STATUS_CODE, RejectReason.NOT_PARSED, "'BadLuck' is no StatusCode"),
        (T.STRING, None, T.STATUS_CODE, RejectReason.NO_VALUE, "null text"),
        (T.QUALIFIED_NAME, QualifiedName(0, None), T.LOCALIZED_TEXT, RejectReason.NO_VALUE, "null"),
        (T.BYTE_STRING, b"x", T.GUID, RejectReason.NOT_PARSED, "1 bytes are no Guid"),
        (T.BYTE_STRING, None, T.GUID, RejectReason.NOT_PARSED, "null ByteString"),
        (
            T.EXPANDED_NODE_ID,
            ExpandedNodeId(NodeId(0, 5), "urn:x"),
            T.NODE_ID,
            RejectReason.OUT_OF_RANGE,
            "namespace URI",
        ),
        (
            T.EXPANDED_NODE_ID,
            ExpandedNodeId(NodeId(0, 5), None, 1),
            T.NODE_ID,
            RejectReason.OUT_OF_RANGE,
            "another server",
        ),
    ],
)
def test_what_is_not_the_same_thing_has_a_reason(
    source: VariantType, value: Any, target: VariantType, reason: RejectReason, told: str
) -> None:
    result = convert(Variant(source, value), target)
    assert isinstance(result, Rejected)
    assert result.reason is reason
    assert told in result.sentence


def test_a_status_code_saturates_as_the_number_it_is() -> None:
    result = convert(Variant(T.INT32, -1), T.STATUS_CODE, on_overflow=OnOverflow.SATURATE)
    assert result == Converted(Variant(T.STATUS_CODE, 0))


def test_arrays_of_such_values_convert_element_by_element() -> None:
    names = Variant(T.QUALIFIED_NAME, (QualifiedName(0, "a"), QualifiedName(1, "b")))
    assert convert(names, T.STRING) == Converted(Variant(T.STRING, ("a", "b")))
