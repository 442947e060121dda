"""The writing half of a flow: what is due, what is on its way, what became of it.

``pending`` conflates: the newest value of an item wins, and two writes of one item are never on
their way together. ``held`` is what the server is known to hold. A write whose answer does not
come is *unknown*: the session is given up, so that its bytes cannot land later, and the newest
value is written again in the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol

from pipes.connections import ServerConnection
from pipes.core.binary import source_timestamp
from pipes.core.choices import CodecName
from pipes.core.echo import WriteResult
from pipes.core.latency import Latency
from pipes.core.ledger import Batch, Ledger
from pipes.core.pending import Pending
from pipes.core.refresh import Refresh
from pipes.core.retries import Retry, advise
from pipes.core.sizes import ValueLimits, excess
from pipes.core.splice import strip_source_timestamps
from pipes.core.status_codes import name_of
from pipes.core.values import is_bad, unix_to_ticks
from pipes.core.window import Window
from pipes.opcua.dry_run import DryRunLane
from pipes.opcua.lane import WriteLane, WriteOutcome
from pipes.opcua.session import Session
from pipes.verify import ReadBack

LARGEST_BATCH: Final = 5_000
#: Values of no fixed size fill one request up to here; a larger one goes alone.
LARGEST_REQUEST: Final = 1 << 20
#: A value of this size that was alone on its way when a session ended may be why, in bytes; after
#: so many times it is.
SUSPICIOUS_SIZE: Final = 1 << 16
MOST_LOSSES: Final = 2
SAMPLES_PER_BATCH: Final = 2
#: Written values that wait to be entered in the tables; this bounds their memory.
FOLD_AT: Final = 4_000
#: A value of fixed size, at most: a Guid with status and time, in bytes.
SMALL_SIZE: Final = 30
ANSWERED_TOO_LATE: Final = "the answer came when its session was over"
SERVICE_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 4.0
TICKS_PER_MS: Final = 10_000


class Owner(Protocol):
    """The flow, as its writer sees it; every call is synchronous."""

    def write_refused(self, handle: int, value: bytes, status: int) -> None: ...

    def may_send(self, handle: int, value: bytes) -> bool:
        """The last question about a watched handle before its value goes into a request."""

    def settled(self, handle: int, result: WriteResult) -> None:
        """The write of a watched handle has ended."""

    def too_large(self, handle: int, why: str) -> None:
        """A value that the server does not take for its size; it was not sent."""

    def recovered(self, handles: Iterable[int]) -> None:
        """These handles were in error and are written."""

    def unanswered(self, values: Mapping[int, bytes], why: str) -> None:
        """Nobody knows whether the server took these."""


class Due(Protocol):
    """What is to be written: `Pending`, or `delivery.Delivery` where some items have queues.

    A batch that was taken is busy until one of the methods that take a batch is told of it.
    """

    limit: int

    @property
    def conflated(self) -> int: ...

    def __len__(self) -> int: ...

    def put(self, values: Mapping[int, bytes]) -> None: ...

    def take(self, limit: int) -> dict[int, bytes]: ...

    def done(self, batch: Collection[int]) -> None:
        """The server took these, or they are not to be written."""

    def retry(self, batch: Mapping[int, bytes]) -> None:
        """These were not sent, or the server did not look at them."""

    def unknown(self, batch: Mapping[int, bytes]) -> None:
        """Nobody knows whether the server took these."""

    def abandoned(self, batch: Mapping[int, bytes]) -> None:
        """As `unknown`, of a session that is over while the next one may be there."""

    def declined(self, handle: int) -> None:
        """The server refused this one; `withdraw` or `postpone` may follow."""

    def withdraw(self, handle: int, *, for_good: bool) -> bool:
        """Hold back what waits of an item in error; ``for_good``: the refused value never goes.

        Returns whether something is left to write when the item may be tried again.
        """

    def postpone(self, handle: int) -> None:
        """Hold back what waits of an item until its node is known again."""

    def clear(self) -> None:
        """The session is over."""

    def forget(self, handles: Iterable[int]) -> None: ...


class Writer:
    def __init__(
        self,
        codec: CodecName,
        owner: Owner,
        prefixes: dict[int, bytes],
        may_write: Callable[[], bool],
        now: Callable[[], float],
        *,
        dry_run: bool = False,
    ) -> None:
        self.latest = Pending(limit=1)
        self.pending: Due = self.latest
        self.refresh = Refresh()
        self.dry_run = dry_run
        self.would_write = 0
        self.window = Window()
        self._held: dict[int, bytes] = {}
        self._written_at: dict[int, int] = {}
        self._counts: Counter[int] = Counter()
        self._unfolded: list[tuple[Mapping[int, bytes], int]] = []  # batches written, and when
        self._unfolded_values = 0
        self.in_error: set[int] = set()
        self.watched: set[int] = set()
        self.writes = 0
        self.unknown = 0
        self.sample = b""  # one of the values written last
        self.newest_batch: Mapping[int, bytes] = {}
        self.gate_was_shut = False
        self.latency = Latency()
        self.keep_timestamps = True
        self.bulky: set[int] = set()  # handles whose values have no fixed size
        self.ledger = Ledger(time.time_ns())
        self.origins: dict[int, bytes] = {}  # what the source said, where another value is due
        self.read_back: ReadBack | None = None  # there is one when an item asks for it
        self.bare: set[int] = set()  # handles whose node alone takes no source timestamp
        self.pause = 0.0  # seconds between two tries while the server refuses whole requests
        self._codec = codec
        self._owner = owner
        self._prefixes = prefixes
        self._may_write = may_write
        self._now = now
        self._connection: ServerConnection | None = None
        self._lane: WriteLane | None = None
        self._limit = LARGEST_BATCH
        self._value_limits = ValueLimits()
        self._losses: dict[int, tuple[int, int]] = {}  # handle -> how often, size
        self._paused_until = 0.0
        self._is_flushing = False
        self._answered_one = asyncio.Event()

    # -- what was written -----------------------------------------------------------------------

    @property
    def held(self) -> dict[int, bytes]:
        """What the server is known to hold."""
        self._fold()
        return self._held

    @property
    def written_at(self) -> dict[int, int]:
        """When each handle was written last, in ns of UTC."""
        self._fold()
        return self._written_at

    @property
    def counts(self) -> Counter[int]:
        """How often each handle was written."""
        self._fold()
        return self._counts

    def _note(self, batch: Mapping[int, bytes], wall_ns: int) -> None:
        self._unfolded.append((batch, wall_ns))
        self._unfolded_values += len(batch)
        if self._unfolded_values >= FOLD_AT:
            self._fold()

    def _fold(self) -> None:
        """Enter the batches in the tables of all handles.

        In one go: a table of thousands is in no cache when a batch of a few hundred comes.
        """
        if not self._unfolded:
            return
        for batch, wall_ns in self._unfolded:
            self._held.update(batch)
            self._written_at.update(dict.fromkeys(batch, wall_ns))
            self._counts.update(batch.keys())
        self._unfolded.clear()
        self._unfolded_values = 0

    # -- sending --------------------------------------------------------------------------------

    def connected(self, connection: ServerConnection, session: Session) -> None:
        self._connection = connection
        self._lane = DryRunLane() if self.dry_run else session.lane(self._codec)
        self._limit = min(LARGEST_BATCH, session.limits.write or LARGEST_BATCH)
        self._value_limits = session.value_limits
        self._paused_until = self.pause = 0.0
        self.window = Window()
        self.held.clear()

    def disconnected(self) -> None:
        """What was due is decided anew in the next session, with what its nodes are then."""
        self._lane = None
        self._connection = None
        self.pending.clear()
        self.window = Window()  # the session is aborted: its writes cannot land any more
        self._answered_one.set()

    async def idle(self) -> None:
        """Return when no write is on its way."""
        while self.window.in_flight:
            self._answered_one.clear()
            await self._answered_one.wait()

    def forget(self, handles: Iterable[int]) -> None:
        gone = set(handles)
        self.pending.forget(gone)
        self.refresh.forget(gone)
        held, written_at, counts = self.held, self.written_at, self.counts
        for handle in gone:
            held.pop(handle, None)
            written_at.pop(handle, None)
            counts.pop(handle, None)
            self._losses.pop(handle, None)
            self.origins.pop(handle, None)
        for handles_of in (self.in_error, self.watched, self.bulky, self.bare):
            handles_of.difference_update(gone)

    def originates(self, handle: int, value: bytes, due: bytes) -> None:
        """What is ``due`` to be written was made of ``value``."""
        if due is value:
            self.origins.pop(handle, None)
        else:
            self.origins[handle] = value

    def offer(self, values: dict[int, bytes]) -> None:
        """Take values to be written; each handle has its prefix."""
        self.pending.put(values)
        self.flush()

    def flush(self) -> None:
        """Send what may be sent: the window has room, the gate is open, items are not busy."""
        now = self._now()
        if self._lane is None or self._is_flushing or now < self._paused_until:
            return
        self.gate_was_shut = not self._may_write()
        if self.gate_was_shut:
            return
        self._is_flushing = True  # an answer may come while sending, and offer again
        try:
            self._flush(self._lane, now)
        finally:
            self._is_flushing = False

    def _flush(self, lane: WriteLane, now: float) -> None:
        while self.window.may_send and (batch := self.pending.take(self._limit)):
            if self.watched and not (batch := self._without_echoes(batch)):
                continue
            if self.bulky and not (batch := self._of_bearable_size(batch)):
                continue
            if not self._send(lane, batch, now):
                return

    def _without_echoes(self, batch: dict[int, bytes]) -> dict[int, bytes]:
        vetoed = [
            handle
            for handle in batch.keys() & self.watched
            if not self._owner.may_send(handle, batch[handle])
        ]
        if not vetoed:
            return batch
        self.pending.done(vetoed)
        return {handle: value for handle, value in batch.items() if handle not in set(vetoed)}

    def _of_bearable_size(self, batch: dict[int, bytes]) -> dict[int, bytes]:
        """What may go in one request: nothing too large for the server, and not too much."""
        if self.bulky.isdisjoint(batch):
            return batch
        sizes = list(map(len, batch.values()))
        limits = self._value_limits
        if self._losses or max(sizes) > limits.least > 0:
            self._refuse_too_large(batch)
        most = min(LARGEST_REQUEST, limits.message or LARGEST_REQUEST)
        return batch if sum(sizes) <= most else self._first_part(batch, most)

    def _refuse_too_large(self, batch: dict[int, bytes]) -> None:
        for handle, value in list(batch.items()):
            why = excess(value, self._value_limits) or self._blamed(handle, value)
            if not why:
                continue
            del batch[handle]
            self.pending.done((handle,))
            if handle in self.watched:
                self._owner.settled(handle, WriteResult.REFUSED)
            self._owner.too_large(handle, why)

    def _first_part(self, batch: dict[int, bytes], most: int) -> dict[int, bytes]:
        """As many of the first values as fit, one at least; the others are due again."""
        part: dict[int, bytes] = {}
        left = most
        for handle, value in batch.items():
            left -= len(value)
            if left < 0 and part:
                break
            part[handle] = value
        self._take_back({h: value for h, value in batch.items() if h not in part})
        return part

    def _blamed(self, handle: int, value: bytes) -> str:
        """Why a value is not tried again although the server names no limit for it."""
        times, size = self._losses.get(handle, (0, 0))
        if times < MOST_LOSSES or len(value) < size:
            return ""
        return f"the connection ended {times} times while a value of {size} bytes was written"

    def _note_loss(self, batch: Mapping[int, bytes]) -> None:
        """A session ended, or did not answer, with this request on its way."""
        if len(batch) != 1:
            return
        ((handle, value),) = batch.items()
        if len(value) >= SUSPICIOUS_SIZE:
            self._losses[handle] = (self._losses.get(handle, (0, 0))[0] + 1, len(value))

    def _send(self, lane: WriteLane, batch: dict[int, bytes], now: float) -> bool:
        wire = batch if self.keep_timestamps and not self.bare else self._without_timestamps(batch)
        entry = self.ledger.sending(
            time.time_ns(), wire, None if wire is batch else batch, self._origins_of(batch)
        )
        try:
            sent = lane.write(
                self._prefixes, wire, self._may_write, partial(self._answered, lane, entry, now)
            )
        except ConnectionError:
            sent = False
        if sent:
            entry.size = self._size_of(entry)
            self.window.sent(now)
            if self.read_back is not None:
                self.read_back.checks.sending(wire)
        else:
            self._take_back(batch)
        return sent

    def _size_of(self, entry: Batch) -> int:
        """About; values of fixed size are not looked at."""
        size = sum(map(len, entry.origins.values()))
        if self.bulky:
            return size + sum(map(len, entry.sent.values()))
        return size + SMALL_SIZE * len(entry.sent)

    def _origins_of(self, batch: dict[int, bytes]) -> dict[int, bytes]:
        """What the source said, of those that go as something else."""
        origins = self.origins
        return {handle: origins[handle] for handle in batch.keys() & origins} if origins else {}

    def _take_back(self, batch: Mapping[int, bytes]) -> None:
        """What was not sent, or refused unread, stays due unless newer values came."""
        self.pending.retry(batch)
        self._settle_unknown(batch)

    def _leave_open(self, batch: Mapping[int, bytes]) -> None:
        """What was not answered, or in a way that leaves it open, is no event's second try."""
        self.pending.unknown(batch)
        self._settle_unknown(batch)

    def _settle_unknown(self, batch: Mapping[int, bytes]) -> None:
        for handle in batch.keys() & self.watched:
            self._owner.settled(handle, WriteResult.UNKNOWN)

    def _without_timestamps(self, batch: dict[int, bytes]) -> dict[int, bytes]:
        if not self.keep_timestamps:
            return strip_source_timestamps(batch)
        bare = {handle: value for handle, value in batch.items() if handle in self.bare}
        return {**batch, **strip_source_timestamps(bare)}

    # -- answers --------------------------------------------------------------------------------

    def _answered(
        self, lane: WriteLane, entry: Batch, sent_at: float, outcome: WriteOutcome
    ) -> None:
        self._answered_one.set()
        if lane is not self._lane:
            self._answered_too_late(entry, outcome.failure)
            return
        if outcome.failure:
            self._unanswered(entry, outcome.failure)
            return
        self.window.answered(self._now() - sent_at)
        if is_bad(outcome.service_result):
            self._all_refused(entry, outcome.service_result)
        elif outcome.results is None:
            if not self.dry_run:
                self.ledger.acked(entry)
            self._written(entry)
        else:
            self._some_refused(entry, outcome.results)
        self.flush()

    def _answered_too_late(self, entry: Batch, failure: str) -> None:
        """An answer of a session that is over says nothing about the present one."""
        self.pending.abandoned(entry.asked)
        self._note_unknown(entry, failure or ANSWERED_TOO_LATE)
        self.flush()

    def _note_unknown(self, entry: Batch, why: str) -> None:
        self._note_loss(entry.sent)
        if self.dry_run:
            return
        self.unknown += len(entry.sent)
        self.ledger.unanswered(entry, why)
        self._owner.unanswered(entry.sent, why)

    def _written(self, entry: Batch) -> None:
        batch, wall_ns = entry.sent, time.time_ns()
        self.pause = 0.0
        if self._losses:
            for handle in batch.keys() & self._losses.keys():
                del self._losses[handle]
        self.pending.done(batch)
        self._note(batch, wall_ns)
        if self.refresh:
            self.refresh.written(batch.keys(), self._now())
        if self.dry_run:
            self.would_write += len(batch)
        else:
            self.writes += len(batch)
            self.sample = next(iter(batch.values()), b"")
            self.newest_batch = batch
            self._measure(batch, wall_ns)
        self._tell_written(entry)

    def _tell_written(self, entry: Batch) -> None:
        batch = entry.sent
        if self.in_error and (well := batch.keys() & self.in_error):
            self.in_error -= well
            self._owner.recovered(well)
        if self.watched:
            # Nothing comes back of what was not sent: no echo is to be waited for.
            result = WriteResult.REFUSED if self.dry_run else WriteResult.WRITTEN
            for handle in batch.keys() & self.watched:
                self._owner.settled(handle, result)
        if self.read_back is not None:
            self.read_back.written(entry)

    def _measure(self, batch: Mapping[int, bytes], wall_ns: int) -> None:
        """Latency of a few values of the batch: SourceTimestamp to acknowledged write."""
        offset = self._connection.clock_offset_ticks if self._connection is not None else 0
        now_ticks = unix_to_ticks(wall_ns / 1e9) + offset
        step = max(1, len(batch) // SAMPLES_PER_BATCH)
        for value in islice(batch.values(), 0, None, step):
            stamp = source_timestamp(value)
            if stamp is not None:
                self.latency.add(max(0.0, (now_ticks - stamp) / TICKS_PER_MS))

    def _some_refused(self, entry: Batch, results: Sequence[int]) -> None:
        batch = entry.sent
        statuses = dict(zip(batch, results, strict=True))
        refused = {handle: status for handle, status in statuses.items() if is_bad(status)}
        self._written(self.ledger.split(entry, statuses, refused))
        for handle, status in refused.items():
            self._refused(handle, batch[handle], status)

    def _all_refused(self, entry: Batch, status: int) -> None:
        batch = entry.sent
        retry = advise(status).retry
        if retry is Retry.RECONNECT or (retry is Retry.RETRY_LATER and len(batch) > 1):
            self._left_open(entry, status, retry)
            return
        self.ledger.refused(entry, dict.fromkeys(batch, status))
        if retry is Retry.SPLIT_BATCH and len(batch) > 1:
            self._limit = max(1, len(batch) // 2)
            self._take_back(entry.asked)
        else:
            for handle, value in batch.items():
                self._refused(handle, value, status)

    def _left_open(self, entry: Batch, status: int, retry: Retry) -> None:
        """The answer to a whole request does not say what was done of it; it is written again."""
        why = f"the request was answered {name_of(status)}"
        self.ledger.unanswered(entry, why)
        self._leave_open(entry.asked)
        if retry is Retry.RETRY_LATER:
            self.pause = min(LONGEST_PAUSE, max(SERVICE_PAUSE, 2 * self.pause))
            self._paused_until = self._now() + self.pause
        elif self._connection is not None:
            self._connection.give_up_session(f"a write was answered {name_of(status)}")

    def _refused(self, handle: int, value: bytes, status: int) -> None:
        self.pending.declined(handle)
        if handle in self.watched:
            self._owner.settled(handle, WriteResult.REFUSED)
        self._owner.write_refused(handle, value, status)

    def _unanswered(self, entry: Batch, why: str) -> None:
        self._note_unknown(entry, why)
        self.window.failed()
        self._leave_open(entry.asked)
        for handle in entry.sent:
            self.held.pop(handle, None)
        if self._connection is not None:
            self._connection.give_up_session(why)
