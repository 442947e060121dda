"""Where an encoded value ends: walks OPC UA Binary (Part 6, 5.2) without decoding it.

Everything here treats the message as hostile. A length is checked against the bytes that are
left before anything is done with it, nesting is bounded, and so is the number of elements that
have to be visited one by one; arrays of fixed-size elements are passed in one step and cost
nothing. Damage is a ``ScanError``; walking past the end may also show as ``struct.error`` or
``IndexError``, which ``reading`` turns into one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from struct import Struct, error
from typing import Final

MAX_DEPTH: Final = 16
MAX_ELEMENTS: Final = 500_000
MAX_DIMENSIONS: Final = 32

SERVICE_FAULT: Final = 397
"""Encoding id of ServiceFault (namespace 0)."""

HAS_VALUE, HAS_STATUS, HAS_SOURCE_TIME, HAS_SERVER_TIME, HAS_SOURCE_PICO, HAS_SERVER_PICO = (
    1 << bit for bit in range(6)
)
"""Bits of the first byte of a DataValue (Part 6, 5.2.2.17)."""

FIXED_SIZES: Final = {
    1: 1,  # Boolean
    2: 1,  # SByte
    3: 1,  # Byte
    4: 2,  # Int16
    5: 2,  # UInt16
    6: 4,  # Int32
    7: 4,  # UInt32
    8: 8,  # Int64
    9: 8,  # UInt64
    10: 4,  # Float
    11: 8,  # Double
    13: 8,  # DateTime
    14: 16,  # Guid
    19: 4,  # StatusCode
}
"""Bytes of the built-in types whose encoding has one size."""

_INT32: Final = Struct("<i").unpack_from
_UINT16: Final = Struct("<H").unpack_from
_UINT32: Final = Struct("<I").unpack_from
_HEADER: Final = Struct("<qIIBiHB")
# No diagnostics, no or an empty string table, AdditionalHeader with a null NodeId and no body.
_PLAIN_HEADER_ENDS: Final = {(0, -1, 0, 0), (0, 0, 0, 0)}

_NODE_ID_SIZES: Final = {0: 2, 1: 4, 2: 7, 4: 19}
_NODE_ID_LENGTHS: Final = (3, 5)  # String, Opaque: namespace, then a length
_NULL: Final = 0
_LAST_KIND: Final = 31


class ScanError(Exception):
    """The message is damaged or breaks a limit; nothing of it was delivered."""


class ServiceFaultError(Exception):
    """The server refused the whole call with ``status``."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The server refused the call with status 0x{status:08X}")
        self.status = status


