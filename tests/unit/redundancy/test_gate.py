from __future__ import annotations

from pathlib import Path

import pytest

from redundancy.board import LEASE_SEQUENCE, Board
from redundancy.gate import GateReason, WriteGate, boot_ns


class Clock:
    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board.open_or_create(tmp_path / "board")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(board: Board, clock: Clock) -> WriteGate:
    """A gate in a station that is active in term 3 until 2,000."""
    board.grant(3, 2_000)
    gate = WriteGate(board, clock)
    gate.adopt()
    return gate


def test_an_adopted_term_with_time_left_may_write(gate: WriteGate) -> None:
    target = gate.target("DCS")

    assert target.may_write()
    assert target.reason() is None
    assert target.term == gate.term == 3


@pytest.mark.parametrize(("now", "open_"), [(1_999, True), (2_000, False), (9_000, False)])
def test_the_gate_shuts_by_itself_at_the_deadline(
    gate: WriteGate, clock: Clock, now: int, open_: bool
) -> None:
    clock.now = now

    assert gate.target("DCS").may_write() is open_
    assert gate.target("DCS").reason() is (None if open_ else GateReason.LEASE_OVER)


def test_a_renewed_lease_opens_it_again(gate: WriteGate, board: Board, clock: Clock) -> None:
    clock.now = 2_500
    board.grant(3, 3_000)

    assert gate.target("DCS").may_write()


def test_a_new_term_must_be_taken_up_first(gate: WriteGate, board: Board) -> None:
    target = gate.target("DCS")
    board.grant(4, 2_000)

    assert not target.may_write()
    assert target.reason() is GateReason.OTHER_TERM
    assert gate.has_newer_term()

    assert gate.adopt() == 4
    assert target.may_write()
    assert not gate.has_newer_term()


def test_a_lower_term_is_never_taken_up(gate: WriteGate, board: Board) -> None:
    board.grant(2, 2_000)

    assert gate.adopt() == 3
    assert not gate.target("DCS").may_write()


def test_without_a_term_nothing_is_open(board: Board, clock: Clock) -> None:
    board.grant(0, 2_000)
    gate = WriteGate(board, clock)
    gate.adopt()

    assert not gate.target("DCS").may_write()
    assert gate.target("DCS").reason() is GateReason.NOT_ADOPTED


def test_a_lease_that_is_taken_back_shuts_at_once(gate: WriteGate, board: Board) -> None:
    board.grant(3, 0)

    assert not gate.target("DCS").may_write()
    assert gate.target("DCS").reason() is GateReason.NO_LEASE


def test_a_lease_in_the_middle_of_writing_is_not_open(gate: WriteGate, board: Board) -> None:
    board.words[LEASE_SEQUENCE] += 1

    assert not gate.target("DCS").may_write()
    assert gate.target("DCS").reason() is GateReason.NO_LEASE


def test_one_target_can_be_fenced_alone(gate: WriteGate) -> None:
    fenced, other = gate.target("DCS"), gate.target("PLC")
    fenced.shut()
    fenced.shut(GateReason.DRAINING)

    assert not fenced.may_write()
    assert fenced.reason() is GateReason.FENCED
    assert other.may_write()
    assert gate.target("DCS") is fenced


def test_draining_shuts_all_also_those_asked_for_later(gate: WriteGate, board: Board) -> None:
    early = gate.target("DCS")
    gate.shut()
    late = gate.target("PLC")
    board.grant(3, 2_000)

    assert not early.may_write()
    assert not late.may_write()
    assert early.reason() is late.reason() is GateReason.DRAINING


def test_the_real_clock_moves_forward(board: Board) -> None:
    gate = WriteGate(board)
    board.grant(1, boot_ns() + 60 * 10**9)
    gate.adopt()
    assert gate.target("DCS").may_write()

    board.grant(1, boot_ns())
    assert not gate.target("DCS").may_write()
