from __future__ import annotations

import gc
from weakref import ref

import pytest

from pipes.core.ledger import (
    BATCH_BYTES,
    FAILED_VALUES,
    LEAST_BYTES,
    LEAST_VALUES,
    MOST_VALUES,
    VALUES_PER_ITEM,
    Batch,
    Entry,
    Ledger,
    Outcome,
    Query,
    Share,
    Shelf,
    find,
    share_out,
)

ALL = Query()
BAD = 0x8000_0000


def sent(ledger: Ledger, at_ns: int, **values: bytes) -> Batch:
    """A request of ``i1=b"x"`` and the like is on its way."""
    batch = ledger.sending(at_ns, {int(name[1:]): v for name, v in values.items()}, None, {})
    batch.size = sum(map(len, values.values()))
    return batch


def entries(ledger: Ledger, query: Query = ALL) -> list[Entry]:
    return [entry for _, entry in find([ledger], query, 0, 1000).page]


def seen(ledger: Ledger, query: Query = ALL) -> list[tuple[int, int, str]]:
    return [(e.at_ns, e.handle, e.outcome.value) for e in entries(ledger, query)]


def test_a_request_on_its_way_is_not_in_the_ledger_until_its_outcome_is_known() -> None:
    ledger = Ledger(0)
    batch = sent(ledger, 5, i1=b"a")
    assert entries(ledger) == []
    ledger.acked(batch)
    assert entries(ledger) == [Entry(5, 1, b"a", b"a", Outcome.ACKED, 0, None, "")]


def test_writes_come_newest_first_whatever_the_order_of_their_answers() -> None:
    ledger = Ledger(0)
    first, second, third = (sent(ledger, at, i1=b"v") for at in (1, 2, 3))
    ledger.acked(third)
    ledger.unanswered(first, "no answer in time")
    ledger.refused(second, {1: BAD})
    assert seen(ledger) == [(3, 1, "acked"), (2, 1, "rejected"), (1, 1, "unknown")]


def test_writes_of_the_same_instant_come_in_the_order_they_were_sent_last_first() -> None:
    ledger = Ledger(0)
    for value in (b"one", b"two"):
        ledger.acked(sent(ledger, 7, i1=value))
    assert [entry.sent for entry in entries(ledger)] == [b"two", b"one"]


def test_what_was_requested_is_what_the_source_said() -> None:
    ledger = Ledger(0)
    wire = {1: b"out1", 2: b"out2", 3: b"out3"}
    offered = {1: b"out1+t", 2: b"out2+t", 3: b"out3+t"}
    ledger.acked(ledger.sending(1, wire, offered, {2: b"source2"}))
    assert {e.handle: (e.requested, e.sent) for e in entries(ledger)} == {
        1: (b"out1+t", b"out1"),
        2: (b"source2", b"out2"),
        3: (b"out3+t", b"out3"),
    }


def test_a_request_that_was_refused_in_part_is_two_outcomes() -> None:
    ledger = Ledger(0)
    batch = ledger.sending(1, {1: b"a", 2: b"b", 3: b"c"}, {1: b"A", 2: b"B", 3: b"c"}, {})
    statuses = {1: 0x0030_0000, 2: BAD, 3: 0}
    good = ledger.split(batch, statuses, {2: BAD})
    assert dict(good.sent) == {1: b"a", 3: b"c"}
    assert {e.handle: (e.outcome.value, e.status, e.requested) for e in entries(ledger)} == {
        1: ("acked", 0x0030_0000, b"A"),
        2: ("rejected", BAD, b"B"),
        3: ("acked", 0, b"c"),
    }
    assert ledger.rejected == 1


def test_a_split_where_nothing_was_refused_or_nothing_was_accepted_has_one_outcome() -> None:
    ledger = Ledger(0)
    ledger.split(sent(ledger, 1, i1=b"a"), {1: 0x4000_0000}, {})
    ledger.split(sent(ledger, 2, i1=b"a"), {1: BAD}, {1: BAD})
    assert seen(ledger) == [(2, 1, "rejected"), (1, 1, "acked")]
    assert [entry.status for entry in entries(ledger)] == [BAD, 0x4000_0000]


def test_a_part_of_a_request_keeps_nothing_else_of_it_alive() -> None:
    ledger = Ledger(0)
    whole = sent(ledger, 1, i1=b"a", i2=b"b")
    kept = ref(whole)
    ledger.refused(whole, {2: BAD})
    del whole
    gc.collect()
    assert kept() is None
    assert seen(ledger) == [(1, 2, "rejected")]


