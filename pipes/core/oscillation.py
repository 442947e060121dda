"""The guard against values that go to and fro because of our own writes.

The linter refuses loops that it can see. A script at the plant, a second mirror or another address
of the same server close loops that it cannot see: what we write comes back as a change of the
source, is written, comes back. Then a few values (A, B, A, B) arrive again and again, each because
of a write before it.

A source that toggles by itself looks the same, so looking is not enough. What tells them apart is
the cause: *without our writes a loop is silent, a source goes on*. The stages of an item:

1. LOOKED_AT, a few seconds, some items of what was written last: its newest value is looked at now
   and then. Nothing is done for a value on its way. Most items drop out at once, by having more
   than a few different values or by moving too slowly.
2. OBSERVED: each arrival counts. Eight of them that repeat each other at two a second or more, or
   three values that come back *with their source timestamp of before*, are a suspicion.
3. WITHHELD: the item is not written for a moment. Arrivals that go on acquit it, and it is left
   alone for minutes, then longer. Silence means that our write was the cause.
4. After the first silence it is written again and OBSERVED. Only if it begins to move again, and
   falls silent a second time, it is SUSPENDED, for a pause that grows each time.

So a source that toggles slower than twice a second is never touched, a quick one misses a few
changes in ten minutes, and one that stops toggling by chance while it is withheld is written right
after. Kinds `queue` and `event` are not guarded: withholding would lose what they promise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice, pairwise, takewhile
from typing import Final

from pipes.core.binary import DecodeError, comparable, source_timestamp

#: A loop carries so many different values at most; more is a source with a life of its own.
MOST_VALUES: Final = 4
#: How often an item is looked at before it is judged, and in how many looks it must have moved.
LOOKS: Final = 20
LEAST_MOVES: Final = 8
#: Arrivals that must repeat each other, and values that must come back with their old timestamp.
ARRIVALS: Final = 8
RETURNS: Final = 3
MOST_PAIRS: Final = 16
SLOWEST_GAP_SECONDS: Final = 0.6
OBSERVED_SECONDS: Final = 10.0
#: What counts as silence: so long, and so many times the usual gap between arrivals.
QUIET_SECONDS: Final = 0.6
QUIET_GAPS: Final = 4
#: Arrivals beyond those that were under way already, which acquit.
SPARE_ARRIVALS: Final = 2
SILENCES: Final = 2
FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 600.0
#: How long an item must behave after a pause until the guard forgets it.
PROBATION_SECONDS: Final = 60.0
SHORT_EXEMPTION_SECONDS: Final = 60.0
FIRST_EXEMPTION_SECONDS: Final = 600.0
LONGEST_EXEMPTION_SECONDS: Final = 86_400.0
#: Items under look at a time, and acquitted ones that are remembered.
MOST_CASES: Final = 100
MOST_EXEMPTIONS: Final = 2_000


class Stage(StrEnum):
    LOOKED_AT = "looked at"
    OBSERVED = "observed"
    WITHHELD = "withheld"
    SUSPENDED = "suspended"


class Step(StrEnum):
    """What the flow has to do for an item."""

    OBSERVE = "observe"
    """Let each of its values be seen."""
    WITHHOLD = "withhold"
    """Write nothing of it."""
    SUSPEND = "suspend"
    """Write nothing of it, and say why: it oscillates."""
    RELEASE = "release"
    """Write its newest value, and go on."""
    ACQUIT = "acquit"
    """As RELEASE, and it is an item like any other."""
    CALM = "calm"
    """It was suspended, and behaves again."""


Steps = list[tuple[int, Step]]


class _Case:
    """One item under suspicion."""

    __slots__ = (
        "arrivals", "began", "due", "first_look", "keys", "moves", "newest", "pairs", "pauses",
        "returns", "silences", "stage", "times",
    )  # fmt: skip

    def __init__(self, first_look: int, now: float) -> None:
        self.first_look = first_look
        self.silences = 0
        self.pauses = 0
        self.due = 0.0
        self.start(Stage.LOOKED_AT, now)

    def start(self, stage: Stage, now: float) -> None:
        self.stage = stage
        self.began = now
        self.moves = self.arrivals = self.returns = 0
        self.newest: bytes | None = None
        self.keys: list[bytes] = []
        self.times: list[float] = []
        self.pairs: list[tuple[bytes, int]] = []

    def takes(self, value: bytes, now: float) -> bool:
        """Note a value; False if it is the one of before.

        Raises:
            DecodeError: the value is damaged.
        """
        if value is self.newest:
            return False
        self.newest = value
        self.moves += 1
        key, stamp = comparable(value), source_timestamp(value)
        self.keys.append(key)
        self.times.append(now)
        if stamp is not None:
            pair = (key, stamp)
            if pair in self.pairs[:-1] and pair != self.pairs[-1]:
                self.returns += 1
            self.pairs.append(pair)
            del self.pairs[:-MOST_PAIRS]
        return True

    def forget_first(self) -> None:
        del self.keys[0], self.times[0]

    @property
    def repeats(self) -> bool:
        """Whether the arrivals are a few values in turn: A, B, A, B or A, B, C, A, B, C."""
        keys = self.keys
        return all(one != other for one, other in pairwise(keys)) and any(
            all(one == other for one, other in zip(keys, keys[turn:], strict=False))
            for turn in range(2, MOST_VALUES + 1)
        )

    @property
    def has_many_values(self) -> bool:
        return len(set(self.keys)) > MOST_VALUES

    @property
    def gap(self) -> float:
        """Seconds between two arrivals, on average; there are two at least."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)


