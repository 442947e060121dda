from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import pytest

from pipes.core.conversion import (
    ANY_RANK,
    SCALAR_RANK,
    AbstractType,
    Converted,
    OnOverflow,
    Rejected,
    RejectReason,
    TargetType,
    convert,
    rank_fits,
    target_type_of,
)
from pipes.core.values import (
    FLOAT_MAXIMUM,
    NULL,
    LocalizedText,
    NodeId,
    Variant,
    VariantType,
    as_float,
)

T = VariantType
GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"


@pytest.mark.parametrize(
    ("source", "value", "target", "expected"),
    [
        (T.INT32, 5, T.BYTE, 5),
        (T.INT64, -1, T.SBYTE, -1),
        (T.UINT64, 2**63, T.DOUBLE, float(2**63)),
        (T.DOUBLE, 2.5, T.INT32, 2),
        (T.DOUBLE, 3.5, T.INT32, 4),
        (T.DOUBLE, -0.5, T.BYTE, 0),
        (T.DOUBLE, 0.1, T.FLOAT, as_float(0.1)),
        (T.DOUBLE, math.inf, T.FLOAT, math.inf),
        (T.FLOAT, 1.5, T.DOUBLE, 1.5),
        (T.INT32, 3, T.FLOAT, 3.0),
        (T.BOOLEAN, True, T.INT16, 1),
        (T.BOOLEAN, False, T.DOUBLE, 0.0),
        (T.INT16, 1, T.BOOLEAN, True),
        (T.DOUBLE, 0.0, T.BOOLEAN, False),
        (T.STATUS_CODE, 0x80340000, T.UINT32, 0x80340000),
        (T.STRING, "-12", T.INT16, -12),
        (T.STRING, "+7", T.BYTE, 7),
        (T.STRING, "1.5e3", T.DOUBLE, 1500.0),
        (T.STRING, ".5", T.FLOAT, 0.5),
        (T.STRING, "-Infinity", T.DOUBLE, -math.inf),
        (T.STRING, "TRUE", T.BOOLEAN, True),
        (T.STRING, "0", T.BOOLEAN, False),
        (T.STRING, GUID, T.GUID, UUID(GUID)),
        (T.STRING, "1601-01-01T00:00:00.0000001Z", T.DATE_TIME, 1),
        (T.STRING, "x", T.LOCALIZED_TEXT, LocalizedText("x")),
        (T.XML_ELEMENT, "12", T.INT32, 12),
        (T.XML_ELEMENT, "<a/>", T.STRING, "<a/>"),
        (T.XML_ELEMENT, None, T.STRING, None),
        (T.INT32, -3, T.STRING, "-3"),
        (T.BOOLEAN, True, T.STRING, "true"),
        (T.BOOLEAN, False, T.STRING, "false"),
        (T.DOUBLE, 0.1, T.STRING, "0.1"),
        (T.FLOAT, as_float(0.1), T.STRING, "0.1"),
        (T.DOUBLE, math.nan, T.STRING, "NaN"),
        (T.DOUBLE, math.inf, T.STRING, "Infinity"),
        (T.DOUBLE, -math.inf, T.STRING, "-Infinity"),
        (T.DATE_TIME, 1, T.STRING, "1601-01-01T00:00:00.0000001Z"),
        (T.GUID, UUID(GUID), T.STRING, GUID),
        (T.LOCALIZED_TEXT, LocalizedText("x", "en"), T.STRING, "x"),
        (T.LOCALIZED_TEXT, LocalizedText(), T.STRING, None),
        (T.DOUBLE, 2.0, AbstractType.INTEGER, 2),
        (T.BOOLEAN, True, AbstractType.UINTEGER, 1),
        (T.STRING, "2.5", AbstractType.NUMBER, 2.5),
    ],
)
def test_values_convert(source: VariantType, value: Any, target: TargetType, expected: Any) -> None:
    result = convert(Variant(source, value), target)
    assert isinstance(result, Converted), result
    assert result.variant.value == expected
    assert type(result.variant.value) is type(expected)


@pytest.mark.parametrize(
    ("source", "value", "target", "reason"),
    [
        (T.INT32, 300, T.BYTE, RejectReason.OUT_OF_RANGE),
        (T.INT32, -1, T.UINT64, RejectReason.OUT_OF_RANGE),
        (T.DOUBLE, 255.5, T.BYTE, RejectReason.OUT_OF_RANGE),
        (T.DOUBLE, math.inf, T.INT64, RejectReason.OUT_OF_RANGE),
        (T.DOUBLE, math.nan, T.INT32, RejectReason.NOT_A_NUMBER),
        (T.DOUBLE, math.nan, T.BOOLEAN, RejectReason.NOT_A_NUMBER),
        (T.DOUBLE, 1e39, T.FLOAT, RejectReason.OUT_OF_RANGE),
        (T.INT32, 2, T.BOOLEAN, RejectReason.OUT_OF_RANGE),
        (T.STRING, "12 ", T.INT32, RejectReason.NOT_PARSED),
        (T.STRING, "1.0", T.INT32, RejectReason.NOT_PARSED),
        (T.STRING, "1_000", T.INT32, RejectReason.NOT_PARSED),
        (T.STRING, "9" * 31, T.INT64, RejectReason.NOT_PARSED),
        (T.STRING, "999", T.BYTE, RejectReason.OUT_OF_RANGE),
        (T.STRING, "1,5", T.DOUBLE, RejectReason.NOT_PARSED),
        (T.STRING, "1e999", T.DOUBLE, RejectReason.OUT_OF_RANGE),
        (T.STRING, "inf", T.DOUBLE, RejectReason.NOT_PARSED),
        (T.STRING, "yes", T.BOOLEAN, RejectReason.NOT_PARSED),
        (T.STRING, "today", T.DATE_TIME, RejectReason.NOT_PARSED),
        (T.STRING, "{" + GUID + "}", T.GUID, RejectReason.NOT_PARSED),
        (T.STRING, None, T.INT32, RejectReason.NO_VALUE),
        (T.STRING, "x", T.BYTE_STRING, RejectReason.NO_CONVERSION),
        (T.BYTE_STRING, b"x", T.STRING, RejectReason.NO_CONVERSION),
        (T.DATE_TIME, 1, T.INT64, RejectReason.NO_CONVERSION),
        (T.GUID, UUID(GUID), T.DATE_TIME, RejectReason.NO_CONVERSION),
        (T.NULL, None, T.VARIANT, RejectReason.NO_VALUE),
    ],
)
def test_values_that_do_not_convert_have_a_reason(
    source: VariantType, value: Any, target: TargetType, reason: RejectReason
) -> None:
    result = convert(Variant(source, value), target)
    assert isinstance(result, Rejected), result
    assert result.reason is reason
    assert result.sentence


