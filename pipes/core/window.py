"""How many WriteRequests may be in flight to one target: an adaptive window in the manner of Vegas.

``queued = size * (1 - quickest / answer)`` estimates how many of our own requests wait in front
of the target. Below 0.6 the window grows when it was the limit, above 1.2 it shrinks, by one
request a round trip, between 1 and 32. So it fills long lines and builds no queue of stale values
in front of a slow target.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Window"]

SMALLEST: Final = 1.0
LARGEST: Final = 32.0
FIRST: Final = 4.0
GROW_BELOW: Final = 0.6
SHRINK_ABOVE: Final = 1.2
MEMORY_SECONDS: Final = 30.0
"""How long the quickest answer counts, once or twice: lines and targets change."""


class Window:
    """The window of one session. Times are seconds of any monotonic clock.

    The quickest answer must come from a target that was idle, or the window would take its own
    queue for the line and creep up. Under normal load some requests find the target idle; if
    none did for ``MEMORY_SECONDS``, the window drains once to send one alone.
    """

    __slots__ = (
        "_earlier",
        "_is_draining",
        "_is_full",
        "_quickest",
        "_span_ends",
        "_was_alone",
        "in_flight",
        "size",
    )

    def __init__(self) -> None:
        self.size = FIRST
        self.in_flight = 0
        self._quickest = self._earlier = float("inf")
        self._span_ends = float("-inf")
        self._was_alone = False
        self._is_draining = False
        self._is_full = False

    @property
    def may_send(self) -> bool:
        return self.in_flight < (1 if self._is_draining else int(self.size))

    def sent(self, now: float) -> None:
        """A request went out."""
        if now >= self._span_ends:
            self._end_span(now)
        if self.in_flight == 0:
            self._was_alone = True
            self._is_draining = False
        self.in_flight += 1
        self._is_full = not self.may_send

    def _end_span(self, now: float) -> None:
        if self._was_alone:
            self._earlier, self._quickest = self._quickest, float("inf")
            self._span_ends = now + MEMORY_SECONDS
            self._was_alone = False
        else:
            self._is_draining = True

    def answered(self, seconds: float) -> None:
        """A request was answered ``seconds`` after it went out."""
        self.in_flight -= 1
        self._quickest = min(self._quickest, seconds)
        quickest = min(self._quickest, self._earlier)
        queued = self.size * (1 - quickest / seconds) if seconds > 0 else 0.0
        if queued > SHRINK_ABOVE:
            self.size = max(self.size - 1 / self.size, SMALLEST)
        elif queued < GROW_BELOW and self._is_full:
            self.size = min(self.size + 1 / self.size, LARGEST)

    def failed(self) -> None:
        """A request got no answer, or the whole call was refused."""
        self.in_flight -= 1
        self.size = max(self.size / 2, SMALLEST)
