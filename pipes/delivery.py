"""What a writer has to send when some items of a pipe ask for more than their newest value.

It stands in the place of `core.pending.Pending`, which goes on serving the items of kind `state`.
Samples of kinds `queue` and `event` wait here as they came and are decided about when their turn
comes, with what is known of the target then: a sample that waited for a lost target is converted
to the type that its node has after the return.

An *event* is written at most once. What the source reports because a subscription is new, or
because it is Good again, is a present value and no event. An event that cannot be sent now is not
kept for a session or a term to come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pipes.core.binary import DecodeError, status_of
from pipes.core.choices import ItemKind
from pipes.core.losses import Cause, Losses
from pipes.core.pending import Pending
from pipes.core.sample_queue import Loss, Sample, SampleQueue
from pipes.core.transfer import has_value
from pipes.core.values import is_good
from pipes.core.wanted import Pipe
from pipes.faults import Faults
from pipes.known import Known
from pipes.targets import Targets

#: Unknown events that are named one by one between two looks; of more there is a count.
MOST_NAMED: Final = 100


class Decide(Protocol):
    def __call__(self, handle: int, value: bytes, *, is_first: bool) -> bytes | None:
        """What to write for a sample; None for nothing."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a delivery shares with its flow; all of it goes on changing."""

    known: Known
    newest: Callable[[int], bytes | None]
    """What counts as the newest value: the last one, or that the source is away."""
    targets: Targets
    faults: Faults
    losses: Losses
    cut: Callable[[int, bytes], bytes | None]
    """The part of a value that an item reads; None if that did not change."""
    decide: Decide
    is_asking: Callable[[int], bool]
    """Whether the last decision about a handle was to wait for its type."""
    not_taken: Callable[[int], None]
    """What was decided last about a handle has to be decided about again."""
    may_write: Callable[[], bool]
    now: Callable[[], float]


