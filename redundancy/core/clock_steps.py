"""Was the wall clock set? Seen against a clock that nobody can set; nothing depends on it."""

from __future__ import annotations

from dataclasses import dataclass

STEP_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ClockPair:
    """The two clocks read together, in nanoseconds."""

    wall: int
    boot: int


def step(before: ClockPair, now: ClockPair) -> int:
    """By how much the wall clock was moved in between, in ns; 0 within the tolerance of 2 s.

    Comparing neighbouring looks lets a slow correction pass: only a jump is a step.
    """
    moved = (now.wall - before.wall) - (now.boot - before.boot)
    return moved if abs(moved) > STEP_NS else 0
