from __future__ import annotations

import struct
from collections.abc import Callable
from uuid import UUID

import pytest

from pipes.core import binary
from pipes.core.binary import DecodeError, Decoder, EncodeError
from pipes.core.decoder import NESTING_LIMIT, variant_type
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
)

DOUBLE = b"\x0b" + struct.pack("<d", 1.5)
BAD = struct.pack("<I", 0x80340000)
TIME = struct.pack("<q", 133_000_000_000_000_001)


def test_a_data_value_has_the_layout_of_part_6() -> None:
    value = DataValue(Variant(VariantType.DOUBLE, 1.5), 0x80340000, 7, 1, 8, 2)
    encoded = b"\x3f" + DOUBLE + BAD + struct.pack("<qHqH", 7, 1, 8, 2)
    assert binary.encode_data_value(value) == encoded
    assert binary.decode_data_value(encoded) == value


def test_a_good_status_is_left_out_and_read_as_good() -> None:
    assert binary.encode_data_value(DataValue(NULL)) == b"\x01\x00"
    assert binary.decode_data_value(b"\x03" + DOUBLE + bytes(4)).status == 0
    assert binary.encode_data_value(DataValue()) == b"\x00"


@pytest.mark.parametrize(
    ("kind", "value", "encoded"),
    [
        (VariantType.BOOLEAN, True, "01"),
        (VariantType.STRING, "æ", "02000000c3a6"),
        (VariantType.STRING, None, "ffffffff"),
        (VariantType.BYTE_STRING, b"\x00", "0100000000"),
        (
            VariantType.GUID,
            UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63"),
            "912b967275fae64a8d28b404dc7daf63",
        ),
        (VariantType.NODE_ID, NodeId(0, 72), "0048"),
        (VariantType.NODE_ID, NodeId(5, 1025), "01050104"),
        (VariantType.NODE_ID, NodeId(256, 5), "02000105000000"),
        (VariantType.NODE_ID, NodeId(1, 2**31), "02010000000080"),
        (VariantType.NODE_ID, NodeId(1, "Hot"), "03010003000000486f74"),
        (VariantType.NODE_ID, NodeId(1, b"\x01"), "0501000100000001"),
        (
            VariantType.NODE_ID,
            NodeId(1, UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")),
            "040100912b967275fae64a8d28b404dc7daf63",
        ),
        (
            VariantType.EXPANDED_NODE_ID,
            ExpandedNodeId(NodeId(0, 1), "u", 3),
            "c001010000007503000000",
        ),
        (VariantType.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(0, 1)), "0001"),
        (VariantType.QUALIFIED_NAME, QualifiedName(2, "a"), "02000100000061"),
        (VariantType.LOCALIZED_TEXT, LocalizedText("b", "a"), "0301000000610100000062"),
        (VariantType.LOCALIZED_TEXT, LocalizedText(), "00"),
        (
            VariantType.EXTENSION_OBJECT,
            ExtensionObject(NodeId(0, 5), b"\x07", 1),
            "0005010100000007",
        ),
        (VariantType.EXTENSION_OBJECT, ExtensionObject(NodeId(0, 0)), "000000"),
        (
            VariantType.DIAGNOSTIC_INFO,
            DiagnosticInfo(1, 2, 3, 4, "x", 0x80340000, DiagnosticInfo()),
            "7f0100000002000000030000000400000001000000780000348000",
        ),
        (VariantType.STATUS_CODE, 0x80340000, "00003480"),
    ],
)
def test_scalars_are_written_and_read_as_part_6_says(
    kind: VariantType, value: object, encoded: str
) -> None:
    raw = bytes.fromhex(encoded)
    assert binary.encode_scalar(kind, value) == raw
    decoder = Decoder(raw)
    assert decoder.scalar(kind) == value
    decoder.finish()


