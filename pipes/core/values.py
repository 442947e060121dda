"""OPC UA values as plain data: what the cores compute with (Part 3, Part 4 7.11, Part 6 5.1).

A scalar stands in a Variant as the Python value of the table below, an array as a tuple of them
(a matrix flat, its ``dimensions`` beside it), a null array as None with ``dimensions`` ().

=================  =========================================================================
Boolean, integers  bool, int                     Float, Double       float
String, XmlElement str or None                   ByteString          bytes or None
DateTime           int: 100 ns ticks since 1601  StatusCode          int
Guid               uuid.UUID                     others              the classes below
=================  =========================================================================

Strings that are not UTF-8 keep their bytes as surrogates (PEP 383), so that nothing is lost.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final, Union
from uuid import UUID


class VariantType(IntEnum):
    """Ids of the built-in types (Part 6, 5.1.2)."""

    NULL = 0
    BOOLEAN = 1
    SBYTE = 2
    BYTE = 3
    INT16 = 4
    UINT16 = 5
    INT32 = 6
    UINT32 = 7
    INT64 = 8
    UINT64 = 9
    FLOAT = 10
    DOUBLE = 11
    STRING = 12
    DATE_TIME = 13
    GUID = 14
    BYTE_STRING = 15
    XML_ELEMENT = 16
    NODE_ID = 17
    EXPANDED_NODE_ID = 18
    STATUS_CODE = 19
    QUALIFIED_NAME = 20
    LOCALIZED_TEXT = 21
    EXTENSION_OBJECT = 22
    DATA_VALUE = 23
    VARIANT = 24
    DIAGNOSTIC_INFO = 25


TYPE_NAMES: Final = (
    "Null",
    "Boolean",
    "SByte",
    "Byte",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float",
    "Double",
    "String",
    "DateTime",
    "Guid",
    "ByteString",
    "XmlElement",
    "NodeId",
    "ExpandedNodeId",
    "StatusCode",
    "QualifiedName",
    "LocalizedText",
    "ExtensionObject",
    "DataValue",
    "Variant",
    "DiagnosticInfo",
)
"""The name of a built-in type in the specification, by its id."""

INTEGER_RANGES: Final = {
    VariantType.SBYTE: (-(2**7), 2**7 - 1),
    VariantType.BYTE: (0, 2**8 - 1),
    VariantType.INT16: (-(2**15), 2**15 - 1),
    VariantType.UINT16: (0, 2**16 - 1),
    VariantType.INT32: (-(2**31), 2**31 - 1),
    VariantType.UINT32: (0, 2**32 - 1),
    VariantType.INT64: (-(2**63), 2**63 - 1),
    VariantType.UINT64: (0, 2**64 - 1),
}
FLOAT_TYPES: Final = frozenset({VariantType.FLOAT, VariantType.DOUBLE})

_TYPES_BY_NAME: Final = {name: VariantType(number) for number, name in enumerate(TYPE_NAMES)}


def type_name(variant_type: VariantType) -> str:
    """The specification's name, such as ``SByte``."""
    return TYPE_NAMES[variant_type]


def type_named(name: str) -> VariantType | None:
    """The built-in type of this name, letter case included; None if there is none."""
    return _TYPES_BY_NAME.get(name)


@dataclass(frozen=True, slots=True)
class NodeId:
    """The kind of identifier (i, s, g, b) is the Python type of ``identifier``."""

    namespace_index: int
    identifier: int | str | UUID | bytes


@dataclass(frozen=True, slots=True)
class ExpandedNodeId:
    node_id: NodeId
    namespace_uri: str | None = None
    server_index: int = 0


@dataclass(frozen=True, slots=True)
class QualifiedName:
    namespace_index: int
    name: str | None


@dataclass(frozen=True, slots=True)
class LocalizedText:
    text: str | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class ExtensionObject:
    """A structure that stays as it came. ``encoding``: 0 no body, 1 binary, 2 XML."""

    type_id: NodeId
    body: bytes | None = None
    encoding: int = 0


@dataclass(frozen=True, slots=True)
class DiagnosticInfo:
    symbolic_id: int | None = None
    namespace_uri: int | None = None
    locale: int | None = None
    localized_text: int | None = None
    additional_info: str | None = None
    inner_status_code: int | None = None
    inner_diagnostic_info: DiagnosticInfo | None = None


Scalar = Union[
    bool,
    int,
    float,
    str,
    bytes,
    UUID,
    NodeId,
    ExpandedNodeId,
    QualifiedName,
    LocalizedText,
    ExtensionObject,
    DiagnosticInfo,
    "Variant",
    "DataValue",
    None,
]
Value = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    type: VariantType
    value: Value = None
    dimensions: tuple[int, ...] | None = None

    @property
    def is_array(self) -> bool:
        return isinstance(self.value, tuple) or self.dimensions is not None

    @property
    def rank(self) -> int:
        """How many dimensions the value has; 0 is a scalar."""
        if not self.is_array:
            return 0
        return len(self.dimensions or ()) or 1


