"""What a writer has written."""

from __future__ import annotations

from pipes.written import FOLD_AT, Written

HOUR_NS = 3_600 * 10**9


def test_the_newest_of_several_batches_counts() -> None:
    written = Written()
    written.note({1: b"a", 2: b"b"}, HOUR_NS)
    written.note({1: b"c"}, 2 * HOUR_NS)
    assert written.held == {1: b"c", 2: b"b"}
    assert written.at == {1: 2 * HOUR_NS, 2: HOUR_NS}
    assert written.counts == {1: 2, 2: 1}


def test_what_the_server_held_before_is_overtaken_by_what_was_written_since() -> None:
    written = Written()
    written.held[1] = b"read"
    written.note({1: b"written"}, HOUR_NS)
    assert written.held == {1: b"written"}


def test_a_new_session_knows_nothing_of_what_the_server_holds_and_goes_on_counting() -> None:
    written = Written()
    written.note({1: b"a"}, HOUR_NS)
    written.held.clear()
    assert written.held == {}
    assert (written.at, written.counts) == ({1: HOUR_NS}, {1: 1})


def test_nothing_is_left_of_a_handle_that_is_taken_out_with_its_write_noted_last() -> None:
    written = Written()
    written.note({1: b"a", 2: b"b"}, HOUR_NS)
    written.forget([1, 3])
    assert (written.held, written.at, written.counts) == ({2: b"b"}, {2: HOUR_NS}, {2: 1})


def test_batches_that_nobody_asks_for_do_not_pile_up() -> None:
    written = Written()
    batch = dict.fromkeys(range(FOLD_AT // 4), b"a")
    for _ in range(9):
        written.note(batch, HOUR_NS)
    assert written._unfolded_values < FOLD_AT
    assert written.counts[0] == 9
