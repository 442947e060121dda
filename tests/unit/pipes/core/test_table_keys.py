from __future__ import annotations

import math

import pytest

from pipes.core.table_keys import key_of, value_key, variants_of, with_shortest_floats
from pipes.core.values import Variant, VariantType, as_float

T = VariantType


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (True, "true"), (False, "false"), (7, "7"), (7.0, "7"), (-0.0, "0"), (0.1, "0.1"),
        (math.nan, "NaN"), (-math.inf, "-Infinity"), ("1.0", "1.0"),
    ],
)  # fmt: skip
def test_a_value_has_one_key(value, key):
    assert key_of(value) == key


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("1", "1"), ("01", "1"), ("+1", "1"), ("1.0", "1"), (" 1 ", "1"), ("1e3", "1000"),
        ("0.10", "0.1"), ("True", "true"), ("FALSE", "false"), ("1_000", "1_000"), ("On", "On"),
        ("NaN", "NaN"), (" On", " On"), ("1e999", "Infinity"),
    ],
)  # fmt: skip
def test_a_number_is_found_however_its_key_is_written(written, key):
    assert value_key(written) == key


def test_the_keys_of_the_way_back_are_texts_unless_all_are_whole_doubles():
    assert variants_of(["1.0", "2.0"]) == {
        "1.0": Variant(T.DOUBLE, 1.0), "2.0": Variant(T.DOUBLE, 2.0),
    }  # fmt: skip
    for keys in (["1.0", "2"], ["1.0", "1.5"], ["1.0", "x"], ["1.00"], ["1e3"], ["1e999"]):
        assert variants_of(keys) == {key: Variant(T.STRING, key) for key in keys}


def test_floats_have_the_digits_of_their_own_text():
    tenth = as_float(0.1)
    assert with_shortest_floats(Variant(T.FLOAT, tenth)).value == 0.1
    whole = Variant(T.FLOAT, (tenth, 0.5), (1, 2))
    assert with_shortest_floats(whole) == Variant(T.FLOAT, (0.1, 0.5), (1, 2))
    for other in (Variant(T.DOUBLE, tenth), Variant(T.FLOAT, None, ())):
        assert with_shortest_floats(other) is other
