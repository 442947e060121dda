from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count, pairwise

import pytest

from pipes.core import oscillation
from pipes.core.binary import DecodeError, encode_data_value
from pipes.core.oscillation import OscillationGuard, Step, some_of
from pipes.core.values import DataValue, Variant, VariantType

ITEM = 7
PUBLISHED_EVERY = 0.1
WRITE_SECONDS = 0.005


def number(value: float, stamp: int | None) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.DOUBLE, value), 0, stamp))


class World:
    """An item, its source, and whatever comes back; seconds that a test lets pass.

    A source changes by ``set_source``; each ``PUBLISHED_EVERY`` a change is reported and, unless
    the guard withholds it, written; ``on_written`` is what the plant makes of it.
    """

    def __init__(self, on_written: Callable[[World, float], None] = lambda _w, _v: None) -> None:
        self.now = 100.0
        self.guard = OscillationGuard()
        self.source = 0.0
        self.stamp: int | None = 0
        self.target = 0.0
        self.written: list[float] = []
        self.steps: list[tuple[float, Step]] = []
        self.arrivals = 0
        self._on_written = on_written
        self._reported: tuple[float, int | None] | None = None
        self._last: dict[int, bytes] = {}
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.after(0, self._publish)
        self.after(0.01, self._tick)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), what))

    def run(self, seconds: float) -> World:
        end = self.now + seconds
        while self._events[0][0] <= end:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = end
        return self

    def set_source(self, value: float, stamp: int | None = -1) -> None:
        self.source = value
        self.stamp = round(self.now * 1e7) if stamp == -1 else stamp

    def count(self, step: Step) -> int:
        return sum(done is step for _, done in self.steps)

    def taken(self) -> set[Step]:
        return {step for _, step in self.steps}

    def _publish(self) -> None:
        self.after(PUBLISHED_EVERY, self._publish)
        if self._reported is not None and self._reported[0] == self.source:
            return
        self._reported = (self.source, self.stamp)
        self.arrivals += 1
        self._last[ITEM] = number(self.source, self.stamp)
        if ITEM in self.guard.seen:
            self._carry_out(self.guard.arrived(ITEM, self._last[ITEM], self.now))
        self._write()

    def _write(self) -> None:
        if ITEM not in self.guard.withheld:
            value, stamp = self.source, self.stamp
            self.after(WRITE_SECONDS, lambda: self._landed(value, stamp))

    def _landed(self, value: float, stamp: int | None) -> None:
        self.target = value
        self.target_stamp = stamp
        self.written.append(value)
        self.guard.consider([ITEM], self.now)
        self._on_written(self, value)

    def _tick(self) -> None:
        self.after(0.2, self._tick)
        for _, step in (*self.guard.look(self._last, self.now), *self.guard.due(self.now)):
            self._carry_out(step)

    def _carry_out(self, step: Step | None) -> None:
        if step is None:
            return
        self.steps.append((self.now, step))
        if step is Step.RELEASE:
            self._write()


def script(delay: float, made: Callable[[float], float], *, keeps_stamp: bool = False):
    """A script at the plant that reacts to what was written, by writing the source."""

    def on_written(world: World, value: float) -> None:
        stamp = world.target_stamp if keeps_stamp else -1
        world.after(delay, lambda: world.set_source(made(value), stamp))

    return on_written


def opposite(value: float) -> float:
    return 1.0 - value


def toggle(world: World, every: float, values: int = 2) -> None:
    """A source with a life of its own."""

    def step() -> None:
        world.after(every, step)
        world.set_source((world.source + 1) % values)

    world.after(every, step)


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.15, 0.3])
@pytest.mark.parametrize(
    "made", [opposite, lambda value: (value + 1) % 3, lambda value: (value + 1) % 4]
)
def test_a_loop_through_a_script_is_suspended(delay: float, made: Callable[[float], float]) -> None:
    world = World(script(delay, made)).run(15)
    assert world.count(Step.SUSPEND) == 1
    assert ITEM in world.guard.suspended
    writes = len(world.written)
    world.run(1)
    assert len(world.written) == writes


