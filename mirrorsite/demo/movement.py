"""How a sample plant moves: reactors that fill, heat, react, cool and empty, batch after batch.

Pure: time and chance are arguments. Ten tags per reactor; the tags of the same reactor belong
together (the level rises while the feed pump runs, the temperature follows its setpoint).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

Value = float | int | bool | str | list[float]

PROFILE_POINTS: Final = 8
AMBIENT_CELSIUS: Final = 20.0
FLOW: Final = 40.0  # m³/h at full feed
VESSEL: Final = 0.8  # m³


class Kind(StrEnum):
    """What a tag holds; the names of its OPC UA data types."""

    DOUBLE = "Double"
    FLOAT = "Float"
    BOOLEAN = "Boolean"
    INT32 = "Int32"
    STRING = "String"
    DOUBLES = "Double[]"


@dataclass(frozen=True, slots=True)
class Unit:
    """An engineering unit: its UNECE code, its symbol and its name."""

    code: str
    symbol: str
    name: str


CELSIUS: Final = Unit("CEL", "°C", "degree Celsius")
BAR: Final = Unit("BAR", "bar", "bar")
PERCENT: Final = Unit("P1", "%", "percent")
CUBIC_METRES_PER_HOUR: Final = Unit("MQH", "m³/h", "cubic metre per hour")
MILLIMETRES_PER_SECOND: Final = Unit("C16", "mm/s", "millimetre per second")


@dataclass(frozen=True, slots=True)
class TagKind:
    """One of a reactor's tags, as it is in every reactor."""

    name: str
    kind: Kind
    text: str
    unit: Unit | None = None
    low: float = 0.0
    high: float = 0.0


#: In the order in which a plant with few items gets them.
TAGS: Final = (
    TagKind("TT101", Kind.DOUBLE, "Temperature", CELSIUS, 0.0, 150.0),
    TagKind("LT102", Kind.DOUBLE, "Level", PERCENT, 0.0, 100.0),
    TagKind("P104", Kind.BOOLEAN, "Feed pump runs"),
    TagKind("Phase", Kind.STRING, "Phase of the batch"),
    TagKind("TIC101.SP", Kind.DOUBLE, "Temperature setpoint", CELSIUS, 0.0, 150.0),
    TagKind("PT103", Kind.DOUBLE, "Pressure", BAR, 0.0, 6.0),
    TagKind("FT104", Kind.FLOAT, "Feed flow", CUBIC_METRES_PER_HOUR, 0.0, 60.0),
    TagKind("Batch", Kind.INT32, "Number of the batch"),
    TagKind("TT110", Kind.DOUBLES, "Temperature profile", CELSIUS, 0.0, 150.0),
    TagKind("VT105", Kind.FLOAT, "Vibration of the stirrer", MILLIMETRES_PER_SECOND, 0.0, 20.0),
)
SETPOINT: Final = "TIC101.SP"


class Phase(StrEnum):
    IDLE = "Idle"
    CHARGE = "Charge"
    HEAT = "Heat"
    REACT = "React"
    COOL = "Cool"
    DISCHARGE = "Discharge"


#: How long each phase lasts, in seconds; short, so that a visitor sees a whole batch.
DURATIONS: Final[Mapping[Phase, float]] = {
    Phase.IDLE: 6.0,
    Phase.CHARGE: 24.0,
    Phase.HEAT: 30.0,
    Phase.REACT: 40.0,
    Phase.COOL: 24.0,
    Phase.DISCHARGE: 20.0,
}
_ORDER: Final = tuple(DURATIONS)
_STIRRED: Final = frozenset({Phase.HEAT, Phase.REACT, Phase.COOL})
_HEATED: Final = frozenset({Phase.HEAT, Phase.REACT})


class Reactor:
    """One reactor; `step` moves it on and `values` reads its tags."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.phase = chance.choice(_ORDER)
        self.setpoint = round(chance.uniform(70.0, 110.0), 1)
        self._left = DURATIONS[self.phase] * chance.random()
        self._batch = chance.randrange(1, 400)
        self._level = 80.0 if self.phase in _STIRRED else 10.0
        self._temperature = self.setpoint if self.phase in _HEATED else AMBIENT_CELSIUS
        self._pressure = 1.0
        self._flow = 0.0
        self._vibration = 0.0

    def step(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        self._left -= seconds
        if self._left <= 0:
            self._enter(_ORDER[(_ORDER.index(self.phase) + 1) % len(_ORDER)])
        flow = FLOW if self.phase is Phase.CHARGE else 0.0
        self._flow = max(0.0, self._follow(self._flow, flow, 2.0, seconds, 0.4 if flow else 0.0))
        self._move_level(seconds)
        goal = self.setpoint if self.phase in _HEATED else AMBIENT_CELSIUS
        self._temperature = self._follow(self._temperature, goal, 9.0, seconds, 0.15)
        vapour = 1.0 + 2.5 * max(0.0, self._temperature - 60.0) / 60.0
        self._pressure = self._follow(self._pressure, vapour, 4.0, seconds, 0.02)
        shaking = 4.0 if self.phase in _STIRRED else 0.2
        self._vibration = abs(self._follow(self._vibration, shaking, 1.0, seconds, 0.5))

    def values(self) -> dict[str, Value]:
        """Every tag's value now, by the names of `TAGS`."""
        return {
            "TT101": round(self._temperature, 3),
            "LT102": round(self._level, 3),
            "P104": self.phase is Phase.CHARGE,
            "Phase": self.phase.value,
            SETPOINT: self.setpoint,
            "PT103": round(self._pressure, 4),
            "FT104": round(self._flow, 2),
            "Batch": self._batch,
            "TT110": [round(self._temperature - 0.4 * place, 2) for place in range(PROFILE_POINTS)],
            "VT105": round(self._vibration, 2),
        }

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._left = DURATIONS[phase] * self._chance.uniform(0.8, 1.2)
        if phase is Phase.CHARGE:
            self._batch += 1

    def _move_level(self, seconds: float) -> None:
        litres = self._flow / 3600.0 * seconds
        emptied = (
            85.0 / DURATIONS[Phase.DISCHARGE] * seconds if self.phase is Phase.DISCHARGE else 0.0
        )
        sloshing = self._chance.gauss(0.0, 0.05) if self.phase in _STIRRED else 0.0
        level = self._level + litres / VESSEL * 250.0 - emptied + sloshing
        self._level = min(100.0, max(0.0, level))

    def _follow(
        self, value: float, goal: float, time_constant: float, seconds: float, noise: float
    ) -> float:
        """A first-order lag towards ``goal`` with a random walk that it pulls back."""
        pulled = goal + (value - goal) * math.exp(-seconds / time_constant)
        return pulled + noise * math.sqrt(min(1.0, seconds)) * self._chance.gauss(0.0, 1.0)
