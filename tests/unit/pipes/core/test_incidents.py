from __future__ import annotations

from collections import Counter

from pipes.core.incidents import (
    GATHER_SECONDS,
    MOST_KEPT,
    MOST_TOLD,
    WINDOW_SECONDS,
    Budget,
    Incident,
    Incidents,
    Trouble,
    in_words,
)

REFUSED, UNKNOWN, MISMATCH = Trouble


def test_incidents_are_kept_until_they_are_taken() -> None:
    incidents = Incidents()
    first = Incident(REFUSED, 1, b"v", "no", 0x8000_0000)
    incidents.add(first)
    incidents.unknown({2: b"w", 3: b"x"}, "away")
    assert incidents.take() == (
        [first, Incident(UNKNOWN, 2, b"w", "away"), Incident(UNKNOWN, 3, b"x", "away")],
        Counter(),
    )
    assert incidents.take() == ([], Counter())


def test_only_a_few_are_kept_and_the_others_are_counted() -> None:
    incidents = Incidents()
    incidents.unknown(dict.fromkeys(range(1000), b"v"), "away")
    incidents.unknown({}, "away")
    incidents.add(Incident(REFUSED, 1, b"v"))
    kept, others = incidents.take()
    assert len(kept) == MOST_KEPT
    assert others == {UNKNOWN: 1000 - MOST_KEPT, REFUSED: 1}


def test_a_pipe_tells_so_many_a_minute() -> None:
    budget = Budget()
    told = [budget.allows(5.0 + number) for number in range(MOST_TOLD + 3)]
    assert told == [True] * MOST_TOLD + [False] * 3
    assert budget.allows(5.0 + WINDOW_SECONDS)


def test_what_is_left_out_is_summed_up_soon_and_again_when_the_minute_is_over() -> None:
    budget = Budget()
    for _ in range(MOST_TOLD):
        assert budget.allows(0.0)
    budget.leave_out({UNKNOWN: 100}, 1.0)
    assert budget.summary(1.5) == {}
    budget.leave_out({REFUSED: 2}, 2.0)
    assert budget.summary(1.0 + GATHER_SECONDS) == {UNKNOWN: 100, REFUSED: 2}
    budget.leave_out({REFUSED: 5}, 10.0)
    assert budget.summary(10.0 + GATHER_SECONDS) == {}, "one summary is enough for now"
    assert budget.summary(WINDOW_SECONDS) == {REFUSED: 5}
    assert budget.summary(WINDOW_SECONDS) == {}


def test_a_new_minute_begins_when_the_last_one_is_summed_up() -> None:
    budget = Budget()
    for _ in range(MOST_TOLD):
        budget.allows(0.0)
    budget.leave_out({REFUSED: 1}, 0.0)
    assert budget.summary(GATHER_SECONDS)
    budget.leave_out({REFUSED: 1}, 30.0)
    assert not budget.allows(WINDOW_SECONDS), "first what was left out is told"
    budget.leave_out({REFUSED: 1}, WINDOW_SECONDS)
    assert budget.summary(WINDOW_SECONDS) == {REFUSED: 2}
    assert budget.allows(WINDOW_SECONDS)


def test_nothing_left_out_is_nothing_to_sum_up() -> None:
    budget = Budget()
    budget.leave_out({}, 0.0)
    assert budget.summary(1000.0) == {}


def test_counts_are_told_in_words() -> None:
    assert in_words({MISMATCH: 1, REFUSED: 12, UNKNOWN: 0}) == (
        "12 refused, 1 read back as another value"
    )
