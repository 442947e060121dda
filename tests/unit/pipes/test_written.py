"""What a writer has written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipes.written import LEAST_VALUES, MOST_VALUES, Written

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
    batch = dict.fromkeys(range(LEAST_VALUES // 4), b"a")
    for _ in range(99):
        written.note(batch, HOUR_NS)
    assert len(written._older) + len(written._younger) <= 8
    assert written.counts[0] == 99


def test_a_generation_grows_with_the_items_within_bounds() -> None:
    written = Written()
    for items, limit in ((1, LEAST_VALUES), (10_000, 20_000), (10**6, MOST_VALUES)):
        written.expect(items)
        assert written._limit == limit


batches = st.lists(
    st.tuples(st.dictionaries(st.integers(0, 9), st.binary(max_size=2)), st.booleans()),
    max_size=40,
)


@given(batches)
def test_nobody_can_tell_that_batches_are_entered_late(noted) -> None:
    """Whoever looks, and whenever, finds what a table that is always up to date would have."""
    written = Written()
    written._limit = 7
    held: dict[int, bytes] = {}
    at: dict[int, int] = {}
    counts: dict[int, int] = {}
    for number, (batch, looks) in enumerate(noted):
        written.note(batch, number)
        for handle, value in batch.items():
            held[handle], at[handle] = value, number
            counts[handle] = counts.get(handle, 0) + 1
        if looks:
            assert written.held == held
    assert (written.at, written.held, written.counts) == (at, held, counts)
