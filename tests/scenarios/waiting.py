"""Waiting for a state, with a deadline: the only way a scenario lets time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, within: float, what: str = "", every: float = 0.05) -> T:
    """Return the first true answer of ``look``; fail with its last one after ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        try:
            answer = look()
        except (OSError, AssertionError) as error:
            answer = error  # type: ignore[assignment]
        if answer and not isinstance(answer, Exception):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or look}; last seen {answer!r}")
        time.sleep(every)


def steadily(look: Callable[[], bool], *, during: float, what: str = "") -> None:
    """Fail as soon as ``look`` is false, at any time of the next ``during`` seconds."""
    deadline = time.monotonic() + during
    while time.monotonic() < deadline:
        assert look(), f"not any more: {what}"
        time.sleep(0.05)