def test_an_unknown_outcome_has_no_status_and_says_why() -> None:
    ledger = Ledger(0)
    ledger.unanswered(sent(ledger, 1, i1=b"a"), "connection lost")
    (entry,) = entries(ledger)
    assert (entry.outcome, entry.status, entry.why) == (Outcome.UNKNOWN, None, "connection lost")


@pytest.fixture
def mixed() -> Ledger:
    ledger = Ledger(0)
    ledger.acked(sent(ledger, 1, i1=b"a", i2=b"b"))
    ledger.refused(sent(ledger, 2, i1=b"c"), {1: BAD}, "no")
    ledger.unanswered(sent(ledger, 3, i3=b"d"), "away")
    read = sent(ledger, 4, i4=b"e", i5=b"f")
    ledger.acked(read)
    ledger.verified(read, 4)
    ledger.contradicted(read, read.part((5,)), "holds another")
    return ledger


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), [(4, 5), (4, 4), (3, 3), (2, 1), (1, 1), (1, 2)]),
        (Query(handles=frozenset({1})), [(2, 1), (1, 1)]),
        (Query(handles=frozenset({1, 3})), [(3, 3), (2, 1), (1, 1)]),
        (Query(handles=frozenset({9})), []),
        (Query(outcome=Outcome.ACKED), [(4, 5), (4, 4), (1, 1), (1, 2)]),
        (Query(outcome=Outcome.REJECTED), [(2, 1)]),
        (Query(outcome=Outcome.UNKNOWN), [(3, 3)]),
        (Query(outcome=Outcome.REJECTED, handles=frozenset({2})), []),
        (Query(verified=True), [(4, 4)]),
        (Query(verified=False), [(4, 5)]),
        (Query(until_ns=2), [(2, 1), (1, 1), (1, 2)]),
    ],
)
def test_a_question_finds_what_it_asks_for(
    mixed: Ledger, query: Query, expected: list[tuple[int, int]]
) -> None:
    found = find([mixed], query, 0, 100)
    assert sorted((e.at_ns, e.handle) for _, e in found.page) == sorted(expected)
    assert [e.at_ns for _, e in found.page] == [at for at, _ in expected]
    assert found.count == len(expected)
    assert sum(count for _, count in found.at) == len(expected)


def test_a_mismatch_is_listed_once_with_what_the_target_holds(mixed: Ledger) -> None:
    (entry,) = entries(mixed, Query(handles=frozenset({5})))
    assert (entry.verified, entry.why, entry.outcome) == (False, "holds another", Outcome.ACKED)
    assert mixed.mismatched == 1


def test_two_mismatches_of_one_request_are_both_moved() -> None:
    ledger = Ledger(0)
    batch = sent(ledger, 1, i1=b"a", i2=b"b", i3=b"c", i4=b"d")
    ledger.acked(batch)
    for handle in (1, 2):
        ledger.contradicted(batch, batch.part((handle,)), "other")
    ledger.verified(batch, 3)
    ledger.verified(batch, 4)
    assert sorted((e.handle, e.verified) for e in entries(ledger)) == [
        (1, False),
        (2, False),
        (3, True),
        (4, True),
    ]


def test_what_was_verified_after_its_batch_was_dropped_is_no_error() -> None:
    ledger = Ledger(0)
    alone = sent(ledger, 1, i1=b"a").part((1,))
    ledger.verified(None, 1)
    ledger.contradicted(None, alone, "other")
    assert [(e.handle, e.verified) for e in entries(ledger)] == [(1, False)]


# -- bounds ------------------------------------------------------------------------------------


def test_the_oldest_whole_batches_go_and_are_counted() -> None:
    shelf = Shelf(limit=5, most_bytes=10**9)
    for at in (1, 2, 3):
        shelf.put(Batch(at, at, {1: b"a", 2: b"b"}))
    assert [batch.at_ns for batch in shelf.batches] == [2, 3]
    assert (shelf.values, shelf.dropped, shelf.dropped_until_ns) == (4, 2, 1)


def test_bytes_bound_a_shelf_as_well() -> None:
    shelf = Shelf(limit=10**9, most_bytes=2 * (BATCH_BYTES + 1000))
    for at in (1, 2, 3):
        shelf.put(Batch(at, at, {1: b"x"}, size=1000))
    assert [batch.at_ns for batch in shelf.batches] == [2, 3]
    assert shelf.bytes == 2 * (BATCH_BYTES + 1000)