NULL: Final = Variant(VariantType.NULL)


def shape_of(variant: Variant) -> tuple[int, ...]:
    """The elements in each dimension of an array; empty for a scalar."""
    if not variant.is_array:
        return ()
    return variant.dimensions or (len(variant.value) if isinstance(variant.value, tuple) else 0,)


@dataclass(frozen=True, slots=True)
class DataValue:
    """A value with status and timestamps; ``variant`` is None when no value came.

    Timestamps are 100 ns ticks since 1601-01-01 UTC, the form of the wire, so no digit is lost.
    Picoseconds count in units of 10 ps (Part 4, 7.11).
    """

    variant: Variant | None = None
    status: int = 0
    source_timestamp: int | None = None
    source_picoseconds: int | None = None
    server_timestamp: int | None = None
    server_picoseconds: int | None = None


# --- status -----------------------------------------------------------------------------------


class StatusSeverity(StrEnum):
    GOOD = "Good"
    UNCERTAIN = "Uncertain"
    BAD = "Bad"


_SEVERITIES: Final = (
    StatusSeverity.GOOD,
    StatusSeverity.UNCERTAIN,
    StatusSeverity.BAD,
    StatusSeverity.BAD,  # the reserved fourth value counts as Bad (Part 4, 7.39)
)


def severity(status: int) -> StatusSeverity:
    """The two highest bits of a StatusCode (Part 4, 7.39)."""
    return _SEVERITIES[status >> 30 & 3]


def is_good(status: int) -> bool:
    return status >> 30 & 3 == 0


def is_uncertain(status: int) -> bool:
    return status >> 30 & 3 == 1


def is_bad(status: int) -> bool:
    return status >> 31 & 1 == 1


def without_info_bits(status: int) -> int:
    """The StatusCode without limits, overflow and the other low 16 bits."""
    return status & 0xFFFF0000


# --- time -------------------------------------------------------------------------------------

TICKS_PER_SECOND: Final = 10_000_000
MAXIMUM_TICKS: Final = 2**63 - 1

_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_UNIX_EPOCH_TICKS: Final = 11_644_473_600 * TICKS_PER_SECOND
_FIRST_TICKS: Final = -504_911_232_000_000_000  # 0001-01-01T00:00:00Z
_LAST_TICKS: Final = 2_650_467_743_990_000_000  # 9999-12-31T23:59:59Z
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,18}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def ticks_to_iso(ticks: int) -> str:
    """ISO 8601 in UTC with ``Z`` and the decimals that are needed, at most 7.

    What lies outside the years 1 to 9999 becomes the nearest instant inside (Part 6, 5.4.2.6).
    """
    if ticks >= _LAST_TICKS:
        return "9999-12-31T23:59:59Z"
    seconds, fraction = divmod(max(ticks, _FIRST_TICKS), TICKS_PER_SECOND)
    whole = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    decimals = f".{fraction:07d}".rstrip("0") if fraction else ""
    return f"{whole}{decimals}Z"


def iso_to_ticks(text: str) -> int:
    """The inverse of `ticks_to_iso`; decimals beyond the seventh are cut off.

    Raises:
        ValueError: not an ISO 8601 instant with time and zone; the text says what is expected.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an instant such as 2026-11-22T09:00:00.1234567Z")
    day, time, decimals, zone = match.groups()
    try:
        instant = datetime.fromisoformat(f"{day}T{time}{zone.upper().replace('Z', '+00:00')}")
        past = instant - _EPOCH
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not an instant: {error}") from None
    seconds = past.days * 86_400 + past.seconds
    ticks = seconds * TICKS_PER_SECOND + int((decimals or "0")[:7].ljust(7, "0"))
    return MAXIMUM_TICKS if ticks >= _LAST_TICKS else ticks


def unix_to_ticks(unix_seconds: float) -> int:
    """Ticks of a wall clock reading in seconds since 1970."""
    return _UNIX_EPOCH_TICKS + round(unix_seconds * TICKS_PER_SECOND)


def ticks_to_unix(ticks: int) -> float:
    """Seconds since 1970; exact to about a microsecond."""
    return (ticks - _UNIX_EPOCH_TICKS) / TICKS_PER_SECOND


# --- numbers ----------------------------------------------------------------------------------

FLOAT_MAXIMUM: Final = 3.4028234663852886e38
DOUBLE_MAXIMUM: Final = 1.7976931348623157e308


def as_float(value: float) -> float:
    """The nearest 32 bit Float, as a Python float.

    Raises:
        OverflowError: too large for a Float.
    """
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


def shortest_float(value: float) -> float:
    """The Double with the fewest digits that is the same Float: 0.1 for 0.10000000149011612."""
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        if as_float(short) == value:
            return short
    return value