def test_a_null_identifier_is_the_empty_one() -> None:
    assert Decoder(b"\x03\x01\x00" + b"\xff" * 4).node_id() == NodeId(1, "")
    assert Decoder(b"\x05\x01\x00" + b"\xff" * 4).node_id() == NodeId(1, b"")


def test_text_that_is_no_utf_8_keeps_its_bytes() -> None:
    raw = b"\x0c\x02\x00\x00\x00\xe9\xff"
    assert binary.encode_variant(binary.decode_variant(raw)) == raw


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (b"", "1 bytes wanted"),
        (b"\x41", "mask 0x41"),
        (b"\x01\x0b\x00", "8 bytes wanted"),
        (b"\x00\x00", "1 bytes left over"),
        (b"\x01\x40", "scalar with dimensions"),
        (b"\x01\x80" + bytes(4), "array of Null"),
        (b"\x01\x20", "32 is not a built-in type"),
        (b"\x01\x8b\xff\xff\xff\x7f", "an array of 2147483647"),
        (b"\x01\x8b\xfe\xff\xff\xff", "array length -2"),
        (b"\x01\x0c\xfe\xff\xff\xff", "length -2"),
        (b"\x01\x11\x40\x00", "flags 0x40"),
        (b"\x01\x11\x06\x00", "NodeId encoding 6"),
        (b"\x01\x16\x00\x00\x03", "ExtensionObject encoding 3"),
        (b"\x01\xc3\x01\x00\x00\x00\x05\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00", "fill"),
        (
            b"\x01\xc3\x01\x00\x00\x00\x05\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",
            "dimensions",
        ),
    ],
)
def test_damaged_bytes_are_refused_with_the_place(damaged: bytes, told: str) -> None:
    with pytest.raises(DecodeError, match=told):
        binary.decode_data_value(damaged)


def test_reserved_types_are_read_as_byte_strings() -> None:
    assert variant_type(26) is VariantType.BYTE_STRING
    assert binary.decode_variant(b"\x1f\x01\x00\x00\x00a") == Variant(VariantType.BYTE_STRING, b"a")


@pytest.mark.parametrize(
    ("piece", "read"),
    [
        (b"\x18", Decoder.variant),
        (b"\x01\x17", Decoder.data_value),
        (b"\x40", Decoder.diagnostic_info),
    ],
)
def test_nesting_ends_at_the_limit(piece: bytes, read: Callable[[Decoder], object]) -> None:
    with pytest.raises(DecodeError, match="nested deeper"):
        read(Decoder(piece * (NESTING_LIMIT + 2)))


def test_null_arrays_empty_arrays_and_dimensions_stay_apart() -> None:
    for variant in (
        Variant(VariantType.INT32, None, ()),
        Variant(VariantType.INT32, ()),
        Variant(VariantType.INT32, (1, 2), (2,)),
        Variant(VariantType.STRING, ("a", None), (2, 1)),
        Variant(VariantType.INT32, (), (0, 3)),
    ):
        assert binary.decode_variant(binary.encode_variant(variant)) == variant


def test_dimensions_of_a_null_array_are_kept_only_if_they_fit() -> None:
    empty = b"\xc6" + b"\xff" * 4 + bytes(4)
    assert binary.decode_variant(empty) == Variant(VariantType.INT32, None, ())
    no_sizes = b"\xc6" + struct.pack("<iii", 1, 7, 0)
    assert binary.decode_variant(no_sizes) == Variant(VariantType.INT32, (7,))


@pytest.mark.parametrize(
    "variant",
    [
        Variant(VariantType.BYTE, 256),
        Variant(VariantType.INT32, "1"),
        Variant(VariantType.STRING, 1),
        Variant(VariantType.STRING, "\ud800"),
        Variant(VariantType.GUID, "x"),
        Variant(VariantType.NODE_ID, NodeId(0, -1)),
        Variant(VariantType.NODE_ID, NodeId(70_000, 1)),
        Variant(VariantType.FLOAT, 1e39),
        Variant(VariantType.BYTE, (1, 300)),
        Variant(VariantType.NULL, ()),
        Variant(VariantType.BYTE, (1, 2), (3, 1)),
        Variant(VariantType.BYTE, None, (3, 1)),
    ],
)
def test_what_does_not_fit_its_type_is_not_encoded(variant: Variant) -> None:
    with pytest.raises(EncodeError):
        binary.encode_variant(variant)
    with pytest.raises(EncodeError):
        binary.encode_data_value(DataValue(variant))


