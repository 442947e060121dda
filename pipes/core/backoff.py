"""How long to wait before the next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HIGHEST_EXPONENT: Final = 60


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow by ``factor`` from ``first_seconds`` to ``longest_seconds``.

    ``jitter`` is the share of a delay that is left to chance, so that fifty connections that
    were lost together do not come back together.
    """

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    factor: float = 2.0
    jitter: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.first_seconds <= self.longest_seconds:
            raise ValueError("first_seconds must be above 0 and not above longest_seconds")
        if self.factor < 1 or not 0 <= self.jitter <= 1:
            raise ValueError("factor must be at least 1, jitter from 0 to 1")

    def delay_seconds(self, failures: int, chance: float) -> float:
        """The wait after the ``failures``-th failure in a row (1 is the first).

        ``chance`` is a random number from 0 to 1; the delay is never above `longest_seconds`
        and never below ``(1 - jitter)`` of the plain one.
        """
        exponent = min(max(failures - 1, 0), _HIGHEST_EXPONENT)
        plain = min(self.first_seconds * self.factor**exponent, self.longest_seconds)
        return plain * (1 - self.jitter * chance)
