from __future__ import annotations

import math

import pytest

from pipes.core.choices import Direction
from pipes.core.conversion import Rejected, RejectReason
from pipes.core.nested import TRANSFORMS
from pipes.core.transform import InvalidTransformError, Transform, compile_transform
from pipes.core.transform_kinds import KINDS
from pipes.core.values import NULL, LocalizedText, Variant, VariantType, as_float

T = VariantType
RANGE = {"kind": "range", "in_low": 0, "in_high": 100, "out_low": 4, "out_high": 20}
TENTH = as_float(0.1)
SPELLED = {
    "kind": "lookup",
    "table": {"1.0": "a", "True": "b", "0.1": "c", "+7": "d", "NaN": "e", "02": "f", "2": "g"},
}
STATES = {"kind": "lookup", "table": {"0": "Off", "1": "On", "2": "Fault"}}


def forward(spec) -> Transform:
    plan = compile_transform(spec)
    assert plan.forward is not None
    return plan.forward


def reverse(spec) -> Transform:
    plan = compile_transform(spec, Direction.REVERSE)
    assert plan.reverse is not None
    return plan.reverse


def test_the_kinds_and_their_fields_are_those_of_the_configuration():
    assert set(KINDS) == set(TRANSFORMS)
    for name, kind in KINDS.items():
        assert kind.fields == {child.name for child in TRANSFORMS[name]}


@pytest.mark.parametrize(
    ("spec", "variant", "result"),
    [
        (RANGE, Variant(T.INT16, 50), Variant(T.DOUBLE, 12.0)),
        (RANGE, Variant(T.DOUBLE, 100.0), Variant(T.DOUBLE, 20.0)),
        (RANGE, Variant(T.DOUBLE, 250.0), Variant(T.DOUBLE, 20.0)),
        (RANGE, Variant(T.DOUBLE, -math.inf), Variant(T.DOUBLE, 4.0)),
        ({**RANGE, "clamp": False}, Variant(T.DOUBLE, 200.0), Variant(T.DOUBLE, 36.0)),
        ({**RANGE, "out_low": 20, "out_high": 4}, Variant(T.DOUBLE, 25.0), Variant(T.DOUBLE, 16.0)),
        ({"kind": "invert"}, Variant(T.BOOLEAN, True), Variant(T.BOOLEAN, False)),
        ({"kind": "invert"}, Variant(T.INT32, 0), Variant(T.BOOLEAN, True)),
        (
            {"kind": "invert"},
            Variant(T.BOOLEAN, (True, False)),
            Variant(T.BOOLEAN, (False, True)),
        ),
        (STATES, Variant(T.BYTE, 1), Variant(T.STRING, "On")),
        (STATES, Variant(T.DOUBLE, 2.0), Variant(T.STRING, "Fault")),
        (STATES, Variant(T.BOOLEAN, False), Variant(T.STRING, "Off")),
        (STATES, Variant(T.INT32, (0, 2)), Variant(T.STRING, ("Off", "Fault"))),
        (STATES, Variant(T.INT32, ()), Variant(T.STRING, ())),
        ({**STATES, "default": -1}, Variant(T.INT32, 7), Variant(T.INT64, -1)),
        (
            {"kind": "lookup", "table": {"1.5": True, "b": 2.5, "c": 2**63}},
            Variant(T.DOUBLE, 1.5),
            Variant(T.BOOLEAN, True),
        ),
        (SPELLED, Variant(T.INT32, 1), Variant(T.STRING, "a")),
        (SPELLED, Variant(T.DOUBLE, 1.0), Variant(T.STRING, "a")),
        (SPELLED, Variant(T.STRING, "1.0"), Variant(T.STRING, "a")),
        (SPELLED, Variant(T.BOOLEAN, True), Variant(T.STRING, "b")),
        (SPELLED, Variant(T.FLOAT, TENTH), Variant(T.STRING, "c")),
        (SPELLED, Variant(T.FLOAT, (TENTH, 1.0)), Variant(T.STRING, ("c", "a"))),
        (SPELLED, Variant(T.INT16, 7), Variant(T.STRING, "d")),
        (SPELLED, Variant(T.DOUBLE, math.nan), Variant(T.STRING, "e")),
        (SPELLED, Variant(T.BYTE, 2), Variant(T.STRING, "g")),
        (SPELLED, Variant(T.STRING, "02"), Variant(T.STRING, "f")),
        ({"kind": "format", "pattern": "{}"}, Variant(T.FLOAT, TENTH), Variant(T.STRING, "0.1")),
        (
            {"kind": "lookup", "table": {"b": 2**64}},
            Variant(T.STRING, "b"),
            Variant(T.DOUBLE, 2.0**64),
        ),
        (
            {"kind": "bits", "first": 4, "count": 4},
            Variant(T.UINT16, 0xABCD),
            Variant(T.UINT64, 12),
        ),
        ({"kind": "bits", "first": 15}, Variant(T.INT16, -1), Variant(T.UINT64, 1)),
        ({"kind": "bits"}, Variant(T.DOUBLE, 3.0), Variant(T.UINT64, 1)),
        ({"kind": "bits", "first": 1}, Variant(T.BYTE, (2, 1)), Variant(T.UINT64, (1, 0))),
        ({"kind": "pack", "first": 3, "count": 2}, Variant(T.INT32, 3), Variant(T.UINT64, 24)),
        ({"kind": "pack", "first": 3}, Variant(T.BOOLEAN, True), Variant(T.UINT64, 8)),
        (
            {"kind": "pack", "count": 2, "on_overflow": "saturate"},
            Variant(T.INT32, 9),
            Variant(T.UINT64, 3),
        ),
        (
            {"kind": "format", "pattern": "{:.1f} bar"},
            Variant(T.FLOAT, 2.25),
            Variant(T.STRING, "2.2 bar"),
        ),
        (
            {"kind": "format", "pattern": "<{}>"},
            Variant(T.LOCALIZED_TEXT, LocalizedText("ok")),
            Variant(T.STRING, "<ok>"),
        ),
        (
            {"kind": "parse", "pattern": "{:d} rpm"},
            Variant(T.STRING, "90 rpm"),
            Variant(T.INT64, 90),
        ),
        (
            {"kind": "parse", "pattern": "{}"},
            Variant(T.STRING, ("a", "b")),
            Variant(T.STRING, ("a", "b")),
        ),
        ({"kind": "parse", "pattern": "{}"}, Variant(T.STRING, ()), Variant(T.STRING, ())),
        (
            {"kind": "unit", "from": "°C", "to": "K"},
            Variant(T.DOUBLE, 20.0),
            Variant(T.DOUBLE, 293.15),
        ),
    ],
)
def test_a_value_is_transformed(spec, variant, result):
    assert forward(spec).apply(variant) == result


