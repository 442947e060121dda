"""How long a subscription may say nothing before it is made anew.

To subscribe thousands of items is heavy work for a server, and a server that works heavily says
nothing for a while: with one fixed limit, healing one subscription silences the next one, and so
on for ever. So each healing makes the next one wait twice as long, until it has been calm again.
"""

from __future__ import annotations


class Patience:
    """A limit in seconds that doubles whenever it was used, from ``first`` to ``longest``."""

    __slots__ = ("_calm", "_first", "_limit", "_longest", "_used_at")

    def __init__(self, first: float, longest: float, calm: float) -> None:
        self._first = first
        self._longest = longest
        self._calm = calm
        self._limit = first
        self._used_at = 0.0

    def limit(self, now: float) -> float:
        """The present limit; the first one again after ``calm`` seconds without use."""
        if now - self._used_at > self._calm:
            self._limit = self._first
        return self._limit

    def use(self, now: float) -> None:
        """It ran out at ``now``."""
        self._limit = min(self.limit(now) * 2, self._longest)
        self._used_at = now
