"""The halves of a batch that is too large: one answer, and no doubt about what is in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from pipes.core.status_codes import code_of
from pipes.opcua.lane import WriteOutcome
from pipes.opcua.parts import JoinedOutcome, write_in_parts

BAD = code_of("BadTypeMismatch")
TOO_LARGE = code_of("BadEncodingLimitsExceeded")
Done = Callable[[WriteOutcome], None]


class FakeLane:
    """Takes at most ``most`` items in a message; answers when the test says so."""

    def __init__(self, most: int, *, sends: int = 99, breaks: bool = False) -> None:
        self.most = most
        self.sends = sends
        self.breaks = breaks
        self.sent: list[tuple[list[int], Done]] = []

    def write(
        self,
        prefixes: Mapping[int, bytes],
        batch: Mapping[int, bytes],
        may_write: Callable[[], bool],
        done: Done,
    ) -> bool:
        if len(batch) > self.most:
            return write_in_parts(self.write, prefixes, batch, may_write, done)
        if len(self.sent) >= self.sends:
            if self.breaks:
                raise ConnectionError("lost")
            return False
        self.sent.append((list(batch), done))
        return True


def batch(size: int) -> dict[int, bytes]:
    return dict.fromkeys(range(size), b"")


def test_all_good_parts_are_good() -> None:
    lane, outcomes = FakeLane(3), list[WriteOutcome]()
    assert lane.write({}, batch(10), lambda: True, outcomes.append)

    assert [keys for keys, _ in lane.sent] == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]
    for _, done in lane.sent:
        assert outcomes == []
        done(WriteOutcome())
    assert outcomes == [WriteOutcome()]


def test_results_stand_where_their_items_stood() -> None:
    lane, outcomes = FakeLane(2), list[WriteOutcome]()
    lane.write({}, batch(4), lambda: True, outcomes.append)

    lane.sent[1][1](WriteOutcome(0, [0, BAD]))
    lane.sent[0][1](WriteOutcome())

    assert outcomes == [WriteOutcome(0, [0, 0, 0, BAD])]


def test_a_part_that_is_refused_as_a_whole_gives_its_items_that_status() -> None:
    lane, outcomes = FakeLane(2), list[WriteOutcome]()
    lane.write({}, batch(3), lambda: True, outcomes.append)

    lane.sent[0][1](WriteOutcome(BAD))
    lane.sent[1][1](WriteOutcome())

    assert outcomes == [WriteOutcome(0, [BAD, 0, 0])]


def test_a_part_without_an_answer_leaves_the_whole_unknown() -> None:
    lane, outcomes = FakeLane(2), list[WriteOutcome]()
    lane.write({}, batch(4), lambda: True, outcomes.append)

    lane.sent[0][1](WriteOutcome())
    lane.sent[1][1](WriteOutcome(failure="no answer in time"))

    assert outcomes == [WriteOutcome(failure="no answer in time")]


def test_nothing_is_sent_while_the_gate_is_shut() -> None:
    lane, outcomes = FakeLane(2, sends=0), list[WriteOutcome]()

    assert not lane.write({}, batch(4), lambda: False, outcomes.append)
    assert outcomes == []


@pytest.mark.parametrize(("breaks", "word"), [(False, "gate"), (True, "lost")])
def test_what_ends_between_two_parts_leaves_the_whole_unknown(breaks: bool, word: str) -> None:
    lane, outcomes = FakeLane(2, sends=1, breaks=breaks), list[WriteOutcome]()
    assert lane.write({}, batch(4), lambda: True, outcomes.append)

    lane.sent[0][1](WriteOutcome())

    assert word in outcomes[0].failure


async def test_a_single_item_that_is_too_large_is_refused_later_not_at_once() -> None:
    lane, outcomes = FakeLane(0), list[WriteOutcome]()
    assert lane.write({}, batch(1), lambda: True, outcomes.append)
    assert outcomes == []

    await asyncio.sleep(0)

    assert outcomes == [WriteOutcome(0, [TOO_LARGE])]
    assert not lane.write({}, batch(1), lambda: False, outcomes.append)


def test_an_outcome_waits_for_its_last_part() -> None:
    outcomes: list[WriteOutcome] = []
    joined = JoinedOutcome((1, 1), outcomes.append)

    joined.part(0)(WriteOutcome())
    assert outcomes == []
    joined.part(1)(WriteOutcome())
    assert outcomes == [WriteOutcome()]
