"""The echo guards of one direction of a pipe: asked before a value goes, told what became of it.

A guard belongs to an item of both directions and is shared by the two flows; `core.echo` has the
rules. Here are the clock, the set of sides that wait for their echo, and who is told of a wish.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping
from typing import Final

from pipes.core.binary import DecodeError, comparable
from pipes.core.choices import Direction
from pipes.core.echo import EchoGuard, WriteResult

Guards = MutableMapping[int, EchoGuard]

#: How long an echo may take: so much, and so many publishing intervals of the pipe.
SETTLE_SECONDS: Final = 1.0
SETTLE_INTERVALS: Final = 4


class Echoes:
    """``offer_again`` asks either flow of the pipe for the newest value of a handle."""

    def __init__(
        self,
        direction: Direction,
        guards: Guards,
        publishing_interval_ms: int,
        offer_again: Callable[[Direction, int], None],
        now: Callable[[], float],
    ) -> None:
        self.handles: set[int] = set()
        """The items of both directions; every other handle passes here without a question."""
        self._direction = direction
        self._guards = guards
        self._settle_seconds = SETTLE_SECONDS + SETTLE_INTERVALS * publishing_interval_ms / 1000
        self._offer_again = offer_again
        self._now = now
        self._settling: set[int] = set()

    def reset(self) -> None:
        """A server is new: what was under way is void, and the source has the first word."""
        for handle in self.handles:
            self._guards[handle] = EchoGuard(self._settle_seconds)
        self._settling.clear()

    def forget(self, handles: Collection[int]) -> None:
        self.handles.difference_update(handles)
        self._settling.difference_update(handles)

    # -- before a value goes --------------------------------------------------------------------

    def wants(self, handle: int, value: bytes) -> bool:
        """Whether a value that was reported is to be carried, and is not an echo."""
        guard = self._guard(handle)
        return guard is None or self._arrived(guard, value)

    def wants_again(self, handle: int, value: bytes, *, is_retry: bool) -> bool:
        """As `wants`, for a value that came before; the written side waits to be changed."""
        guard = self._guard(handle)
        if guard is None:
            return True
        if not guard.has_seen(self._direction):
            return self._arrived(guard, value)
        return (is_retry or self._direction is Direction.FORWARD) and guard.again(self._direction)

    def may_send(self, handle: int, value: bytes) -> bool:
        """The last question before the value goes into a request; from here it is on its way."""
        guard = self._guards.get(handle)
        return guard is None or guard.write_started(self._direction, comparable(value))

    # -- what became of it ----------------------------------------------------------------------

    def not_written(self, handle: int) -> None:
        """The value was wanted, and the decision was to write nothing."""
        guard = self._guard(handle)
        if guard is not None:
            self._follow(handle, guard.not_written(self._direction))

    def settled(self, handle: int, result: WriteResult) -> None:
        """The write has ended."""
        guard = self._guards.get(handle)
        if guard is None:
            return
        self._follow(handle, guard.write_done(self._direction, result, self._now()))
        if guard.unsettled is self._direction:
            self._settling.add(handle)

    def overdue(self, now: float) -> list[int]:
        """The handles whose echo does not come: read the written side, and tell `checked`."""
        ask: list[int] = []
        for handle in list(self._settling):
            guard = self._guards.get(handle)
            if guard is None or guard.unsettled is not self._direction:
                self._settling.discard(handle)
            elif guard.settle(now) is self._direction:
                ask.append(handle)
        return ask

    def checked(self, handle: int, value: bytes | None) -> None:
        """What a read of the written side found; None if it found nothing."""
        guard = self._guards.get(handle)
        if guard is None:
            return
        try:
            present = None if value is None else comparable(value)
        except DecodeError:
            present = None
        self._follow(handle, guard.checked(present, self._now()))

    # -- the guard ------------------------------------------------------------------------------

    def _guard(self, handle: int) -> EchoGuard | None:
        return self._guards.get(handle) if handle in self.handles else None

    def _arrived(self, guard: EchoGuard, value: bytes) -> bool:
        if self._direction is Direction.REVERSE:
            return guard.reverse_arrived(comparable(value))
        return guard.forward_arrived(comparable(value))

    def _follow(self, handle: int, wish: Direction | None) -> None:
        if wish is not None:
            self._offer_again(wish, handle)
