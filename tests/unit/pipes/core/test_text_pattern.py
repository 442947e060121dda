from __future__ import annotations

import pytest

from pipes.core.text_pattern import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "value", "text"),
    [
        ("{}", 5, "5"),
        ("{}", 1.5, "1.5"),
        ("{}", True, "true"),
        ("{}", False, "false"),
        ("{}", float("nan"), "NaN"),
        ("{:s}!", "on", "on!"),
        ("{:.2f} bar", 3.14159, "3.14 bar"),
        ("{:d}", 7.0, "7"),
        ("{:04d}", 7, "0007"),
        ("0x{:X}", 255, "0xFF"),
        ("{:b}", 5, "101"),
        ("{:.1%}", 0.256, "25.6%"),
        ("{:+.1e}", 12345, "+1.2e+04"),
        ("{:>6}|", 42, "    42|"),
        ("{:.3}", 2, "2.0"),
        ("{:d}", True, "1"),
        ("{{{}}} °C", 5, "{5} °C"),
    ],
)
def test_a_value_is_written_into_its_place(pattern, value, text):
    assert compile_pattern(pattern).write(value) == text


@pytest.mark.parametrize(
    ("pattern", "value"),
    [("{:d}", 7.5), ("{:d}", "7"), ("{:.2f}", "x"), ("{:d}", float("inf")), ("{:x}", float("nan"))],
)
def test_a_value_of_another_kind_is_not_written(pattern, value):
    with pytest.raises(ValueError, match="pattern writes"):
        compile_pattern(pattern).write(value)


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        ("{}", " word ", "word"),
        ("T={:s};", "T=on;", "on"),
        ("{:f} bar", "3.25 bar", 3.25),
        ("{:.2f} bar", "  -1e3bar ", -1000.0),
        ("{:d}", "0007", 7),
        ("0x{:x}", "0xFF", 255),
        ("{:o}", "17", 15),
        ("{:b}", "101", 5),
        ("{:.1%}", "25.6%", 0.256),
        ("{:>6}", "   42", 42.0),
        ("{:=6d}", "-   42", -42),
        ("{:f}", "-INF", float("-inf")),
        ("{:08f}", "-0000inf", float("-inf")),
    ],
)
def test_a_value_is_read_from_its_place(pattern, text, value):
    read = compile_pattern(pattern).read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("pattern", "text", "told"),
    [
        ("{:f} bar", "3.25 psi", "not of the form … bar"),
        ("ab{}ba", "aba", "not of the form"),
        ("{:d}", "3.5", "no whole number"),
        ("{:f}", "x", "no number"),
        ("{:%}", "x%", "no number in %"),
        ("{:d} rpm", "1_000 rpm", "no whole number"),
        ("{:d}", "٣", "no whole number"),
        ("{:x}", "0xff", "no whole number of base 16"),
        ("{:f}", "1_0.5", "no number"),
        ("{:f}", "٣.5", "no number"),
        ("{:f}", "1e999", "does not fit Double"),
    ],
)
def test_a_text_of_another_form_is_not_read(pattern, text, told):
    with pytest.raises(ValueError, match=told):
        compile_pattern(pattern).read(text)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("bar", "no place"),
        ("{{}}", "no place"),
        ("{} {}", "more than one place"),
        ("{", "stands alone"),
        ("}{}", "stands alone"),
        ("{0}", "not allowed"),
        ("{a.b}", "not allowed"),
        ("{!r}", "not allowed"),
        ("{:.2q}", "not allowed"),
        ("{:99d}", "too wide"),
        ("{:٣d}", "not allowed"),
        ("{:.31f}", "too wide"),
        ("{:.2d}", "no precision"),
        ("{:+s}", "no sign"),
        ("{:=s}", "no sign"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern, told):
    with pytest.raises(PatternError, match=told):
        compile_pattern(pattern)
