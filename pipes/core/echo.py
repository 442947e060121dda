"""Echo suppression of an item with ``direction: both``, as a state machine of its own.

The mirror watches both nodes and writes both. Each of its writes comes back as a notification of
the written side: the echo, which must not be written again. A notification that differs from
what was written is either older than the write (then the echo still comes) or a change of that
side that hid the echo (a server with queue size 1 replaces it). The bytes do not tell which.

Rules:

1. One direction at a time. From the start of a write until its echo the written side is
   *unsettled*: what it reports is remembered, not acted on. Writes of the same direction go on.
2. The echo of the newest write settles the side, and what comes after is a change. If a value
   was written twice meanwhile, an echo is ambiguous and does not settle.
3. Without an echo the side is read, after ``settle_seconds``: a read is newer than the write.
   What is read is what holds. The time must be longer than a report takes (sampling plus
   publishing interval and the way): else an older value may be carried back before the echo.
4. Before anything is in flight, forward wins: it takes the place of a reverse write that has not
   started, and a reverse change that arrives while a forward write waits is overwritten by it.
5. A write that was refused did not happen; changes that it would have overwritten are taken up.
   A write without an answer is repeated, because nobody knows.

Invariant: outside of a write, its echo and a wish, the value last seen on each side is the one
that was last written to it or last carried from it, so both sides are equal.

Values are `binary.comparable` bytes in the terms of the side that has them; transforms are the
caller's business. The caller keeps the newest value of each direction in its pending table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pipes.core.choices import Direction

_FORWARD: Final = Direction.FORWARD
_REVERSE: Final = Direction.REVERSE
_MOST_EARLIER: Final = 16
_MOST_CORRECTIONS: Final = 4


class WriteResult(StrEnum):
    WRITTEN = "written"
    REFUSED = "refused"
    """The server said no: the value is not there."""
    UNKNOWN = "unknown"
    """No answer: the value may be there, now or later."""


def opposite(direction: Direction) -> Direction:
    return _REVERSE if direction is _FORWARD else _FORWARD


class EchoGuard:
    """One item pair. Methods that return a Direction ask the caller to put the value that side
    last reported into the pending table of that direction; None asks for nothing.
    """

    __slots__ = (
        "_ambiguous",
        "_contradicted",
        "_corrections",
        "_deadline",
        "_earlier",
        "_echoed",
        "_in_flight",
        "_overwritten",
        "_read_counts",
        "_reading",
        "_seen",
        "_settle_seconds",
        "_unsettled",
        "_wanted",
        "_written",
        "suppressed",
    )

    def __init__(self, settle_seconds: float = 2.0) -> None:
        self._settle_seconds = settle_seconds
        self._seen: dict[Direction, bytes] = {}  # the newest value by the direction it would go
        self._wanted: Direction | None = None  # handed to the pending table, not started
        self._in_flight = False
        self._unsettled: Direction | None = None  # the direction whose echo is outstanding
        self._written = b""  # its newest write
        self._earlier: list[bytes] = []  # its writes before, since the side was settled
        self._ambiguous = False  # a value of `_earlier` was written again
        self._echoed = False  # the newest write has been seen
        self._contradicted = False  # another value came after the newest write began
        self._overwritten = False  # a reverse change gave way to a forward write not done yet
        self._reading = False  # a read that `settle` asked for is out
        self._read_counts = False  # nothing has happened since that would make it old
        self._corrections = 0
        self._deadline = 0.0
        self.suppressed = 0
        """How many notifications were echoes."""

    # --- notifications ------------------------------------------------------------------------

    def forward_arrived(self, value: bytes) -> bool:
        """The source reported ``value``: put it into the pending table?"""
        is_news = self._noted(_FORWARD, value)
        if self._unsettled is _REVERSE:
            self._reported(value)
            return False
        if self._wanted is _REVERSE:
            if not is_news:  # a new subscription repeats the value: no reason to lose a change
                return False
            self._overwritten = True
        self._wanted = _FORWARD
        return True

    def reverse_arrived(self, value: bytes) -> bool:
        """The target reported ``value``: put it into the pending table?"""
        is_news = self._noted(_REVERSE, value)
        if self._unsettled is _FORWARD:
            self._reported(value)
            return False
        if self._wanted is _FORWARD:
            self._overwritten = self._overwritten or is_news
            return False
        if not is_news or _FORWARD not in self._seen:  # the source has the first word
            return False
        self._wanted = _REVERSE
        return True

    def _noted(self, direction: Direction, value: bytes) -> bool:
        """Note what was seen last; whether it is news. A fresh change ends an old dispute."""
        is_news = self._seen.get(direction) != value
        self._seen[direction] = value
        if is_news and self._unsettled is None and self._wanted is None:
            self._corrections = 0
        return is_news

    def has_seen(self, direction: Direction) -> bool:
        """Whether a value that would go this way was reported."""
        return direction in self._seen

    def again(self, direction: Direction) -> bool:
        """A refused write is to be tried once more: put the value last seen into the table?"""
        other = opposite(direction)
        if direction not in self._seen or self._unsettled is other or self._wanted is other:
            return False
        self._wanted = direction
        return True

    def _reported(self, value: bytes) -> None:
        """The unsettled side reported something: its echo, an older value or a change."""
        self._read_counts = False
        if value != self._written:
            self._contradicted = True
            return
        self.suppressed += 1
        self._contradicted = False
        if self._ambiguous:
            return
        self._echoed = True
        self._earlier.clear()
        self._corrections = 0
        if not self._in_flight:
            self._settle_now()

    # --- writes -------------------------------------------------------------------------------

    def write_started(self, direction: Direction, written: bytes) -> bool:
        """Last question before ``written`` goes into a request, in the terms of the written side.

        False: it is not to be written, because the other direction has taken its place or the
        side has the value already. Not to be asked while a write of the item is in flight; the
        order guard of the lane sees to that.
        """
        if self._wanted is not direction:
            return False
        self._wanted = None
        if self._unsettled is None:
            if self._seen.get(opposite(direction)) == written:
                self._overwritten = False
                return False
            self._unsettled = direction
        elif written == self._written and not self._contradicted:
            return False
        else:
            self._remember_earlier(written)
        self._written = written
        self._in_flight = True
        self._contradicted = self._read_counts = False
        return True

    def _remember_earlier(self, written: bytes) -> None:
        self._earlier.append(self._written)
        if written in self._earlier or len(self._earlier) > _MOST_EARLIER:
            self._ambiguous = True
            del self._earlier[:-_MOST_EARLIER]

    def write_done(self, direction: Direction, result: WriteResult, now: float) -> Direction | None:
        """What became of the write that `write_started` allowed."""
        self._in_flight = False
        if result is WriteResult.REFUSED:
            return self._refused(direction, now)
        if self._echoed or result is WriteResult.WRITTEN:
            self._overwritten = False
        if self._echoed:
            return self._settled_after(direction)
        if result is WriteResult.WRITTEN:
            self._deadline = now + self._settle_seconds
            return None
        if direction is _REVERSE and self._contradicted:
            return self._settled_after(direction)
        self._contradicted = True  # so that the repetition is not taken for done
        return self._want(direction)

    def not_written(self, direction: Direction) -> Direction | None:
        """The value in the pending table will not be written: converted in vain, held, given up."""
        if self._wanted is not direction:
            return None
        self._wanted = None
        return self._take_up_overwritten()

    def _refused(self, direction: Direction, now: float) -> Direction | None:
        if self._earlier:  # a write before this one still has its echo to come
            self._written = self._earlier.pop()
            self._deadline = now + self._settle_seconds
            return None
        return self._settled_after(direction) or self._take_up_overwritten()

    def _settled_after(self, direction: Direction) -> Direction | None:
        """Settle; a change of the written side that came after the write is carried back."""
        is_changed = self._contradicted
        self._settle_now()
        if not is_changed:
            return None
        if self._wanted is not None:  # a further write of this direction waits
            self._overwritten = True
            if direction is _FORWARD:
                return None
        return self._want(opposite(direction))

    def _take_up_overwritten(self) -> Direction | None:
        if not self._overwritten or self._wanted is not None or self._unsettled is not None:
            return None
        self._overwritten = False
        return self._want(_REVERSE)

    def _want(self, direction: Direction) -> Direction:
        self._wanted = direction
        return direction

    # --- settling -----------------------------------------------------------------------------

    @property
    def unsettled(self) -> Direction | None:
        """The direction whose echo is outstanding: ask `settle` from time to time."""
        return self._unsettled

    def settle(self, now: float) -> Direction | None:
        """The direction whose written side has to be read now, see `checked`; else None."""
        direction = self._unsettled
        if direction is None or self._in_flight or self._wanted is not None:
            return None
        if self._reading or now < self._deadline:
            return None
        if self._seen.get(opposite(direction)) == self._written:
            self._settle_now()
            return None
        self._reading = self._read_counts = True
        return direction

    def checked(self, value: bytes | None, now: float) -> Direction | None:
        """What the read that `settle` asked for found; None if it could not be read.

        Must be called once for each direction that `settle` returned. What was overtaken by a
        write or a notification is ignored, and `settle` asks once more.
        """
        counts = self._reading and self._read_counts
        self._reading = self._read_counts = False
        direction = self._unsettled
        if direction is None or not counts:
            return None
        if value is None:
            self._deadline = now + self._settle_seconds
            return None
        self._seen[opposite(direction)] = value
        self._contradicted = value != self._written
        if self._contradicted:
            self._corrections += 1
            if self.is_disputed:
                self._contradicted = False
        return self._settled_after(direction)

    @property
    def is_disputed(self) -> bool:
        """Both servers alter what is written to them: the pair is left as it is."""
        return self._corrections > _MOST_CORRECTIONS

    def _settle_now(self) -> None:
        self._unsettled = None
        self._earlier.clear()
        self._ambiguous = self._echoed = self._contradicted = self._read_counts = False
