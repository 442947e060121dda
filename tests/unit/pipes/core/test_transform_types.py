from __future__ import annotations

from typing import Any

import pytest

from pipes.core.conversion import Rejected, convert
from pipes.core.nested import TRANSFORMS
from pipes.core.transform import compile_transform
from pipes.core.transform_types import RULES, Fault, faults
from pipes.core.values import Variant, VariantType, type_named

MISMATCH, PARTLY, NARROWING = Fault.MISMATCH, Fault.PARTLY, Fault.NARROWING
OFF_ON = {"kind": "lookup", "table": {"0": "Off", "1": "On"}}
STEPS = {"kind": "lookup", "table": {"0": 10, "1": 20.5, "2": True}}
LARGE = {"kind": "lookup", "table": {"0": 2**70}}
MIXED = {"kind": "lookup", "table": {"0": "5", "1": "Off"}}
TENTH = {"kind": "linear", "gain": 0.1, "offset": 0}
MOVED = {"kind": "linear", "gain": 1, "offset": 5}
TURNED = {"kind": "linear", "gain": -1, "offset": 5}
RANGE = {"kind": "range", "in_low": 0, "in_high": 10, "out_low": 0, "out_high": 100}
BAR = {"kind": "format", "pattern": "{:.1f} bar"}
PLAIN = {"kind": "format", "pattern": "{}"}
WHOLE = {"kind": "format", "pattern": "{:d}"}
READ_BAR = {"kind": "parse", "pattern": "{:.1f} bar"}
READ_WHOLE = {"kind": "parse", "pattern": "{:d} rpm"}
READ_TEXT = {"kind": "parse", "pattern": "state {}"}
BIT = {"kind": "bits", "first": 3, "count": 1}
PACK = {"kind": "pack", "first": 4, "count": 4}
INVERT = {"kind": "invert"}
UNIT = {"kind": "unit", "from": "°C", "to": "K"}
KELVIN = {"kind": "unit", "from": "K", "to": "K"}
DATE = {"kind": "format", "pattern": "2026-11-{}T00:00:00Z"}


def of(spec: dict[str, Any], read: str, written: str, *, is_forward: bool = True) -> list[Fault]:
    return [fault for fault, _ in faults(spec, read, written, is_forward=is_forward)]


def test_every_kind_of_transform_has_its_rule() -> None:
    assert RULES.keys() == TRANSFORMS.keys()


