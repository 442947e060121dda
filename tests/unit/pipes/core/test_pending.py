from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipes.core.pending import Pending

OLD, NEW, NEWER = b"old", b"new", b"newer"
ALL = 100


class TestConflation:
    def test_pending_keeps_the_newest_value(self) -> None:
        pending = Pending(10)

        pending.put({1: OLD, 2: OLD})
        pending.put({1: NEW})

        assert len(pending) == 2
        assert pending.conflated == 1
        assert pending.take(ALL) == {1: NEW, 2: OLD}

    def test_a_handle_beyond_the_limit_is_refused(self) -> None:
        pending = Pending(2)

        pending.put({1: OLD})
        pending.put({1: NEW, 2: NEW, 3: NEW, 4: NEW})

        assert pending.refused == 2
        assert pending.conflated == 1
        assert pending.take(ALL) == {1: NEW, 2: NEW}

    def test_busy_handles_count_for_the_limit_once_they_wait_again(self) -> None:
        pending = Pending(2)
        pending.put({1: OLD, 2: OLD})
        pending.take(ALL)

        pending.put({7: NEW, 8: NEW})
        pending.put({1: NEW, 9: NEW})

        assert (len(pending), pending.refused, pending.blocked) == (2, 2, 0)
        assert pending.take(ALL) == {7: NEW, 8: NEW}


class TestTaking:
    def test_the_longest_waiting_values_go_first(self) -> None:
        pending = Pending(10)
        pending.put(dict.fromkeys(range(5), OLD))
        pending.put({0: NEW, 9: NEW})

        assert list(pending.take(2)) == [0, 1]
        assert list(pending.take(ALL)) == [2, 3, 4, 9]
        assert pending.take(ALL) == {}

    def test_nothing_is_taken_when_nothing_may_be(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})

        assert pending.take(0) == {}
        assert pending.take(-1) == {}
        assert len(pending) == 1


class TestOrderGuard:
    def test_two_writes_of_one_item_are_never_in_flight_together(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        batch = pending.take(ALL)

        pending.put({1: NEW, 3: NEW})

        assert pending.take(ALL) == {3: NEW}
        assert (pending.blocked, pending.in_flight) == (1, 3)
        pending.done(batch)
        assert (pending.blocked, pending.in_flight) == (0, 1)
        assert pending.take(ALL) == {1: NEW}

    def test_a_blocked_value_is_replaced_by_a_newer_one(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})
        batch = pending.take(ALL)

        pending.put({1: NEW})
        pending.put({1: NEWER})
        pending.done(batch)

        assert pending.conflated == 1
        assert pending.take(ALL) == {1: NEWER}

    def test_an_answer_leaves_other_writes_blocked(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        first, second = pending.take(1), pending.take(1)
        pending.put({1: NEW, 2: NEW})

        pending.done(first)

        assert pending.take(ALL) == {1: NEW}
        pending.done(second)
        assert pending.take(ALL) == {2: NEW}


class TestRetry:
    def test_a_failed_write_is_tried_again(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        batch = pending.take(ALL)

        pending.done({2: batch[2]})
        pending.retry({1: batch[1]})

        assert pending.in_flight == 0
        assert pending.take(ALL) == {1: OLD}

    def test_c09_a_failed_write_gives_way_to_a_newer_value(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})
        batch = pending.take(ALL)
        pending.put({1: NEW})

        pending.retry(batch)

        assert pending.conflated == 1
        assert pending.take(ALL) == {1: NEW}

    def test_a_failed_write_is_refused_when_others_fill_the_place(self) -> None:
        pending = Pending(1)
        pending.put({1: OLD})
        batch = pending.take(ALL)
        pending.put({2: NEW})

        pending.retry(batch)

        assert pending.refused == 1
        assert pending.take(ALL) == {2: NEW}


class TestForgetting:
    def test_a_forgotten_item_is_not_written(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        batch = pending.take(1)
        pending.put({1: NEW, 3: NEW})

        pending.forget([1, 2, 4])
        pending.retry(batch)

        assert pending.take(ALL) == {3: NEW}

    def test_an_item_that_comes_back_waits_for_the_write_in_flight(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})
        batch = pending.take(ALL)
        pending.forget(batch)

        pending.put({1: NEW})

        assert pending.take(ALL) == {}
        pending.retry(batch)
        assert pending.take(ALL) == {1: NEW}

    def test_a_later_write_of_the_item_may_be_tried_again(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})
        first = pending.take(ALL)
        pending.forget(first)
        pending.done(first)
        pending.put({1: NEW})

        pending.retry(pending.take(ALL))

        assert pending.take(ALL) == {1: NEW}


