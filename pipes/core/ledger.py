"""The ledger of one flow: every write, what was asked for, what went out, and what became of it.

Nothing is done per value when a batch is written: it is kept by reference, as the writer sent it,
and taken apart when somebody asks. The newest writes are kept, bounded in values and in bytes;
whole batches go, oldest first, and are counted. Failures stand on a shelf of their own, so that
successes never push them out: refused, without an answer, and read back as another value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

#: The newest values written that a flow keeps: so many for each item, within these bounds.
VALUES_PER_ITEM: Final = 4
LEAST_VALUES: Final = 1_000
MOST_VALUES: Final = 50_000
#: What values and their node ids may take on average before fewer of them are kept.
BYTES_PER_VALUE: Final = 160
LEAST_BYTES: Final = 1_000_000
#: A batch of a single value takes this much beside it.
BATCH_BYTES: Final = 600
FAILED_VALUES: Final = 5_000
FAILED_BYTES: Final = 1_000_000

_NOTHING: Final[Mapping[int, bytes]] = {}


class Outcome(StrEnum):
    ACKED = "acked"
    REJECTED = "rejected"
    """The server said no, to the value or to the whole request."""
    UNKNOWN = "unknown"
    """No answer came: the server may have taken the value."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Batch:
    """The writes of one request, or a part of them, that had the same outcome.

    ``sent`` is what went on the wire by handle; ``offered`` the same before the source timestamps
    were taken out (None if they were not); ``origins`` what the source said where it was made
    into something else. None of them changes any more. ``size`` is in bytes.
    """

    number: int
    at_ns: int
    sent: Mapping[int, bytes]
    offered: Mapping[int, bytes] | None = None
    origins: Mapping[int, bytes] = field(default_factory=lambda: _NOTHING)
    size: int = 0
    outcome: Outcome = Outcome.UNKNOWN
    statuses: Mapping[int, int] | None = None
    why: str = ""
    verified: dict[int, bool] | None = None
    moved: set[int] | None = None
    """Handles that were moved to the failures."""

    @property
    def values(self) -> int:
        """How many values are kept alive by it."""
        return len(self.sent) + len(self.origins) + (0 if self.offered is None else len(self.sent))

    @property
    def asked(self) -> Mapping[int, bytes]:
        """What was given to be written, as it was before timestamps were taken out."""
        return self.sent if self.offered is None else self.offered

    def requested(self, handle: int) -> bytes:
        """The source's value as it came."""
        origin = self.origins.get(handle)
        if origin is not None:
            return origin
        return self.asked[handle]

    def part(self, handles: Iterable[int]) -> Batch:
        """These writes alone, without the rest of the request."""
        sent = {handle: self.sent[handle] for handle in handles}
        asked = {handle: self.requested(handle) for handle in sent}
        origins = {handle: value for handle, value in asked.items() if value != sent[handle]}
        size = sum(map(len, sent.values())) + sum(map(len, origins.values()))
        return Batch(self.number, self.at_ns, sent, None, origins, size)

    def handles(self, query: Query) -> Collection[int]:
        """Those of its writes that are asked for."""
        if query.outcome not in (None, self.outcome):
            return ()
        found: Collection[int] = self.sent.keys()
        if query.handles is not None:
            found = [handle for handle in self.sent if handle in query.handles]
        if query.verified is not None:
            known = self.verified or {}
            found = [handle for handle in found if known.get(handle) is query.verified]
        if self.moved:
            found = [handle for handle in found if handle not in self.moved]
        return found

    def entry(self, handle: int) -> Entry:
        verified = None if self.verified is None else self.verified.get(handle)
        return Entry(
            at_ns=self.at_ns,
            handle=handle,
            requested=self.requested(handle),
            sent=self.sent[handle],
            outcome=self.outcome,
            status=self._status(handle),
            verified=verified,
            why=self.why,
        )

    def _status(self, handle: int) -> int | None:
        if self.outcome is Outcome.UNKNOWN:
            return None
        return 0 if self.statuses is None else self.statuses.get(handle, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """One write. ``status`` is the server's answer, None if there was none."""

    at_ns: int
    handle: int
    requested: bytes
    sent: bytes
    outcome: Outcome
    status: int | None
    verified: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Query:
    """Which writes are asked for; None asks for all. ``until_ns`` leaves out what is newer."""

    handles: frozenset[int] | None = None
    outcome: Outcome | None = None
    verified: bool | None = None
    until_ns: int | None = None


class Shelf:
    """Batches within a bound of values and bytes; the newest batch always stays."""

    def __init__(self, limit: int, most_bytes: int) -> None:
        self.limit = limit
        self.most_bytes = most_bytes
        self.batches: deque[Batch] = deque()
        self.values = 0
        self.bytes = 0
        self.dropped = 0
        self.dropped_until_ns = 0

    def put(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.values += batch.values
        self.bytes += batch.size + BATCH_BYTES
        self.trim()

    def trim(self) -> None:
        while (self.values > self.limit or self.bytes > self.most_bytes) and len(self.batches) > 1:
            oldest = self.batches.popleft()
            self.values -= oldest.values
            self.bytes -= oldest.size + BATCH_BYTES
            self.dropped += len(oldest.sent) - len(oldest.moved or ())
            self.dropped_until_ns = max(self.dropped_until_ns, oldest.at_ns)


class Ledger:
    """The writes of one flow. Times are in ns of UTC."""

    def __init__(self, started_ns: int) -> None:
        self.accepted = Shelf(LEAST_VALUES, LEAST_BYTES)
        self.failed = Shelf(FAILED_VALUES, FAILED_BYTES)
        self.rejected = 0
        self.mismatched = 0
        self._started_ns = started_ns
        self._number = 0

    def expect(self, items: int) -> None:
        """Keep what is right for so many items."""
        shelf = self.accepted
        shelf.limit = min(MOST_VALUES, max(LEAST_VALUES, VALUES_PER_ITEM * items))
        shelf.most_bytes = max(LEAST_BYTES, BYTES_PER_VALUE * shelf.limit)
        shelf.trim()

    @property
    def complete_since_ns(self) -> int:
        """Every write that was answered, or given up, since then is here."""
        gone = max(self.accepted.dropped_until_ns, self.failed.dropped_until_ns)
        return gone + 1 if gone else self._started_ns

    @property
    def dropped(self) -> int:
        return self.accepted.dropped + self.failed.dropped

    @property
    def values(self) -> int:
        return self.accepted.values + self.failed.values

    # -- what happens ---------------------------------------------------------------------------

    def sending(
        self,
        at_ns: int,
        sent: Mapping[int, bytes],
        offered: Mapping[int, bytes] | None,
        origins: Mapping[int, bytes],
    ) -> Batch:
        """A request is about to go; it is entered when its outcome is known."""
        self._number += 1
        return Batch(self._number, at_ns, sent, offered, origins or _NOTHING)

    def acked(self, batch: Batch) -> None:
        batch.outcome = Outcome.ACKED
        self.accepted.put(batch)

    def split(self, batch: Batch, statuses: Mapping[int, int], refused: Mapping[int, int]) -> Batch:
        """Some handles of a batch were ``refused``; returns the batch of the others."""
        accepted = {handle: code for handle, code in statuses.items() if handle not in refused}
        good = batch.part(accepted)
        good.statuses = accepted
        if refused:
            self.refused(batch, refused)
        if accepted:
            self.acked(good)
        return good

    def refused(self, batch: Batch, statuses: Mapping[int, int], why: str = "") -> None:
        """These handles of a batch were refused, each with its status."""
        part = batch if len(statuses) == len(batch.sent) else batch.part(statuses)
        part.outcome = Outcome.REJECTED
        part.statuses = statuses
        part.why = why
        self.rejected += len(statuses)
        self.failed.put(part)

    def unanswered(self, batch: Batch, why: str) -> None:
        batch.outcome = Outcome.UNKNOWN
        batch.why = why
        self.failed.put(batch)

    def verified(self, batch: Batch | None, handle: int) -> None:
        """The target was read and holds what was sent; None if the batch is gone already."""
        if batch is None:
            return
        if batch.verified is None:
            batch.verified = {}
        batch.verified[handle] = True

    def contradicted(self, batch: Batch | None, alone: Batch, why: str) -> None:
        """As `verified`, but it holds another value; ``alone`` is that one write of the batch."""
        (handle,) = alone.sent
        if batch is not None:
            if batch.moved is None:
                batch.moved = set()
            batch.moved.add(handle)
        alone.outcome = Outcome.ACKED
        alone.verified = {handle: False}
        alone.why = why
        self.mismatched += 1
        self.failed.put(alone)

    def batches(self) -> Iterator[Batch]:
        """All that is kept, in no order."""
        yield from self.accepted.batches
        yield from self.failed.batches


# -- questions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """The writes that match, newest first: how many at each instant, and a page of them.

    ``at`` has (at_ns, how many) as far as the end of the page, ``page`` (which ledger, write).
    """

    count: int
    at: list[tuple[int, int]]
    page: list[tuple[int, Entry]]


def find(ledgers: Iterable[Ledger], query: Query, skip: int, limit: int) -> Found:
    """Look in several ledgers; a page names a ledger by its place."""
    rows = [
        (batch.at_ns, batch.number, place, batch, handles)
        for place, ledger in enumerate(ledgers)
        for batch in ledger.batches()
        if query.until_ns is None or batch.at_ns <= query.until_ns
        if (handles := batch.handles(query))
    ]
    rows.sort(key=lambda row: row[:3], reverse=True)
    count = 0
    at: list[tuple[int, int]] = []
    page: list[tuple[int, Entry]] = []
    for at_ns, _, place, batch, handles in rows:
        start, stop = max(0, skip - count), min(len(handles), skip + limit - count)
        count += len(handles)
        if stop > 0:
            at.append((at_ns, stop))
            page += [(place, batch.entry(handle)) for handle in islice(handles, start, stop)]
    return Found(count, at, page)


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a page that one of several answers gives."""

    skip: int
    take: int


def share_out(answers: Sequence[Iterable[tuple[int, int]]], skip: int, limit: int) -> list[Share]:
    """What each of several answers (`Found.at`) contributes to the page of all together."""
    runs = [(at_ns, -place, count) for place, each in enumerate(answers) for at_ns, count in each]
    shares = [Share(0, 0)] * len(answers)
    for _, place, count in sorted(runs, reverse=True):
        passed = min(count, skip)
        taken = min(count - passed, limit)
        skip, limit = skip - passed, limit - taken
        before = shares[-place]
        shares[-place] = Share(before.skip + passed, before.take + taken)
    return shares
