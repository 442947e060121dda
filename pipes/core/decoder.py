"""Reading OPC UA binary (Part 6, 5.2) from bytes that nobody vouches for.

Rules: nothing is read beyond the end; an array is never longer than the remaining bytes allow,
so memory stays within a small factor of the message; values nest at most `NESTING_LIMIT` deep
(Part 6, 5.1.8 leaves the limit to the decoder); every fault is a `DecodeError`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod
from typing import Final
from uuid import UUID

from pipes.core.values import (
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Scalar,
    Variant,
    VariantType,
)

NESTING_LIMIT: Final = 32

ARRAY_BIT: Final = 0x80
DIMENSIONS_BIT: Final = 0x40

FIXED_FORMATS: Final = {
    VariantType.BOOLEAN: "?",
    VariantType.SBYTE: "b",
    VariantType.BYTE: "B",
    VariantType.INT16: "h",
    VariantType.UINT16: "H",
    VariantType.INT32: "i",
    VariantType.UINT32: "I",
    VariantType.INT64: "q",
    VariantType.UINT64: "Q",
    VariantType.FLOAT: "f",
    VariantType.DOUBLE: "d",
    VariantType.DATE_TIME: "q",
    VariantType.STATUS_CODE: "I",
}
"""The struct format of each built-in type whose elements are plain numbers."""

FIXED_SIZES: Final = {
    **{kind: struct.calcsize(f"<{code}") for kind, code in FIXED_FORMATS.items()},
    VariantType.GUID: 16,
}

# The least bytes that one array element can take.
_LEAST_SIZES: Final = {
    **FIXED_SIZES,
    VariantType.STRING: 4,
    VariantType.BYTE_STRING: 4,
    VariantType.XML_ELEMENT: 4,
    VariantType.NODE_ID: 2,
    VariantType.EXPANDED_NODE_ID: 2,
    VariantType.QUALIFIED_NAME: 6,
    VariantType.LOCALIZED_TEXT: 1,
    VariantType.EXTENSION_OBJECT: 3,
    VariantType.DATA_VALUE: 1,
    VariantType.VARIANT: 1,
    VariantType.DIAGNOSTIC_INFO: 1,
}

_INT32: Final = struct.Struct("<i")
_UINT16: Final = struct.Struct("<H")
_UINT32: Final = struct.Struct("<I")
_INT64: Final = struct.Struct("<q")


class DecodeError(ValueError):
    """The bytes are not what Part 6 says; the text names the place."""


class Decoder:
    """Reads one thing after the other; ``position`` is where the next one starts."""

    __slots__ = ("_depth", "data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end
        self._depth = 0

    def take(self, size: int) -> int:
        """Move on by ``size`` bytes and return where they begin."""
        start = self.position
        if size > self.end - start:
            raise DecodeError(f"{size} bytes wanted at {start}, {self.end - start} are left")
        self.position = start + size
        return start

    def byte(self) -> int:
        return self.data[self.take(1)]

    def uint16(self) -> int:
        return int(_UINT16.unpack_from(self.data, self.take(2))[0])

    def uint32(self) -> int:
        return int(_UINT32.unpack_from(self.data, self.take(4))[0])

    def int32(self) -> int:
        return int(_INT32.unpack_from(self.data, self.take(4))[0])

    def int64(self) -> int:
        return int(_INT64.unpack_from(self.data, self.take(8))[0])

    def byte_string(self) -> bytes | None:
        length = self.int32()
        if length < 0:
            if length == -1:
                return None
            raise DecodeError(f"length {length} at {self.position - 4}")
        start = self.take(length)
        return bytes(self.data[start : start + length])

    def string(self) -> str | None:
        raw = self.byte_string()
        return None if raw is None else raw.decode("utf-8", "surrogateescape")

    def guid(self) -> UUID:
        start = self.take(16)
        return UUID(bytes_le=bytes(self.data[start : start + 16]))

    def node_id(self) -> NodeId:
        encoding = self.byte()
        if encoding & 0xC0:
            raise DecodeError(f"a NodeId with flags {encoding:#04x} at {self.position - 1}")
        return self._node_id(encoding)

    def _node_id(self, encoding: int) -> NodeId:
        if encoding == 0:
            return NodeId(0, self.byte())
        if encoding == 1:
            return NodeId(self.byte(), self.uint16())
        read = _IDENTIFIERS.get(encoding)
        if read is None:
            raise DecodeError(f"NodeId encoding {encoding} at {self.position - 1}")
        return NodeId(self.uint16(), read(self))

    def expanded_node_id(self) -> ExpandedNodeId:
        encoding = self.byte()
        node_id = self._node_id(encoding & 0x3F)
        uri = self.string() if encoding & 0x80 else None
        return ExpandedNodeId(node_id, uri, self.uint32() if encoding & 0x40 else 0)

    def qualified_name(self) -> QualifiedName:
        return QualifiedName(self.uint16(), self.string())

    def localized_text(self) -> LocalizedText:
        mask = self.byte()
        locale = self.string() if mask & 1 else None
        return LocalizedText(self.string() if mask & 2 else None, locale)

    def extension_object(self) -> ExtensionObject:
        type_id = self.node_id()
        encoding = self.byte()
        if encoding > 2:
            raise DecodeError(f"ExtensionObject encoding {encoding} at {self.position - 1}")
        return ExtensionObject(type_id, self.byte_string() if encoding else None, encoding)

    def diagnostic_info(self) -> DiagnosticInfo:
        self._enter()
        mask = self.byte()
        info = DiagnosticInfo(
            symbolic_id=self.int32() if mask & 0x01 else None,
            namespace_uri=self.int32() if mask & 0x02 else None,
            locale=self.int32() if mask & 0x08 else None,
            localized_text=self.int32() if mask & 0x04 else None,
            additional_info=self.string() if mask & 0x10 else None,
            inner_status_code=self.uint32() if mask & 0x20 else None,
            inner_diagnostic_info=self.diagnostic_info() if mask & 0x40 else None,
        )
        self._depth -= 1
        return info

    def data_value(self) -> DataValue:
        """One DataValue (Part 6, 5.2.2.17); bits of the mask that have no meaning are refused."""
        self._enter()
        mask = self.byte()
        if mask & 0xC0:
            raise DecodeError(f"DataValue mask {mask:#04x} at {self.position - 1}")
        value = DataValue(
            variant=self.variant() if mask & 0x01 else None,
            status=self.uint32() if mask & 0x02 else 0,
            source_timestamp=self.int64() if mask & 0x04 else None,
            source_picoseconds=self.uint16() if mask & 0x10 else None,
            server_timestamp=self.int64() if mask & 0x08 else None,
            server_picoseconds=self.uint16() if mask & 0x20 else None,
        )
        self._depth -= 1
        return value

    def variant(self) -> Variant:
        self._enter()
        encoding = self.byte()
        kind = variant_type(encoding & 0x3F)
        if encoding & ARRAY_BIT:
            variant = self._array_variant(kind, has_dimensions=bool(encoding & DIMENSIONS_BIT))
        elif encoding & DIMENSIONS_BIT:
            raise DecodeError(f"a scalar with dimensions at {self.position - 1}")
        else:
            variant = Variant(kind, _SCALARS[kind](self))
        self._depth -= 1
        return variant

    def _array_variant(self, kind: VariantType, *, has_dimensions: bool) -> Variant:
        if kind is VariantType.NULL:
            raise DecodeError(f"an array of Null at {self.position - 1}")
        value = self.array(kind)
        if not has_dimensions:
            return Variant(kind, value, () if value is None else None)
        sizes = self.array(VariantType.INT32)
        dimensions = tuple(size for size in sizes or () if isinstance(size, int))
        count = len(value or ())
        if any(size < 0 for size in dimensions) or (dimensions and prod(dimensions) != count):
            raise DecodeError(f"{count} elements do not fill the dimensions {list(dimensions)}")
        return Variant(kind, value, dimensions or (() if value is None else None))

    def array(self, kind: VariantType) -> tuple[Scalar, ...] | None:
        """The length and the elements; None for a null array."""
        length = self.int32()
        if length < 0:
            if length == -1:
                return None
            raise DecodeError(f"array length {length} at {self.position - 4}")
        if length * _LEAST_SIZES[kind] > self.end - self.position:
            raise DecodeError(
                f"an array of {length} at {self.position - 4}, "
                f"{self.end - self.position} bytes are left"
            )
        code = FIXED_FORMATS.get(kind)
        if code is None:
            read = _SCALARS[kind]
            return tuple([read(self) for _ in range(length)])
        start = self.take(length * FIXED_SIZES[kind])
        return struct.unpack_from(f"<{length}{code}", self.data, start)

    def scalar(self, kind: VariantType) -> Scalar:
        """One element of this type, without a type byte before it."""
        return _SCALARS[kind](self)

    def finish(self) -> None:
        """Refuse bytes that nobody has read."""
        if self.position != self.end:
            raise DecodeError(f"{self.end - self.position} bytes left over at {self.position}")

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > NESTING_LIMIT:
            raise DecodeError(f"nested deeper than {NESTING_LIMIT} at {self.position}")


def variant_type(number: int) -> VariantType:
    """The built-in type of an encoding byte; 26 to 31 are read as ByteString (Part 6, 5.2.2.16).

    Raises:
        DecodeError: not a built-in type.
    """
    if number <= VariantType.DIAGNOSTIC_INFO:
        return VariantType(number)
    if number <= 31:
        return VariantType.BYTE_STRING
    raise DecodeError(f"{number} is not a built-in type")


def _reader(code: str) -> Callable[[Decoder], Scalar]:
    layout = struct.Struct(f"<{code}")

    def read(decoder: Decoder) -> Scalar:
        value: Scalar = layout.unpack_from(decoder.data, decoder.take(layout.size))[0]
        return value

    return read


def _identifier_string(decoder: Decoder) -> str:
    return decoder.string() or ""  # a null identifier is the empty one (Part 3, 8.2.4)


def _identifier_bytes(decoder: Decoder) -> bytes:
    return decoder.byte_string() or b""


_IDENTIFIERS: Final[dict[int, Callable[[Decoder], int | str | UUID | bytes]]] = {
    2: Decoder.uint32,
    3: _identifier_string,
    4: Decoder.guid,
    5: _identifier_bytes,
}

_SCALARS: Final[dict[VariantType, Callable[[Decoder], Scalar]]] = {
    VariantType.NULL: lambda _decoder: None,
    **{kind: _reader(code) for kind, code in FIXED_FORMATS.items()},
    VariantType.STRING: Decoder.string,
    VariantType.GUID: Decoder.guid,
    VariantType.BYTE_STRING: Decoder.byte_string,
    VariantType.XML_ELEMENT: Decoder.string,
    VariantType.NODE_ID: Decoder.node_id,
    VariantType.EXPANDED_NODE_ID: Decoder.expanded_node_id,
    VariantType.QUALIFIED_NAME: Decoder.qualified_name,
    VariantType.LOCALIZED_TEXT: Decoder.localized_text,
    VariantType.EXTENSION_OBJECT: Decoder.extension_object,
    VariantType.DATA_VALUE: Decoder.data_value,
    VariantType.VARIANT: Decoder.variant,
    VariantType.DIAGNOSTIC_INFO: Decoder.diagnostic_info,
}
