"""Numbers in texts, bits in words, and types on the way: what is written is what is read."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipes.core.choices import Direction
from pipes.core.conversion import Converted, OnOverflow, Rejected, convert
from pipes.core.transform import Transform, compile_transform
from pipes.core.values import INTEGER_RANGES, Variant, VariantType, type_name
from pipes.core.wanted import Json
from tests.properties.test_transforms import as_type, both_ways, there_and_back

T = VariantType
INT64 = st.integers(*INTEGER_RANGES[T.INT64])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBER = re.compile(r"[0-9a-fA-F.+\- %]+|[+-]?0*(nan|inf|infinity)%?", re.IGNORECASE)
#: Each holds every value of the one before it.
WIDER = ((T.SBYTE, T.INT16, T.INT32, T.INT64), (T.BYTE, T.UINT16, T.UINT32, T.UINT64))


def forward(spec: dict[str, Json]) -> Transform:
    plan = compile_transform(spec)
    assert plan.forward is not None
    return plan.forward


def text_of(spec: dict[str, Json], variant: Variant) -> str:
    text = forward(spec).apply(variant)
    assert isinstance(text, Variant)
    assert isinstance(text.value, str)
    return text.value


# --- parse and format -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["d", "x", "X", "o", "b", "+d", " d", "08d", "=12d", "^20d", "064d"]
)
@given(value=INT64)
def test_parse_reads_a_whole_number_and_its_way_back_writes_the_same_text(form, value):
    spec: dict[str, Json] = {"kind": "parse", "pattern": f"n={{:{form}}} rpm"}
    read, write = both_ways(spec)
    text = write.apply(Variant(T.INT64, value))
    assert isinstance(text, Variant)
    assert read.apply(text) == Variant(T.INT64, value)


@pytest.mark.parametrize(
    "form", [".3f", "+.2f", "012.1f", ".4e", "E", "g", ".12g", "G", ".1%", "%"]
)
@given(value=st.floats(-1e12, 1e12) | st.sampled_from([math.inf, -math.inf]))
def test_what_was_read_is_written_as_the_text_it_came_from(form, value):
    """Digits that are not written are lost once, and no more after that."""
    spec: dict[str, Json] = {"kind": "format", "pattern": f"{{:{form}}} bar"}
    text = text_of(spec, Variant(T.DOUBLE, value))
    back = there_and_back(spec, Variant(T.DOUBLE, value))
    assert _same_number(text_of(spec, back), text)


def _same_number(one: str, other: str) -> bool:
    """Whether both are the same text, but for the last digit of a percentage: / 100 * 100."""
    if one == other:
        return True
    numbers = [float(text.removesuffix(" bar").removesuffix("%")) for text in (one, other)]
    return "%" in one and math.isclose(*numbers, rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize(("form", "digits"), [(".4e", 4), (".2E", 2), (".6g", 5), (".12G", 11)])
@given(value=FINITE)
def test_a_number_with_an_exponent_is_read_with_the_digits_that_were_written(form, digits, value):
    spec: dict[str, Json] = {"kind": "format", "pattern": f"{{:{form}}}"}
    written = text_of(spec, Variant(T.DOUBLE, value))
    if math.isinf(float(written)):  # rounded beyond the largest Double
        return
    back = there_and_back(spec, Variant(T.DOUBLE, value))
    assert math.isclose(back.value, value, rel_tol=0.51 * 10**-digits, abs_tol=1e-323)


@given(st.floats(-1e6, 1e6))
def test_a_percentage_is_read_with_the_digits_that_were_written(value):
    back = there_and_back({"kind": "format", "pattern": "{:.2%}"}, Variant(T.DOUBLE, value))
    assert math.isclose(back.value, value, rel_tol=1e-12, abs_tol=0.000_051)


@given(st.one_of(
    st.sampled_from([*INTEGER_RANGES]).flatmap(
        lambda kind: st.integers(*INTEGER_RANGES[kind]).map(lambda value: Variant(kind, value))
    ),
    st.booleans().map(lambda value: Variant(T.BOOLEAN, value)),
    st.floats(allow_nan=False).map(lambda value: Variant(T.DOUBLE, value)),
    st.floats(width=32, allow_nan=False).map(lambda value: Variant(T.FLOAT, value)),
))  # fmt: skip
def test_a_value_as_it_is_comes_back_exactly_and_is_the_text_of_a_plain_conversion(variant):
    spec: dict[str, Json] = {"kind": "format", "pattern": "<{}>"}
    plain = as_type(variant, T.STRING).value
    assert text_of(spec, variant) == f"<{plain}>"
    assert as_type(there_and_back(spec, variant), variant.type) == variant


@pytest.mark.parametrize("form", ["d", "x", "b", "f", "e", "g", "%", ">8"])
@given(text=st.text(max_size=12) | st.text("0123456789_.+-eE% \N{ARABIC-INDIC DIGIT THREE}fx"))
@example(text="1_000")
@example(text="1_0.5")
@example(text="\N{ARABIC-INDIC DIGIT THREE}")
@example(text="1e999")
def test_only_plain_digits_are_a_number_in_a_text(form, text):
    result = forward({"kind": "parse", "pattern": f"{{:{form}}}"}).apply(Variant(T.STRING, text))
    if isinstance(result, Variant):
        assert NUMBER.fullmatch(text.strip())
    else:
        assert "\n" not in result.sentence
        assert len(result.sentence) < 200


# --- bits -------------------------------------------------------------------------------------


@given(st.integers(0, 63), st.data(), INT64)
def test_bits_are_those_of_the_binary_digits_of_the_word(first, data, word):
    count = data.draw(st.integers(1, 64 - first))
    digits = f"{word % 2**64:064b}"[::-1]
    taken = forward({"kind": "bits", "first": first, "count": count}).apply(Variant(T.INT64, word))
    assert taken == Variant(T.UINT64, int(digits[first : first + count][::-1], 2))


# --- types on the way -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["none", "convert"])
@given(st.sampled_from(WIDER).flatmap(
    lambda kinds: st.tuples(st.sampled_from(kinds), st.sampled_from(kinds))
), st.data())  # fmt: skip
def test_a_value_that_only_changes_its_type_comes_back(kind, types, data):
    narrow, wide = sorted(types)
    variant = Variant(narrow, data.draw(st.integers(*INTEGER_RANGES[narrow])))
    there, back = both_ways({"kind": kind})
    assert there.is_identity
    assert back.is_identity
    written = as_type(variant, wide)
    assert written == Variant(wide, variant.value)
    assert as_type(written, narrow) == variant


@given(
    st.sampled_from([*INTEGER_RANGES]), st.sampled_from([*OnOverflow]), FINITE, st.integers(1, 50)
)
def test_a_type_between_holds_its_range_and_has_no_part_in_the_way_back(kind, rule, value, gain):
    spec: dict[str, Json] = {"kind": "linear", "gain": gain, "on_overflow": rule.value}
    typed: dict[str, Json] = {**spec, "to_type": type_name(kind)}
    variant = Variant(T.DOUBLE, value)
    there, back = both_ways(typed)
    free, free_back = both_ways(spec)
    result = there.apply(variant)
    scaled = free.apply(variant)
    if isinstance(scaled, Rejected):  # beyond the largest Double
        assert result == scaled
        return
    expected = convert(scaled, kind, on_overflow=rule)
    assert result == (expected.variant if isinstance(expected, Converted) else expected)
    low, high = INTEGER_RANGES[kind]
    if isinstance(result, Rejected):
        assert rule is OnOverflow.REJECT
        assert not low <= round(scaled.value) <= high
    else:
        assert low <= result.value <= high
        assert back.apply(result) == free_back.apply(result)


@given(st.sampled_from([*INTEGER_RANGES]), st.data())
def test_a_whole_number_within_the_type_between_comes_back_through_it(kind, data):
    low, high = INTEGER_RANGES[kind]
    gain = data.draw(st.integers(1, 9))
    variant = Variant(kind, data.draw(st.integers(-(-low // gain), high // gain)))
    spec: dict[str, Json] = {"kind": "linear", "gain": gain, "to_type": type_name(kind)}
    assert as_type(there_and_back(spec, variant), kind) == variant


@given(st.sampled_from([*INTEGER_RANGES]), INT64)
def test_what_was_clamped_comes_back_as_the_end_of_the_range(kind, value):
    low, high = INTEGER_RANGES[kind]
    spec: dict[str, Json] = {
        "kind": "convert",
        "to_type": type_name(kind),
        "on_overflow": "saturate",
    }
    plan = compile_transform(spec, Direction.BOTH)
    assert plan.forward is not None
    assert plan.reverse is not None
    assert plan.forward.apply(Variant(T.INT64, value)) == Variant(kind, min(max(value, low), high))
    assert plan.reverse.is_identity
