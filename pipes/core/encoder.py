"""Writing OPC UA binary (Part 6, 5.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod
from typing import Any, Final
from uuid import UUID

from pipes.core.decoder import ARRAY_BIT, DIMENSIONS_BIT, FIXED_FORMATS
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
    type_name,
)

_NULL_LENGTH: Final = b"\xff\xff\xff\xff"
_INT32: Final = struct.Struct("<i").pack
_UINT16: Final = struct.Struct("<H").pack
_UINT32: Final = struct.Struct("<I").pack
_INT64: Final = struct.Struct("<q").pack

_FAULTS: Final = (struct.error, TypeError, AttributeError, OverflowError, UnicodeError)


class EncodeError(ValueError):
    """The value does not fit its type; the text names both."""


def encode_data_value(value: DataValue) -> bytes:
    """One DataValue (Part 6, 5.2.2.17); a Good status is left out.

    Raises:
        EncodeError: the value does not fit its type.
    """
    try:
        return _data_value(value)
    except _FAULTS as error:
        raise EncodeError(f"{value!r} is no DataValue: {error}") from None


def encode_variant(variant: Variant) -> bytes:
    """Type, dimensions and value (Part 6, 5.2.2.16).

    Raises:
        EncodeError: the value does not fit its type or its dimensions.
    """
    try:
        return _variant(variant)
    except _FAULTS as error:
        raise EncodeError(_misfit(variant.type, variant.value, error)) from None


def encode_scalar(kind: VariantType, value: object) -> bytes:
    """One element of this type without a type byte before it.

    Raises:
        EncodeError: the value does not fit its type.
    """
    try:
        return _SCALARS[kind](value)
    except _FAULTS as error:
        raise EncodeError(_misfit(kind, value, error)) from None


def _misfit(kind: VariantType, value: object, error: Exception) -> str:
    return f"{value!r:.100} is no {type_name(kind)}: {error}"


def _data_value(value: DataValue) -> bytes:
    return _masked(
        (0x01, value.variant, _variant),
        (0x02, value.status or None, _UINT32),
        (0x04, value.source_timestamp, _INT64),
        (0x10, value.source_picoseconds, _UINT16),
        (0x08, value.server_timestamp, _INT64),
        (0x20, value.server_picoseconds, _UINT16),
    )


def _masked(*fields: tuple[int, Any, Callable[[Any], bytes]]) -> bytes:
    """A mask of the fields that are there, then these."""
    mask = 0
    parts = []
    for bit, field, pack in fields:
        if field is not None:
            mask |= bit
            parts.append(pack(field))
    return bytes((mask,)) + b"".join(parts)


def _variant(variant: Variant) -> bytes:
    kind = variant.type
    if not variant.is_array:
        return bytes((kind,)) + _SCALARS[kind](variant.value)
    if kind is VariantType.NULL:
        raise EncodeError("an array has no elements of type Null")
    body = _array(kind, variant.value)
    dimensions = variant.dimensions
    if not dimensions:
        return bytes((kind | ARRAY_BIT,)) + body
    count = len(variant.value) if isinstance(variant.value, tuple) else 0
    if prod(dimensions) != count:
        raise EncodeError(f"{count} elements do not fill the dimensions {list(dimensions)}")
    encoding = bytes((kind | ARRAY_BIT | DIMENSIONS_BIT,))
    return encoding + body + _array(VariantType.INT32, dimensions)


def _array(kind: VariantType, elements: Any) -> bytes:
    if elements is None:
        return _NULL_LENGTH
    length = _INT32(len(elements))
    code = FIXED_FORMATS.get(kind)
    if code is not None:
        return length + struct.pack(f"<{len(elements)}{code}", *elements)
    pack = _SCALARS[kind]
    return length + b"".join([pack(element) for element in elements])


def _byte_string(value: bytes | None) -> bytes:
    return _NULL_LENGTH if value is None else _INT32(len(value)) + value


def _string(value: str | None) -> bytes:
    return _NULL_LENGTH if value is None else _byte_string(value.encode("utf-8", "surrogateescape"))


def _guid(value: UUID) -> bytes:
    return value.bytes_le


def _node_id(node_id: NodeId) -> bytes:
    """The shortest of the six forms (Part 6, 5.2.2.9)."""
    index, identifier = node_id.namespace_index, node_id.identifier
    if isinstance(identifier, int):
        if index == 0 and 0 <= identifier <= 0xFF:
            return bytes((0, identifier))
        if index <= 0xFF and 0 <= identifier <= 0xFFFF:
            return struct.pack("<BBH", 1, index, identifier)
        return struct.pack("<BHI", 2, index, identifier)
    if isinstance(identifier, str):
        return struct.pack("<BH", 3, index) + _string(identifier)
    if isinstance(identifier, UUID):
        return struct.pack("<BH", 4, index) + identifier.bytes_le
    return struct.pack("<BH", 5, index) + _byte_string(identifier)


def _expanded_node_id(value: ExpandedNodeId) -> bytes:
    encoded = bytearray(_node_id(value.node_id))
    if value.namespace_uri is not None:
        encoded[0] |= 0x80
        encoded += _string(value.namespace_uri)
    if value.server_index:
        encoded[0] |= 0x40
        encoded += _UINT32(value.server_index)
    return bytes(encoded)


def _qualified_name(value: QualifiedName) -> bytes:
    return _UINT16(value.namespace_index) + _string(value.name)


def _localized_text(value: LocalizedText) -> bytes:
    return _masked((0x01, value.locale, _string), (0x02, value.text, _string))


def _extension_object(value: ExtensionObject) -> bytes:
    body = _byte_string(value.body) if value.encoding else b""
    return _node_id(value.type_id) + bytes((value.encoding,)) + body


def _diagnostic_info(value: DiagnosticInfo) -> bytes:
    return _masked(
        (0x01, value.symbolic_id, _INT32),
        (0x02, value.namespace_uri, _INT32),
        (0x08, value.locale, _INT32),
        (0x04, value.localized_text, _INT32),
        (0x10, value.additional_info, _string),
        (0x20, value.inner_status_code, _UINT32),
        (0x40, value.inner_diagnostic_info, _diagnostic_info),
    )


_SCALARS: Final[dict[VariantType, Callable[[Any], bytes]]] = {
    VariantType.NULL: lambda _value: b"",
    **{kind: struct.Struct(f"<{code}").pack for kind, code in FIXED_FORMATS.items()},
    VariantType.STRING: _string,
    VariantType.GUID: _guid,
    VariantType.BYTE_STRING: _byte_string,
    VariantType.XML_ELEMENT: _string,
    VariantType.NODE_ID: _node_id,
    VariantType.EXPANDED_NODE_ID: _expanded_node_id,
    VariantType.QUALIFIED_NAME: _qualified_name,
    VariantType.LOCALIZED_TEXT: _localized_text,
    VariantType.EXTENSION_OBJECT: _extension_object,
    VariantType.DATA_VALUE: _data_value,
    VariantType.VARIANT: _variant,
    VariantType.DIAGNOSTIC_INFO: _diagnostic_info,
}
