from __future__ import annotations

from typing import Any

import pytest

from pipes.core.loops import Untold, find_loops
from pipes.core.moves import moves_of
from tests.unit.pipes.core.lint_cases import configuration


def loops(*moves: str | tuple[str, dict[str, Any]], **more: Any) -> list[list[int]]:
    """The items of each loop, in the order of the way."""
    found = find_loops(moves_of(configuration(*moves, **more)))
    return [[move.item for move in loop] for loop in found if not isinstance(loop, Untold)]


@pytest.mark.parametrize(
    ("moves", "wanted"),
    [
        (["A.x > B.x", "B.x > A.x"], [[1, 2]]),
        (["A.x > B.x", "A.x < B.x"], [[1, 2]]),
        (["A.x > B.y", "B.y > C.z", "C.z > A.x"], [[1, 2, 3]]),
        (["C.z > A.x", "A.x > B.y", "B.y > C.z"], [[1, 2, 3]]),
        (["A.x = B.y", "A.x > B.y"], [[2, 1]]),
        (["A.x = B.y", "B.y = A.x"], [[2, 1]]),
        (["A.x = B.y", "B.y = C.z", "C.z = A.x"], [[3, 1, 2]]),
        (["A.x = B.y", "B.y = C.z", "C.z > A.x"], [[3, 1, 2]]),
        (["A.x > A.y", "A.y > A.x"], [[1, 2]]),
        (["A.x > B.x", "B.x > A.x", "A.y > B.y", "B.y > A.y"], [[1, 2], [3, 4]]),
        (["A.x > B.y", "B.y > A.z", "A.z > B.y", "B.y > C.q"], [[2, 3]]),
    ],
)
def test_a_way_that_leads_back_is_a_loop(moves: list[str], wanted: list[list[int]]) -> None:
    assert sorted(loops(*moves)) == wanted


@pytest.mark.parametrize(
    "moves",
    [
        [],
        ["A.x > B.x", "B.y > A.y"],
        ["A.x > B.x", "B.x > C.x", "A.x > C.y"],
        ["A.x = B.x"],
        ["A.x = B.x", "A.y = B.y"],
        ["A.x = B.y", "B.y = C.z"],
        ["A.x = B.y", "A.x = C.z", "A.x = B.p", "B.p = C.q"],
        ["A.x > B.y", "B.y = C.z", "C.z > A.q"],
        ["A.x > B.y", ("B.y > A.x", {"enabled": False})],
        ["C.o > A.p", "A.p > B.q", "A.p > C.r", "C.r > B.q", "B.q > C.w"],
    ],
)
def test_what_leads_nowhere_back_is_none(moves: list[Any]) -> None:
    assert loops(*moves) == []


def test_a_loop_through_two_names_of_one_server_is_found() -> None:
    same = {
        "C": {"endpoint": "opc.tcp://LOCALHOST:4840"},
        "A": {"endpoint": "opc.tcp://[::1]:4840"},
    }
    assert loops("A.x > B.y", "B.y > C.x", servers=same) == [[1, 2]]


@pytest.mark.parametrize(
    ("moves", "wanted"),
    [
        ([("A.x > B.y", {"index_range": "0"}), ("A.x < B.y", {"index_range": "1"})], []),
        ([("A.x > B.y", {"index_range": "0:2"}), ("A.x < B.y", {"index_range": "2"})], [[1, 2]]),
        ([("A.x = B.y", {"index_range": "0"}), ("A.x = B.y", {"index_range": "1"})], []),
        ([("A.x = B.y", {"index_range": "0:1"}), ("A.x = C.y", {"index_range": "1:2"})], []),
        (
            [
                ("A.x > B.y", {"index_range": "0"}),
                ("A.x < B.y", {"index_range": "1"}),
                ("A.x > C.y", {"index_range": "1"}),
                ("A.x < C.y", {"index_range": "0"}),
            ],
            [[1, 2, 3, 4]],
        ),
    ],
)
def test_parts_of_arrays_that_do_not_meet_are_no_loop(moves: Any, wanted: Any) -> None:
    found = loops(*moves)
    assert [sorted(loop) for loop in found] == wanted


def test_a_tangle_of_parts_is_given_up_and_told() -> None:
    moves = [("A.x > B.y", {"index_range": str(part)}) for part in range(5)]
    moves += [("A.x < B.y", {"index_range": str(part)}) for part in range(5, 10)]
    made = moves_of(configuration(*moves))
    assert list(find_loops(made)) == []
    assert list(find_loops(made, most_steps=3)) == [Untold(tuple(range(1, 11)))]


def test_a_long_chain_needs_no_deep_stack() -> None:
    forth = [f"A.n{step} > A.n{step + 1}" for step in range(5_000)]
    assert loops(*forth) == []
    (loop,) = loops(*forth, "A.n5000 > A.n0")
    assert len(loop) == 5_001
