from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipes.core import bulk
from pipes.core.binary import encode_data_value
from pipes.core.bulk import scaled, scaling_for
from pipes.core.conversion import AbstractType
from pipes.core.transfer import (
    History,
    Rule,
    Target,
    Write,
    bulk_scaling,
    decide_transfer,
    rule_for,
)
from pipes.core.transform import compile_transform
from pipes.core.values import DataValue, Variant, VariantType
from pipes.core.wanted import Item, Pipe

T = VariantType
TARGET = Target(T.DOUBLE, -1)


def twice(number: float) -> float:
    return number * 2


def encoded(kind, value, *, status=0, stamp=7):
    return encode_data_value(DataValue(Variant(kind, value), status, stamp))


def rule_of(**more) -> Rule:
    transform = {"kind": "linear", "gain": 0.5, "offset": 1}
    item = Item(id=1, source_node="i=1", target_node="i=2", transform=transform, **more)
    return rule_for(item, Pipe("P", "A", "B", {}), is_reverse=False)


@pytest.mark.parametrize("kind", [
    T.SBYTE, T.BYTE, T.INT16, T.UINT16, T.INT32, T.UINT32, T.INT64, T.UINT64, T.FLOAT, T.DOUBLE,
])  # fmt: skip
@pytest.mark.parametrize("stamp", [None, 7])
def test_a_number_becomes_a_double_with_its_timestamp(kind, stamp):
    value = encoded(kind, 5, stamp=stamp)
    scaling = scaling_for(value, twice)
    assert scaling is not None
    assert scaled({3: value}, {3: scaling}) == {3: encoded(T.DOUBLE, 10.0, stamp=stamp)}


def test_what_needs_a_look_is_left_out():
    scaling = scaling_for(encoded(T.DOUBLE, 1.0), twice)
    assert scaling is not None
    values = {
        1: encoded(T.DOUBLE, 1.0, status=0x40000000),
        2: encoded(T.FLOAT, 1.0),
        3: encoded(T.DOUBLE, math.inf),
        4: encoded(T.DOUBLE, math.nan),
        5: encoded(T.DOUBLE, 1.5e308),
        6: encoded(T.DOUBLE, 4.0),
    }
    assert scaled(values, dict.fromkeys(values, scaling)) == {6: encoded(T.DOUBLE, 8.0)}


def test_a_result_that_no_double_holds_is_left_out():
    value = encoded(T.INT64, 2**62)
    scaling = scaling_for(value, lambda number: number**40)
    assert scaling is not None
    assert scaled({1: value}, {1: scaling}) == {}


numbers = st.one_of(
    st.builds(encoded, st.just(T.DOUBLE), st.floats(), stamp=st.sampled_from([None, 7])),
    st.builds(encoded, st.just(T.INT64), st.integers(-(2**63), 2**63 - 1)),
    st.builds(encoded, st.just(T.BYTE), st.integers(0, 255), status=st.sampled_from([0, 1 << 30])),
    st.sampled_from([b"\x00", encoded(T.STRING, "5")]),
)
functions = st.sampled_from([twice, lambda number: number**40, lambda number: number - 1.5])
routes = st.tuples(
    st.sampled_from([T.DOUBLE, T.INT64, T.BYTE]), st.sampled_from([T.DOUBLE, T.FLOAT, T.INT16])
).map(bytes)
scalings_ = st.builds(bulk.Scaling, functions, routes)


@given(st.one_of(st.lists(numbers, max_size=9), numbers.map(lambda one: [one] * 9)), st.data())
def test_together_or_one_by_one_the_same_comes_out(found, data):
    values = dict(enumerate(found))
    scalings = {handle: data.draw(scalings_) for handle in values}
    singly = {}
    for handle, value in values.items():
        singly |= scaled({handle: value}, scalings)
    assert scaled(values, scalings) == singly


@pytest.mark.parametrize("kind", [T.FLOAT, T.INT16, T.UINT64])
def test_one_number_that_does_not_fit_leaves_the_others_scaled(kind):
    scaling = scaling_for(encoded(T.DOUBLE, 1.0), twice, (kind,))
    assert scaling is not None
    values = {handle: encoded(T.DOUBLE, float(handle)) for handle in range(9)}
    values[4] = encoded(T.DOUBLE, 1e300)
    results = scaled(values, dict.fromkeys(values, scaling))
    assert results == {handle: encoded(kind, handle * 2) for handle in values if handle != 4}


def test_a_result_takes_the_type_between_first():
    scaling = scaling_for(encoded(T.DOUBLE, 1.0), twice, (T.INT16, T.FLOAT))
    assert scaling is not None
    values = {1: encoded(T.DOUBLE, 1.25), 2: encoded(T.DOUBLE, 0.75), 3: encoded(T.DOUBLE, 2e4)}
    results = scaled(values, dict.fromkeys(values, scaling))
    assert results == {1: encoded(T.FLOAT, 2.0), 2: encoded(T.FLOAT, 2.0)}


def test_nothing_scales_what_is_no_number():
    assert scaling_for(encoded(T.STRING, "5"), twice) is None
    assert scaling_for(encoded(T.DOUBLE, 5.0), None) is None
    assert scaling_for(b"\x00", twice) is None
    assert scaling_for(encoded(T.DOUBLE, 5.0), twice, (T.STRING,)) is None


@pytest.mark.parametrize(
    ("more", "target", "is_scaled"),
    [
        ({}, TARGET, True),
        ({"index_range": "0:1"}, TARGET, False),
        ({}, Target(T.FLOAT, -1), True),
        ({}, Target(T.UINT16, -1), True),
        ({}, Target(T.STRING, -1), False),
        ({}, Target(T.VARIANT, -1), False),
        ({}, Target(AbstractType.INTEGER, -1), False),
        ({}, Target(T.DOUBLE, 1), False),
    ],
)
def test_only_scalars_of_a_plain_rule_are_scaled_in_bulk(more, target, is_scaled):
    scaling = bulk_scaling(encoded(T.DOUBLE, 4.0), rule_of(**more), target)
    assert (scaling is not None) is is_scaled


def test_bulk_and_single_write_the_same_bytes():
    rule, value = rule_of(), encoded(T.INT16, -3)
    scaling = bulk_scaling(value, rule, TARGET)
    assert scaling is not None
    decision = decide_transfer(value, rule, TARGET, History(), 0.0)
    assert scaled({1: value}, {1: scaling}) == {1: decision.value}
    assert isinstance(decision, Write)


@pytest.mark.parametrize(
    "spec", [{"kind": "invert"}, {"kind": "linear", "gain": 2, "to_type": "String"}]
)
def test_a_transform_that_is_more_than_a_number_is_none_for_bulk(spec):
    rule = replace(rule_of(), transform=compile_transform(spec).forward)
    assert bulk_scaling(encoded(T.DOUBLE, 4.0), rule, TARGET) is None
