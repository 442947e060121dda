"""How much goes into one write request, and which values are too large for a server.

A server says what it takes, or it does not and ends the connection: a large value that was alone
on its way when that happened, several times, is not tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pipes.core.sizes import ValueLimits, excess

#: Values of no fixed size fill one request up to here; a larger one goes alone.
LARGEST_REQUEST: Final = 1 << 20
#: A value of this size that was alone on its way when a session ended may be why, in bytes; after
#: so many times it is.
SUSPICIOUS_SIZE: Final = 1 << 16
MOST_LOSSES: Final = 2


class RequestSizes:
    def __init__(self) -> None:
        self.bulky: set[int] = set()
        """Handles whose values have no fixed size; no other value needs a question."""
        self.limits = ValueLimits()
        """Those that the server of the present session names."""
        self._losses: dict[int, tuple[int, int]] = {}  # handle -> how often, size

    def too_large(self, batch: Mapping[int, bytes]) -> dict[int, str]:
        """The values that are not to be sent at all, and why."""
        largest = max(map(len, batch.values()))
        if not self._losses and not largest > self.limits.least > 0:
            return {}
        reasons = {
            handle: excess(value, self.limits) or self._blamed(handle, value)
            for handle, value in batch.items()
        }
        return {handle: why for handle, why in reasons.items() if why}

    def first_part(self, batch: dict[int, bytes]) -> tuple[dict[int, bytes], Mapping[int, bytes]]:
        """As many of the first values as fit into a request, one at least; and the others."""
        most = min(LARGEST_REQUEST, self.limits.message or LARGEST_REQUEST)
        if sum(map(len, batch.values())) <= most:
            return batch, {}
        part: dict[int, bytes] = {}
        left = most
        for handle, value in batch.items():
            left -= len(value)
            if left < 0 and part:
                break
            part[handle] = value
        return part, {h: value for h, value in batch.items() if h not in part}

    def lost(self, batch: Mapping[int, bytes]) -> None:
        """A session ended, or did not answer, with this request on its way."""
        if len(batch) != 1:
            return
        ((handle, value),) = batch.items()
        if len(value) >= SUSPICIOUS_SIZE:
            self._losses[handle] = (self._losses.get(handle, (0, 0))[0] + 1, len(value))

    def written(self, batch: Mapping[int, bytes]) -> None:
        """What the server took is not why sessions ended."""
        if self._losses:
            for handle in batch.keys() & self._losses.keys():
                del self._losses[handle]

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self.bulky.discard(handle)
            self._losses.pop(handle, None)

    def _blamed(self, handle: int, value: bytes) -> str:
        """Why a value is not tried again although the server names no limit for it."""
        times, size = self._losses.get(handle, (0, 0))
        if times < MOST_LOSSES or len(value) < size:
            return ""
        return f"the connection ended {times} times while a value of {size} bytes was written"
