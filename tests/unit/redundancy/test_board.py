from __future__ import annotations

import stat
from pathlib import Path

import pytest

from redundancy.board import (
    DEADLINE,
    HOSTS,
    LEASE_SEQUENCE,
    SIZE,
    Board,
    BoardError,
    Lease,
    Process,
)
from redundancy.core.progress import HostState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "board"


def test_a_new_board_is_private_grants_nothing_and_leaves_no_other_file(path: Path) -> None:
    board = Board.open_or_create(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_blocks * 512 >= SIZE  # a page that is missing would be SIGBUS
    assert board.lease() == Lease(0, 0)
    assert board.supervisor == Process(0, 0)
    assert list(path.parent.iterdir()) == [path]


def test_whoever_comes_first_lays_the_board_and_all_share_it(path: Path) -> None:
    host_side = Board.open_or_create(path)
    supervisor_side = Board.open_or_create(path)
    web_side = Board.open(path, writable=False)

    supervisor_side.grant(7, 10**18)

    assert host_side.lease() == web_side.lease() == Lease(7, 10**18)


def test_a_board_that_is_not_there_says_so(path: Path) -> None:
    with pytest.raises(BoardError, match=r"there is no board at .*; the station is down"):
        Board.open(path)


@pytest.mark.parametrize(
    "content", [b"", b"x" * 100, b"x" * SIZE], ids=["empty", "short", "strange"]
)
def test_what_is_no_board_is_refused_by_readers_and_laid_anew_by_owners(
    path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(BoardError, match="is not a board"):
        Board.open(path)

    assert Board.open_or_create(path).lease() == Lease(0, 0)


def test_a_board_that_is_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    Board.open_or_create(tmp_path / "other")
    path.symlink_to(tmp_path / "other")

    with pytest.raises(OSError, match="symbolic link"):
        Board.open(path)


def test_a_reader_cannot_write(path: Path) -> None:
    Board.open_or_create(path)

    with pytest.raises(TypeError):
        Board.open(path, writable=False).grant(1, 1)


def test_a_lease_that_is_just_being_written_is_none(path: Path) -> None:
    board = Board.open_or_create(path)
    board.grant(3, 10**18)
    board.words[LEASE_SEQUENCE] += 1  # a supervisor that died in the middle
    board.words[DEADLINE] = 5

    assert board.lease() == Lease(0, 0)

    board.grant(4, 10**18)
    assert board.lease() == Lease(4, 10**18)


def test_generation_and_ticks_only_rise(path: Path) -> None:
    board = Board.open_or_create(path)
    before = board.generation

    assert board.raise_generation() == before + 1
    board.tick()

    assert (board.generation, board.ticks) == (before + 1, 1)


def test_a_restarted_supervisor_finds_term_and_generation(path: Path) -> None:
    first = Board.open_or_create(path)
    first.grant(9, 10**18)
    generation = first.raise_generation()
    first.supervise(Process(100, 1000))

    second = Board.open_or_create(path)
    second.supervise(Process(101, 1001))

    assert second.lease().term == 9
    assert second.generation == generation
    assert second.supervisor == Process(101, 1001)


def test_a_host_tells_and_the_others_read(path: Path) -> None:
    slot = Board.open_or_create(path).host(3)
    slot.occupy(11, 1100)
    slot.progress()
    slot.progress()
    slot.lagged(5_000_000)
    slot.applied(revision=12, generation=34)
    slot.quiesced(6)
    slot.enter(HostState.RUNNING)

    seen = Board.open(path, writable=False).host(3)

    assert seen.process == Process(11, 1100)
    assert seen.progress_count == 2
    assert seen.loop_lag_ns == 5_000_000
    assert (seen.applied_revision, seen.applied_generation) == (12, 34)
    assert seen.quiesced_term == 6
    assert seen.state is HostState.RUNNING


def test_the_first_configuration_ends_the_start_of_a_host(path: Path) -> None:
    slot = Board.open_or_create(path).host(1)
    slot.occupy(11, 1100)
    assert slot.state is HostState.STARTING

    slot.applied(1, 2)
    assert slot.state is HostState.RUNNING

    slot.enter(HostState.DRAINING)
    slot.applied(2, 3)
    assert slot.state is HostState.DRAINING


def test_slots_do_not_touch_each_other_nor_the_supervisor(path: Path) -> None:
    board = Board.open_or_create(path)
    for index in range(1, HOSTS + 1):
        board.host(index).occupy(index, index * 10)
        board.host(index).quiesced(index * 100)

    assert [board.host(index).process for index in range(1, HOSTS + 1)] == [
        Process(index, index * 10) for index in range(1, HOSTS + 1)
    ]
    assert [board.host(i).quiesced_term for i in (1, 16)] == [100, 1600]
    assert board.lease() == Lease(0, 0)
    assert board.ticks == 0


def test_the_next_process_in_a_slot_begins_clean(path: Path) -> None:
    slot = Board.open_or_create(path).host(1)
    slot.occupy(11, 1100)
    slot.progress()
    slot.applied(4, 5)
    slot.vacate()
    assert slot.state is HostState.STOPPED

    slot.occupy(12, 1200)

    assert (slot.progress_count, slot.applied_revision) == (0, 0)
    assert slot.state is HostState.STARTING


def test_a_process_that_is_just_being_written_is_nobody(path: Path) -> None:
    board = Board.open_or_create(path)
    board.host(1).occupy(11, 1100)
    board.words[16] |= 1

    assert board.host(1).process == Process(0, 0)


def test_a_state_of_a_newer_layout_reads_as_empty(path: Path) -> None:
    board = Board.open_or_create(path)
    board.words[16 + 8] = 99

    assert board.host(1).state is HostState.EMPTY


@pytest.mark.parametrize("index", [0, 17, -1])
def test_there_is_no_seventeenth_slot(path: Path, index: int) -> None:
    with pytest.raises(BoardError, match="numbered 1 to 16"):
        Board.open_or_create(path).host(index)


class TestAFileThatIsTakenAway:
    def test_the_supervisor_lays_it_again_with_what_it_knew(self, path: Path) -> None:
        board = Board.open_or_create(path)
        board.grant(5, 10**18)
        board.supervise(Process(100, 1000))
        generation = board.raise_generation()
        board.host(1).occupy(11, 1100)
        path.unlink()

        assert not board.is_current()
        assert board.lay_again()

        fresh = Board.open(path)
        assert fresh.lease() == Lease(5, 10**18)
        assert (fresh.supervisor, fresh.generation) == (Process(100, 1000), generation)
        assert fresh.host(1).process == Process(0, 0)
        assert not board.lay_again()

    def test_a_host_maps_the_new_one_and_takes_its_slot_again(self, path: Path) -> None:
        supervisor_side = Board.open_or_create(path)
        host_side = Board.open_or_create(path)
        slot = host_side.host(1)
        assert not host_side.reopen()

        path.unlink()
        assert not host_side.reopen()  # nothing there yet: keep what there is
        supervisor_side.lay_again()
        supervisor_side.grant(8, 10**18)

        assert host_side.lease() != Lease(8, 10**18)
        assert host_side.reopen()
        slot.occupy(11, 1100)
        assert host_side.lease() == Lease(8, 10**18)
        assert supervisor_side.host(1).process == Process(11, 1100)

    def test_a_supervisor_takes_the_board_that_a_host_laid_first(self, path: Path) -> None:
        supervisor_side = Board.open_or_create(path)
        supervisor_side.grant(8, 10**18)
        path.unlink()
        host_side = Board.open_or_create(path)

        assert supervisor_side.lay_again()

        assert host_side.lease() == Lease(8, 10**18)


def test_a_folder_that_is_gone_is_an_error_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Board.open_or_create(tmp_path / "gone" / "board")


def test_opening_leaks_no_file_descriptor(path: Path) -> None:
    Board.open_or_create(path)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(50):
        Board.open(path)

    assert (
        len(list(Path("/proc/self/fd").iterdir())) <= before + 60
    )  # a mapping holds one until collected