class Delivery:
    """As `due.Due`."""

    def __init__(self, latest: Pending, pipe: Pipe, around: Surroundings) -> None:
        self.handles: set[int] = set()
        self.unknown_events: deque[tuple[int, bytes]] = deque(maxlen=MOST_NAMED)
        self._latest = latest
        self._queue = SampleQueue(pipe.queue_limit, pipe.queue_age_seconds)
        self._around = around
        self._present: set[int] = set()  # events whose next Good value is a present value
        self._is_stopped = False

    def add(self, handle: int, kind: ItemKind) -> None:
        self.handles.add(handle)
        if kind is ItemKind.EVENT:
            self._queue.once.add(handle)

    def queued(self, handle: int) -> int:
        """Samples of ``handle`` that wait or are in flight."""
        return self._queue.of(handle)

    # -- samples arrive -------------------------------------------------------------------------

    def arrived(self, values: dict[int, bytes]) -> int:
        """Take the samples of its own items out of ``values``; returns how many."""
        mine = values.keys() & self.handles
        for handle in mine:
            self._arrived(handle, values.pop(handle))
        return len(mine)

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> int:
        """Samples that are older than those that arrive next; returns how many it took."""
        mine = [sample for sample in samples if sample[0] in self.handles]
        for handle, value in mine:
            self._arrived(handle, value)
        return len(mine)

    def _arrived(self, handle: int, value: bytes) -> None:
        around = self._around
        if handle in around.known.strangers:
            return
        part = around.cut(handle, value)
        if part is None:
            return
        value = part
        is_first = handle in around.known.first
        around.known.first.discard(handle)
        around.known.last[handle] = value
        if handle in self._queue.once and not self._is_event(handle, value, is_first=is_first):
            return
        self._put(handle, value, is_first=is_first)

    def _is_event(self, handle: int, value: bytes, *, is_first: bool) -> bool:
        if not _is_good(value):
            self._present.add(handle)
            return False
        is_present = is_first or handle in self._present
        self._present.discard(handle)
        if not is_present and not self._is_ready(handle):
            self._lose(Cause.AWAY, (Loss(handle, Sample(value, 0.0)),))
            return False
        return not is_present and self._around.may_write()

    def _put(self, handle: int, value: bytes, *, is_first: bool) -> None:
        lost = self._queue.put(handle, Sample(value, self._around.now(), is_first))
        if lost is not None:
            self._lose(Cause.COUNT, (lost,))

    def reported(self, handles: Iterable[int]) -> list[int]:
        """Take the newest value of its own items as a sample; that a source is away is no event.

        Returns the handles that are not its own.
        """
        others: list[int] = []
        for handle in handles:
            newest = self._around.newest(handle)
            if handle not in self.handles:
                others.append(handle)
            elif newest is not None and handle not in self._queue.once:
                self._put(handle, newest, is_first=False)
        return others

    def newest_again(self, handles: Iterable[int], *, is_first: bool) -> list[int]:
        """Let these items go on, those that have nothing waiting with their newest value again.

        Returns the handles that are not its own.
        """
        others: list[int] = []
        for handle in handles:
            if handle in self.handles:
                self._newest_again(handle, is_first=is_first)
            else:
                others.append(handle)
        return others

    def _newest_again(self, handle: int, *, is_first: bool) -> None:
        self._queue.resume((handle,))
        newest = self._around.newest(handle)
        if newest is None or handle in self._queue.once or self._queue.of(handle):
            return
        self._put(handle, newest, is_first=is_first)

    # -- the clock ------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Give up what waited too long; let go on what was in error or away."""
        self._lose(Cause.AGE, self._queue.expire(now))
        throttled = self._around.faults.throttled
        self._queue.resume(
            h for h in self._queue.paused if h not in throttled and self._is_ready(h)
        )

    def stop(self) -> None:
        """Take no more samples; those of kind `state` go on."""
        self._is_stopped = True

    def close(self) -> None:
        """What waits now will not be written."""
        for handle in self.handles:
            self._lose(Cause.ENDED, self._queue.empty(handle))

    # -- as `due.Due` ------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        return self._latest.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._latest.limit = limit

    @property
    def conflated(self) -> int:
        return self._latest.conflated

    def __len__(self) -> int:
        return len(self._latest) + len(self._queue)

    def put(self, values: dict[int, bytes]) -> None:
        self._latest.put(values)

    def take(self, limit: int) -> dict[int, bytes]:
        """Samples first, as long as there is room left for half of the batch."""
        if self._is_stopped or not self._queue:
            return self._latest.take(limit)
        batch = self._take_samples(limit - min(len(self._latest), limit // 2))
        self._latest.reserve(batch)
        batch.update(self._latest.take(limit - len(batch)))
        return batch

    def _take_samples(self, limit: int) -> dict[int, bytes]:
        batch: dict[int, bytes] = {}
        while taken := self._queue.take(limit - len(batch)):
            for handle, sample in taken:
                written = self._decided(handle, sample)
                if written is not None:
                    batch[handle] = written
        return batch

    def _decided(self, handle: int, sample: Sample) -> bytes | None:
        """What to send for the oldest sample of an item; it waits on if it cannot go now."""
        is_event = handle in self._queue.once
        if is_event:
            self._around.faults.forgive(handle)
        if not self._may_go(handle):
            self._wait(handle)
            return None
        written = self._around.decide(handle, sample.value, is_first=sample.is_first)
        if written is None and self._around.is_asking(handle):
            self._wait(handle)
        elif written is None:
            self._queue.done((handle,))
            if self._around.faults.forgive(handle):  # this sample alone was at fault
                self._lose(Cause.REFUSED, (Loss(handle, sample),))
        return written

    def _may_go(self, handle: int) -> bool:
        return (
            self._is_ready(handle)
            and handle not in self._around.faults.throttled
            and not self._latest.is_busy(handle)
        )

    def _wait(self, handle: int) -> None:
        self._queue.pause((handle,))
        self._lose(Cause.COUNT, self._queue.back((handle,)))

    def done(self, batch: Collection[int]) -> None:
        self._latest.done(batch)
        self._queue.done(self._queue.flying(batch))

    def retry(self, batch: Mapping[int, bytes]) -> None:
        mine = self._queue.flying(batch)
        self._latest.done(mine)
        self._latest.retry(_without(batch, mine))
        self._not_taken(mine)
        self._lose(Cause.COUNT, self._queue.back(mine))

    def unknown(self, batch: Mapping[int, bytes]) -> None:
        mine = self._queue.flying(batch)
        self._latest.done(mine)
        self._latest.retry(_without(batch, mine))
        self._judge_unknown(mine)

    def abandoned(self, batch: Mapping[int, bytes]) -> None:
        self._latest.done(batch)
        self._judge_unknown(self._queue.flying(batch))

    def _judge_unknown(self, mine: Collection[int]) -> None:
        self._not_taken(mine)
        never_again, lost = self._queue.unknown(mine)
        self._lose(Cause.COUNT, lost)
        for loss in never_again:
            is_named = len(self.unknown_events) < MOST_NAMED
            self._lose(Cause.UNKNOWN, (loss,), is_told=not is_named)
            if is_named:
                self.unknown_events.append((loss.handle, loss.sample.value))

    def declined(self, handle: int) -> None:
        self._latest.done((handle,))
        if self._queue.flying((handle,)):
            self._not_taken((handle,))
            self._wait(handle)

    def withdraw(self, handle: int, *, for_good: bool) -> bool:
        if handle not in self.handles:
            return self._latest.withdraw(handle, for_good=for_good)
        if for_good or handle in self._queue.once:
            lost = self._queue.drop(handle)
            self._lose(Cause.REFUSED, () if lost is None else (lost,))
        return self._queue.of(handle) > 0

    def postpone(self, handle: int) -> None:
        if handle in self.handles:
            self._queue.pause((handle,))
        else:
            self._latest.postpone(handle)

    def clear(self) -> None:
        self._latest.clear()
        for handle in self._queue.once:
            self._lose(Cause.AWAY, self._queue.empty(handle))

    def forget(self, handles: Iterable[int]) -> None:
        gone = set(handles)
        self._latest.forget(gone)
        self._lose(Cause.ENDED, self._queue.forget(gone & self.handles))
        self.handles -= gone
        self._present -= gone

    def _not_taken(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self._around.not_taken(handle)

    # -- facts ----------------------------------------------------------------------------------

    def _is_ready(self, handle: int) -> bool:
        """Whether the written node is known, in a session that is there."""
        targets = self._around.targets
        return handle in targets.prefixes and handle in targets.infos

    def _lose(self, cause: Cause, lost: Iterable[Loss], *, is_told: bool = True) -> None:
        for handle, sample in lost:
            self._around.losses.record(
                cause,
                handle,
                sample.value,
                self._around.now(),
                is_told=is_told and self._around.may_write(),
            )


def _is_good(value: bytes) -> bool:
    try:
        return is_good(status_of(value)) and has_value(value)
    except (DecodeError, IndexError):
        return False


def _without(batch: Mapping[int, bytes], handles: Collection[int]) -> Mapping[int, bytes]:
    if not handles:
        return batch
    return {handle: value for handle, value in batch.items() if handle not in handles}