def test_a_scalar_that_does_not_fit_is_named() -> None:
    with pytest.raises(EncodeError, match="300 is no Byte"):
        binary.encode_scalar(VariantType.BYTE, 300)


def test_peek_needs_a_value() -> None:
    assert binary.peek_type(b"\x01\x0b") == (VariantType.DOUBLE, False)
    assert binary.peek_type(b"\x01\x8b") == (VariantType.DOUBLE, True)
    assert binary.peek_type(b"\x01\x3f") is None
    assert binary.peek_type(b"\x00") is None
    assert binary.peek_type(b"\x01") is None
    assert binary.peek_type(b"") is None


def test_a_status_is_replaced_added_and_taken_away() -> None:
    good = b"\x05" + DOUBLE + TIME
    bad = b"\x07" + DOUBLE + BAD + TIME
    assert binary.replace_status(good, 0x80340000) == bad
    assert binary.replace_status(bad, 0) == good
    assert binary.replace_status(b"\x00", 0x80340000) == b"\x02" + BAD
    assert binary.status_of(bad) == 0x80340000
    assert binary.status_of(good) == 0


def test_parts_are_found_without_decoding_the_rest() -> None:
    text = binary.encode_variant(Variant(VariantType.STRING, "abc"))
    value = b"\x07" + text + BAD + TIME
    assert binary.value_part(value) == text
    assert binary.source_timestamp(value) == 133_000_000_000_000_001
    assert binary.source_timestamp(b"\x01" + DOUBLE) is None
    assert binary.source_timestamp(b"\x05" + DOUBLE + TIME) == 133_000_000_000_000_001
    assert binary.value_part(b"\x02" + BAD) == b""


def test_comparable_drops_time_info_bits_and_good() -> None:
    assert binary.comparable(b"\x01" + DOUBLE) == b"\x01" + DOUBLE
    assert binary.comparable(b"\x05" + DOUBLE + TIME) == b"\x01" + DOUBLE
    overflow = struct.pack("<I", 0x80340480)
    assert binary.comparable(b"\x07" + DOUBLE + overflow + TIME) == b"\x03" + DOUBLE + BAD
    assert binary.comparable(b"\x03" + DOUBLE + struct.pack("<I", 0x480)) == b"\x01" + DOUBLE


def test_shaped_gives_a_target_what_it_takes() -> None:
    value = b"\x0f" + DOUBLE + BAD + TIME + TIME
    assert binary.shaped(value, with_status=True, with_timestamp=True) == (
        b"\x07" + DOUBLE + BAD + TIME
    )
    assert binary.shaped(value, with_status=False, with_timestamp=False) == b"\x01" + DOUBLE
    assert binary.shaped(b"\x01" + DOUBLE, with_status=True, with_timestamp=True) == (
        b"\x01" + DOUBLE
    )


@pytest.mark.parametrize(
    ("damaged", "question"),
    [
        (b"", binary.status_of),
        (b"", binary.value_part),
        (b"", binary.comparable),
        (b"\x03", binary.status_of),
        (b"\x03\x0b\x00", binary.status_of),
        (b"\x01\x0c\x09", binary.value_part),
        (b"\x03" + DOUBLE + b"\x00", binary.comparable),
        (b"\x05" + DOUBLE + b"\x00", binary.source_timestamp),
    ],
)
def test_the_quick_questions_refuse_what_is_cut_short(
    damaged: bytes, question: Callable[[bytes], object]
) -> None:
    with pytest.raises(DecodeError):
        question(damaged)
