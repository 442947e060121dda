"""Units that an engineer converts between, each as a factor and an offset to its SI unit.

Symbols are those of the plant; names that are typed without special characters stand beside them.
Factors are exact by definition (NIST SP 811) unless that is impossible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import pi
from typing import Final


@dataclass(frozen=True, slots=True)
class Unit:
    """``si = value * factor + offset``, in the SI unit of its ``dimension``."""

    dimension: str
    factor: float
    offset: float = 0.0


_GALLON: Final = 3.785411784e-3
_BARREL: Final = 0.158987294928
_FOOT: Final = 0.3048
_POUND: Final = 0.45359237
_GRAVITY: Final = 9.80665
_PSI: Final = _POUND * _GRAVITY / 0.0254**2

_FACTORS: Final[Mapping[str, Mapping[str, float]]] = {
    "pressure": {
        "Pa": 1, "hPa": 100, "kPa": 1e3, "MPa": 1e6, "bar": 1e5, "mbar": 100, "atm": 101_325,
        "psi": _PSI, "mmHg": 133.322387415, "mmH2O": _GRAVITY, "inH2O": 249.08891,
        "inHg": 3386.389, "kgf/cm2": _GRAVITY * 1e4,
    },
    "length": {
        "m": 1, "mm": 1e-3, "cm": 1e-2, "km": 1e3, "um": 1e-6, "in": 0.0254, "ft": _FOOT,
        "yd": 0.9144, "mi": 1609.344,
    },
    "area": {"m2": 1, "cm2": 1e-4, "mm2": 1e-6, "ft2": _FOOT**2, "in2": 0.0254**2},
    "volume": {
        "m3": 1, "l": 1e-3, "L": 1e-3, "ml": 1e-6, "hl": 0.1, "ft3": _FOOT**3,
        "gal": _GALLON, "bbl": _BARREL,
    },
    "mass": {"kg": 1, "g": 1e-3, "mg": 1e-6, "t": 1e3, "lb": _POUND, "oz": _POUND / 16},
    "time": {"s": 1, "ms": 1e-3, "us": 1e-6, "min": 60, "h": 3600, "d": 86_400},
    "volume flow": {
        "m3/s": 1, "m3/h": 1 / 3600, "m3/min": 1 / 60, "l/s": 1e-3, "l/min": 1e-3 / 60,
        "l/h": 1e-3 / 3600, "gpm": _GALLON / 60, "cfm": _FOOT**3 / 60, "bbl/d": _BARREL / 86_400,
    },
    "mass flow": {
        "kg/s": 1, "kg/min": 1 / 60, "kg/h": 1 / 3600, "t/h": 1 / 3.6, "lb/h": _POUND / 3600,
        "lb/min": _POUND / 60, "lb/s": _POUND,
    },
    "speed": {
        "m/s": 1, "m/min": 1 / 60, "km/h": 1 / 3.6, "mm/s": 1e-3, "ft/s": _FOOT,
        "ft/min": _FOOT / 60, "mph": 0.44704,
    },
    "rotation": {"rad/s": 1, "rpm": pi / 30, "1/min": pi / 30, "rps": 2 * pi},
    "angle": {"rad": 1, "deg": pi / 180, "°": pi / 180, "rev": 2 * pi},
    "frequency": {"Hz": 1, "kHz": 1e3, "MHz": 1e6},
    "power": {"W": 1, "kW": 1e3, "MW": 1e6, "GW": 1e9, "mW": 1e-3, "hp": 745.69987158227022},
    "energy": {
        "J": 1, "kJ": 1e3, "MJ": 1e6, "Wh": 3600, "kWh": 3.6e6, "MWh": 3.6e9, "kcal": 4184,
        "BTU": 1055.05585262,
    },
    "force": {"N": 1, "kN": 1e3, "kgf": _GRAVITY, "lbf": _POUND * _GRAVITY},
    "torque": {"Nm": 1, "kNm": 1e3, "lbf.ft": _POUND * _GRAVITY * _FOOT},
    "density": {"kg/m3": 1, "g/cm3": 1e3, "kg/l": 1e3, "lb/ft3": _POUND / _FOOT**3},
    "voltage": {"V": 1, "mV": 1e-3, "kV": 1e3},
    "current": {"A": 1, "mA": 1e-3, "kA": 1e3},
    "resistance": {"Ohm": 1, "Ω": 1, "kOhm": 1e3, "MOhm": 1e6},
    "ratio": {"1": 1, "%": 0.01, "ppm": 1e-6, "ppb": 1e-9},
}  # fmt: skip

UNITS: Final[Mapping[str, Unit]] = {
    **{
        symbol: Unit(dimension, factor)
        for dimension, symbols in _FACTORS.items()
        for symbol, factor in symbols.items()
    },
    "K": Unit("temperature", 1.0),
    "°C": Unit("temperature", 1.0, 273.15),
    "degC": Unit("temperature", 1.0, 273.15),
    "°F": Unit("temperature", 5 / 9, 459.67 * 5 / 9),
    "degF": Unit("temperature", 5 / 9, 459.67 * 5 / 9),
    "°R": Unit("temperature", 5 / 9),
    "degR": Unit("temperature", 5 / 9),
}


#: Two signs look like a micro: U+00B5, which folds to the Greek letter U+03BC.
_SIMPLER: Final = str.maketrans({"²": "2", "³": "3", "\u03bc": "u", "^": None, " ": None})


class UnitError(ValueError):
    """``field`` is "from" or "to"."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def conversion(source: str, target: str) -> tuple[float, float]:
    """Gain and offset with ``target value = source value * gain + offset``.

    Raises:
        UnitError: a symbol that is not known, or units of different dimensions; the message lists
            what would be right.
    """
    one, other = _unit("from", source, target), _unit("to", target, source)
    if one.dimension != other.dimension:
        raise UnitError(
            "to",
            f"{target} is a unit of {other.dimension}, {source} one of {one.dimension}; "
            f"use one of {_symbols(one.dimension)}",
        )
    return one.factor / other.factor, (one.offset - other.offset) / other.factor


def _unit(field: str, symbol: str, other: str) -> Unit:
    unit = UNITS.get(symbol)
    if unit is None:
        raise UnitError(field, f"{symbol[:40]!r} is not a known unit{_hint(symbol, other)}")
    return unit


def _hint(symbol: str, other: str) -> str:
    """What is near to a wrong symbol, and what would convert to the unit on the other side."""
    counterpart = UNITS.get(other)
    candidates = UNITS
    if counterpart is not None:
        candidates = {s: u for s, u in UNITS.items() if u.dimension == counterpart.dimension}
    near = _near(symbol, candidates)
    hint = f"; perhaps {' or '.join(near)} is meant" if near else ""
    if counterpart is None and not near:
        return (
            f"; there are units of {', '.join(dict.fromkeys(u.dimension for u in UNITS.values()))}"
        )
    dimension = (counterpart or UNITS[near[0]]).dimension
    return f"{hint}; units of {dimension} are {_symbols(dimension)}"


def _near(symbol: str, candidates: Mapping[str, Unit]) -> list[str]:
    """At most three; Bar, M³ and µm differ from ours in writing alone."""
    plain = {_plain(candidate): candidate for candidate in candidates}
    return [plain[match] for match in get_close_matches(_plain(symbol[:40]), plain)]


def _plain(symbol: str) -> str:
    return symbol.casefold().translate(_SIMPLER)


def _symbols(dimension: str) -> str:
    return ", ".join(symbol for symbol, unit in UNITS.items() if unit.dimension == dimension)
