from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipes.core.sample_queue import Loss, Sample, SampleQueue

ALL = 100


def sample(number: int, at: float = 0.0) -> Sample:
    return Sample(b"%d" % number, at)


def queue_of(*numbers: int, limit: int = 10, age: float = 0.0, handle: int = 1) -> SampleQueue:
    queue = SampleQueue(limit, age)
    for number in numbers:
        assert queue.put(handle, sample(number)) is None
    return queue


def taken(queue: SampleQueue, limit: int = ALL) -> dict[int, int]:
    return {handle: int(one.value) for handle, one in queue.take(limit)}


class TestOrder:
    def test_samples_of_an_item_go_one_by_one_in_their_order(self) -> None:
        queue = queue_of(1, 2, 3)
        gone = []

        while batch := taken(queue):
            assert taken(queue) == {}, "the first has no answer yet"
            gone.append(batch[1])
            queue.done(batch)

        assert gone == [1, 2, 3]
        assert (len(queue), queue.of(1), queue.in_flight) == (0, 0, 0)

    def test_items_take_turns(self) -> None:
        queue = queue_of(1, 2)
        queue.put(2, sample(5))

        first = taken(queue, 1)
        queue.done(first)

        assert first == {1: 1}
        assert taken(queue, 1) == {2: 5}
        assert taken(queue, 0) == taken(queue, -1) == {}
        assert taken(queue) == {1: 2}

    def test_what_is_not_in_flight_cannot_be_done(self) -> None:
        queue = queue_of(1)

        queue.done([1, 2])

        assert taken(queue) == {1: 1}
        assert queue.flying([1, 2]) == {1}


class TestLimits:
    def test_the_oldest_sample_gives_way_to_a_new_one(self) -> None:
        queue = queue_of(1, 2, limit=2)

        assert queue.put(1, sample(3)) == Loss(1, sample(1))
        assert len(queue) == queue.of(1) == 2
        assert taken(queue) == {1: 2}

    def test_a_sample_that_comes_back_to_a_full_queue_is_lost(self) -> None:
        queue = queue_of(1, limit=1)
        taken(queue)
        assert queue.put(1, sample(2)) is None

        assert queue.back([1]) == [Loss(1, sample(1))]
        assert taken(queue) == {1: 2}

    def test_samples_expire_oldest_first(self) -> None:
        queue = SampleQueue(10, 5.0)
        for number in range(4):
            queue.put(1, sample(number, at=float(number)))
        queue.put(2, sample(9, at=0.0))

        assert queue.expire(5.0) == []
        lost = queue.expire(7.5)

        assert [(loss.handle, int(loss.sample.value)) for loss in lost] == [
            (1, 0), (1, 1), (1, 2), (2, 9),
        ]  # fmt: skip
        assert taken(queue) == {1: 3}
        assert queue.expire(99.0) == []

    def test_age_zero_is_for_ever(self) -> None:
        queue = queue_of(1)

        assert queue.expire(1e9) == []
        assert taken(queue) == {1: 1}


class TestOutcomes:
    def test_what_came_back_is_the_next_of_its_item(self) -> None:
        queue = queue_of(1, 2)
        taken(queue)

        assert queue.back([1, 5]) == []

        assert len(queue) == 2
        assert taken(queue) == {1: 1}

    def test_nobody_knows_and_only_an_event_is_lost(self) -> None:
        queue = queue_of(1, 2)
        queue.put(2, sample(7))
        queue.put(2, sample(8))
        queue.once.update((2, 3))
        taken(queue)

        assert queue.unknown([1, 2, 3]) == ([Loss(2, sample(7))], [])

        assert taken(queue) == {1: 1, 2: 8}

    def test_the_oldest_that_waits_can_be_given_up(self) -> None:
        queue = queue_of(1, 2)

        assert queue.drop(1) == Loss(1, sample(1))
        assert queue.drop(1) == Loss(1, sample(2))
        assert queue.drop(1) is None
        assert taken(queue) == {}

    def test_all_that_waits_can_be_given_up(self) -> None:
        queue = queue_of(1, 2)

        assert queue.empty(1) == [Loss(1, sample(1)), Loss(1, sample(2))]
        assert queue.empty(1) == []
        assert (len(queue), taken(queue)) == (0, {})


