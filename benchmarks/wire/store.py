"""What the items of a load hold: numbers of one type, changed by thousands at once, or mixed types.

A value is the running number of its change, so that no two are alike (of Int16, 32,768 in turn);
its SourceTimestamp is the instant of the change, from which a sink tells how long it took.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from struct import pack
from typing import Any, Final, Protocol

from benchmarks.wire.fields import now_ticks, string

#: The variants of TimestampsToReturn (Part 4, 7.40).
SOURCE, SERVER, BOTH, NEITHER = range(4)
START_VALUE: Final = -1.0
DOUBLE: Final = 11
FLOAT: Final = 10
INT16: Final = 4
INT16_VALUES: Final = 1 << 15
UNCERTAIN: Final = 0x4090_0000  # UncertainSensorNotAccurate
UNCERTAIN_EVERY: Final = 100
_HAS_SOURCE: Final = (4, 0, 4, 0)
_HAS_SERVER: Final = (0, 8, 8, 0)
_HAS_STATUS: Final = 2

State = tuple[str, int, int]
"""A variant as hexadecimal, its status, the ticks of its SourceTimestamp."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A built-in type of items: as DataType and ValueRank say it, and how a value is made."""

    data_type: int
    value_rank: int
    encode: Callable[[float], bytes]


DOUBLES: Final = Kind(DOUBLE, -1, lambda value: pack("<Bd", DOUBLE, value))
FLOATS: Final = Kind(FLOAT, -1, lambda value: pack("<Bf", FLOAT, value))
INT16S: Final = Kind(INT16, -1, lambda value: pack("<Bh", INT16, int(value) % INT16_VALUES))
MIXED: Final = (
    DOUBLES,
    Kind(6, -1, lambda value: pack("<Bi", 6, int(value))),
    Kind(1, -1, lambda value: pack("<B?", 1, int(value) // 5 % 2)),
    Kind(12, -1, lambda value: b"\x0c" + string(f"batch {value:.0f}")),
    Kind(FLOAT, 1, lambda value: pack("<Bi10f", FLOAT | 0x80, 10, *[value % 65536] * 10)),
)


class Store(Protocol):
    def kind(self, index: int) -> Kind: ...

    def fill(self, value: float) -> None:
        """Give every item this value, of this instant."""

    def change(self, start: int, stop: int, serial: int) -> None:
        """Give the items from ``start`` to ``stop`` the values ``serial``, ``serial`` + 1, …"""

    def template(self, handles: array[int], timestamps: int) -> bytearray:
        """What stays the same of the notifications of neighbouring items."""

    def notifications(
        self, template: bytearray, first: int, start: int, stop: int, timestamps: int
    ) -> bytes:
        """MonitoredItemNotifications of items in a template that begins at item ``first``."""

    def data_value(self, index: int, timestamps: int) -> bytes: ...

    def state(self, index: int) -> State: ...


class Numbers:
    """Every byte of a thousand values is set by one strided assignment."""

    CODE = "d"
    KIND = DOUBLES

    def __init__(self, items: int) -> None:
        self._values = array(self.CODE, [0]) * items
        self._stamps = array("q", [0]) * items
        self._width = self._values.itemsize
        self.fill(START_VALUE)

    def kind(self, _index: int) -> Kind:
        return self.KIND

    def fill(self, value: float) -> None:
        self._values = self._held(value) * len(self._values)
        self._stamps = array("q", [now_ticks()]) * len(self._stamps)

    def _held(self, value: float) -> array[Any]:
        return array(self.CODE, [value])

    def _series(self, serial: int, count: int) -> array[Any]:
        return array(self.CODE, range(serial, serial + count))

    def change(self, start: int, stop: int, serial: int) -> None:
        count = stop - start
        self._values[start:stop] = self._series(serial, count)
        self._stamps[start:stop] = array("q", [now_ticks()]) * count

    def template(self, handles: array[int], timestamps: int) -> bytearray:
        mask = 1 | _HAS_SOURCE[timestamps] | _HAS_SERVER[timestamps]
        size = self._size(timestamps)
        block = bytearray(size * len(handles))
        raw = handles.tobytes()
        for byte in range(4):
            block[byte::size] = raw[byte::4]
        block[4::size] = bytes((mask,)) * len(handles)
        block[5::size] = bytes((self.KIND.data_type,)) * len(handles)
        return block

    def notifications(
        self, template: bytearray, first: int, start: int, stop: int, timestamps: int
    ) -> bytes:
        size, width = self._size(timestamps), self._width
        block = template[(start - first) * size : (stop - first) * size]
        values, stamps = self._values[start:stop].tobytes(), self._stamps[start:stop].tobytes()
        for byte in range(width):
            block[6 + byte :: size] = values[byte::width]
        for byte in range(8):
            for at in range(6 + width + byte, size, 8):
                block[at::size] = stamps[byte::8]
        return bytes(block)

    def data_value(self, index: int, timestamps: int) -> bytes:
        variant = self.KIND.encode(self._values[index])
        return data_value(variant, 0, self._stamps[index], timestamps)

    def state(self, index: int) -> State:
        return self.KIND.encode(self._values[index]).hex(), 0, self._stamps[index]

    def _size(self, timestamps: int) -> int:
        times = bool(_HAS_SOURCE[timestamps]) + bool(_HAS_SERVER[timestamps])
        return 6 + self._width + 8 * times


class Floats(Numbers):
    CODE = "f"
    KIND = FLOATS


class Int16s(Numbers):
    CODE = "h"
    KIND = INT16S

    def __init__(self, items: int) -> None:
        self._cycle = array("h", range(INT16_VALUES)) * (2 + items // INT16_VALUES)
        super().__init__(items)

    def _held(self, value: float) -> array[Any]:
        return array("h", [int(value) % INT16_VALUES])

    def _series(self, serial: int, count: int) -> array[Any]:
        first = serial % INT16_VALUES
        return self._cycle[first : first + count]


class Mixed:
    """Five types in turn; every hundredth change is Uncertain. Each value costs Python."""

    def __init__(self, items: int) -> None:
        self._items = items
        self._held: list[tuple[bytes, int, int]] = []
        self.fill(START_VALUE)

    def kind(self, index: int) -> Kind:
        return MIXED[index % len(MIXED)]

    def fill(self, value: float) -> None:
        now = now_ticks()
        self._held = [(self.kind(i).encode(value), 0, now) for i in range(self._items)]

    def change(self, start: int, stop: int, serial: int) -> None:
        now = now_ticks()
        kinds, count = MIXED, len(MIXED)
        for index, value in zip(range(start, stop), range(serial, serial + stop - start)):  # noqa: B905
            status = 0 if value % UNCERTAIN_EVERY else UNCERTAIN
            self._held[index] = (kinds[index % count].encode(value), status, now)

    def template(self, handles: array[int], _timestamps: int) -> bytearray:
        return bytearray(handles.tobytes())

    def notifications(
        self, template: bytearray, first: int, start: int, stop: int, timestamps: int
    ) -> bytes:
        parts: list[bytes | bytearray] = []
        for at, held in zip(range(4 * (start - first), len(template), 4), self._held[start:stop]):  # noqa: B905
            parts += (template[at : at + 4], data_value(*held, timestamps))
        return b"".join(parts)

    def data_value(self, index: int, timestamps: int) -> bytes:
        return data_value(*self._held[index], timestamps)

    def state(self, index: int) -> State:
        variant, status, ticks = self._held[index]
        return variant.hex(), status, ticks


def data_value(variant: bytes, status: int, ticks: int, timestamps: int) -> bytes:
    """A DataValue (Part 6, 5.2.2.17); a Good status is left out."""
    source, server = _HAS_SOURCE[timestamps], _HAS_SERVER[timestamps]
    mask = 1 | source | server | (_HAS_STATUS if status else 0)
    return b"".join(
        (
            bytes((mask,)),
            variant,
            pack("<I", status) if status else b"",
            pack("<q", ticks) if source else b"",
            pack("<q", ticks) if server else b"",
        )
    )


STORES: Final[dict[str, Callable[[int], Store]]] = {
    "doubles": Numbers,
    "floats": Floats,
    "int16s": Int16s,
    "mixed": Mixed,
}