class _Reading:
    """Keeps nothing, so one does for all; a generator would cost a microsecond each time."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, short: BaseException | None, trace: object
    ) -> None:
        if isinstance(short, (error, IndexError)):
            raise ScanError("The message ends within a field") from short


_READING: Final = _Reading()


def reading() -> _Reading:
    """Turn a read past the end of the message into a ScanError."""
    return _READING


def tail_size(mask: int) -> int:
    """Bytes of a DataValue behind its Value: status, timestamps, picoseconds."""
    return (
        4 * bool(mask & HAS_STATUS)
        + 8 * bool(mask & HAS_SOURCE_TIME)
        + 8 * bool(mask & HAS_SERVER_TIME)
        + 2 * bool(mask & HAS_SOURCE_PICO)
        + 2 * bool(mask & HAS_SERVER_PICO)
    )


TAIL_SIZES: Final = tuple(map(tail_size, range(64)))


class Walker:
    """Walks one message. Each method takes the position of a field and returns where it ends."""

    __slots__ = ("body", "elements_left")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.elements_left = MAX_ELEMENTS

    def spend(self, elements: int) -> None:
        """Account for elements that are about to be visited one by one."""
        self.elements_left -= elements
        if self.elements_left < 0:
            raise ScanError(f"The message has more than {MAX_ELEMENTS} elements to visit")

    def count(self, at: int, smallest: int) -> int:
        """The length of the array at ``at``, whose elements have ``smallest`` bytes or more."""
        count: int = _INT32(self.body, at)[0]
        if count < -1:
            raise ScanError(f"An array has the length {count}")
        if count * smallest > len(self.body) - at - 4:
            raise ScanError(f"An array of {count} elements is longer than the message")
        return max(count, 0)

    def fixed_array(self, at: int, size: int) -> int:
        return at + 4 + size * self.count(at, size)

    def string(self, at: int, _depth: int = 0) -> int:
        """String, ByteString, XmlElement: a length, then the bytes."""
        return at + 4 + self.count(at, 1)

    def strings(self, at: int) -> int:
        count = self.count(at, 4)
        self.spend(count)
        return self._string_elements(at + 4, count)

    def node_id(self, at: int, _depth: int = 0) -> int:
        """NodeId and ExpandedNodeId (Part 6, 5.2.2.9 and 5.2.2.10)."""
        encoding = self.body[at]
        kind = encoding & 0x3F
        if kind in _NODE_ID_LENGTHS:
            at = self.string(at + 3)
        elif kind in _NODE_ID_SIZES:
            at += _NODE_ID_SIZES[kind]
        else:
            raise ScanError(f"A NodeId has the unknown encoding {kind}")
        if encoding & 0x80:
            at = self.string(at)
        return at + 4 if encoding & 0x40 else at

    def qualified_name(self, at: int, _depth: int = 0) -> int:
        return self.string(at + 2)

    def localized_text(self, at: int, _depth: int = 0) -> int:
        mask = self.body[at]
        at += 1
        if mask & 0xFC:
            raise ScanError(f"A LocalizedText has the unknown mask 0x{mask:02X}")
        if mask & 1:
            at = self.string(at)
        return self.string(at) if mask & 2 else at

    def extension_object(self, at: int, _depth: int = 0) -> int:
        at = self.node_id(at)
        encoding = self.body[at]
        if encoding == 0:
            return at + 1
        if encoding > 2:
            raise ScanError(f"An ExtensionObject has the unknown encoding {encoding}")
        return self.string(at + 1)  # a null body, of no length, is sent by some servers

    def data_value(self, at: int, depth: int) -> int:
        mask = self.body[at]
        if mask > 0x3F:
            raise ScanError(f"A DataValue has the unknown mask 0x{mask:02X}")
        end = self.variant(at + 1, depth) if mask & HAS_VALUE else at + 1
        return end + TAIL_SIZES[mask]

    def diagnostic_info(self, at: int, depth: int = 0) -> int:
        if depth > MAX_DEPTH:
            raise ScanError(f"DiagnosticInfos are nested deeper than {MAX_DEPTH}")
        if depth:
            self.spend(1)
        mask = self.body[at]
        if mask & 0x80:
            raise ScanError(f"A DiagnosticInfo has the unknown mask 0x{mask:02X}")
        at += 1 + 4 * (mask & 0x0F).bit_count()
        if mask & 0x10:
            at = self.string(at)
        if mask & 0x20:
            at += 4
        return self.diagnostic_info(at, depth + 1) if mask & 0x40 else at

    def diagnostic_infos(self, at: int) -> int:
        count = self.count(at, 1)
        self.spend(count)
        at += 4
        for _ in range(count):
            at = self.diagnostic_info(at)
        return at

    def variant(self, at: int, depth: int = 0) -> int:
        """Variant (Part 6, 5.2.2.16)."""
        if depth > MAX_DEPTH:
            raise ScanError(f"Variants are nested deeper than {MAX_DEPTH}")
        if depth:
            self.spend(1)
        encoding = self.body[at]
        kind = encoding & 0x3F
        if kind > _LAST_KIND:
            raise ScanError(f"A Variant has the unknown type {kind}")
        if encoding & 0x80:
            return self._array(at + 1, kind, depth, has_dimensions=bool(encoding & 0x40))
        if encoding & 0x40:
            raise ScanError("A Variant has dimensions but no array")
        if kind in FIXED_SIZES:
            return at + 1 + FIXED_SIZES[kind]
        return at + 1 if kind == _NULL else _SKIP[kind](self, at + 1, depth + 1)

    def _array(self, at: int, kind: int, depth: int, *, has_dimensions: bool) -> int:
        count, at = self._counted(at, kind, depth)
        return self._dimensions(at, count) if has_dimensions else at

    def array_shape(self, at: int) -> tuple[int, ...]:
        """The elements in each dimension of the Variant at ``at``, which is an array."""
        encoding = self.body[at]
        count, at = self._counted(at + 1, encoding & 0x3F, 0)
        if not encoding & 0x40:
            return (count,)
        self._dimensions(at, count)
        (dimensions,) = _INT32(self.body, at)
        return Struct(f"<{dimensions}i").unpack_from(self.body, at + 4)

    def _counted(self, at: int, kind: int, depth: int) -> tuple[int, int]:
        """How many elements an array has, and where they end."""
        smallest = FIXED_SIZES.get(kind) or _SMALLEST[kind]
        count = self.count(at, smallest)
        at += 4
        if kind in FIXED_SIZES:
            at += count * smallest
        elif count:
            self.spend(count)
            at = self._elements(at, kind, count, depth + 1)
        return count, at

    def _elements(self, at: int, kind: int, count: int, depth: int) -> int:
        if kind == _NULL:
            raise ScanError(f"A Variant has an array of {count} elements without a type")
        skip = _SKIP[kind]
        if skip is Walker.string:
            return self._string_elements(at, count)
        for _ in range(count):
            at = skip(self, at, depth)
        return at

    def _string_elements(self, at: int, count: int) -> int:
        body = self.body
        for _ in range(count):
            (size,) = _INT32(body, at)
            if size > 0:
                at += size
            elif size < -1:
                raise ScanError(f"A string has the length {size}")
            at += 4
        return at

    def _dimensions(self, at: int, elements: int) -> int:
        count = self.count(at, 4)
        if not 0 < count <= MAX_DIMENSIONS:
            raise ScanError(f"A matrix has {count} dimensions")
        sizes = Struct(f"<{count}i").unpack_from(self.body, at + 4)
        if min(sizes) < 0 or prod(sizes) != elements:
            raise ScanError(f"A matrix of {elements} elements has the dimensions {sizes}")
        return at + 4 + 4 * count

    def type_id(self, at: int) -> tuple[int, int]:
        """A numeric id of namespace 0 and where it ends; 0 for a NodeId of another kind."""
        body = self.body
        if body[at] == 1 and body[at + 1] == 0:
            return _UINT16(body, at + 2)[0], at + 4
        if body[at] == 2 and _UINT16(body, at + 1)[0] == 0:
            return _UINT32(body, at + 3)[0], at + 7
        return 0, self.node_id(at)

    def response_header(self, expected: int) -> tuple[int, int, int]:
        """Read the head of a response message whose encoding id must be ``expected``.

        Returns:
            Request handle, service result, and the position behind the header; this is 0 if the
            message is a ServiceFault or the result is Bad, so that nothing may follow.
        """
        found, at = self.type_id(0)
        if found not in (expected, SERVICE_FAULT):
            raise ScanError(f"The message has the type {found}, not {expected}")
        _, handle, result, *end = _HEADER.unpack_from(self.body, at)
        if tuple(end) in _PLAIN_HEADER_ENDS:
            at += _HEADER.size
        else:
            at = self.extension_object(self.strings(self.diagnostic_info(at + 16)))
        if found == SERVICE_FAULT and not result & 0x80000000:
            raise ScanError(f"A ServiceFault has the status 0x{result:08X}, which is not Bad")
        return handle, result, 0 if result & 0x80000000 else at


_SKIP: Final[dict[int, Callable[[Walker, int, int], int]]] = {
    12: Walker.string,
    15: Walker.string,
    16: Walker.string,
    17: Walker.node_id,
    18: Walker.node_id,
    20: Walker.qualified_name,
    21: Walker.localized_text,
    22: Walker.extension_object,
    23: Walker.data_value,
    24: Walker.variant,
    25: Walker.diagnostic_info,
    # Reserved for new built-in types: decoders read them as ByteString (Part 6, 5.2.2.16).
    **dict.fromkeys(range(26, 32), Walker.string),
}

_SMALLEST: Final = {
    _NULL: 0,
    17: 2,
    18: 2,
    20: 6,
    21: 1,
    22: 3,
    23: 1,
    24: 1,
    25: 1,
    **dict.fromkeys((12, 15, 16, *range(26, 32)), 4),
}
