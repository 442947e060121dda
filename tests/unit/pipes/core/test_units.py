from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from pipes.core.nested import VALUE_TYPES
from pipes.core.units import UNITS, UnitError, conversion


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("°C", "°F", 100, 212),
        ("degF", "degC", -40, -40),
        ("K", "°C", 0, -273.15),
        ("°R", "K", 9, 5),
        ("bar", "psi", 1, 14.503773773),
        ("mbar", "Pa", 3, 300),
        ("m3/h", "l/min", 6, 100),
        ("gpm", "m3/h", 1, 0.227124707),
        ("t/h", "kg/s", 3.6, 1),
        ("kWh", "MJ", 1, 3.6),
        ("rpm", "rad/s", 60, 2 * math.pi),
        ("%", "ppm", 1, 10_000),
        ("ft", "in", 1, 12),
        ("hp", "kW", 1, 0.745699872),
        ("l", "L", 5, 5),
    ],
)
def test_a_value_is_converted_between_units(source, target, value, expected):
    gain, offset = conversion(source, target)
    assert value * gain + offset == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("symbol", UNITS)
def test_every_unit_goes_to_its_si_unit_and_back(symbol):
    unit = UNITS[symbol]
    si = next(s for s, u in UNITS.items() if u.dimension == unit.dimension and u.factor == 1)
    gain, offset = conversion(symbol, si)
    back_gain, back_offset = conversion(si, symbol)
    assert (12.5 * gain + offset) * back_gain + back_offset == pytest.approx(12.5)


@pytest.mark.parametrize(
    ("source", "target", "field", "told"),
    [
        ("barg", "psi", "from", "'barg' is not a known unit; perhaps bar or mbar is meant; units"),
        ("psi", "BAR", "to", "perhaps bar or mbar is meant; units of pressure are Pa, hPa, kPa"),
        ("M³", "l", "from", "perhaps m3 is meant; units of volume are m3, l"),
        ("µm", "?", "from", "perhaps um or"),
        ("celsius", "K", "from", "unit; units of temperature are K, °C"),
        ("xyzzy", "?", "from", "unit; there are units of pressure, length, area"),
    ],
)
def test_an_unknown_unit_is_refused_with_what_would_be_right(source, target, field, told):
    with pytest.raises(UnitError, match=re.escape(told)) as caught:
        conversion(source, target)
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


def test_units_of_different_dimensions_are_refused_by_name():
    with pytest.raises(UnitError, match="bar is a unit of pressure, °C one of temp") as caught:
        conversion("°C", "bar")
    assert caught.value.field == "to"
    assert "degF" in str(caught.value)


def test_the_documentation_lists_every_unit_with_its_dimension():
    page = (Path(__file__).parents[4] / "docs" / "transforms.md").read_text(encoding="utf-8")
    table = page[page.index("| dimension | symbols |") :]
    rows = re.findall(r"^\| ([a-z ]+) \| (`.+`) \|$", table, re.MULTILINE)
    documented = {symbol: name for name, cell in rows for symbol in re.findall(r"`(.+?)`", cell)}
    assert documented == {symbol: unit.dimension for symbol, unit in UNITS.items()}


def test_the_documentation_lists_every_type_that_to_type_may_be():
    page = (Path(__file__).parents[4] / "docs" / "transforms.md").read_text(encoding="utf-8")
    sentence = page[page.index("`to_type` is one of") : page.index("It is converted to after")]
    assert tuple(re.findall(r"`(\w+)`", sentence)) == ("to_type", *VALUE_TYPES)