class TestWhatBecomesOfAWrite:
    def test_one_that_nobody_knows_of_is_tried_again(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})

        pending.unknown(pending.take(ALL))

        assert pending.take(ALL) == {1: OLD}

    def test_one_of_a_session_that_is_over_is_not(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD})

        pending.abandoned(pending.take(ALL))

        assert pending.take(ALL) == {}
        assert pending.in_flight == 0

    def test_a_refused_one_makes_way_for_the_newest_value(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        pending.take(ALL)
        pending.put({1: NEW, 2: NEW})

        pending.declined(1)
        pending.declined(2)
        pending.postpone(2)

        assert pending.take(ALL) == {1: NEW}

    def test_a_write_that_came_another_way_keeps_its_item_busy(self) -> None:
        pending = Pending(10)
        pending.reserve([1])
        pending.put({1: NEW})

        assert pending.is_busy(1)
        assert pending.take(ALL) == {}
        pending.done([1])
        assert not pending.is_busy(1)
        assert pending.take(ALL) == {1: NEW}


HANDLES = st.integers(0, 8)
LIMIT = 9


class TestTakingBack:
    def test_a_value_that_waits_can_be_taken_back(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        pending.take(1)
        pending.put({1: NEW})

        assert pending.withdraw(1)
        assert pending.withdraw(2)
        assert not pending.withdraw(3)
        pending.done([1])
        assert pending.take(ALL) == {}

    def test_nothing_of_a_lost_session_is_written_in_the_next(self) -> None:
        pending = Pending(10)
        pending.put({1: OLD, 2: OLD})
        flying = pending.take(1)
        pending.put({1: NEW})

        pending.clear()

        assert len(pending) == 0
        pending.put({1: NEWER})
        assert pending.take(ALL) == {}, "the write on its way is not answered yet"
        pending.retry(flying)
        assert pending.take(ALL) == {1: NEWER}


class PendingMachine(RuleBasedStateMachine):
    """Each item is written in order, one at a time, and its last value in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending(LIMIT)
        self.clock = 0
        self.last: dict[int, int] = {}
        self.written: dict[int, int] = {}
        self.flying: list[dict[int, bytes]] = []

    @rule(handles=st.sets(HANDLES))
    def put(self, handles: set[int]) -> None:
        self.clock += 1
        self.pending.put(dict.fromkeys(handles, b"%d" % self.clock))
        self.last.update(dict.fromkeys(handles, self.clock))

    @rule(limit=st.integers(0, 5))
    def take(self, limit: int) -> None:
        batch = self.pending.take(limit)
        assert len(batch) <= limit
        assert all(batch.keys().isdisjoint(other) for other in self.flying)
        if batch:
            self.flying.append(batch)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), fails=st.sets(HANDLES))
    def answer(self, data: st.DataObject, fails: set[int]) -> None:
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        failed = {handle: value for handle, value in batch.items() if handle in fails}
        for handle in batch.keys() - failed.keys():
            assert int(batch[handle]) > self.written.get(handle, 0)
            self.written[handle] = int(batch[handle])
        self.pending.done(batch.keys() - failed.keys())
        self.pending.retry(failed)

    @invariant()
    def nothing_is_lost(self) -> None:
        pending = self.pending
        assert pending.refused == 0
        assert pending.in_flight == sum(map(len, self.flying))
        assert pending.blocked <= pending.in_flight
        assert len(pending) <= LIMIT

    def teardown(self) -> None:
        for batch in self.flying:
            self.pending.done(batch)
            self.written.update((handle, int(value)) for handle, value in batch.items())
        self.written.update((n, int(value)) for n, value in self.pending.take(ALL).items())
        assert self.written == self.last


TestPendingMachine = PendingMachine.TestCase
TestPendingMachine.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_a_handle_is_due_while_a_value_waits_or_is_on_its_way():
    pending = Pending(limit=2)
    assert not pending.is_due(1)
    pending.put({1: b"a"})
    assert pending.is_due(1)
    pending.take(1)
    assert pending.is_due(1)
    pending.done([1])
    assert not pending.is_due(1)
