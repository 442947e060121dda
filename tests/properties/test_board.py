"""Nobody ever sees a term with another term's deadline, and a gate is only open inside a lease."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from redundancy.board import Board, Lease, Process
from redundancy.gate import WriteGate

LOOKS = 2_000
DIFFERENT = 100
FACTOR = 1_000_003  # deadline = term * FACTOR on this board: any other pair is torn


def _grant_until_told(path: Path, stop: Any) -> None:
    board = Board.open(path)
    term = 1
    while not stop.is_set():
        for _ in range(100):
            term += 1
            board.grant(term, term * FACTOR)
            board.host(1).occupy(term, term * FACTOR)


def test_readers_beside_a_writing_process_never_see_a_torn_lease(tmp_path: Path) -> None:
    path = tmp_path / "board"
    board = Board.open_or_create(path)
    board.grant(1, FACTOR)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=_grant_until_told, args=(path, stop))
    writer.start()
    try:
        seen: set[Lease] = set()
        processes: set[Process] = set()
        deadline = time.monotonic() + 60
        while len(seen) < DIFFERENT and time.monotonic() < deadline:
            seen.update(board.lease() for _ in range(LOOKS))
            processes.update(board.host(1).process for _ in range(LOOKS))
    finally:
        stop.set()
        writer.join(10)

    assert len(seen) >= DIFFERENT  # the writer did write while we looked
    assert all(lease.deadline_ns == lease.term * FACTOR for lease in seen)
    assert all(found.start_time == found.pid * FACTOR for found in processes)


class Interleaved:
    """The board's words, where the supervisor writes between any two reads of a host."""

    def __init__(self, words: memoryview[int], steps: Iterator[Callable[[], None]]) -> None:
        self.words = words
        self.steps = steps

    def __getitem__(self, index: int) -> int:
        for _ in range(next(self._pauses, 0)):
            next(self.steps, lambda: None)()
        return self.words[index]

    _pauses: Iterator[int] = iter(())

    def pause(self, pauses: list[int]) -> None:
        self._pauses = iter(pauses)


GRANTS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 50, 100, 150, 200])), max_size=5)


@settings(max_examples=500, deadline=None)
@given(
    first=st.tuples(st.integers(1, 3), st.integers(0, 200)),
    grants=GRANTS,
    pauses=st.lists(st.integers(0, 4), max_size=12),
    now=st.integers(0, 250),
)
def test_a_gate_is_open_only_inside_a_lease_of_its_own_term(
    first: tuple[int, int], grants: list[tuple[int, int]], pauses: list[int], now: int
) -> None:
    """Each store of the supervisor may fall between any two reads of the host's check."""
    with tempfile.TemporaryDirectory() as folder:
        board = Board.open_or_create(Path(folder) / "board")
        board.grant(*first)
        gate = WriteGate(board, lambda: now)
        gate.adopt()
        leases = [Lease(*first)]  # those that held at some instant of the check
        real = board.words
        mixed = Interleaved(real, _stores(real, grants, leases))
        board.words = mixed  # type: ignore[assignment]
        mixed.pause(pauses)

        open_ = gate.target("DCS").may_write()

    assert not open_ or any(lease.term == gate.term and now < lease.deadline_ns for lease in leases)


def _stores(
    words: memoryview[int], grants: list[tuple[int, int]], leases: list[Lease]
) -> Iterator[Callable[[], None]]:
    """`Board.grant`, cut into its stores: what it does is recorded and given out one by one."""
    for term, deadline in grants:
        recorded = _Recorder(words)
        board = Board.__new__(Board)
        board.words = recorded  # type: ignore[assignment]
        board.grant(term, deadline)
        for position, (index, word) in enumerate(recorded.stores):

            def store(index: int = index, word: int = word) -> None:
                words[index] = word

            yield store
            if position == len(recorded.stores) - 2:
                leases.append(Lease(term, deadline))


class _Recorder:
    def __init__(self, words: memoryview[int]) -> None:
        self.words = words
        self.stores: list[tuple[int, int]] = []

    def __getitem__(self, index: int) -> int:
        return self.words[index]

    def __setitem__(self, index: int, word: int) -> None:
        self.stores.append((index, word))
