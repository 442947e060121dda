"""The ledger under any history of writes: bounded, newest first, and nothing invented."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.binary import encode_data_value
from pipes.core.ledger import Batch, Ledger, Outcome, Query, Shelf, find, share_out
from pipes.core.values import DataValue, Variant, VariantType
from pipes.core.verification import SETTLE_SECONDS, Check, Step, Verdict, Verification, judge
from tests.properties.values import DATA_VALUES

BAD = 0x8000_0000
HANDLES = st.integers(1, 6)
OUTCOMES = st.sampled_from(["acked", "rejected", "unknown", "split"])


@dataclass(frozen=True)
class Write:
    handles: tuple[int, ...]
    outcome: str
    size: int
    stripped: bool


WRITES = st.lists(
    st.builds(
        Write,
        st.lists(HANDLES, min_size=1, max_size=6, unique=True).map(tuple),
        OUTCOMES,
        st.integers(0, 400),
        st.booleans(),
    ),
    max_size=40,
)
QUERIES = st.builds(
    Query,
    st.none() | st.frozensets(HANDLES),
    st.none() | st.sampled_from(Outcome),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 45),
)


def played(writes: list[Write], limit: int = 10**6) -> tuple[Ledger, list[tuple[int, int, str]]]:
    """A ledger with these writes, one a nanosecond, and what each of them came to."""
    ledger = Ledger(0)
    for shelf in (ledger.accepted, ledger.failed):
        shelf.limit = limit
    truth: list[tuple[int, int, str]] = []
    for at_ns, write in enumerate(writes, 1):
        sent = dict.fromkeys(write.handles, b"%d" % at_ns)
        offered = {h: v + b"+" for h, v in sent.items()} if write.stripped else None
        batch = ledger.sending(at_ns, sent, offered, {})
        batch.size = write.size
        truth += _ended(ledger, batch, write)
    return ledger, truth


def _ended(ledger: Ledger, batch: Batch, write: Write) -> list[tuple[int, int, str]]:
    outcomes = dict.fromkeys(write.handles, write.outcome)
    if write.outcome == "acked":
        ledger.acked(batch)
    elif write.outcome == "rejected":
        ledger.refused(batch, dict.fromkeys(write.handles, BAD))
    elif write.outcome == "unknown":
        ledger.unanswered(batch, "away")
    else:
        refused = {handle: BAD for handle in write.handles if handle % 2}
        ledger.split(batch, dict.fromkeys(write.handles, 0) | refused, refused)
        outcomes = {h: "rejected" if h in refused else "acked" for h in write.handles}
    return [(batch.at_ns, handle, outcome) for handle, outcome in outcomes.items()]


def shown(ledger: Ledger, query: Query, skip: int = 0, limit: int = 10**6) -> list[tuple]:
    found = find([ledger], query, skip, limit)
    return [(entry.at_ns, entry.handle, entry.outcome.value) for _, entry in found.page]


@given(WRITES)
def test_every_write_is_there_once_with_its_outcome_newest_first(writes: list[Write]) -> None:
    ledger, truth = played(writes)
    rows = shown(ledger, Query())
    assert sorted(rows) == sorted(truth)
    assert [at for at, _, _ in rows] == sorted((at for at, _, _ in truth), reverse=True)


@given(WRITES)
def test_what_was_requested_is_what_was_offered_in_every_outcome(writes: list[Write]) -> None:
    ledger, _ = played(writes)
    for _, entry in find([ledger], Query(), 0, 10**6).page:
        stripped = writes[entry.at_ns - 1].stripped
        assert entry.requested == entry.sent + (b"+" if stripped else b"")


@given(WRITES, QUERIES)
def test_a_query_finds_exactly_what_matches(writes: list[Write], query: Query) -> None:
    ledger, truth = played(writes)
    matching = [
        row
        for row in truth
        if query.handles is None or row[1] in query.handles
        if query.outcome in (None, Outcome(row[2]))
        if query.verified is None  # nothing was read back
        if query.until_ns is None or row[0] <= query.until_ns
    ]
    assert sorted(shown(ledger, query)) == sorted(matching)
    assert find([ledger], query, 0, 0).count == len(matching)


@given(WRITES, st.integers(1, 30), st.integers(0, 20_000))
def test_memory_is_bounded_and_what_is_missing_is_known(
    writes: list[Write], limit: int, most_bytes: int
) -> None:
    ledger = Ledger(0)
    shelves = (ledger.accepted, ledger.failed)
    for shelf in shelves:
        shelf.limit, shelf.most_bytes = limit, most_bytes
    truth = []
    for at_ns, write in enumerate(writes, 1):
        batch = ledger.sending(at_ns, dict.fromkeys(write.handles, b"v"), None, {})
        batch.size = write.size
        truth += _ended(ledger, batch, write)
        assert all(_is_bounded(shelf) for shelf in shelves)
    rows = shown(ledger, Query())
    assert set(rows) <= set(truth)
    assert len(rows) + ledger.dropped == len(truth)
    since = ledger.complete_since_ns
    assert {row for row in truth if row[0] >= since} <= set(rows)


def _is_bounded(shelf: Shelf) -> bool:
    assert shelf.values == sum(batch.values for batch in shelf.batches)
    within = shelf.values <= shelf.limit and shelf.bytes <= shelf.most_bytes
    return within or len(shelf.batches) == 1


@given(st.lists(WRITES, min_size=1, max_size=4), st.integers(0, 60), st.integers(0, 60))
def test_pages_of_several_hosts_are_parts_of_one_list(
    histories: list[list[Write]], skip: int, limit: int
) -> None:
    ledgers = [played(writes)[0] for writes in histories]
    firsts = [find([ledger], Query(), skip + limit, 0).at for ledger in ledgers]
    rows: list[tuple[int, int]] = []
    for place, (ledger, share) in enumerate(
        zip(ledgers, share_out(firsts, skip, limit), strict=True)
    ):
        page = find([ledger], Query(), share.skip, share.take).page
        assert len(page) == share.take
        rows += [(entry.at_ns, place) for _, entry in page]
    everything = sorted(
        (
            (entry.at_ns, place)
            for place, ledger in enumerate(ledgers)
            for _, entry in find([ledger], Query(), 0, 10**6).page
        ),
        key=lambda row: (-row[0], row[1]),
    )
    rows.sort(key=lambda row: (-row[0], row[1]))
    assert rows == everything[skip : skip + limit]


# -- verification ------------------------------------------------------------------------------


@given(DATA_VALUES)
def test_a_target_that_holds_what_was_written_never_contradicts(value: DataValue) -> None:
    encoded = encode_data_value(value)
    assert judge(encoded, encoded) is not Verdict.OTHER


def number(value: int) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.INT32, value)))


class HonestTarget:
    """A target that holds the newest write of each item, and reads that come late or never."""

    def __init__(self) -> None:
        self.checks = Verification()
        for handle in (1, 2, 3):
            self.checks.add(handle, both_ways=False)
        self.now = 0.0
        self.written = 0
        self.holds: dict[int, int] = {}
        self.reading: list[tuple[int, Check]] = []

    def write(self, handle: int, _amount: int) -> None:
        values = {handle: number(self.written)}
        self.checks.sending(values)
        self.checks.written(Batch(self.written, 0, values), self.now)
        self.holds[handle] = self.written
        self.written += 1

    def wait(self, _handle: int, amount: int) -> None:
        self.now += amount * SETTLE_SECONDS
        self.checks.lapse(self.now)

    def lose(self, _handle: int, _amount: int) -> None:
        self.checks.lost()
        self.reading.clear()

    def fail(self, _handle: int, _amount: int) -> None:
        for handle, check in self.reading:
            self.checks.unread(handle, check, self.now)
        self.reading.clear()

    def read(self, _handle: int, amount: int) -> None:
        """Begin some reads; of those that are on their way, as many stay there."""
        self.reading += self.checks.take(amount, self.now).items()
        for handle, check in self.reading[amount:]:
            step = self.checks.found(handle, check, number(self.holds[handle]), self.now)
            assert step in (Step.VERIFIED, Step.OVERTAKEN)
        del self.reading[amount:]


STEPS = st.sampled_from(["write", "read", "fail", "wait", "lose"])


@given(st.lists(st.tuples(STEPS, st.integers(1, 3), st.integers(0, 2)), max_size=60))
def test_an_honest_target_is_never_accused_and_no_write_is_judged_twice(
    steps: list[tuple[str, int, int]],
) -> None:
    target = HonestTarget()
    for what, handle, amount in steps:
        getattr(target, what)(handle, amount)
    assert target.checks.mismatched == 0
    assert target.checks.verified + target.checks.unverified <= target.written