@pytest.mark.parametrize(
    ("spec", "read", "written", "expected"),
    [
        ({}, "Double", "Double", None),
        ({}, "Double", "Int16", NARROWING),
        ({}, "ByteString", "Int16", MISMATCH),
        ({"kind": "convert", "to_type": "Guid"}, "String", "Double", MISMATCH),
        ({"kind": "convert", "to_type": "Guid"}, "Double", "Guid", MISMATCH),
        ({"kind": "none", "to_type": "Int16"}, "Double", "Byte", None),
        ({"kind": "none", "on_overflow": "saturate"}, "Double", "Byte", None),
        (TENTH, "Double", "Int16", NARROWING),
        (TENTH, "Double", "Float", NARROWING),
        (TENTH, "Double", "Double", None),
        (TENTH, "Int16", "Float", None),
        (TENTH, "Int32", "Float", NARROWING),
        (TENTH, "Float", "Float", None),
        (TENTH, "Float", "Number", None),
        (TENTH, "", "Int16", None),
        (TENTH, "", "DateTime", MISMATCH),
        (TENTH, "String", "Double", None),
        (TENTH, "DateTime", "Double", MISMATCH),
        ({**TENTH, "to_type": "Int16"}, "Double", "Int16", None),
        ({**TENTH, "to_type": "Guid"}, "Double", "Guid", MISMATCH),
        (MOVED, "Int16", "Int32", None),
        (MOVED, "Int16", "Int16", NARROWING),
        (MOVED, "UInt16", "Int32", None),
        (MOVED, "Int16", "UInteger", NARROWING),
        (MOVED, "UInt16", "UInteger", None),
        (MOVED, "Int16", "Enum of a vendor", None),
        ({**MOVED, "gain": 1.0}, "Int16", "Int32", NARROWING),
        ({"kind": "linear"}, "DateTime", "DateTime", None),
        (RANGE, "Int16", "Float", None),
        (RANGE, "Guid", "Float", MISMATCH),
        (UNIT, "Float", "Float", None),
        (UNIT, "Float", "Int16", NARROWING),
        (KELVIN, "Double", "Double", None),
        ({"kind": "unit", "from": "bar", "to": "°C"}, "Double", "Double", None),
        (INVERT, "Boolean", "Boolean", None),
        (INVERT, "Int16", "Int16", None),
        (INVERT, "ByteString", "Boolean", MISMATCH),
        (BIT, "UInt16", "Boolean", None),
        (BIT, "UInt16", "Byte", None),
        (BIT, "ByteString", "Boolean", MISMATCH),
        ({**BIT, "count": 12}, "UInt16", "Byte", NARROWING),
        (PACK, "Byte", "Byte", None),
        (PACK, "Byte", "SByte", NARROWING),
        (PACK, "Guid", "Byte", MISMATCH),
        (OFF_ON, "Int16", "String", None),
        (OFF_ON, "Int16", "Double", MISMATCH),
        (OFF_ON, "Int16", "", None),
        (STEPS, "Int16", "Double", None),
        (LARGE, "Int16", "Double", None),
        (LARGE, "Int16", "Int32", MISMATCH),
        (MIXED, "Int16", "Double", PARTLY),
        ({**OFF_ON, "default": 7}, "Int16", "Double", PARTLY),
        (BAR, "Double", "String", None),
        (BAR, "Double", "Double", MISMATCH),
        (BAR, "String", "String", MISMATCH),
        (BAR, "ByteString", "String", MISMATCH),
        (BAR, "", "String", None),
        (PLAIN, "Double", "Double", None),
        (PLAIN, "Guid", "Guid", None),
        (PLAIN, "Double", "ByteString", MISMATCH),
        (WHOLE, "Int16", "Int16", None),
        (DATE, "Int16", "DateTime", None),
        (READ_BAR, "String", "Double", None),
        (READ_BAR, "String", "DateTime", MISMATCH),
        (READ_BAR, "ByteString", "Double", MISMATCH),
        (READ_WHOLE, "String", "Int64", None),
        (READ_WHOLE, "String", "Int16", NARROWING),
        (READ_TEXT, "String", "String", None),
        (READ_TEXT, "String", "Double", None),
        ({"kind": "format", "pattern": "none"}, "String", "Double", None),
    ],
)
def test_a_way_is_told_before_a_value_went(
    spec: dict[str, Any], read: str, written: str, expected: Fault | None
) -> None:
    assert of(spec, read, written) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("spec", "read", "written", "expected"),
    [
        (MOVED, "Int16", "Int32", None),
        (MOVED, "Int16", "Int16", NARROWING),
        (TURNED, "SByte", "Int16", None),
        ({"kind": "linear", "gain": 2, "offset": 0}, "Int32", "Int32", NARROWING),
        (TENTH, "Double", "Int16", NARROWING),
        (RANGE, "Double", "Double", None),
        (UNIT, "Double", "Double", None),
        (INVERT, "Boolean", "Boolean", None),
        (PACK, "Byte", "Byte", None),
        (OFF_ON, "String", "Int16", None),
        ({"kind": "lookup", "table": {"a": 1, "b": 2}}, "Int16", "Double", MISMATCH),
        (BAR, "String", "Double", None),
        (BAR, "ByteString", "Double", MISMATCH),
        (READ_BAR, "Double", "String", None),
        (READ_BAR, "Double", "Double", MISMATCH),
        ({"kind": "convert", "to_type": "Guid"}, "Double", "Double", None),
    ],
)
def test_the_way_back_is_told_too(
    spec: dict[str, Any], read: str, written: str, expected: Fault | None
) -> None:
    assert of(spec, read, written, is_forward=False) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("spec", "read", "written", "words"),
    [
        (OFF_ON, "Int16", "Double", "'Off' of the table does not convert to Double"),
        (BAR, "Double", "Double", "'1.0 bar' as the pattern writes it does not convert to Double"),
        (BIT, "ByteString", "Byte", "whole numbers, and ByteString does not convert to Int64"),
        (TENTH, "Double", "Int16", "Int16 does not hold every value that linear makes"),
        ({}, "Double", "Int16", "Int16 does not hold every value of Double"),
        ({}, "Guid", "Int16", "Guid does not convert to Int16"),
        (RANGE, "Float", "Guid", "Double, which range makes, does not convert to Guid"),
        (BAR, "String", "String", "pattern {:.1f} bar does not write values of String"),
    ],
)
def test_a_fault_says_what_does_not_fit(
    spec: dict[str, Any], read: str, written: str, words: str
) -> None:
    ((_, message),) = faults(spec, read, written, is_forward=True)
    assert words in message


VALUES = {
    "Boolean": [True, False],
    "Byte": [0, 7],
    "Int16": [-3, 1],
    "Double": [0.0, 1.0, 2.5],
    "String": ["1", "On", "1.0 bar"],
    "DateTime": [133_000_000_000_000_000],
    "ByteString": [b"x"],
}
SPECS = [
    {}, TENTH, MOVED, RANGE, UNIT, INVERT, BIT, PACK, OFF_ON, STEPS, BAR, PLAIN, WHOLE, READ_BAR,
    READ_WHOLE, READ_TEXT,
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_what_is_called_a_mismatch_never_comes_through(spec: dict[str, Any]) -> None:
    made = compile_transform(spec).forward
    assert made is not None
    for read, values in VALUES.items():
        for written in VALUES:
            if MISMATCH not in of(spec, read, written):
                continue
            kind, target = type_named(read), type_named(written)
            assert kind is not None
            assert target is not None
            for value in values:
                result = made.apply(Variant(kind, value))
                if not isinstance(result, Rejected):
                    assert isinstance(convert(result, target), Rejected), (read, written, value)


def test_the_types_of_the_values_are_right() -> None:
    assert {type_named(name) for name in VALUES} < set(VariantType)
