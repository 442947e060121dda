"""Values that are too large for a server are named with both sizes."""

from __future__ import annotations

from uuid import UUID

import pytest

from pipes.core.binary import encode_data_value
from pipes.core.sizes import ValueLimits, excess, has_fixed_size
from pipes.core.values import DataValue, LocalizedText, Variant, VariantType

LIMITS = ValueLimits(array=3, string=4, byte_string=5, message=1000)


def encoded(kind: VariantType, value: object, dimensions: tuple[int, ...] | None = None) -> bytes:
    return encode_data_value(DataValue(Variant(kind, value, dimensions)))  # type: ignore[arg-type]


TOO_LARGE = {
    "a ByteString of 6 bytes; the server takes 5 (MaxByteStringLength)": encoded(
        VariantType.BYTE_STRING, b"123456"
    ),
    "a String of 5 bytes; the server takes 4 (MaxStringLength)": encoded(
        VariantType.STRING, "Wört"
    ),
    "a String of 6 bytes; the server takes 4 (MaxStringLength)": encoded(
        VariantType.LOCALIZED_TEXT, LocalizedText("123456", "de")
    ),
    "a String of 7 bytes; the server takes 4 (MaxStringLength)": encoded(
        VariantType.STRING, ("1", "1234567")
    ),
    "an array of 4 Double; the server takes 3 elements (MaxArrayLength)": encoded(
        VariantType.DOUBLE, (1.0,) * 4
    ),
    "an array of 6 Double; the server takes 3 elements (MaxArrayLength)": encoded(
        VariantType.DOUBLE, (1.0,) * 6, (2, 3)
    ),
    "an array of 5 String; the server takes 3 elements (MaxArrayLength)": encoded(
        VariantType.STRING, ("",) * 5
    ),
    "a ByteString of 8 bytes; the server takes 5 (MaxByteStringLength)": encoded(
        VariantType.VARIANT, (Variant(VariantType.BYTE_STRING, b"12345678"),)
    ),
    "a ByteString of 9 bytes; the server takes 5 (MaxByteStringLength)": encoded(
        VariantType.DATA_VALUE, (DataValue(Variant(VariantType.BYTE_STRING, b"123456789")),)
    ),
    "a value of 1202 bytes; the server takes messages of 1000": encoded(
        VariantType.XML_ELEMENT, "x" * 1196
    ),
}


@pytest.mark.parametrize(("sentence", "value"), TOO_LARGE.items())
def test_what_is_too_large_is_said_with_both_sizes(sentence, value):
    assert excess(value, LIMITS) == sentence
    assert excess(value, ValueLimits()) is None


@pytest.mark.parametrize(
    "value",
    [
        encoded(VariantType.BYTE_STRING, b"12345"),
        encoded(VariantType.STRING, "1234"),
        encoded(VariantType.STRING, (None, "1234", "")),
        encoded(VariantType.DOUBLE, (1.0,) * 3),
        encoded(VariantType.DOUBLE, 1.0),
        encoded(VariantType.DATA_VALUE, (DataValue(),)),
        encoded(VariantType.DOUBLE, None, ()),
        encode_data_value(DataValue(None, 0x8000_0000)),
        b"\x01\x86\x00",
        b"\x01\x0c\x06\x00\x00\x00\xff",
    ],
)
def test_what_fits_or_cannot_be_read_is_not_too_large(value):
    assert excess(value, LIMITS) is None


def test_the_least_limit_is_that_which_is_reached_first():
    assert LIMITS.least == 3
    assert ValueLimits(message=70).least == 70
    assert ValueLimits().least == 0


@pytest.mark.parametrize(
    ("value", "fixed"),
    [
        (encoded(VariantType.DOUBLE, 1.0), True),
        (encoded(VariantType.GUID, UUID(int=5)), True),
        (b"\x00", True),
        (encoded(VariantType.DOUBLE, (1.0,)), False),
        (encoded(VariantType.STRING, "a"), False),
    ],
)
def test_scalars_without_text_have_a_fixed_size(value, fixed):
    assert has_fixed_size(value) is fixed
