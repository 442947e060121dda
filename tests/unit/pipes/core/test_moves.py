from __future__ import annotations

from typing import Any

import pytest

from pipes.core.moves import Move, meeting_items, moves_of, overlap
from tests.unit.pipes.core.lint_cases import configuration

X, Y = "A/nsu=urn:plant;s=x", "B/nsu=urn:plant;s=y"


def test_each_direction_reads_one_side_and_writes_the_other() -> None:
    moves = moves_of(configuration("A.x > B.y", "A.p < B.q", ("A.v = B.w", {"index_range": "3"})))
    assert list(moves.of(1)) == [Move(1, X, Y)]
    assert [(move.reads[-1], move.writes[-1]) for move in moves.of(2)] == [("q", "p")]
    forward, reverse = moves.of(3)
    assert (forward.read_part, forward.written_part, forward.is_both) == ("3", "", True)
    assert (reverse.read_part, reverse.written_part, reverse.reads[-1]) == ("", "3", "w")


def test_writers_are_known_by_place_over_all_pipes() -> None:
    moves = moves_of(configuration("A.x > B.y", "C.x > B.y", "B.y = C.z"))
    assert moves.all_writers(Y) == [1, 2, 3]
    assert moves.all_writers(X) == []
    assert moves.read_as_well_as_written() == {Y, "C/nsu=urn:plant;s=z"}


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("item", {"enabled": False}),
        ("pipe", {"enabled": False}),
        ("pipe", {"dry_run": True}),
        ("server", {"enabled": False}),
    ],
    ids=["item off", "pipe off", "dry run", "server off"],
)
def test_what_moves_nothing_is_left_out(what: str, change: dict[str, bool]) -> None:
    moves = moves_of(
        configuration(
            ("A.x > B.y", change if what == "item" else {}),
            pipes={"AB": change} if what == "pipe" else {},
            servers={"B": change} if what == "server" else {},
        )
    )
    assert not moves.writers
    assert not moves.readers


def test_a_pipe_whose_server_is_missing_moves_nothing() -> None:
    assert not moves_of(configuration("A.x > B.y", pipes={"AB": {"target": "gone"}})).writers


def test_servers_of_one_address_are_one() -> None:
    same = {"B": {"endpoint": "opc.tcp://A:4840/"}}
    moves = moves_of(configuration("A.x > B.x", "B.v > C.v", servers=same))
    assert moves.onto_itself == [1]
    assert moves.readers == {"A/nsu=urn:plant;s=v"}


@pytest.mark.parametrize(
    ("node", "spelled"),
    [
        ("ns=2;s=x", "nsu=urn:plant;s=x"),
        ("ns=1;s=x", "ns=1;s=x"),
        ("nsu=urn:own;s=x", "ns=1;s=x"),
        ("ns=7;s=x", "ns=7;s=x"),
        ("nsu=urn:plant;s=x", "nsu=urn:plant;s=x"),
        ("i=2258", "i=2258"),
    ],
)
def test_a_known_namespace_table_gives_each_node_one_spelling(node: str, spelled: str) -> None:
    tables = {"A": ["http://opcfoundation.org/UA/", "urn:own", "urn:plant"], "gone": ["x"]}
    made = configuration(("A.x > A.y", {"source_node": node}))
    assert moves_of(made, tables).readers == {f"A/{spelled}"}


def test_a_short_namespace_table_changes_nothing() -> None:
    assert moves_of(configuration("A.x > B.y"), {"A": ["only"], "B": []}).readers == {X}


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("", "3", True),
        ("3", "3", True),
        ("3", "4", False),
        ("0:4", "4:8", True),
        ("0:4", "5:8", False),
        ("0:4,1", "0:4,2", False),
        ("0:4,1", "2,1", True),
        ("0:4", "3,1", True),
    ],
)
def test_index_ranges_meet_where_they_share_an_element(one: str, other: str, meet: bool) -> None:
    assert overlap(one, other) is meet
    assert overlap(other, one) is meet


def test_nodes_of_the_target_have_one_spelling_too() -> None:
    made = configuration(("A.x > B.y", {"target_node": "ns=2;s=y"}))
    moves = moves_of(made, {"B": ["", "urn:own", "urn:plant"]})
    assert list(moves.writers) == ["B/nsu=urn:plant;s=y"]


@pytest.mark.parametrize(
    ("moves", "meeting"),
    [
        (["A.x > B.y", "A.z > B.w"], []),
        (["A.x > B.y", "A.x > B.z"], []),
        (["A.x > B.y", "C.x > B.y"], [1, 2]),
        (["A.x > B.y", "A.z > B.y"], [1, 2]),
        (["A.x > B.y", "B.y > C.z"], [1]),
        (["A.x > A.x"], [1]),
        (["A.x = B.y"], [1]),
        (["A.x < B.y", "C.z > B.y"], [2]),
        (["A.x < B.y", ("C.z > B.y", {"enabled": False})], []),
        ([("A.x > B.y", {"target_node": "ns=2;s=y"}), "C.x > B.y"], [1, 2]),
        ([("A.x > B.y", {"direction": "forward"}), "B.y > C.z"], [1]),
    ],
)
def test_items_that_write_a_node_of_others_meet(moves: list[Any], meeting: list[int]) -> None:
    tables = {"B": ["", "urn:own", "urn:plant"]}
    assert meeting_items(configuration(*moves), tables) == meeting


def test_items_of_a_pipe_that_moves_nothing_do_not_meet() -> None:
    made = configuration("A.x > B.y", "C.x > B.y", pipes={"CB": {"enabled": False}})
    assert meeting_items(made) == []