@pytest.mark.parametrize(
    ("spec", "variant", "reason", "told"),
    [
        ({"kind": "invert"}, NULL, RejectReason.NO_VALUE, ""),
        ({"kind": "invert"}, Variant(T.BOOLEAN, None, ()), RejectReason.NO_VALUE, "null"),
        ({"kind": "invert"}, Variant(T.BYTE_STRING, b"x"), RejectReason.NO_CONVERSION, ""),
        (STATES, Variant(T.INT32, 7), RejectReason.NO_CONVERSION, "no entry for 7"),
        (SPELLED, Variant(T.STRING, "1"), RejectReason.NO_CONVERSION, "no entry for '1'"),
        (
            {"kind": "parse", "pattern": "{:d} rpm"},
            Variant(T.STRING, "1_000 rpm"),
            RejectReason.NOT_PARSED,
            "no whole number",
        ),
        (STATES, NULL, RejectReason.NO_CONVERSION, "no entry for None"),
        (
            {"kind": "lookup", "table": {"0": "a", "1": 2}},
            Variant(T.INT32, (0, 1)),
            RejectReason.NO_CONVERSION,
            "several types",
        ),
        ({"kind": "pack", "count": 2}, Variant(T.INT32, 4), RejectReason.NO_CONVERSION, "2 bits"),
        ({"kind": "bits"}, Variant(T.STRING, "x"), RejectReason.NOT_PARSED, ""),
        (
            {"kind": "format", "pattern": "{:d}"},
            Variant(T.DOUBLE, 1.5),
            RejectReason.NO_CONVERSION,
            "cannot be formatted",
        ),
        (
            {"kind": "format", "pattern": "{}"},
            Variant(T.STRING, ("a", None)),
            RejectReason.NO_CONVERSION,
            "null",
        ),
        (
            {"kind": "parse", "pattern": "{:d}"},
            Variant(T.STRING, "x"),
            RejectReason.NOT_PARSED,
            "no whole number",
        ),
        (
            {"kind": "parse", "pattern": "{:d}"},
            Variant(T.STRING, ("1", None)),
            RejectReason.NOT_PARSED,
            "null",
        ),
    ],
)
def test_what_has_no_result_is_rejected_with_a_sentence(spec, variant, reason, told):
    result = forward(spec).apply(variant)
    assert isinstance(result, Rejected)
    assert result.reason is reason
    assert told in result.sentence


