"""The linter against slow definitions of the same rules, on small random mappings."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.configuration import Configuration
from pipes.core.draft import Draft
from pipes.core.fields import Kind
from pipes.core.findings import Severity
from pipes.core.lint import lint
from pipes.core.loops import find_loops
from pipes.core.moves import Move, meeting_items, moves_of, overlap
from tests.unit.pipes.core.lint_cases import configuration

PLACES = st.builds("{}.{}".format, st.sampled_from("AB"), st.sampled_from("xyz"))
PARTS = st.sampled_from(["", "", "", "0:1", "1:2", "2"])
MOVES = st.lists(
    st.builds(
        lambda source, sign, target, part: (
            f"{source} {sign} {target}",
            {"index_range": part} if part else {},
        ),
        PLACES,
        st.sampled_from("><="),
        PLACES,
        PARTS,
    ),
    max_size=7,
)


def moves_in(made: Configuration) -> list[Move]:
    found = moves_of(made)
    return [move for item in made.items if item not in found.onto_itself for move in found.of(item)]


def has_loop(moves: list[Move]) -> bool:
    """Try every way: one move after another, never straight back by the same item."""

    def leads_back(way: list[Move]) -> bool:
        for move in moves:
            before = way[-1]
            meets = before.writes == move.reads and overlap(before.written_part, move.read_part)
            if not meets or before.item == move.item:
                continue
            if move in way or leads_back([*way, move]):
                return True
        return False

    return any(leads_back([move]) for move in moves)


@given(MOVES)
def test_items_that_meet_nobody_are_in_no_finding(moves: list[Any]) -> None:
    """The linter looks at those that meet alone: with all of them it would find the same."""
    made = configuration(*moves)
    some, every = moves_of(made, None, meeting_items(made)), moves_of(made)
    assert some.onto_itself == every.onto_itself
    assert some.more_writers == every.more_writers
    assert list(find_loops(some)) == list(find_loops(every))


def errors(made: Configuration, rule: str) -> list[tuple[int, ...]]:
    return [f.items for f in lint(made) if f.rule == rule and f.severity is Severity.ERROR]


@given(MOVES)
def test_a_loop_is_found_if_and_only_if_there_is_one(moves: list[Any]) -> None:
    made = configuration(*moves)
    assert bool(errors(made, "loop")) == has_loop(moves_in(made))


@given(MOVES)
def test_a_loop_that_is_told_is_one_by_itself(moves: list[Any]) -> None:
    made = configuration(*moves)
    for loop in errors(made, "loop"):
        assert has_loop([move for move in moves_in(made) if move.item in loop])


@given(MOVES)
def test_two_writers_are_those_whose_writes_meet(moves: list[Any]) -> None:
    made = configuration(*moves)
    writes = moves_in(made)
    meeting = {
        place
        for one in writes
        for other in writes
        if one.item != other.item
        and (place := one.writes) == other.writes
        and overlap(one.written_part, other.written_part)
    }
    told = [f for f in lint(made) if f.rule == "two_writers"]
    assert len(told) == len(meeting)


@given(MOVES, MOVES)
def test_what_may_be_saved_has_no_error_that_the_save_brought_in(
    before: list[Any], after: list[Any]
) -> None:
    start = configuration(*before)
    draft = Draft(start)
    for body in configuration(*after).items.values():
        draft.propose(Kind.ITEM, None, {k: v for k, v in body.items() if k != "id"})
    plan = draft.plan()
    if not plan.wrong and not [f for f in lint(start) if f.severity is Severity.ERROR]:
        assert not [f for f in plan.findings if f.severity is Severity.ERROR]
