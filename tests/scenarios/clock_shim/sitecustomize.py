"""Moves the wall clock of a process: every reading is shifted by the seconds in a file.

On PYTHONPATH of a station's processes or of a plant; the file is named by TEST_CLOCK_FILE.
Monotonic clocks are left alone, as by somebody who sets the machine's clock.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from pathlib import Path

_real_ns = time.time_ns
_file = Path(os.environ["TEST_CLOCK_FILE"])
_read_at = 0.0
_offset_ns = 0


def offset_ns() -> int:
    """The present shift; the file is looked at each tenth of a second."""
    global _read_at, _offset_ns
    now = time.monotonic()
    if now - _read_at >= 0.1:
        _read_at = now
        try:
            _offset_ns = int(float(_file.read_text() or 0) * 1e9)
        except (OSError, ValueError):
            return _offset_ns
    return _offset_ns


class ShiftedNs:
    """Callable as the built-in is: also as the attribute of a class."""

    def __call__(self) -> int:
        return _real_ns() + offset_ns()


class ShiftedTime:
    def __call__(self) -> float:
        return shifted_ns() / 1e9


shifted_ns, shifted = ShiftedNs(), ShiftedTime()


class _Kind(type(datetime.datetime)):
    """What C code made is a datetime, too."""

    def __instancecheck__(cls, value):
        return isinstance(value, _plain)


_plain = datetime.datetime


class Shifted(_plain, metaclass=_Kind):
    __slots__ = ()

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(shifted(), tz)

    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(shifted(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls):
        return cls.fromtimestamp(shifted())


if {"--role", "mirrorsite.web", "tests.servers.plant"} & set(sys.orig_argv):
    time.time, time.time_ns = shifted, shifted_ns
    datetime.datetime = Shifted
