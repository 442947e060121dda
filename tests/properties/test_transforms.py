"""Every transform that has an inverse gives back what went in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipes.core.binary import encode_data_value
from pipes.core.bulk import scaled
from pipes.core.choices import Direction
from pipes.core.conversion import Converted, convert
from pipes.core.transfer import (
    History,
    Rule,
    Target,
    Write,
    bulk_scaling,
    decide_transfer,
    rule_for,
)
from pipes.core.transform import Transform, compile_transform
from pipes.core.units import UNITS
from pipes.core.values import INTEGER_RANGES, DataValue, Variant, VariantType, type_name
from pipes.core.wanted import Item, Json, Pipe

T = VariantType
reals = st.floats(-1e9, 1e9)
gains = st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6)
doubles = reals.map(lambda value: Variant(T.DOUBLE, value))
same_dimension = st.sampled_from(sorted({unit.dimension for unit in UNITS.values()})).flatmap(
    lambda dimension: st.tuples(
        *[st.sampled_from([s for s, unit in UNITS.items() if unit.dimension == dimension])] * 2
    )
)


def both_ways(spec: dict[str, Json]) -> tuple[Transform, Transform]:
    plan = compile_transform(spec, Direction.BOTH)
    assert plan.forward is not None
    assert plan.reverse is not None
    return plan.forward, plan.reverse


def there_and_back(spec: dict[str, Json], variant: Variant) -> Variant:
    forward, reverse = both_ways(spec)
    there = forward.apply(variant)
    assert isinstance(there, Variant)
    back = reverse.apply(there)
    assert isinstance(back, Variant)
    return back


def as_type(variant: Variant, kind: VariantType) -> Variant:
    converted = convert(variant, kind)
    assert isinstance(converted, Converted)
    return converted.variant


@given(gains, reals, doubles)
def test_linear_gives_back_the_number(gain, offset, variant):
    back = there_and_back({"kind": "linear", "gain": gain, "offset": offset}, variant)
    scale = max(abs(variant.value), abs(offset / gain))
    assert math.isclose(back.value, variant.value, rel_tol=1e-9, abs_tol=1e-12 + scale * 1e-12)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 1000), st.integers(-1000, 1000))
def test_linear_by_whole_numbers_gives_back_the_very_number(value, gain, offset):
    back = there_and_back(
        {"kind": "linear", "gain": gain, "offset": offset}, Variant(T.INT32, value)
    )
    assert as_type(back, T.INT32) == Variant(T.INT32, value)


@given(st.floats(0, 1), st.booleans(), reals, gains, reals, gains)
def test_range_gives_back_the_number_within_its_limits(share, clamp, low, span, to, width):
    spec: dict[str, Json] = {
        "kind": "range", "in_low": low, "in_high": low + span,
        "out_low": to, "out_high": to + width, "clamp": clamp,
    }  # fmt: skip
    if low + span == low or to + width == to:
        return
    value = low * (1 - share) + (low + span) * share
    back = there_and_back(spec, Variant(T.DOUBLE, value))
    tolerance = 1e-9 * max(abs(low), abs(span), 1) * max(1, abs(to / width))
    assert math.isclose(back.value, value, rel_tol=1e-9, abs_tol=tolerance)


@given(reals, gains, reals, gains, st.floats(allow_nan=False))
def test_a_clamped_range_stays_within_its_limits(low, span, to, width, value):
    spec: dict[str, Json] = {
        "kind": "range", "in_low": low, "in_high": low + span,
        "out_low": to, "out_high": to + width,
    }  # fmt: skip
    if low + span == low or to + width == to:
        return
    result = both_ways(spec)[0].apply(Variant(T.DOUBLE, value))
    least, most = sorted((to, to + width))
    slack = 1e-15 * max(abs(least), abs(most))
    assert isinstance(result, Variant)
    assert least - slack <= result.value <= most + slack


@given(same_dimension, doubles)
def test_a_unit_gives_back_the_number(units, variant):
    back = there_and_back({"kind": "unit", "from": units[0], "to": units[1]}, variant)
    assert math.isclose(back.value, variant.value, rel_tol=1e-9, abs_tol=1e-6)


@given(st.booleans())
def test_invert_gives_back_the_boolean(value):
    assert there_and_back({"kind": "invert"}, Variant(T.BOOLEAN, value)) == Variant(
        T.BOOLEAN, value
    )


@given(st.dictionaries(st.integers(-1000, 1000), st.text(max_size=8), min_size=1).flatmap(
    lambda table: st.tuples(st.just(table), st.sampled_from(sorted(table)))
))  # fmt: skip
def test_a_table_of_different_values_gives_back_the_key(case):
    table, key = case
    if len(set(table.values())) < len(table):
        return
    spec: dict[str, Json] = {"kind": "lookup", "table": {str(k): v for k, v in table.items()}}
    back = there_and_back(spec, Variant(T.INT32, key))
    assert as_type(back, T.INT32) == Variant(T.INT32, key)


@given(st.integers(0, 63).flatmap(
    lambda first: st.tuples(st.just(first), st.integers(1, 64 - first))
), st.data())  # fmt: skip
def test_pack_gives_back_the_bits(field, data):
    first, count = field
    value = data.draw(st.integers(0, 2**count - 1))
    spec: dict[str, Json] = {"kind": "pack", "first": first, "count": count}
    assert there_and_back(spec, Variant(T.UINT64, value)) == Variant(T.UINT64, value)


@pytest.mark.parametrize("spec", ["d", "x", "o", "b", "+d", "08d", ">12d"])
@given(value=st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_is_read_as_it_was_written(spec, value):
    pattern = f"<{{:{spec}}}> °C"
    back = there_and_back({"kind": "format", "pattern": pattern}, Variant(T.INT64, value))
    assert back == Variant(T.INT64, value)


@given(reals)
def test_a_number_is_read_with_the_digits_that_were_written(value):
    back = there_and_back({"kind": "format", "pattern": "{:.3f} bar"}, Variant(T.DOUBLE, value))
    assert math.isclose(back.value, value, abs_tol=0.000_51)


@given(st.lists(st.integers(0, 2), max_size=5).map(tuple))
def test_an_array_is_transformed_as_its_elements_are(values):
    spec: dict[str, Json] = {"kind": "lookup", "table": {"0": "a", "1": "b", "2": "c"}}
    forward, _ = both_ways(spec)
    whole = forward.apply(Variant(T.BYTE, values))
    single = tuple(forward.apply(Variant(T.BYTE, value)) for value in values)
    assert isinstance(whole, Variant)
    assert whole.value == tuple(each.value for each in single if isinstance(each, Variant))


NUMERIC: list[dict[str, Json]] = [
    {},
    {"kind": "convert"},
    {"kind": "linear", "gain": 0.1, "offset": -40},
    {"kind": "linear", "gain": 3, "offset": -7},
    {"kind": "linear", "gain": 0.5},
    {"kind": "unit", "from": "°C", "to": "°F"},
    {"kind": "range", "in_low": 0, "in_high": 27648, "out_low": -1, "out_high": 1},
    {"kind": "range", "in_low": 5, "in_high": -5, "out_low": 0, "out_high": 9, "clamp": False},
]
NUMBER_TYPES = (*INTEGER_RANGES, T.FLOAT, T.DOUBLE)


def _numbers(kind: VariantType) -> st.SearchStrategy[Variant]:
    if kind in INTEGER_RANGES:
        low, high = INTEGER_RANGES[kind]
        found = st.integers(low, high) | st.integers(max(low, -300), min(high, 300))
        return found.map(lambda value: Variant(kind, value))
    small = st.integers(-600, 600).map(lambda number: number / 2)  # halves are rounded to even
    return (st.floats(width=32 if kind is T.FLOAT else 64) | small).map(
        lambda value: Variant(kind, value)
    )


number_types = st.sampled_from(NUMBER_TYPES)
numbers = number_types.flatmap(_numbers)
rules_of_numbers = st.fixed_dictionaries({
    "spec": st.sampled_from(NUMERIC),
    "to_type": st.none() | number_types,
    "on_overflow": st.sampled_from(["reject", "saturate"]),
})  # fmt: skip


@settings(max_examples=400)
@given(rules_of_numbers, number_types, numbers, st.none() | st.integers(1, 2**62), st.booleans())
def test_bulk_writes_the_bytes_that_the_single_way_writes(rules, to, variant, stamp, is_reverse):
    spec = {**rules["spec"], "on_overflow": rules["on_overflow"]}
    if rules["to_type"] is not None:
        spec["to_type"] = type_name(rules["to_type"])
    item = Item(
        id=1, source_node="i=1", target_node="i=2", transform=spec, direction=Direction.BOTH
    )
    rule = rule_for(item, Pipe("P", "A", "B", {1: item}), is_reverse=is_reverse)
    target = Target(to, -1)
    value = encode_data_value(DataValue(variant, 0, stamp))
    scaling = bulk_scaling(value, rule, target)
    assert scaling is not None
    decision = decide_transfer(value, rule, target, History(), 0.0)
    results = scaled({1: value}, {1: scaling})
    if results:
        assert isinstance(decision, Write)
        assert results[1] == decision.value
    else:  # left out, since it is rejected, clamped or no finite number
        assert not _fits_everywhere(variant, rule, to)


def _fits_everywhere(variant: Variant, rule: Rule, to: VariantType) -> bool:
    """Whether the single way writes it without clamping, and as a finite number."""
    function = rule.transform.number
    assert function is not None
    try:
        result = function(variant.value)
    except OverflowError:
        return False
    if not math.isfinite(result):
        return False
    for kind in (rule.transform.to_type, to):
        if kind is not None:
            step = convert(Variant(T.INT64 if isinstance(result, int) else T.DOUBLE, result), kind)
            if not isinstance(step, Converted):
                return False
            result = step.variant.value
    return True
