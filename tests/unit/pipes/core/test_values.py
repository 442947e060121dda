from __future__ import annotations

import math

import pytest

from pipes.core import values
from pipes.core.values import NULL, StatusSeverity, Variant, VariantType


def test_every_built_in_type_has_its_name() -> None:
    assert len(values.TYPE_NAMES) == len(VariantType)
    for kind in VariantType:
        assert values.type_named(values.type_name(kind)) is kind
    assert values.type_name(VariantType.SBYTE) == "SByte"
    assert values.type_named("sbyte") is None


@pytest.mark.parametrize(
    ("variant", "is_array", "rank"),
    [
        (NULL, False, 0),
        (Variant(VariantType.INT32, 1), False, 0),
        (Variant(VariantType.INT32, (1, 2)), True, 1),
        (Variant(VariantType.INT32, None, ()), True, 1),
        (Variant(VariantType.INT32, (1, 2), (2,)), True, 1),
        (Variant(VariantType.INT32, (1, 2), (1, 2)), True, 2),
    ],
)
def test_a_variant_knows_its_shape(variant: Variant, is_array: bool, rank: int) -> None:
    assert variant.is_array is is_array
    assert variant.rank == rank


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        (0x00000000, StatusSeverity.GOOD),
        (0x00A60480, StatusSeverity.GOOD),
        (0x40920000, StatusSeverity.UNCERTAIN),
        (0x80340000, StatusSeverity.BAD),
        (0xC0000000, StatusSeverity.BAD),
    ],
)
def test_the_two_highest_bits_are_the_severity(status: int, severity: StatusSeverity) -> None:
    assert values.severity(status) is severity
    assert values.is_good(status) is (severity is StatusSeverity.GOOD)
    assert values.is_uncertain(status) is (severity is StatusSeverity.UNCERTAIN)
    assert values.is_bad(status) is (severity is StatusSeverity.BAD)


def test_info_bits_are_cut_off() -> None:
    assert values.without_info_bits(0x40920480) == 0x40920000


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        (0, "1601-01-01T00:00:00Z"),
        (116_444_736_000_000_000, "1970-01-01T00:00:00Z"),
        (133_000_000_000_000_001, "2022-06-18T04:26:40.0000001Z"),
        (133_000_000_005_000_000, "2022-06-18T04:26:40.5Z"),
        (-1, "1600-12-31T23:59:59.9999999Z"),
        (-504_911_232_000_000_000, "0001-01-01T00:00:00Z"),
        (2_650_467_743_980_000_000, "9999-12-31T23:59:58Z"),
        (values.MAXIMUM_TICKS, "9999-12-31T23:59:59Z"),
    ],
)
def test_instants_keep_seven_decimals_both_ways(ticks: int, text: str) -> None:
    assert values.ticks_to_iso(ticks) == text
    assert values.iso_to_ticks(text) == ticks


def test_instants_outside_the_calendar_become_its_edges() -> None:
    assert values.ticks_to_iso(-(2**63)) == "0001-01-01T00:00:00Z"
    assert values.ticks_to_iso(2_650_467_744_000_000_000) == "9999-12-31T23:59:59Z"


def test_instants_are_read_with_offset_comma_and_more_decimals() -> None:
    wanted = values.iso_to_ticks("2026-11-22T09:00:00.1234567Z")
    assert values.iso_to_ticks("2026-11-22T10:00:00,123456789+01:00") == wanted
    assert values.iso_to_ticks("2026-11-22 09:00:00.1234567z") == wanted


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T09:00:00",
        "2026-11-22",
        "2026-02-30T09:00:00Z",
        "2026-11-22T25:00:00Z",
        "yesterday",
        "",
        "٢٠٢٦-11-22T09:00:00Z",
    ],
)
def test_what_is_no_instant_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not an instant"):
        values.iso_to_ticks(text)


def test_an_offset_before_the_first_year_is_no_failure() -> None:
    assert values.iso_to_ticks("0001-01-01T00:00:00+01:00") == -504_911_268_000_000_000


def test_unix_time_converts_both_ways() -> None:
    assert values.unix_to_ticks(0) == 116_444_736_000_000_000
    assert values.ticks_to_unix(values.unix_to_ticks(1_700_000_000.25)) == 1_700_000_000.25


def test_a_float_is_shown_with_the_fewest_digits() -> None:
    assert values.shortest_float(values.as_float(0.1)) == 0.1
    assert values.shortest_float(values.as_float(16777217)) == 16777216
    third = values.as_float(1 / 3)
    assert values.as_float(values.shortest_float(third)) == third
    assert values.shortest_float(values.FLOAT_MAXIMUM) == 3.4028235e38
    assert values.shortest_float(math.inf) == math.inf
    assert math.isnan(values.shortest_float(math.nan))
    with pytest.raises(OverflowError):
        values.as_float(1e39)


def test_a_float_that_needs_nine_digits_stays_exact() -> None:
    needs_nine = values.as_float(1.00000012)
    exact = values.as_float(8.589973e9)
    for value in (needs_nine, exact, values.as_float(0.1 + 2**-27)):
        assert values.as_float(values.shortest_float(value)) == value