def test_a_loop_that_is_written_after_each_pause_is_suspended_for_longer_each_time() -> None:
    world = World(script(0.03, opposite)).run(4_000)
    at = [when for when, step in world.steps if step is Step.SUSPEND]
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert all(later > earlier for earlier, later in pairwise(pauses[:5]))
    assert max(pauses) < oscillation.LONGEST_PAUSE_SECONDS + 20
    assert len(world.written) < 40_000 * 0.03
    assert world.guard.suspended[ITEM] == oscillation.LONGEST_PAUSE_SECONDS


def test_a_loop_that_ends_is_written_again_and_said_to_be_calm() -> None:
    world = World(script(0.03, opposite)).run(10)
    assert world.guard.suspended
    world._on_written = lambda _world, _value: None
    world.run(120)
    assert world.steps[-1][1] is Step.CALM
    assert world.guard.is_idle
    assert world.target == world.source
    world.set_source(42.0)
    world.run(1)
    assert world.target == 42.0


def test_what_moves_after_a_pause_but_not_to_and_fro_is_calm() -> None:
    world = World(script(0.03, opposite)).run(10)
    world._on_written = lambda _world, _value: None
    toggle(world, 0.3, values=1000)
    world.run(15)
    assert world.count(Step.CALM) == 1
    assert world.written[-1] >= world.source - 1


def test_what_toggles_slowly_after_a_pause_is_calm_when_probation_is_over() -> None:
    world = World(script(0.03, opposite)).run(10)
    world._on_written = lambda _world, _value: None
    toggle(world, 1.5)
    world.run(60)
    assert Step.CALM not in world.taken()
    world.run(20)
    assert world.count(Step.CALM) == 1
    assert world.count(Step.SUSPEND) == 1


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.13, 0.2, 0.4])
@pytest.mark.parametrize("values", [2, 3, 4])
def test_a_source_that_toggles_by_itself_is_withheld_for_a_moment_and_acquitted(
    seconds: float, values: int
) -> None:
    world = World()
    toggle(world, seconds, values)
    world.run(300)
    assert Step.SUSPEND not in world.taken()
    assert world.count(Step.WITHHOLD) <= 1
    held = world.arrivals - len(world.written)
    assert held <= 8, "so many changes may be missed in five minutes"


def test_a_source_that_toggles_on_is_asked_again_ever_later() -> None:
    world = World()
    toggle(world, 0.2)
    world.run(12_000)
    at = [when for when, step in world.steps if step is Step.WITHHOLD]
    assert 2 <= len(at) <= 5
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps == sorted(gaps)


@pytest.mark.parametrize(
    ("seconds", "values"), [(0.7, 2), (1.0, 2), (5.0, 2), (0.1, 5), (0.1, 1000)]
)
def test_a_slow_or_a_varied_source_is_never_withheld(seconds: float, values: int) -> None:
    world = World()
    toggle(world, seconds, values)
    world.run(120)
    assert Step.WITHHOLD not in world.taken()
    assert world.arrivals - len(world.written) <= 1


def test_a_source_that_stops_by_chance_while_it_is_withheld_is_written_right_after() -> None:
    world = World()

    def step() -> None:
        world.after(0.2, step)
        world.set_source(opposite(world.source))

    world.after(0.2, step)
    world.run(5.4)
    assert world.steps[-1][1] is Step.WITHHOLD
    world._events = [event for event in world._events if event[2] is not step]
    world.run(3)
    assert world.steps[-1][1] is Step.RELEASE
    assert world.target == world.source
    world.run(15)
    assert world.guard.is_idle
    assert Step.SUSPEND not in world.taken()


def test_values_that_come_back_with_their_timestamp_are_suspected_however_slow() -> None:
    """A second mirror carries timestamps along: two values that chase each other."""
    world = World(script(1.5, opposite, keeps_stamp=True))
    stamps = {0.0: 1000, 1.0: 2000}

    def swap(w: World, value: float) -> None:
        back = opposite(value)
        w.after(0.7, lambda: w.set_source(back, stamps[back]))

    world._on_written = swap
    world.run(60)
    assert world.count(Step.SUSPEND) >= 1


def test_a_loop_that_is_cut_by_withholding_needs_no_suspension() -> None:
    """Two values chase each other through a second mirror; held once, both sides are equal."""
    world = World(script(0.05, lambda value: value))
    world.set_source(1.0)
    world.after(0.15, lambda: world.set_source(0.0))
    world.run(60)
    assert Step.SUSPEND not in world.taken()
    writes = len(world.written)
    world.run(10)
    assert len(world.written) == writes
    assert world.target == world.source