def test_the_reason_names_value_and_range() -> None:
    result = convert(Variant(T.INT32, 300), T.BYTE)
    assert result == Rejected(RejectReason.OUT_OF_RANGE, "300 does not fit Byte (0 to 255)")
    result = convert(Variant(T.INT32, (1, 300)), T.BYTE)
    assert isinstance(result, Rejected)
    assert result.sentence.startswith("element 1: 300")


@pytest.mark.parametrize(
    ("source", "value", "target", "expected"),
    [
        (T.INT32, 300, T.BYTE, 255),
        (T.INT32, -300, T.BYTE, 0),
        (T.DOUBLE, math.inf, T.INT32, 2**31 - 1),
        (T.DOUBLE, -math.inf, T.INT32, -(2**31)),
        (T.DOUBLE, 1e39, T.FLOAT, FLOAT_MAXIMUM),
        (T.DOUBLE, -1e39, T.FLOAT, -FLOAT_MAXIMUM),
        (T.INT32, 7, T.BOOLEAN, True),
        (T.INT32, -7, T.BOOLEAN, False),
        (T.STRING, "-1e999", T.DOUBLE, -1.7976931348623157e308),
    ],
)
def test_saturate_takes_the_nearest_value(
    source: VariantType, value: Any, target: VariantType, expected: Any
) -> None:
    result = convert(Variant(source, value), target, on_overflow=OnOverflow.SATURATE)
    assert result == Converted(Variant(target, expected))


def test_nan_is_no_integer_even_with_saturate() -> None:
    result = convert(Variant(T.DOUBLE, math.nan), T.INT32, on_overflow=OnOverflow.SATURATE)
    assert isinstance(result, Rejected)


@pytest.mark.parametrize("target", [T.VARIANT, T.INT32, AbstractType.NUMBER, AbstractType.INTEGER])
def test_what_fits_stays_the_same_object(target: TargetType) -> None:
    variant = Variant(T.INT32, 5)
    result = convert(variant, target, SCALAR_RANK)
    assert isinstance(result, Converted)
    assert result.variant is variant


def test_arrays_convert_element_by_element_and_keep_their_dimensions() -> None:
    matrix = Variant(T.INT32, (1, 2, 3, 4), (2, 2))
    assert convert(matrix, T.DOUBLE) == Converted(Variant(T.DOUBLE, (1.0, 2.0, 3.0, 4.0), (2, 2)))
    null = Variant(T.INT32, None, ())
    assert convert(null, T.STRING) == Converted(Variant(T.STRING, None, ()))


SCALAR = Variant(T.INT32, 1)
ARRAY = Variant(T.INT32, (1, 2))
MATRIX = Variant(T.INT32, (1, 2), (1, 2))


@pytest.mark.parametrize(
    ("value_rank", "fitting"),
    [
        (ANY_RANK, [SCALAR, ARRAY, MATRIX]),
        (-3, [SCALAR, ARRAY]),
        (SCALAR_RANK, [SCALAR]),
        (0, [ARRAY, MATRIX]),
        (1, [ARRAY]),
        (2, [MATRIX]),
    ],
)
def test_the_value_rank_of_the_target_decides_on_the_shape(
    value_rank: int, fitting: list[Variant]
) -> None:
    assert [variant for variant in (SCALAR, ARRAY, MATRIX) if rank_fits(variant, value_rank)] == (
        fitting
    )


def test_a_wrong_shape_is_rejected_with_both_shapes() -> None:
    result = convert(ARRAY, T.INT32, SCALAR_RANK)
    assert result == Rejected(
        RejectReason.RANK_MISMATCH, "an array of rank 1 does not fit a target of ValueRank -1"
    )
    result = convert(SCALAR, T.INT32, 1)
    assert isinstance(result, Rejected)
    assert result.sentence.startswith("a scalar")


def test_no_value_does_not_convert() -> None:
    assert isinstance(convert(NULL, T.INT32), Rejected)


@pytest.mark.parametrize(
    ("data_type", "target"),
    [
        (NodeId(0, 11), T.DOUBLE),
        (NodeId(0, 24), T.VARIANT),
        (NodeId(0, 26), AbstractType.NUMBER),
        (NodeId(0, 28), AbstractType.UINTEGER),
        (NodeId(0, 29), T.INT32),
        (NodeId(0, 294), T.DATE_TIME),
        (NodeId(0, 9999), None),
        (NodeId(0, "Double"), None),
        (NodeId(2, 11), None),
    ],
)
def test_data_types_of_namespace_0_are_known(data_type: NodeId, target: TargetType | None) -> None:
    assert target_type_of(data_type) is target