class TestPausing:
    def test_a_paused_item_is_not_taken(self) -> None:
        queue = queue_of(1)
        queue.pause([1, 2])
        queue.put(1, sample(2))
        queue.put(2, sample(5))

        assert queue.paused == {1, 2}
        assert taken(queue) == {}

        queue.resume([2])
        assert taken(queue) == {2: 5}
        queue.resume([1, 3])
        assert taken(queue) == {1: 1}

    def test_an_item_that_is_paused_in_flight_waits_after_its_answer(self) -> None:
        queue = queue_of(1, 2)
        queue.pause(taken(queue))

        queue.done([1])

        assert taken(queue) == {}


class TestForgetting:
    def test_a_forgotten_sample_in_flight_does_not_come_back(self) -> None:
        queue = queue_of(1, 2)
        queue.pause([2])
        queue.once.add(1)
        taken(queue)

        assert queue.forget([1, 2]) == [Loss(1, sample(2))]
        queue.put(1, sample(3))
        assert taken(queue) == {}, "the write of its former self is not answered yet"
        assert queue.back([1]) == []

        assert taken(queue) == {1: 3}
        assert queue.once == set()

    def test_one_that_ends_well_leaves_nothing_behind(self) -> None:
        queue = queue_of(1)
        queue.forget(taken(queue))
        queue.done([1])
        queue.put(1, sample(2))

        queue.back(taken(queue))

        assert taken(queue) == {1: 2}, "the next write may be tried again"


HANDLES = st.integers(0, 4)
LIMIT = 6


class SampleQueueMachine(RuleBasedStateMachine):
    """Below the limits nothing is lost; order is kept; one of an item is in flight at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SampleQueue(LIMIT, 1000.0)
        self.queue.once.add(0)
        self.clock = 0
        self.given: dict[int, list[int]] = {}
        self.accepted: dict[int, list[int]] = {}
        self.lost: dict[int, list[int]] = {}
        self.flying: list[dict[int, int]] = []
        self.tried: list[int] = []

    def lose(self, losses: list[Loss]) -> None:
        for loss in losses:
            self.lost.setdefault(loss.handle, []).append(int(loss.sample.value))

    @rule(handle=HANDLES)
    def put(self, handle: int) -> None:
        self.clock += 1
        loss = self.queue.put(handle, sample(self.clock, float(self.clock)))
        self.given.setdefault(handle, []).append(self.clock)
        if loss is not None:
            self.lose([loss])

    @rule(limit=st.integers(0, 5))
    def take(self, limit: int) -> None:
        batch = taken(self.queue, limit)
        assert len(batch) <= max(limit, 0)
        assert all(batch.keys().isdisjoint(other) for other in self.flying)
        if 0 in batch:
            assert batch[0] not in self.tried, "an event is tried once"
            self.tried.append(batch[0])
        if batch:
            self.flying.append(batch)

    @rule(handles=st.sets(HANDLES), pause=st.booleans())
    def hold(self, handles: set[int], pause: bool) -> None:
        (self.queue.pause if pause else self.queue.resume)(handles)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), open_=st.sets(HANDLES))
    def answer(self, data: st.DataObject, open_: set[int]) -> None:
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        well = batch.keys() - open_
        for handle in well:
            self.accepted.setdefault(handle, []).append(batch[handle])
        self.queue.done(well)
        never_again, no_room = self.queue.unknown(batch.keys() & open_)
        assert [loss.handle for loss in never_again] == [0] * len(never_again)
        self.lose(never_again + no_room)

    @rule(seconds=st.integers(0, 3))
    def expire(self, seconds: int) -> None:
        self.queue.age_seconds = float(seconds)
        self.lose(self.queue.expire(float(self.clock)))

    @invariant()
    def bounded_and_in_order(self) -> None:
        assert self.queue.in_flight == sum(map(len, self.flying))
        for handle in range(5):
            assert self.queue.of(handle) <= LIMIT + 1
            accepted = self.accepted.get(handle, [])
            assert accepted == sorted(set(accepted))

    def teardown(self) -> None:
        for batch in self.flying:
            self.queue.done(batch)
            for handle, number in batch.items():
                self.accepted.setdefault(handle, []).append(number)
        self.queue.resume(range(5))
        while batch := taken(self.queue):
            self.queue.done(batch)
            for handle, number in batch.items():
                self.accepted.setdefault(handle, []).append(number)
        assert len(self.queue) == 0
        for handle, given in self.given.items():
            arrived = self.accepted.get(handle, [])
            assert arrived == sorted(arrived)
            assert sorted(arrived + self.lost.get(handle, [])) == given, "lost without a word"


TestSampleQueueMachine = SampleQueueMachine.TestCase
TestSampleQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