def test_the_newest_batch_stays_however_large_it_is() -> None:
    shelf = Shelf(limit=1, most_bytes=1)
    shelf.put(Batch(1, 1, {1: b"a", 2: b"b"}, size=10**9))
    assert (len(shelf.batches), shelf.dropped) == (1, 0)


def test_values_from_before_a_change_count_towards_the_bound() -> None:
    assert Batch(1, 1, {1: b"a", 2: b"b"}, {1: b"A", 2: b"B"}, {2: b"src"}).values == 5


def test_a_value_that_was_moved_is_not_dropped_twice() -> None:
    ledger = Ledger(0)
    batch = sent(ledger, 1, i1=b"a", i2=b"b")
    ledger.acked(batch)
    ledger.contradicted(batch, batch.part((1,)), "other")
    ledger.accepted.limit = 1
    ledger.acked(sent(ledger, 2, i3=b"c"))
    assert ledger.dropped == 1


def test_successes_do_not_push_out_failures() -> None:
    ledger = Ledger(0)
    ledger.refused(sent(ledger, 1, i1=b"bad"), {1: BAD})
    for at in range(2, 2 * LEAST_VALUES):
        ledger.acked(sent(ledger, at, i1=b"good"))
    assert len(entries(ledger, Query(outcome=Outcome.REJECTED))) == 1
    assert ledger.accepted.dropped > 0
    assert ledger.values <= LEAST_VALUES + FAILED_VALUES


def test_the_ledger_says_since_when_it_is_complete() -> None:
    ledger = Ledger(started_ns=100)
    assert ledger.complete_since_ns == 100
    for at in range(200, 200 + LEAST_VALUES + 1):
        ledger.acked(sent(ledger, at, i1=b"v"))
    assert ledger.complete_since_ns == 201
    assert len(entries(ledger)) == LEAST_VALUES
    assert min(entry.at_ns for entry in entries(ledger)) == 201


@pytest.mark.parametrize(
    ("items", "limit"),
    [
        (0, LEAST_VALUES),
        (1_000, 1_000 * VALUES_PER_ITEM),
        (30_000, MOST_VALUES),
    ],
)
def test_more_items_have_a_longer_ledger_within_bounds(items: int, limit: int) -> None:
    ledger = Ledger(0)
    ledger.expect(items)
    assert ledger.accepted.limit == limit
    assert ledger.accepted.most_bytes >= LEAST_BYTES


def test_fewer_items_shorten_the_ledger_at_once() -> None:
    ledger = Ledger(0)
    ledger.expect(1_000)
    for at in range(2_000):
        ledger.acked(sent(ledger, at, i1=b"v"))
    ledger.expect(1)
    assert ledger.accepted.values == LEAST_VALUES


# -- pages -------------------------------------------------------------------------------------


def test_a_page_is_a_part_of_all_that_was_found() -> None:
    one, other = Ledger(0), Ledger(0)
    one.acked(sent(one, 10, i1=b"a", i2=b"b"))
    other.acked(sent(other, 20, i3=b"c"))
    one.acked(sent(one, 30, i1=b"d"))
    whole = find([one, other], ALL, 0, 10)
    assert [(place, e.at_ns, e.handle) for place, e in whole.page] == [
        (0, 30, 1),
        (1, 20, 3),
        (0, 10, 1),
        (0, 10, 2),
    ]
    for skip in range(5):
        for limit in range(5):
            part = find([one, other], ALL, skip, limit)
            assert part.page == whole.page[skip : skip + limit]
            assert part.count == 4
            assert sum(count for _, count in part.at) == min(4, skip + limit)


def test_the_hosts_share_a_page_by_the_times_of_their_writes() -> None:
    mine, yours = [(30, 2), (10, 3)], [(20, 1), (10, 1)]
    assert share_out([mine, yours], 0, 3) == [Share(0, 2), Share(0, 1)]
    assert share_out([mine, yours], 3, 3) == [Share(2, 3), Share(1, 0)]
    assert share_out([mine, yours], 1, 100) == [Share(1, 4), Share(0, 2)]
    assert share_out([mine, []], 0, 1) == [Share(0, 1), Share(0, 0)]
    assert share_out([], 0, 10) == []
