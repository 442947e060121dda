from __future__ import annotations

import math

import pytest

from pipes.core.choices import Direction
from pipes.core.conversion import Rejected, RejectReason
from pipes.core.transform import (
    InvalidTransformError,
    Transform,
    compile_transform,
)
from pipes.core.values import NULL, Variant, VariantType
from pipes.core.wanted import Json

T = VariantType


def forward(spec: dict[str, Json]) -> Transform:
    plan = compile_transform(spec)
    assert plan.forward is not None
    assert plan.reverse is None
    return plan.forward


def reverse(spec: dict[str, Json]) -> Transform:
    plan = compile_transform(spec, Direction.REVERSE)
    assert plan.forward is None
    assert plan.reverse is not None
    return plan.reverse


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"kind": "none"},
        {"kind": "convert"},
        {"kind": "linear"},
        {"kind": "none", "to_type": ""},
    ],
)
def test_a_transform_that_changes_nothing_is_an_identity(spec: dict[str, Json]) -> None:
    variant = Variant(T.STRING, "x")
    for transform in (forward(spec), reverse(spec)):
        assert transform.is_identity
        assert transform.apply(variant) is variant


def test_linear_scales_and_offsets() -> None:
    transform = forward({"kind": "linear", "gain": 0.1, "offset": -40})
    assert not transform.is_identity
    assert transform.apply(Variant(T.INT16, 500)) == Variant(T.DOUBLE, 10.0)
    assert transform.apply(Variant(T.STRING, "500")) == Variant(T.DOUBLE, 10.0)
    assert transform.apply(Variant(T.BOOLEAN, value=True)) == Variant(T.DOUBLE, -39.9)


def test_the_inverse_is_computed() -> None:
    spec: dict[str, Json] = {"kind": "linear", "gain": 0.1, "offset": -40}
    assert reverse(spec).apply(Variant(T.DOUBLE, 10.0)) == Variant(T.DOUBLE, 500.0)
    both = compile_transform(spec, Direction.BOTH)
    assert both.forward is not None
    assert both.reverse is not None


def test_whole_numbers_stay_exact_beyond_the_digits_of_a_double() -> None:
    spec: dict[str, Json] = {"kind": "linear", "gain": 2, "offset": 1}
    big = 2**61 + 1
    there = forward(spec).apply(Variant(T.INT64, big))
    assert there == Variant(T.INT64, 2 * big + 1)
    assert reverse(spec).apply(Variant(T.INT64, 2 * big + 1)) == Variant(T.INT64, big)
    assert forward(spec).apply(Variant(T.UINT64, 2**62)) == Variant(T.UINT64, 2**63 + 1)
    assert reverse(spec).apply(Variant(T.INT64, 2)) == Variant(T.DOUBLE, 0.5)
    overflow = forward({"kind": "linear", "gain": 4}).apply(Variant(T.UINT64, 2**63))
    assert overflow == Variant(T.DOUBLE, float(2**65))


def test_arrays_are_scaled_element_by_element() -> None:
    transform = forward({"kind": "linear", "gain": 2})
    assert transform.apply(Variant(T.INT32, (1, 2), (1, 2))) == Variant(T.INT64, (2, 4), (1, 2))
    assert transform.apply(Variant(T.FLOAT, (0.5,))) == Variant(T.DOUBLE, (1.0,))
    assert transform.apply(Variant(T.INT32, ())) == Variant(T.DOUBLE, ())
    assert transform.apply(Variant(T.INT32, None, ())) == Variant(T.DOUBLE, None, ())


def test_infinities_pass_and_new_ones_are_rejected_or_clamped() -> None:
    spec: dict[str, Json] = {"kind": "linear", "gain": 1e10}
    assert forward(spec).apply(Variant(T.DOUBLE, math.inf)) == Variant(T.DOUBLE, math.inf)
    result = forward(spec).apply(Variant(T.DOUBLE, 1e308))
    assert isinstance(result, Rejected)
    assert result.reason is RejectReason.OUT_OF_RANGE
    clamped = forward({**spec, "on_overflow": "saturate"}).apply(Variant(T.DOUBLE, -1e308))
    assert clamped == Variant(T.DOUBLE, -1.7976931348623157e308)


