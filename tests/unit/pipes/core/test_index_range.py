"""Parts of arrays, matrices, texts and bytes, by our own hand."""

from __future__ import annotations

import pytest

from pipes.core.binary import decode_data_value, encode_data_value
from pipes.core.index_range import NO_DATA, parse
from pipes.core.values import DataValue, Variant, VariantType

DOUBLE, INT32, STRING = VariantType.DOUBLE, VariantType.INT32, VariantType.STRING
TEN = Variant(INT32, tuple(range(10)))
MATRIX = Variant(INT32, tuple(range(12)), (3, 4))
CUBE = Variant(INT32, tuple(range(24)), (2, 3, 4))
BYTES = Variant(VariantType.BYTE_STRING, b"abcdef")


@pytest.mark.parametrize(
    ("text", "whole", "part"),
    [
        ("3", TEN, Variant(INT32, (3,))),
        ("2:4", TEN, Variant(INT32, (2, 3, 4))),
        ("8:20", TEN, Variant(INT32, (8, 9))),
        ("0:1,2", MATRIX, Variant(INT32, (2, 6), (2, 1))),
        ("1:2,2:3", MATRIX, Variant(INT32, (6, 7, 10, 11), (2, 2))),
        ("1,0:1,3", CUBE, Variant(INT32, (15, 19), (1, 2, 1))),
        ("1:2", BYTES, Variant(VariantType.BYTE_STRING, b"bc")),
        ("4:9", Variant(STRING, "Wörter"), Variant(STRING, "er")),
        ("1,0:1", Variant(STRING, ("abc", "def", None)), Variant(STRING, ("de",))),
        ("1:2,1", Variant(STRING, ("abc", "def", None)), Variant(STRING, ("e", None))),
    ],
)
def test_a_range_takes_its_elements_and_keeps_the_dimensions(text, whole, part):
    assert parse(text).part(whole) == part


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("10", TEN),
        ("10:12", TEN),
        ("0,0", TEN),
        ("0", MATRIX),
        ("0,0,0", MATRIX),
        ("3,0", MATRIX),
        ("0", Variant(INT32, None, ())),
        ("0", Variant(INT32, 5)),
        ("9", BYTES),
        ("0,0", BYTES),
        ("0", Variant(STRING, None)),
    ],
)
def test_there_may_be_nothing_in_a_range(text, whole):
    assert parse(text).part(whole) is None


def test_a_range_of_one_element_is_single():
    assert parse("3").is_single
    assert parse("3,0").is_single
    assert not parse("3:4").is_single
    assert not parse("3,0:1").is_single


@pytest.mark.parametrize(
    ("text", "value", "filled"),
    [
        ("3", Variant(DOUBLE, 1.0), Variant(DOUBLE, (1.0,))),
        ("3,4", Variant(DOUBLE, 1.0), Variant(DOUBLE, (1.0,), (1, 1))),
        ("3:4", Variant(DOUBLE, (1.0, 2.0)), Variant(DOUBLE, (1.0, 2.0))),
        ("3:4", Variant(DOUBLE, (1.0,)), None),
        ("3:4", Variant(DOUBLE, 1.0), None),
        ("0:1,0:1", Variant(DOUBLE, (1.0,) * 4), None),
        ("0:1,0:1", Variant(DOUBLE, (1.0,) * 4, (2, 2)), Variant(DOUBLE, (1.0,) * 4, (2, 2))),
    ],
)
def test_a_write_fills_its_range_exactly(text, value, filled):
    assert parse(text).filled(value) == filled


class TestCutting:
    def test_a_whole_array_is_cut_and_keeps_status_and_time(self):
        whole = encode_data_value(DataValue(TEN, 0x4000_0000, 77))
        part = parse("2:4").cut(whole, is_whole=True)
        assert decode_data_value(part) == DataValue(Variant(INT32, (2, 3, 4)), 0x4000_0000, 77)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("2:4", Variant(INT32, (2, 3, 4))),
            ("2:9", Variant(INT32, (2,))),
            ("0:1,2", Variant(INT32, (2, 6), (2, 1))),
            ("1:2", Variant(STRING, "bc")),
            ("1:2", Variant(DOUBLE, 5.0)),
        ],
    )
    def test_what_was_asked_for_stays_as_it_came(self, text, value):
        raw = encode_data_value(DataValue(value))
        assert parse(text).cut(raw, is_whole=False) is raw

    @pytest.mark.parametrize(
        ("text", "whole", "part"),
        [
            ("2:4", TEN, Variant(INT32, (2, 3, 4))),
            ("0:1,2", MATRIX, Variant(INT32, (2, 6), (2, 1))),
            ("1:2", Variant(STRING, "abcd"), Variant(STRING, "bc")),
        ],
    )
    def test_more_than_was_asked_for_is_cut(self, text, whole, part):
        raw = encode_data_value(DataValue(whole))
        assert decode_data_value(parse(text).cut(raw, is_whole=False)).variant == part

    def test_nothing_in_the_range_is_said_as_a_server_says_it(self):
        raw = encode_data_value(DataValue(TEN, source_timestamp=7))
        part = decode_data_value(parse("20").cut(raw, is_whole=True))
        assert part == DataValue(None, NO_DATA, 7)

    @pytest.mark.parametrize("is_whole", [True, False])
    @pytest.mark.parametrize(
        "value",
        [
            encode_data_value(DataValue(None, 0x8000_0000)),
            encode_data_value(DataValue(Variant(VariantType.NULL))),
            b"\x01\x86\xff\x00\x00\x00",
            b"\x01\x0c\xff\x00\x00\x00",
            b"\x01\xc6\x01\x00\x00\x00",
        ],
    )
    def test_what_has_no_part_or_is_damaged_stays_as_it_is(self, value, is_whole):
        assert parse("0").cut(value, is_whole=is_whole) is value
