"""Values per second over a sliding window, from a counter that only grows."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 5.0
STEP_SECONDS: Final = 0.5


class Rate:
    """``now`` is monotonic, in seconds."""

    def __init__(self, now: float) -> None:
        self._marks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=12)

    def count(self, now: float, total: int) -> None:
        """Note the counter; call it often, it keeps a mark each half second."""
        if now - self._marks[-1][0] >= STEP_SECONDS:
            self._marks.append((now, total))
            while len(self._marks) > 2 and now - self._marks[1][0] >= WINDOW_SECONDS:
                self._marks.popleft()

    def per_second(self, now: float, total: int) -> float:
        first_at, first_total = self._marks[0]
        if now <= first_at:
            return 0.0
        return (total - first_total) / (now - first_at)
