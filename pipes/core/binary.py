"""DataValues as bytes (Part 6, 5.2.2.17): whole decoding, and the questions that need none.

Layout: mask, Variant (mask 0x01), StatusCode (0x02), SourceTimestamp (0x04), its picoseconds
(0x10), ServerTimestamp (0x08), its picoseconds (0x20).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from pipes.core.decoder import FIXED_SIZES, DecodeError, Decoder, variant_type
from pipes.core.encoder import EncodeError, encode_data_value, encode_scalar, encode_variant
from pipes.core.skip import HAS_SOURCE_TIME, HAS_STATUS, HAS_VALUE, ScanError, Walker, reading
from pipes.core.values import DataValue, Variant, VariantType

__all__ = [
    "DecodeError",
    "Decoder",
    "EncodeError",
    "array_shape",
    "comparable",
    "decode_data_value",
    "decode_variant",
    "encode_data_value",
    "encode_scalar",
    "encode_variant",
    "peek_type",
    "replace_status",
    "shaped",
    "source_timestamp",
    "status_of",
    "value_part",
]

_UINT32: Final = Struct("<I")
_INT64: Final = Struct("<q")


def decode_data_value(value: bytes) -> DataValue:
    """The DataValue that fills ``value`` to its end.

    Raises:
        DecodeError: damaged, cut short, too deep, or bytes left over.
    """
    decoder = Decoder(value)
    decoded = decoder.data_value()
    decoder.finish()
    return decoded


def decode_variant(value: bytes) -> Variant:
    """The Variant that fills ``value`` to its end.

    Raises:
        DecodeError: as of `decode_data_value`.
    """
    decoder = Decoder(value)
    decoded = decoder.variant()
    decoder.finish()
    return decoded


def _peeked(encoding: int) -> tuple[VariantType, bool] | None:
    try:
        return variant_type(encoding & 0x3F), bool(encoding & 0x80)
    except DecodeError:
        return None


_PEEKED: Final = tuple(_peeked(encoding) for encoding in range(256))
_SCALAR_SIZES: Final = tuple(
    FIXED_SIZES.get(VariantType(number), 0) if number <= VariantType.DIAGNOSTIC_INFO else 0
    for number in range(256)
)


def peek_type(value: bytes) -> tuple[VariantType, bool] | None:
    """(type, is it an array) of an encoded DataValue; None without a value or when damaged."""
    if len(value) > 1 and value[0] & HAS_VALUE:
        return _PEEKED[value[1]]
    return None


def array_shape(value: bytes) -> tuple[int, ...]:
    """The elements in each dimension of the array in an encoded DataValue; a null one has 0.

    Raises:
        DecodeError: damaged.
    """
    try:
        with reading():
            return Walker(value).array_shape(1)
    except ScanError as damage:
        raise DecodeError(str(damage)) from None


def _variant_end(value: bytes) -> int:
    """Where the Variant of an encoded DataValue ends; 1 if there is none."""
    if not value:
        raise DecodeError("an empty DataValue")
    if not value[0] & HAS_VALUE:
        return 1
    size = _SCALAR_SIZES[value[1]] if len(value) > 1 else 0
    if size:
        if len(value) < 2 + size:
            raise DecodeError(f"{size} bytes wanted at 2, {len(value) - 2} are left")
        return 2 + size
    decoder = Decoder(value, 1)
    decoder.variant()
    return decoder.position


def value_part(value: bytes) -> bytes:
    """The bytes of the Variant alone, empty if there is none: what to compare values by.

    Raises:
        DecodeError: the Variant is damaged.
    """
    return value[1 : _variant_end(value)]


def status_of(value: bytes) -> int:
    """The StatusCode; Good if it is left out.

    Raises:
        DecodeError: damaged.
    """
    if value and not value[0] & HAS_STATUS:
        return 0
    return _status_at(value, _variant_end(value))


def _status_at(value: bytes, end: int) -> int:
    if len(value) < end + 4:
        raise DecodeError(f"4 bytes of status wanted at {end}, {len(value) - end} are left")
    return int(_UINT32.unpack_from(value, end)[0])


def replace_status(value: bytes, status: int) -> bytes:
    """The same DataValue with another StatusCode; Good is left out.

    Raises:
        DecodeError: damaged.
    """
    end = _variant_end(value)
    rest = end + 4 if value[0] & HAS_STATUS else end
    mask = value[0] & ~HAS_STATUS | (HAS_STATUS if status else 0)
    encoded = _UINT32.pack(status) if status else b""
    return bytes((mask,)) + value[1:end] + encoded + value[rest:]


def source_timestamp(value: bytes) -> int | None:
    """100 ns ticks since 1601; None if it is left out.

    Raises:
        DecodeError: damaged.
    """
    if value and not value[0] & HAS_SOURCE_TIME:
        return None
    start = _variant_end(value) + (4 if value[0] & HAS_STATUS else 0)
    if len(value) < start + 8:
        raise DecodeError(f"8 bytes of time wanted at {start}, {len(value) - start} are left")
    return int(_INT64.unpack_from(value, start)[0])


def comparable(value: bytes) -> bytes:
    """Value and status in one form: equal bytes mean equal value and status.

    Timestamps and info bits are left out, and so is a Good status.

    Raises:
        DecodeError: damaged.
    """
    if value and value[0] == HAS_VALUE:
        return value
    end = _variant_end(value)
    status = _status_at(value, end) & 0xFFFF0000 if value[0] & HAS_STATUS else 0
    if status:
        return bytes((value[0] & HAS_VALUE | HAS_STATUS,)) + value[1:end] + _UINT32.pack(status)
    return bytes((value[0] & HAS_VALUE,)) + value[1:end]


def shaped(value: bytes, *, with_status: bool, with_timestamp: bool) -> bytes:
    """What a target of this ability takes: ServerTimestamp, picoseconds and info bits never go.

    Raises:
        DecodeError: damaged.
    """
    kept = comparable(value)
    timestamp = source_timestamp(value) if with_timestamp else None
    if not with_status and kept[0] & HAS_STATUS:
        kept = bytes((kept[0] & ~HAS_STATUS,)) + kept[1:-4]
    if timestamp is None:
        return kept
    return bytes((kept[0] | HAS_SOURCE_TIME,)) + kept[1:] + _INT64.pack(timestamp)