def test_what_is_no_number_is_not_scaled() -> None:
    transform = forward({"kind": "linear", "gain": 2})
    for variant in (NULL, Variant(T.BYTE_STRING, b"1"), Variant(T.STRING, "x")):
        assert isinstance(transform.apply(variant), Rejected)


def test_to_type_converts_the_forward_result_only() -> None:
    spec: dict[str, Json] = {"kind": "linear", "gain": 0.5, "to_type": "Byte"}
    assert forward(spec).apply(Variant(T.INT32, 9)) == Variant(T.BYTE, 4)
    rejected = forward(spec).apply(Variant(T.INT32, 900))
    assert isinstance(rejected, Rejected)
    assert isinstance(forward(spec).apply(Variant(T.STRING, "x")), Rejected)
    assert forward({**spec, "on_overflow": "saturate"}).apply(Variant(T.INT32, 900)) == (
        Variant(T.BYTE, 255)
    )
    assert reverse(spec).apply(Variant(T.BYTE, 4)) == Variant(T.DOUBLE, 8.0)
    converted = forward({"kind": "convert", "to_type": "String"})
    assert converted.apply(Variant(T.INT32, 5)) == Variant(T.STRING, "5")
    assert reverse({"kind": "convert", "to_type": "String"}).is_identity


def test_a_gain_of_zero_has_no_inverse() -> None:
    spec: dict[str, Json] = {"kind": "linear", "gain": 0, "offset": 5}
    assert forward(spec).apply(Variant(T.DOUBLE, 9.0)) == Variant(T.DOUBLE, 5.0)
    for direction in (Direction.REVERSE, Direction.BOTH):
        with pytest.raises(InvalidTransformError, match="gain 0 has no inverse") as caught:
            compile_transform(spec, direction)
        assert caught.value.field == "transform"


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ({"kind": "square"}, "transform.kind", "none, linear, range, invert"),
        ({"kind": 5}, "transform.kind", "5 is not one of"),
        ({"kind": "none", "gain": 2}, "transform.gain", "not a field of kind none"),
        ({"kind": "linear", "factor": 2}, "transform.factor", "gain, offset"),
        ({"kind": "linear", "gain": "2"}, "transform.gain", "not a number"),
        ({"kind": "linear", "gain": True}, "transform.gain", "not a number"),
        ({"kind": "linear", "offset": math.inf}, "transform.offset", "finite"),
        ({"kind": "linear", "offset": math.nan}, "transform.offset", "finite"),
        ({"kind": "linear", "gain": 10**400}, "transform.gain", "finite"),
        ({"kind": "none", "on_overflow": "wrap"}, "transform.on_overflow", "reject nor saturate"),
        ({"kind": "none", "to_type": "Real"}, "transform.to_type", "'Real' is not one of"),
        ({"kind": "none", "to_type": "Variant"}, "transform.to_type", "not one of"),
        ({"kind": "none", "to_type": 11}, "transform.to_type", "not one of"),
    ],
)
def test_a_wrong_object_is_refused_by_field(spec: dict[str, Json], field: str, told: str) -> None:
    with pytest.raises(InvalidTransformError, match=told) as caught:
        compile_transform(spec)
    assert caught.value.field == field


def test_huge_whole_gains_are_computed_as_doubles() -> None:
    transform = forward({"kind": "linear", "gain": 10**300})
    assert transform.apply(Variant(T.INT32, 5)) == Variant(T.DOUBLE, 5e300)
    assert isinstance(transform.apply(Variant(T.INT64, 10**18)), Rejected)


def test_null_means_the_default() -> None:
    spec: dict[str, Json] = {
        "kind": "linear",
        "gain": None,
        "offset": None,
        "to_type": None,
        "on_overflow": None,
    }
    assert forward(spec).is_identity
