"""What a server takes at most in one value, and whether a value is too large for it.

ServerCapabilities (Part 5, 6.3.2) limit strings, ByteStrings and arrays; the transport limits
the whole message (Part 6, 7.1.2). A server that gets more often fails over the whole request, or
ends the connection, so such a value must not leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from pipes.core.binary import decode_data_value, peek_type
from pipes.core.decoder import DecodeError
from pipes.core.skip import FIXED_SIZES
from pipes.core.values import DataValue, LocalizedText, Variant, VariantType, type_name

_INT32: Final = Struct("<i")
_SURROGATES: Final = "surrogateescape"


@dataclass(frozen=True, slots=True)
class ValueLimits:
    """0 is no limit. Strings and ByteStrings count in bytes, arrays in elements of all dimensions;
    ``message`` is the size of a request with nothing but one value in it.
    """

    array: int = 0
    string: int = 0
    byte_string: int = 0
    message: int = 0

    @property
    def least(self) -> int:
        """A value of no more bytes than this is never too large; 0 if none is."""
        return min((limit for limit in self._all if limit > 0), default=0)

    @property
    def _all(self) -> tuple[int, ...]:
        return self.array, self.string, self.byte_string, self.message


def has_fixed_size(value: bytes) -> bool:
    """Whether DataValues of this one's type are all of a size that every server takes."""
    return len(value) < 2 or value[1] in FIXED_SIZES


def excess(value: bytes, limits: ValueLimits) -> str | None:
    """What of an encoded DataValue is too large, with both sizes; None if nothing is."""
    if len(value) <= limits.least:
        return None
    if 0 < limits.message < len(value):
        return f"a value of {len(value)} bytes; the server takes messages of {limits.message}"
    peeked = peek_type(value)
    if peeked is None:
        return None
    kind, is_array = peeked
    if kind in FIXED_SIZES:
        count = _INT32.unpack_from(value, 2)[0] if is_array and len(value) >= 6 else 0
        return _array_excess(kind, count, limits)
    try:
        variant = decode_data_value(value).variant
    except DecodeError:
        return None  # whoever decides about it says so
    return None if variant is None else _variant_excess(variant, limits)


def _array_excess(kind: VariantType, count: int, limits: ValueLimits) -> str | None:
    if 0 < limits.array < count:
        return (
            f"an array of {count} {type_name(kind)}; "
            f"the server takes {limits.array} elements (MaxArrayLength)"
        )
    return None


def _variant_excess(variant: Variant, limits: ValueLimits) -> str | None:
    elements = variant.value if isinstance(variant.value, tuple) else (variant.value,)
    found = _array_excess(variant.type, len(elements), limits) if variant.is_array else None
    if found is not None:
        return found
    return next((one for each in elements if (one := _scalar_excess(each, limits))), None)


def _scalar_excess(value: object, limits: ValueLimits) -> str | None:
    if isinstance(value, bytes):
        return _length_excess("ByteString", len(value), limits.byte_string, "MaxByteStringLength")
    if isinstance(value, LocalizedText):
        value = value.text
    if isinstance(value, str):
        size = len(value.encode("utf-8", _SURROGATES))
        return _length_excess("String", size, limits.string, "MaxStringLength")
    if isinstance(value, DataValue):
        value = value.variant
    return _variant_excess(value, limits) if isinstance(value, Variant) else None


def _length_excess(what: str, size: int, most: int, limit: str) -> str | None:
    if 0 < most < size:
        return f"a {what} of {size} bytes; the server takes {most} ({limit})"
    return None