def test_a_value_without_a_timestamp_is_judged_all_the_same() -> None:
    world = World(lambda w, value: w.after(0.03, lambda: w.set_source(opposite(value), None)))
    world.stamp = None
    world.run(10)
    assert world.count(Step.SUSPEND) == 1


class TestDetails:
    def test_a_damaged_value_ends_the_look(self) -> None:
        guard = OscillationGuard()
        guard.consider([1], 0.0)
        assert guard.look({1: b"\x05\x0b"}, 0.2) == []
        assert guard.is_idle

    def test_a_damaged_value_of_a_suspect_is_told_to_the_caller(self) -> None:
        guard = OscillationGuard()
        self.observe(guard, 1)
        with pytest.raises(DecodeError):
            guard.arrived(1, b"\x05\x0b", 9.0)

    def observe(self, guard: OscillationGuard, handle: int) -> None:
        guard.consider([handle], 0.0)
        steps = []
        for look in range(oscillation.LOOKS):
            steps += guard.look({handle: number(look % 2, look)}, look * 0.2)
        assert steps == [(handle, Step.OBSERVE)]
        assert guard.seen == {handle}

    def test_an_item_without_a_value_is_looked_at_in_vain(self) -> None:
        guard = OscillationGuard()
        guard.consider([1], 0.0)
        for look in range(oscillation.LOOKS):
            assert guard.look({}, look * 0.2) == []
        assert guard.is_idle

    def test_the_same_object_again_is_no_arrival(self) -> None:
        guard = OscillationGuard()
        self.observe(guard, 1)
        value = number(0, 1)
        for _ in range(20):
            assert guard.arrived(1, value, 5.0) is None

    def test_no_more_items_than_there_is_room_for_are_looked_at(self) -> None:
        guard = OscillationGuard()
        guard.consider(range(10_000), 0.0)
        guard.consider(range(10_000, 20_000), 0.0)
        assert len(guard._looked_at) == oscillation.MOST_CASES

    def test_what_arrives_unordered_is_acquitted_for_a_while(self) -> None:
        guard = OscillationGuard()
        self.observe(guard, 1)
        steps = [
            guard.arrived(1, number(value, 100 + at), 4 + at * 0.1)
            for at, value in enumerate([1, 2, 1, 3, 2, 3, 1, 3])
        ]
        assert steps == [None] * 7 + [Step.ACQUIT]
        guard.consider([1], 5.0)
        assert guard.is_idle
        guard.consider([1], 70.0)
        assert not guard.is_idle

    def test_many_values_acquit_at_once(self) -> None:
        guard = OscillationGuard()
        self.observe(guard, 1)
        steps = [guard.arrived(1, number(at, 100 + at), 4 + at * 0.1) for at in range(5)]
        assert steps == [None] * 4 + [Step.ACQUIT]

    def test_the_exemptions_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(oscillation, "MOST_EXEMPTIONS", 2)
        guard = OscillationGuard()
        for handle in (1, 2, 3):
            self.observe(guard, handle)
            for at in range(5):
                guard.arrived(handle, number(at, 100 + at), 4 + at * 0.1)
        assert list(guard._exempt) == [2, 3]

    def test_a_suspended_item_takes_no_notice_of_arrivals(self) -> None:
        world = World(script(0.03, opposite)).run(10)
        assert ITEM in world.guard.suspended
        assert world.guard.arrived(ITEM, number(9, 9), world.now) is None

    def test_forgotten_items_leave_nothing(self) -> None:
        world = World(script(0.03, opposite)).run(10)
        world.guard.forget([ITEM, 99])
        assert world.guard.is_idle
        assert not world.guard.seen | world.guard.withheld
        assert not world.guard.suspended

    def test_handles_are_taken_in_turn(self) -> None:
        seen = Counter(handle for turn in range(10) for handle in some_of(range(100), 10, turn))
        assert seen == Counter(range(100))
        assert list(some_of(range(3), 10, 5)) == [0, 1, 2]
        assert list(some_of((), 10, 5)) == []