class OscillationGuard:
    """The items of one flow. ``seen`` are those whose values must not pass without a look, and
    ``withheld`` those of them that are not written.
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.withheld: set[int] = set()
        self.suspended: dict[int, float] = {}  # handle -> the length of its present pause
        self._looks = 0
        self._looked_at: dict[int, _Case] = {}  # oldest first
        self._cases: dict[int, _Case] = {}  # those of the later stages
        self._exempt: dict[int, tuple[float, float]] = {}  # handle -> until when, how long

    @property
    def is_idle(self) -> bool:
        return not self._looked_at and not self._cases

    def consider(self, handles: Iterable[int], now: float) -> None:
        """Begin to look at these, as many as there is room for."""
        for handle in handles:
            if len(self._looked_at) + len(self._cases) - len(self.suspended) >= MOST_CASES:
                return
            is_known = handle in self._looked_at or handle in self._cases
            if not is_known and self._exempt.get(handle, (0.0, 0.0))[0] <= now:
                self._looked_at[handle] = _Case(self._looks + 1, now)

    def look(self, last: Mapping[int, bytes], now: float) -> Steps:
        """Look at the newest values, a few times a second; what does not move costs nothing."""
        steps: Steps = []
        looked_at = self._looked_at
        self._looks += 1
        newest = last.get
        for handle in [h for h, case in looked_at.items() if newest(h) is not case.newest]:
            try:
                looked_at[handle].takes(last[handle], now)
            except (DecodeError, KeyError):  # damaged; taken out of the flow meanwhile
                del looked_at[handle]
                continue
            if looked_at[handle].has_many_values:
                del looked_at[handle]
            elif looked_at[handle].returns:
                steps.append(self._observed(handle, now))
        over = self._looks - LOOKS + 1
        for handle in list(takewhile(lambda h: looked_at[h].first_look <= over, looked_at)):
            if looked_at[handle].moves >= LEAST_MOVES:
                steps.append(self._observed(handle, now))
            else:
                del looked_at[handle]
        return steps

    def arrived(self, handle: int, value: bytes, now: float) -> Step | None:
        """A value of an item in ``seen`` was decided about; the same object again is no arrival.

        Raises:
            DecodeError: the value is damaged.
        """
        case = self._cases[handle]
        if case.stage is Stage.SUSPENDED or not case.takes(value, now):
            return None
        if case.stage is Stage.WITHHELD:
            return self._arrived_withheld(handle, case, now)
        if case.has_many_values:
            return self._acquit(handle, now, SHORT_EXEMPTION_SECONDS)
        if case.returns >= RETURNS:
            return self._withhold(handle, case, now)
        if len(case.keys) < ARRIVALS:
            return None
        if case.repeats and case.gap <= SLOWEST_GAP_SECONDS:
            return self._withhold(handle, case, now)
        if case.pauses:  # it moves, and not to and fro: that is what probation waits for
            case.forget_first()
            return None
        return self._acquit(handle, now, SHORT_EXEMPTION_SECONDS)

    def due(self, now: float) -> Steps:
        """What is to be done because time has passed."""
        over = [handle for handle, case in self._cases.items() if 0.0 < case.due <= now]
        return [(handle, self._time_is_over(handle, now)) for handle in over]

    def forget(self, handles: Collection[int]) -> None:
        for handle in handles:
            self._end(handle)
            self._exempt.pop(handle, None)

    # -- from stage to stage --------------------------------------------------------------------

    def _observed(self, handle: int, now: float) -> tuple[int, Step]:
        self._cases[handle] = self._looked_at.pop(handle)
        self._observe(handle, now)
        return handle, Step.OBSERVE

    def _observe(self, handle: int, now: float, seconds: float = OBSERVED_SECONDS) -> None:
        case = self._cases[handle]
        case.start(Stage.OBSERVED, now)
        case.due = now + seconds
        self.seen.add(handle)
        self.withheld.discard(handle)
        self.suspended.pop(handle, None)

    def _withhold(self, handle: int, case: _Case, now: float) -> Step:
        gap = case.gap
        under_way = len(set(case.keys))
        case.start(Stage.WITHHELD, now)
        case.arrivals = -under_way
        case.due = now + max(QUIET_SECONDS, QUIET_GAPS * gap)
        self.withheld.add(handle)
        return Step.WITHHOLD

    def _arrived_withheld(self, handle: int, case: _Case, now: float) -> Step | None:
        case.arrivals += 1
        if case.arrivals >= SPARE_ARRIVALS:
            known = self._exempt.get(handle, (0.0, FIRST_EXEMPTION_SECONDS / 2))[1]
            return self._acquit(handle, now, min(2 * known, LONGEST_EXEMPTION_SECONDS))
        case.due += now - case.began
        case.began = now
        return None

    def _time_is_over(self, handle: int, now: float) -> Step:
        case = self._cases[handle]
        if case.stage is Stage.OBSERVED:
            had_pauses = case.pauses > 0
            self._end(handle)
            return Step.CALM if had_pauses else Step.ACQUIT
        if case.stage is Stage.WITHHELD:
            case.silences += 1
            if case.silences >= SILENCES:
                return self._suspend(handle, case, now)
            self._observe(handle, now)
            return Step.RELEASE
        case.silences = SILENCES - 1  # proven before: one more silence is enough
        self._observe(handle, now, PROBATION_SECONDS)
        return Step.RELEASE

    def _suspend(self, handle: int, case: _Case, now: float) -> Step:
        pause = min(FIRST_PAUSE_SECONDS * 2.0**case.pauses, LONGEST_PAUSE_SECONDS)
        case.start(Stage.SUSPENDED, now)
        case.pauses = min(case.pauses + 1, 16)
        case.due = now + pause
        self.suspended[handle] = pause
        return Step.SUSPEND

    def _acquit(self, handle: int, now: float, seconds: float) -> Step:
        had_pauses = self._cases[handle].pauses > 0
        self._end(handle)
        self._exempt[handle] = (now + seconds, seconds)
        if len(self._exempt) > MOST_EXEMPTIONS:
            del self._exempt[next(iter(self._exempt))]
        return Step.CALM if had_pauses else Step.ACQUIT

    def _end(self, handle: int) -> None:
        self._looked_at.pop(handle, None)
        self._cases.pop(handle, None)
        self.seen.discard(handle)
        self.withheld.discard(handle)
        self.suspended.pop(handle, None)


def some_of(handles: Collection[int], most: int, start: int) -> Iterator[int]:
    """At most ``most`` of the handles, spread over them; with a growing ``start`` all in turn."""
    step = -(-len(handles) // most) or 1
    return islice(handles, start % step, None, step)
