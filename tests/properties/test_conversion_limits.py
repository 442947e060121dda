"""Conversions and transforms never invent a value: it fits, or there is a reason."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pipes.core.binary import encode_variant
from pipes.core.choices import Direction
from pipes.core.conversion import AbstractType, Converted, OnOverflow, Rejected, TargetType, convert
from pipes.core.transform import Transform, compile_transform
from pipes.core.values import FLOAT_TYPES, INTEGER_RANGES, Variant, VariantType
from tests.properties.values import PLAIN_SCALARS, PLAIN_VARIANTS, variants_of

CALM = settings(max_examples=150, deadline=None, database=None)

TARGETS: st.SearchStrategy[TargetType] = st.sampled_from(
    [*VariantType, *AbstractType],
)
NUMBERS = st.sampled_from(sorted({*INTEGER_RANGES, *FLOAT_TYPES})).flatmap(
    lambda kind: variants_of(kind, PLAIN_SCALARS[kind])
)
INTEGERS = st.sampled_from(sorted(INTEGER_RANGES)).flatmap(
    lambda kind: st.builds(Variant, st.just(kind), PLAIN_SCALARS[kind])
)


@CALM
@given(PLAIN_VARIANTS, TARGETS, st.sampled_from(OnOverflow), st.integers(-3, 3))
def test_what_is_converted_can_be_encoded_and_keeps_its_shape(
    variant: Variant, target: TargetType, on_overflow: OnOverflow, value_rank: int
) -> None:
    result = convert(variant, target, value_rank, on_overflow)
    if isinstance(result, Rejected):
        assert result.sentence
        return
    assert encode_variant(result.variant)
    assert result.variant.rank == variant.rank
    if isinstance(target, VariantType) and target is not VariantType.VARIANT:
        assert result.variant.type is target


@CALM
@given(INTEGERS, st.sampled_from(sorted(INTEGER_RANGES)))
def test_an_integer_converts_exactly_or_not_at_all(variant: Variant, target: VariantType) -> None:
    result = convert(variant, target)
    low, high = INTEGER_RANGES[target]
    assert isinstance(variant.value, int)
    if low <= variant.value <= high:
        assert result == Converted(Variant(target, variant.value))
    else:
        assert isinstance(result, Rejected)


@CALM
@given(NUMBERS, st.sampled_from(sorted({*INTEGER_RANGES, *FLOAT_TYPES, VariantType.BOOLEAN})))
def test_saturation_always_gives_a_number(variant: Variant, target: VariantType) -> None:
    assert isinstance(convert(variant, target, on_overflow=OnOverflow.SATURATE), Converted)


@CALM
@given(st.one_of(INTEGERS, st.builds(Variant, st.just(VariantType.DOUBLE), st.floats(width=64))))
def test_a_number_comes_back_from_its_text(variant: Variant) -> None:
    text = convert(variant, VariantType.STRING)
    assert isinstance(text, Converted)
    back = convert(text.variant, variant.type)
    assert isinstance(back, Converted)
    if isinstance(variant.value, float) and math.isnan(variant.value):
        assert isinstance(back.variant.value, float)
        assert math.isnan(back.variant.value)
    else:
        assert back.variant == variant


@CALM
@given(PLAIN_VARIANTS, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_linear_transform_gives_a_number_or_a_reason(
    variant: Variant, gain: float, offset: float
) -> None:
    plan = compile_transform({"kind": "linear", "gain": gain, "offset": offset})
    assert plan.forward is not None
    result = plan.forward.apply(variant)
    if isinstance(result, Rejected):
        assert result.sentence
    else:
        assert encode_variant(result)
        assert result.rank == variant.rank


def both_ways(gain: float, offset: float) -> tuple[Transform, Transform]:
    plan = compile_transform({"kind": "linear", "gain": gain, "offset": offset}, Direction.BOTH)
    assert plan.forward is not None
    assert plan.reverse is not None
    return plan.forward, plan.reverse


@CALM
@given(INTEGERS, st.integers(-50, 50).filter(bool), st.integers(-1000, 1000))
def test_whole_numbers_survive_a_whole_linear_transform_and_back(
    variant: Variant, gain: int, offset: int
) -> None:
    forward, reverse = both_ways(gain, offset)
    there = forward.apply(variant)
    assert isinstance(there, Variant)
    back = reverse.apply(there)
    assert isinstance(back, Variant)
    if there.type is VariantType.DOUBLE:  # beyond 64 bits
        assert math.isclose(float(back.value), float(variant.value), rel_tol=1e-12)  # type: ignore[arg-type]
    else:
        assert back.value == variant.value


@CALM
@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_a_linear_transform_is_undone_by_its_inverse(
    value: float, gain: float, offset: float
) -> None:
    forward, reverse = both_ways(gain, offset)
    there = forward.apply(Variant(VariantType.DOUBLE, value))
    assert isinstance(there, Variant)
    back = reverse.apply(there)
    assert isinstance(back, Variant)
    assert math.isclose(float(back.value), value, rel_tol=1e-9, abs_tol=1e-6)  # type: ignore[arg-type]