@pytest.mark.parametrize(
    ("spec", "variant", "result"),
    [
        (RANGE, Variant(T.DOUBLE, 12.0), Variant(T.DOUBLE, 50.0)),
        ({"kind": "invert"}, Variant(T.BOOLEAN, False), Variant(T.BOOLEAN, True)),
        (STATES, Variant(T.STRING, "On"), Variant(T.STRING, "1")),
        (
            {"kind": "lookup", "table": {"1.0": "On", "0.0": "Off"}},
            Variant(T.STRING, "On"),
            Variant(T.DOUBLE, 1.0),
        ),
        (
            {"kind": "lookup", "table": {"1.0": "On", "1.5": "Off"}},
            Variant(T.STRING, "On"),
            Variant(T.STRING, "1.0"),
        ),
        (
            {"kind": "lookup", "table": {"low": 0.1, "high": 0.9}},
            Variant(T.FLOAT, TENTH),
            Variant(T.STRING, "low"),
        ),
        ({"kind": "pack", "first": 3, "count": 2}, Variant(T.BYTE, 31), Variant(T.UINT64, 3)),
        (
            {"kind": "format", "pattern": "{:d} rpm"},
            Variant(T.STRING, "9 rpm"),
            Variant(T.INT64, 9),
        ),
        ({"kind": "parse", "pattern": "{:d} rpm"}, Variant(T.INT32, 9), Variant(T.STRING, "9 rpm")),
        (
            {"kind": "unit", "from": "bar", "to": "mbar"},
            Variant(T.DOUBLE, 1500.0),
            Variant(T.DOUBLE, 1.5),
        ),
    ],
)
def test_the_inverse_is_computed(spec, variant, result):
    assert reverse(spec).apply(variant) == result


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({**RANGE, "out_high": 4}, "equal out_low and out_high"),
        ({"kind": "lookup", "table": {"0": "a", "1": "a"}}, "same value"),
        ({"kind": "bits"}, "use pack"),
    ],
)
def test_what_has_no_inverse_is_refused_for_the_way_back(spec, told):
    assert forward(spec) is not None
    with pytest.raises(InvalidTransformError, match=told):
        compile_transform(spec, Direction.BOTH)


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ({"kind": "range"}, "in_low", "is missing"),
        ({**RANGE, "in_high": 0}, "in_high", "differ"),
        ({**RANGE, "clamp": 1}, "clamp", "neither true nor false"),
        ({"kind": "lookup"}, "table", "is missing"),
        ({"kind": "lookup", "table": {}}, "table", "is missing"),
        ({"kind": "lookup", "table": {"0": [1]}}, "table", "neither a number"),
        ({"kind": "bits", "first": 64}, "first", "from 0 to 63"),
        ({"kind": "bits", "count": 1.5}, "count", "whole number"),
        ({"kind": "pack", "first": 60, "count": 5}, "count", "beyond the 64"),
        ({"kind": "format"}, "pattern", "is missing"),
        ({"kind": "parse", "pattern": "{0}"}, "pattern", "not allowed"),
        ({"kind": "unit", "from": "bar"}, "to", "is missing"),
        ({"kind": "unit", "from": "bar", "to": "°C"}, "to", "temperature"),
        ({"kind": "unit", "from": "baar", "to": "bar"}, "from", "not a known unit"),
    ],
)
def test_a_wrong_field_is_refused_by_name(spec, field, told):
    with pytest.raises(InvalidTransformError, match=told) as caught:
        compile_transform(spec)
    assert caught.value.field == f"transform.{field}"
