"""The writing half of a flow: what is due, what is on its way, what became of it.

``pending`` conflates: the newest value of an item wins, and two writes of one item are never on
their way together. A write whose answer does not
come is *unknown*: the session is given up, so that its bytes cannot land later, and the newest
value is written again in the next one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol

from pipes.connections import ServerConnection
from pipes.core.binary import source_timestamp
from pipes.core.choices import CodecName
from pipes.core.echo import WriteResult
from pipes.core.latency import Latency
from pipes.core.ledger import Batch, Ledger
from pipes.core.lookup import look_up
from pipes.core.pending import Pending
from pipes.core.refresh import Refresh
from pipes.core.retries import Retry, advise
from pipes.core.splice import strip_source_timestamps
from pipes.core.status_codes import name_of
from pipes.core.values import is_bad, unix_to_ticks
from pipes.core.window import Window
from pipes.due import Due
from pipes.opcua.dry_run import DryRunLane
from pipes.opcua.lane import WriteLane, WriteOutcome
from pipes.opcua.session import Session
from pipes.request_sizes import RequestSizes
from pipes.verify import ReadBack
from pipes.written import Written

LARGEST_BATCH: Final = 5_000
SAMPLES_PER_BATCH: Final = 2
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
        self.written = Written()
        self.in_error: set[int] = set()
        self.watched: set[int] = set()
        self.writes = 0
        self.unknown = 0
        self.sample = b""  # one of the values written last
        self.newest_batch: Mapping[int, bytes] = {}
        self.gate_was_shut = False
        self.latency = Latency()
        self.keep_timestamps = True
        self.sizes = RequestSizes()
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
        self._paused_until = 0.0
        self._is_flushing = False
        self._answered_one = asyncio.Event()

    # -- sending --------------------------------------------------------------------------------

    def connected(self, connection: ServerConnection, session: Session) -> None:
        self._connection = connection
        self._lane = DryRunLane() if self.dry_run else session.lane(self._codec)
        self._limit = min(LARGEST_BATCH, session.limits.write or LARGEST_BATCH)
        self.sizes.limits = session.value_limits
        self._paused_until = self.pause = 0.0
        self.window = Window()
        self.written.held.clear()

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

    def expect(self, items: int) -> None:
        """Make room for so many."""
        self.pending.limit = max(1, items)
        self.ledger.expect(items)
        self.written.expect(items)

    def forget(self, handles: Iterable[int]) -> None:
        gone = set(handles)
        self.pending.forget(gone)
        self.refresh.forget(gone)
        self.written.forget(gone)
        self.sizes.forget(gone)
        for handle in gone:
            self.origins.pop(handle, None)
        for handles_of in (self.in_error, self.watched, self.bare):
            handles_of.difference_update(gone)

    def originates(self, handle: int, value: bytes, due: bytes) -> None:
        """What is ``due`` to be written was made of ``value``."""
        if due is value:
            self.origins.pop(handle, None)
        else:
            self.origins[handle] = value

    def originate(self, values: dict[int, bytes], due: dict[int, bytes]) -> None:
        """What is ``due`` was made of those of the ``values`` that have the same handles."""
        if len(due) < len(values):
            values = dict(zip(due, look_up(values, due), strict=True))
        self.origins.update(values)

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
            if self.sizes.bulky and not (batch := self._of_bearable_size(batch)):
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
        if self.sizes.bulky.isdisjoint(batch):
            return batch
        for handle, why in self.sizes.too_large(batch).items():
            del batch[handle]
            self.pending.done((handle,))
            if handle in self.watched:
                self._owner.settled(handle, WriteResult.REFUSED)
            self._owner.too_large(handle, why)
        part, rest = self.sizes.first_part(batch)
        if rest:
            self._take_back(rest)
        return part

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
        if self.sizes.bulky:
            return size + sum(map(len, entry.sent.values()))
        return size + SMALL_SIZE * len(entry.sent)

    def _origins_of(self, batch: dict[int, bytes]) -> dict[int, bytes]:
        """What the source said, of those that go as something else."""
        handles = batch.keys() & self.origins.keys()
        return dict(zip(handles, look_up(self.origins, handles), strict=True))

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
            self._acknowledged(entry)
        else:
            self._some_refused(entry, outcome.results)
        self.flush()

    def _answered_too_late(self, entry: Batch, failure: str) -> None:
        """An answer of a session that is over says nothing about the present one."""
        self.pending.abandoned(entry.asked)
        self._note_unknown(entry, failure or ANSWERED_TOO_LATE)
        self.flush()

    def _note_unknown(self, entry: Batch, why: str) -> None:
        self.sizes.lost(entry.sent)
        if self.dry_run:
            return
        self.unknown += len(entry.sent)
        self.ledger.unanswered(entry, why)
        self._owner.unanswered(entry.sent, why)

    def _acknowledged(self, entry: Batch) -> None:
        batch, wall_ns = entry.sent, time.time_ns()
        self.pause = 0.0
        self.sizes.written(batch)
        self.pending.done(batch)
        self.written.note(batch, wall_ns)
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
        self._acknowledged(self.ledger.split(entry, statuses, refused))
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
            self.written.held.pop(handle, None)
        if self._connection is not None:
            self._connection.give_up_session(why)
