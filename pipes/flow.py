"""One direction of one pipe: notifications of the reader become writes at the writer.

A value that needs nothing goes straight through: `values` hands its bytes to the writer. Every
handle that needs a look has no place in ``_unseen``: not ready yet, first value of a subscription,
a conversion, a deadband of ours, an item in error, an echo to suppress. Only those cost Python
per value; `_consider` decides about one of them.

A handle is the item's id. ``last`` keeps the newest bytes of each as they came: what is decided
anew, after an error or a new session, is always decided about the newest value.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from operator import itemgetter
from typing import Final

from pipes.conditions import Conditions
from pipes.connections import ServerConnection
from pipes.core.binary import DecodeError, comparable
from pipes.core.bulk import Scaling, scaled
from pipes.core.choices import Direction, InitialWrite, ItemKind, Timestamps, Trigger
from pipes.core.conversion import Rejected, TargetType
from pipes.core.echo import WriteResult
from pipes.core.incidents import Incident, Incidents, Trouble
from pipes.core.index_range import IndexRange
from pipes.core.json_values import value_text
from pipes.core.learning import Lesson, lesson_of
from pipes.core.losses import Cause, Losses
from pipes.core.outages import LOST, STALE, Outages
from pipes.core.quality import Ability, HoldReason, writes_source_timestamp
from pipes.core.ranges import Range
from pipes.core.retries import Retry, advise
from pipes.core.sizes import has_fixed_size
from pipes.core.status_codes import code_of, name_of
from pipes.core.stops import Stops
from pipes.core.transfer import (
    History,
    Hold,
    Reject,
    Rule,
    Skip,
    Target,
    Write,
    absolute_deadband,
    bulk_scaling,
    decide_transfer,
    has_value,
    passes_untouched,
    percent_deadband,
    rule_for,
)
from pipes.core.transform import InvalidTransformError
from pipes.core.wanted import Item, Pipe
from pipes.delivery import Delivery, Surroundings, kind_of
from pipes.echoes import Echoes, Guards
from pipes.faults import Faults
from pipes.feed import Feed, FeedItem, Receiver
from pipes.initial import InitialWrites
from pipes.oscillations import Oscillations
from pipes.ranges import Ranges
from pipes.staleness import Staleness
from pipes.targets import Targets
from pipes.throttle import Throttle
from pipes.translation import Translator
from pipes.verify import ReadBack
from pipes.writer import Writer
from redundancy.gate import TargetGate

log = logging.getLogger(__name__)

HAS_STATUS: Final = 0x02
HAS_SOURCE_TIMESTAMP: Final = 0x04
#: How long samples that wait may go on being written when a pipe ends.
DRAIN_SECONDS: Final = 0.5
#: Refusals of one item that may be over at the next try, with nothing changed.
PASSING: Final = frozenset({Retry.RETRY_LATER, Retry.SPLIT_BATCH, Retry.RECONNECT})
#: What becomes of a value that the target does not hold: nothing, until it changes.
NEXT_CHANGE: Final = "the next change is written again"
NEWEST_AGAIN: Final = "the newest value is written again"
NODE_UNKNOWN: Final = code_of("BadNodeIdUnknown")
#: Items decided about in one tick because of something that befell many at once.
MOST_AT_ONCE: Final = 3_000
TYPE_ASKED_FOR: Final = "the server is being asked for the definition of the structure"

#: No encoding byte: the mark of a handle in `_unseen` whose numbers are scaled in bulk.
SCALED: Final = 0x3F
_TYPE_OF: Final = itemgetter(1)
_MASK_OF: Final = itemgetter(0)
#: The masks of DataValues without a status: what is left of many masks without these has one.
_WITHOUT_STATUS: Final = bytes(mask for mask in range(256) if not mask & HAS_STATUS)


@lru_cache(maxsize=256)
def _target(
    kind: TargetType, value_rank: int, ability: Ability, dimensions: tuple[int, ...]
) -> Target:
    """Thousands of items have a handful of different targets."""
    return Target(kind, value_rank, ability, dimensions)


class Flow:
    """``guards`` are shared by the two flows of a pipe; ``offer_again`` reaches either of them."""

    def __init__(
        self,
        pipe: Pipe,
        reader: ServerConnection,
        writer: ServerConnection,
        gate: TargetGate,
        guards: Guards,
        offer_again: Callable[[Direction, int], None],
        *,
        is_reverse: bool,
    ) -> None:
        self.name = f"{pipe.name} {'reverse' if is_reverse else 'forward'}"
        self.pipe = pipe
        self.direction = Direction.REVERSE if is_reverse else Direction.FORWARD
        self.reading = reader
        self.writing = writer
        self.gate = gate
        self.items: dict[int, Item] = {}
        self.last: dict[int, bytes] = {}
        self.held_back: dict[int, str] = {}  # handle -> why the newest value is not written
        self.notes: dict[int, str] = {}  # handle -> what of its settings is not carried out
        self.received = 0
        self.healed_subscriptions = 0
        self._now = asyncio.get_running_loop().time
        self.echoes = Echoes(
            self.direction, guards, pipe.publishing_interval_ms, offer_again, self._now
        )
        self._is_reverse = is_reverse
        self._rules: dict[int, Rule] = {}
        self._histories: dict[int, History] = {}
        # What may pass without a look: handle -> the byte of type and rank that it must have.
        self._unseen: dict[int, int] = {}
        self._scalings: dict[int, Scaling] = {}  # of handles that are `SCALED` in `_unseen`
        self._parts: dict[int, IndexRange] = {}  # of items that read a part of an array
        self._unsubscribed: set[int] = set()  # what comes of these is of their former selves
        self._first: set[int] = set()
        self._holds: dict[int, float] = {}  # handle -> when to decide again
        self._minded: set[int] = set()  # whose values need a look if they have a status
        self._due_soon: dict[int, None] = {}  # to be decided about anew, some in each tick
        self.outages = Outages()
        self.stops = Stops()
        self._is_draining = False
        self._failure: Exception | None = None
        self.faults = Faults(self._now)
        self.targets = Targets(self.name, self, self._now)
        self.translator = Translator(self.name, reader, writer, self)
        self.writer = Writer(
            pipe.codec, self, self.targets.prefixes, gate.may_write, self._now, dry_run=pipe.dry_run
        )
        self.losses = Losses()
        self.delivery: Delivery | None = None  # there is one as soon as an item asks for more
        self._initial = InitialWrites(pipe.initial_write, self.writer)
        self.writer.watched = self.echoes.handles
        self.oscillations = Oscillations(self.name, (writer.name, reader.name), self, self._now)
        self._written_before = 0
        self.incidents = Incidents()
        self.read_back = ReadBack(
            self.name, self, self.writer.ledger, self.targets.prefixes, self._now
        )
        self.feed = Feed(self.name, pipe.publishing_interval_ms, pipe.codec, self, self._now)
        self.staleness = Staleness(self.feed, self.last, self._is_stale, self._now)
        self.ranges = Ranges(self.name, self, self._now)
        self.throttle = Throttle(self._interval_over, self._now)
        source = writer if is_reverse else reader
        self.conditions = Conditions(
            source.name, self, self.feed, self._condition_feed if is_reverse else None
        )

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        self.reading.add_listener(self)
        if self.writing is not self.reading:
            self.writing.add_listener(self)

    async def drain(self) -> None:
        """Take no more values; returns when no write is on its way."""
        self._is_draining = True
        if self.delivery is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(DRAIN_SECONDS, self.delivery.stop)
        await self.writer.idle()

    def close(self) -> None:
        self.reading.remove_listener(self)
        if self.writing is not self.reading:
            self.writing.remove_listener(self)
        self._reader_gone()
        self._writer_gone()
        self.throttle.close()
        if self.delivery is not None:
            self.delivery.close()

    async def unsubscribe(self) -> None:
        """Leave nothing of this flow in a session that other pipes go on using."""
        await self.feed.unsubscribe()
        await self.conditions.unsubscribe()

    def connected(self, connection: ServerConnection) -> None:
        session = connection.session
        if session is None:
            return
        self.echoes.reset()
        if connection is self.writing:
            self.writer.connected(connection, session)
            self.read_back.connected(session)
            self.targets.connected()
            self.faults.reset_throttles()
            self.conditions.connected(session)
            self._first.update(self.last.keys() - self._queued())
        if connection is self.reading:
            self.feed.source_timestamps = self.pipe.timestamps is not Timestamps.NONE
            self.feed.connected(session)
        self.tick(self._now())

    def failed(self, error: Exception) -> None:
        """A call of a connection failed here: the next tick raises it, and the pipe rests."""
        self._failure = error

    def disconnected(self, connection: ServerConnection) -> None:
        if connection is self.reading:
            self._reader_gone()
        if connection is self.writing:
            self._writer_gone()

    def _reader_gone(self) -> None:
        self.translator.reader_gone()
        self.feed.disconnected()
        self.ranges.disconnected()
        self.staleness.disconnected()
        self._silent(self.items, LOST)

    def _writer_gone(self) -> None:
        self._remember_good(list(self._unseen))
        self._unseen.clear()  # nothing is due until its target is known again
        self._initial.target_lost()
        self.writer.disconnected()
        self.read_back.disconnected()
        self.targets.disconnected()
        self.conditions.disconnected()

    def tick(self, now: float) -> None:
        """Look at the clock: retries, holds that end, silent subscriptions, an opened gate."""
        if self._failure is not None:
            raise self._failure
        session = self.writing.session
        if session is not None:
            self.targets.tick(session, now)
        self.feed.tick(now)
        self.staleness.tick(now)
        self.read_back.tick(now)
        self._tick_what_waits(now)
        self.oscillations.tick(now)
        if self.outages.current:
            self._tell_of_outages(now)
        due = self.faults.due(now)
        due += [handle for handle, when in self._holds.items() if when <= now]
        if due:
            self._offer_newest(due, is_retry=True)
        if self.writer.refresh and self.reading.session is not None:
            self._refresh(now)
        if self.delivery is not None:
            self.delivery.tick(now)
        self._learn_from_success()
        self._read_overdue_echoes(now)
        self.writer.flush()

    # -- items ----------------------------------------------------------------------------------

    def add(self, items: Iterable[Item]) -> None:
        """Take items in; those of both directions have their guard in ``guards`` already."""
        new = [item for item in items if self._compile(item)]
        self._unsubscribed.update(item.id for item in new)
        self.echoes.handles.update(i.id for i in new if i.direction is Direction.BOTH)
        self.writer.pending.limit = max(1, len(self.items))
        self.writer.ledger.expect(len(self.items))
        self.targets.add({item.id: self._written_node(item) for item in new})
        self.conditions.add(new)
        self.ranges.add({i.id: self._read_node(i) for i in new if percent_deadband(i)})
        self.feed.add(self._feed_item(item) for item in new)
        if self.reading.session is None:
            self._silent([item.id for item in new], LOST)

    def _compile(self, item: Item) -> bool:
        self.items[item.id] = item
        try:
            self._rules[item.id] = rule_for(item, self.pipe, is_reverse=self._is_reverse)
        except InvalidTransformError as error:
            self._fault(item.id, 0, str(error), retries=False)
            return False
        part = self._rules[item.id].reads
        if part is not None:
            self._parts[item.id] = part
        self._histories[item.id] = History()
        kind = kind_of(item, self.pipe)
        if kind is not ItemKind.STATE:
            self._make_delivery().add(item.id, kind)
        if item.refresh_seconds:
            self.writer.refresh.add(item.id, item.refresh_seconds, self._now())
        if not self._rules[item.id].quality.is_plain:
            self._minded.add(item.id)
        if item.minimum_interval_ms and kind is ItemKind.STATE:
            self.throttle.add(item.id, item.minimum_interval_ms)
        if item.verify:
            self.read_back.checks.add(item.id, both_ways=item.direction is Direction.BOTH)
            self.writer.read_back = self.read_back
        return True

    def _make_delivery(self) -> Delivery:
        if self.delivery is None:
            around = Surroundings(
                self.last, self._reading, self._first, self._unsubscribed, self.targets,
                self.faults, self.losses, self._cut_sample, self._decide_sample, self._is_asking,
                self._not_taken, self.gate.may_write, self._now,
            )  # fmt: skip
            self.delivery = Delivery(self.writer.latest, self.pipe, around)
            self.writer.pending = self.delivery
        return self.delivery

    def queued(self, handle: int) -> int:
        """Samples of a handle that wait for their turn or for the answer to their write."""
        return 0 if self.delivery is None else self.delivery.queued(handle)

    def unknown_events(self) -> list[tuple[int, bytes]]:
        """Events that were sent and not answered since the last call: item and value."""
        if self.delivery is None:
            return []
        found = list(self.delivery.unknown_events)
        self.delivery.unknown_events.clear()
        return found

    def _queued(self) -> Collection[int]:
        """The items that ask for more than their newest value."""
        return () if self.delivery is None else self.delivery.handles

    def remove(self, handles: Collection[int]) -> None:
        """Take items out; what is on its way of them ends by itself."""
        self.feed.remove(handles)
        self.targets.remove(handles)
        self.writer.forget(handles)
        self.faults.forget(handles)
        self.read_back.forget(handles)
        self._unsubscribed.difference_update(handles)
        self._first.difference_update(handles)
        self._minded.difference_update(handles)
        self.echoes.forget(handles)
        self.translator.forget(handles)
        self.outages.over(handles)
        self.conditions.remove(handles)
        self.oscillations.forget(handles)
        self.throttle.forget(handles)
        self.ranges.forget(handles)
        self._initial.forget(handles)
        known: tuple[dict[int, object], ...] = (
            self.items, self.last, self.held_back, self._rules, self._histories, self._holds,
            self._unseen, self._parts, self._scalings, self._due_soon,
            self.notes,
        )  # type: ignore[assignment]  # fmt: skip
        for handle in handles:
            self.stops.forget(handle)
            for table in known:
                table.pop(handle, None)

    def _read_node(self, item: Item) -> str:
        return item.target_node if self._is_reverse else item.source_node

    def _written_node(self, item: Item) -> tuple[str, str]:
        return (item.source_node, item.index_range) if self._is_reverse else (item.target_node, "")

    def _feed_item(self, item: Item) -> FeedItem:
        interval = item.sampling_interval_ms
        # Without a wish: a state as often as is published, samples as often as there are some.
        is_state = kind_of(item, self.pipe) is ItemKind.STATE
        unasked = -1.0 if is_state else 0.0
        return FeedItem(
            handle=item.id,
            node=self._read_node(item),
            sampling_interval_ms=unasked if interval is None else float(interval),
            queue_size=1 if is_state else self.pipe.queue_limit,
            trigger=item.trigger,
            absolute_deadband=absolute_deadband(item),
            percent_deadband=percent_deadband(item),
            index_range="" if self._is_reverse else item.index_range,
        )

    # -- values arrive (called by the feed) -----------------------------------------------------

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        if self._is_draining:
            return
        if self.outages.current:
            self._reports_again(values)
        if self.delivery is not None:
            self.received += self.delivery.arrived(values)
            special &= values.keys()
        if values:
            self._newest(values, special)
        if self.delivery is not None:
            self.writer.flush()

    def _newest(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        look: set[int] = set()
        if self._unsubscribed or not self._all_unseen(values):
            values = self._cut(self._without_strangers(values))
            look = self._other_types(values)
        self.received += len(values)
        if special:
            look |= special & values.keys()
        if self._minded or self.writing.writes_status is False:
            look |= self._with_status(values)
        made = self._scaled(values, look - special) if self._scalings and look else {}
        look -= made.keys()
        if look:
            self._remember_good(look)
        self.last.update(values)
        if look or made:
            values = self._decided(values, look, made)
        if values:
            self.writer.offer(values)

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        if self.delivery is not None and not self._is_draining:
            self.received += self.delivery.earlier(samples)

    def overflowed(self, handles: Collection[int]) -> None:
        for handle in set(self._queued()).intersection(handles):
            self.losses.record(
                Cause.SOURCE, handle, None, self._now(), is_told=self.gate.may_write()
            )

    def _all_unseen(self, values: dict[int, bytes]) -> bool:
        """Whether each value is of the type that may pass: no byte-code per value."""
        try:
            types = bytes(map(_TYPE_OF, values.values()))
            return types == bytes(map(self._unseen.__getitem__, values))
        except (IndexError, KeyError):  # an empty DataValue; a handle to look at, or not ours
            return False

    def _with_status(self, values: dict[int, bytes]) -> set[int]:
        """The handles whose value has a status that means something to us."""
        if not bytes(map(_MASK_OF, values.values())).translate(None, _WITHOUT_STATUS):
            return set()
        found = {handle for handle, value in values.items() if value[0] & HAS_STATUS}
        return found if self.writing.writes_status is False else found & self._minded

    def _other_types(self, values: dict[int, bytes]) -> set[int]:
        """The handles whose value is not of the type that may pass without a look."""
        unseen = self._unseen.get
        try:
            return {handle for handle, value in values.items() if value[1] != unseen(handle)}
        except IndexError:  # a DataValue without anything is a single byte
            return {handle for handle, v in values.items() if len(v) < 2 or v[1] != unseen(handle)}

    def _remember_good(self, handles: Collection[int]) -> None:
        """What went straight through was not noted: it is the last value of its item."""
        for handle in handles:
            if handle not in self._unseen:
                continue
            value = self.last.get(handle)
            if value is None or value[0] & HAS_STATUS:
                value = self.writer.held.get(handle)
            elif self._unseen[handle] == SCALED:
                value = scaled({handle: value}, self._scalings).get(handle)
            if value is not None:
                self._histories[handle].last_good = value

    def _without_strangers(self, values: dict[int, bytes]) -> dict[int, bytes]:
        """Leave out handles that are not ours: removed, changed meanwhile, or never given."""
        ours = (values.keys() & self.items.keys()) - self._unsubscribed
        return {handle: value for handle, value in values.items() if handle in ours}

    def _cut(self, values: dict[int, bytes]) -> dict[int, bytes]:
        """Take the parts out of arrays that came whole; what changed elsewhere is no change."""
        if not self._parts:
            return values
        session = self.reading.session
        is_whole = session is not None and session.ignores_index_range is True
        changed = dict(values)
        for handle in values.keys() & self._parts.keys():
            whole, before = values[handle], self.last.get(handle)
            changed[handle] = cut = self._parts[handle].cut(whole, is_whole=is_whole)
            if cut is not whole and before is not None and self._is_repeated(handle, before, cut):
                del changed[handle]
        return changed

    def _is_repeated(self, handle: int, before: bytes, cut: bytes) -> bool:
        if handle in self._first or self.items[handle].trigger is Trigger.STATUS_VALUE_TIMESTAMP:
            return False
        try:
            return comparable(before) == comparable(cut)
        except DecodeError:
            return False

    def _scaled(self, values: dict[int, bytes], look: Collection[int]) -> dict[int, bytes]:
        """What is written for the numbers among ``look`` that are scaled in bulk."""
        numbers = {h: values[h] for h in look if self._unseen.get(h) == SCALED}
        made = scaled(numbers, self._scalings)
        self.writer.origins.update({handle: numbers[handle] for handle in made})
        return made

    def _decided(
        self, values: dict[int, bytes], look: Collection[int], made: dict[int, bytes]
    ) -> dict[int, bytes]:
        through = {handle: value for handle, value in values.items() if handle not in look}
        through |= made
        for handle in look:
            decided = self._arrived(handle, values[handle])
            if decided is not None:
                through[handle] = decided
        return through

    def subscribing(self, handles: Collection[int]) -> None:
        self._unsubscribed.difference_update(handles)
        self._first.update(handles)
        self._remember_good(handles)
        for handle in handles:
            self._unseen.pop(handle, None)

    def watch_refused(self, handle: int, status: int, message: str) -> None:
        if handle in self.items:
            why = message or f"{name_of(status)}: {advise(status).sentence}"
            self._fault(handle, status, f"at {self.reading.name}: {why}", retries=False)
            self._silent((handle,), status or NODE_UNKNOWN)

    def filter_refused(self, handle: int) -> None:
        item = self.items[handle]
        deadband = absolute_deadband(item)
        if deadband is not None:
            self._rules[handle] = self._rules[handle].with_own_deadband(deadband)
            self._unseen.pop(handle, None)
        if item.trigger is Trigger.STATUS_VALUE_TIMESTAMP:
            self.notes[handle] = (
                f"{self.reading.name} takes no filter, so a new timestamp alone is not reported; "
                "values and statuses are"
            )

    def range_read(self, handle: int, found: Range | None) -> None:
        """The percent of a percent deadband have their width; or the item says why not."""
        width = None if found is None else found.width(self.items[handle].deadband.value)
        self._rules[handle] = self._rules[handle].with_own_deadband(width or 0.0)
        self._remember_good((handle,))
        self._unseen.pop(handle, None)
        if width is not None:
            self.feed.widths[handle] = width
            self.notes.pop(handle, None)
            return
        has = "no EURange" if found is None else f"the EURange {found.low:g} to {found.high:g}"
        self.notes[handle] = (
            f"the percent deadband is not applied, because the node has {has} at "
            f"{self.reading.name}; use an absolute deadband, or give the node its EURange there"
        )

    def healed(self, why: str) -> None:
        self.healed_subscriptions += 1
        log.info("%s: subscription made anew: %s", self.name, why)

    # -- values that do not come ----------------------------------------------------------------

    def _silent(self, handles: Iterable[int], status: int) -> None:
        """These do not report any more; of an item of both directions the source alone counts."""
        if self._is_reverse:
            handles = [h for h in handles if h not in self.echoes.handles]
        self.outages.begin(handles, status, self._now())

    def _is_stale(self, handle: int) -> None:
        self._silent((handle,), STALE)

    def _reports_again(self, values: Mapping[int, bytes]) -> None:
        back = (self.outages.current.keys() & values.keys()) - self._unsubscribed
        if back:
            self.faults.clear(self.outages.refused(back))
            self.outages.over(back)

    def _reading(self, handle: int) -> bytes | None:
        """What counts as the newest value, whether the source said it or is away."""
        return self.outages.reading(handle, self.last.get(handle), self._now())

    def _tell_of_outages(self, now: float) -> None:
        due = self.outages.due(now, MOST_AT_ONCE)
        if self.pipe.initial_write is InitialWrite.NEVER:  # what has had no value yet has no start
            due = [handle for handle in due if handle in self.last]
        if not due:
            return
        self._remember_good(due)
        for handle in due:
            self._unseen.pop(handle, None)
        if self.delivery is not None:
            due = self.delivery.reported(due)
        self._not_as_first(due, is_retry=True)

    def _not_as_first(self, handles: Collection[int], *, is_retry: bool = False) -> None:
        """Decide about the newest values; what is said of a value to come is not said of them."""
        next_first = self._first.intersection(handles)
        self._first -= next_first
        self._offer_newest(handles, is_retry=is_retry)
        self._first |= next_first

    # -- values that have to wait ---------------------------------------------------------------

    def _has_to_wait(self, handle: int) -> bool:
        """For its condition, the end of a fault's time, of its minimum interval, or a suspicion."""
        if handle in self.oscillations.seen and self.oscillations.holds(handle):
            self.echoes.not_written(handle)
            return True
        why = self.conditions.why_closed(handle)
        if why:
            self.held_back[handle] = why
            self.echoes.not_written(handle)
            return True
        if handle in self.faults.throttled:
            self.faults.owe(handle)
            return True
        return self.throttle.holds(handle)

    def _tick_what_waits(self, now: float) -> None:
        self.conditions.tick(now)
        self.throttle.tick()
        self.ranges.tick(self.reading.session, now)
        if self._due_soon:
            self._offer_in_parts()

    def _condition_feed(self, receiver: Receiver) -> Feed:
        """That of a reverse flow, at the source, which it writes."""
        name = f"{self.name} conditions"
        interval = self.pipe.publishing_interval_ms
        feed = Feed(name, interval, self.pipe.codec, receiver, self._now)
        if self.writing.session is not None:
            feed.connected(self.writing.session)
        return feed

    def conditions_met(self, items: Collection[int]) -> None:
        for handle in items:
            self._histories[handle].passed = None  # the newest value goes, whatever the filter
        self._due_soon.update(dict.fromkeys(items))
        self._offer_in_parts()

    def conditions_failed(self, items: Collection[int]) -> None:
        """What waits was decided about while they were met; it does not go any more."""
        for handle in items:
            self.withhold(handle, self.conditions.why_closed(handle))

    def withhold(self, handle: int, why: str) -> None:
        self.look_at_each(handle)
        self.held_back[handle] = why
        if self.writer.pending.withdraw(handle, for_good=False):
            self._histories[handle].not_written()
        self.echoes.not_written(handle)

    # -- values that may go round (called by the guard against oscillation) ---------------------

    def written_lately(self) -> Collection[int]:
        if self.writer.writes == self._written_before:
            return ()
        self._written_before = self.writer.writes
        batch = self.writer.newest_batch.keys()
        return batch if self.delivery is None else batch - self.delivery.handles

    def look_at_each(self, handle: int) -> None:
        self._remember_good((handle,))
        self._unseen.pop(handle, None)

    def suspend(self, handle: int, why: str) -> None:
        fault = self.faults.current.get(handle)
        if fault is None or fault.message != why:
            self.withhold(handle, why)
            self._fault(handle, 0, why, retries=False)

    def release(self, handle: int, said: str) -> None:
        self.acquit(handle, said)
        self._histories[handle].not_written()
        self._offer_newest((handle,), is_retry=True)

    def acquit(self, handle: int, said: str) -> None:
        if self.held_back.get(handle) == said:
            del self.held_back[handle]
        fault = self.faults.current.get(handle)
        if fault is not None and fault.message == said:
            self.faults.clear((handle,))

    def _offer_in_parts(self) -> None:
        part = list(islice(self._due_soon, MOST_AT_ONCE))
        for handle in part:
            del self._due_soon[handle]
        self._offer_newest(part)

    def _interval_over(self, handles: list[int]) -> None:
        self._offer_newest(handles, is_retry=True)

    # -- one value ------------------------------------------------------------------------------

    def _arrived(self, handle: int, value: bytes) -> bytes | None:
        """Decide about a value that came; None writes nothing."""
        return self._considered(handle, value, self.echoes.wants)

    def _decide_sample(self, handle: int, value: bytes, *, is_first: bool) -> bytes | None:
        """Decide about a sample whose turn has come; ``_first`` may be about one to come."""
        is_next_first = handle in self._first
        (self._first.add if is_first else self._first.discard)(handle)
        decided = self._arrived(handle, value)
        (self._first.add if is_next_first else self._first.discard)(handle)
        return decided

    def _cut_sample(self, handle: int, value: bytes) -> bytes | None:
        """The part of an array that an item reads; None if that did not change."""
        return self._cut({handle: value}).get(handle) if handle in self._parts else value

    def _is_asking(self, handle: int) -> bool:
        """Whether the value cannot be decided about before the server has told its type."""
        return self.held_back.get(handle) is TYPE_ASKED_FOR

    def _not_taken(self, handle: int) -> None:
        """What was decided last has not arrived, or may not have: it is decided about again."""
        history = self._histories.get(handle)
        if history is not None:
            history.not_written()

    def _again(self, handle: int, value: bytes, *, is_retry: bool) -> bytes | None:
        """Decide about a value that came before; the target's side waits to be changed."""
        return self._considered(handle, value, partial(self.echoes.wants_again, is_retry=is_retry))

    def _considered(
        self, handle: int, value: bytes, wants: Callable[[int, bytes], bool]
    ) -> bytes | None:
        """One value that cannot be dealt with is the fault of its item alone."""
        try:
            if wants(handle, value):
                return self._decide(handle, value)
            self._first.discard(handle)
        except DecodeError as error:
            self._fault(handle, 0, f"the value cannot be decoded: {error}", retries=False)
        except Exception as error:
            log.exception("%s: item %s: the value could not be dealt with", self.name, handle)
            self._fault(handle, 0, f"an internal error: {error!r}", retries=False)
        return None

    def _decide(self, handle: int, value: bytes) -> bytes | None:
        info = self.targets.infos.get(handle)
        if info is None or handle not in self.targets.prefixes or handle not in self.items:
            return None  # decided when the target is ready
        if self._has_to_wait(handle):
            return None
        rule, history = self._rules[handle], self._histories[handle]
        translated = self.translator.translated(handle, value)
        if not isinstance(translated, bytes):
            self._leave_untranslated(handle, translated)
            return None
        came, value = value, translated
        target = _target(info.type, info.value_rank, self._ability(), info.dimensions)
        decision = decide_transfer(value, rule, target, history, self._now())
        self._holds.pop(handle, None)
        self.stops.note(handle, is_stopped=history.is_stopped)
        if history.not_good_since is not None:
            self._unseen.pop(handle, None)  # until it is Good, each of its values is decided about
        if isinstance(decision, Write):
            self._note_held_back(handle, decision.instead)
            self.writer.originates(handle, came, decision.value)
            written = self._unless_held(handle, value, decision.value, rule, target)
            if written is not None:
                self.throttle.went(handle)
            return written
        self._leave(handle, decision)
        return None

    def _note_held_back(self, handle: int, reason: HoldReason | None) -> None:
        if reason is None:
            self.held_back.pop(handle, None)
        else:
            self.held_back[handle] = reason.value

    def _leave_untranslated(self, handle: int, refusal: Rejected | None) -> None:
        if refusal is not None:
            self._leave(handle, Reject(refusal.sentence))
            return
        self.held_back[handle] = TYPE_ASKED_FOR
        self.echoes.not_written(handle)

    def structures_learned(self, handles: Collection[int]) -> None:
        self._offer_newest(handles, is_retry=True)

    def _leave(self, handle: int, decision: Hold | Reject | Skip) -> None:
        """The target keeps what it has."""
        match decision:
            case Hold(reason, again_seconds):
                self._forget_rejection(handle)
                self.held_back[handle] = reason.value
                if again_seconds is not None:
                    self._holds[handle] = self._now() + again_seconds
            case Reject(sentence):
                self._fault(handle, 0, sentence, retries=False)
            case Skip():
                self._forget_rejection(handle)
                self.held_back.pop(handle, None)
        self.echoes.not_written(handle)

    def _unless_held(
        self, handle: int, value: bytes, written: bytes, rule: Rule, target: Target
    ) -> bytes | None:
        """The first value of a subscription may be what the target has already."""
        is_first = handle in self._first
        self._first.discard(handle)
        if not has_fixed_size(written):
            self.writer.bulky.add(handle)
        watched = handle in self.echoes.handles
        if not watched:
            self._spare_a_look(handle, value, rule, target)
        if is_first and not watched and self._initial.is_held(handle, written):
            self.faults.clear((handle,))
            return None
        return written

    def _spare_a_look(self, handle: int, value: bytes, rule: Rule, target: Target) -> None:
        """Let the values that follow this one go straight through, if they may."""
        if handle in self.faults.current or self._histories[handle].not_good_since is not None:
            return
        if handle in self.throttle or handle in self.ranges.unknown:
            return
        if handle in self.oscillations.seen:
            return
        if passes_untouched(value, rule, target):
            self._unseen[handle] = value[1]
        elif scaling := bulk_scaling(value, rule, target):
            self._scalings[handle] = scaling
            self._unseen[handle] = SCALED

    def _forget_rejection(self, handle: int) -> None:
        """The item was in error for a value that could not be written; this one need not be."""
        fault = self.faults.current.get(handle)
        if fault is not None and not fault.retries and not fault.status:
            self.faults.clear((handle,))

    def _ability(self) -> Ability:
        return Ability(self.writing.writes_status, self.writing.writes_timestamps)

    def _offer_newest(
        self, handles: Iterable[int], *, is_retry: bool = False, is_first: bool = False
    ) -> None:
        """Decide anew about the newest value of each handle; it has not been reported anew."""
        if self.delivery is not None:
            handles = self.delivery.newest_again(handles, is_first=is_first)
        values: dict[int, bytes] = {}
        for handle in handles:
            newest = self._reading(handle)
            decided = None if newest is None else self._again(handle, newest, is_retry=is_retry)
            if decided is not None:
                values[handle] = decided
        if values or self.delivery is not None:
            self.writer.offer(values)

    def _refresh(self, now: float) -> None:
        """Write the newest value of items again that were not written for so long."""
        due = [handle for handle in self.writer.refresh.due(now) if self.writer.counts[handle]]
        for handle in due:
            self._histories[handle].not_written()  # no change is needed for this one
        self._not_as_first(due)

    def offer_one(self, handle: int) -> None:
        """The echo guard asks for the newest value of one handle, whatever came before."""
        newest = self._reading(handle)
        decided = None if newest is None else self._decide(handle, newest)
        if decided is not None:
            self.writer.offer({handle: decided})

    # -- targets and writes (called by targets and writer) --------------------------------------

    def _read_overdue_echoes(self, now: float) -> None:
        """An echo that does not come is settled by reading the written side."""
        overdue = self.echoes.overdue(now)
        if overdue:
            self.targets.read_present(self.writing.session, overdue, self.echoes.checked)

    def targets_ready(self, handles: Collection[int]) -> None:
        self.writer.keep_timestamps = writes_source_timestamp(self.pipe.timestamps, self._ability())
        for handle in handles:
            history = self._histories[handle]
            history.not_written()
            present = self.targets.infos[handle].value
            if present is not None:
                self.writer.held[handle] = present
                is_whole = self._rules[handle].writes is None
                if history.last_good is None and is_whole and has_value(present):
                    history.last_good = present
        self.faults.clear(handles)
        self._offer_newest(handles, is_first=True)

    def target_unusable(self, handle: int, status: int, message: str) -> None:
        why = message or f"{name_of(status)}: {advise(status).sentence}"
        self._fault(handle, status, f"at {self.writing.name}: {why}", retries=False)

    def may_send(self, handle: int, value: bytes) -> bool:
        return self.echoes.may_send(handle, value)

    def settled(self, handle: int, result: WriteResult) -> None:
        self.echoes.settled(handle, result)

    def recovered(self, handles: Iterable[int]) -> None:
        well = set(handles)
        self.faults.clear(well - self.outages.refused(well))

    def failing(self) -> list[tuple[int, str]]:
        """The items in error, and why."""
        faults = [(handle, fault.message) for handle, fault in self.faults.current.items()]
        return faults + list(self.read_back.mismatches.items())

    @property
    def target_name(self) -> str:
        """The server that is written."""
        return self.writing.name

    def written_node(self, item: Item) -> str:
        return self._written_node(item)[0]

    def unanswered(self, values: Mapping[int, bytes], why: str) -> None:
        if self.delivery is not None:  # an event is told of by name, however many there are
            values = {handle: v for handle, v in values.items() if not self._is_event(handle)}
        self.incidents.unknown(values, f"{why}; {NEWEST_AGAIN}")

    def _is_event(self, handle: int) -> bool:
        item = self.items.get(handle)
        return item is not None and kind_of(item, self.pipe) is ItemKind.EVENT

    def contradicted(self, handle: int, sent: bytes, found: bytes) -> str:
        why = (
            f"wrote {value_text(sent)}, but {self.writing.name} holds {value_text(found)}: "
            f"another client writes the node or the server alters values; {NEXT_CHANGE}"
        )
        if handle not in self.read_back.mismatches:
            incident = Incident(Trouble.MISMATCH, handle, sent, NEXT_CHANGE, found=found)
            self.incidents.add(incident)
        self.faults.note(handle, why)
        return why

    def _tell_refused(self, handle: int, value: bytes, status: int) -> None:
        """The first refusal of an item, and one for another reason, is an event."""
        before = self.faults.current.get(handle)
        if before is None or before.status != status:
            why = f"{name_of(status)}: {advise(status).sentence}"
            self.incidents.add(Incident(Trouble.REFUSED, handle, value, why, status))

    def write_refused(self, handle: int, value: bytes, status: int) -> None:
        """Do what the table advises for this status."""
        if handle not in self.items:
            return  # taken out of the configuration meanwhile
        advice = advise(status)
        why = f"at {self.writing.name}: {name_of(status)}: {advice.sentence}"
        if advice.retry is Retry.SPLIT_BATCH:  # and it was alone in its request
            why += f" (a value of {len(value)} bytes)"
        self._histories[handle].not_written()
        if advice.retry is Retry.RETRY_NOW_WITHOUT and self._learn_refusal(handle, value):
            self._offer_newest((handle,))
        elif advice.retry is Retry.CONVERT_AGAIN and not self._rules[handle].watches_type:
            self._rules[handle] = self._rules[handle].watching_type()
            self._read_target_again(handle)
        else:
            self._tell_refused(handle, value, status)
            is_passing = advice.retry in PASSING
            self._fault(handle, status, why, retries=is_passing)
            if self.writer.pending.withdraw(handle, for_good=not is_passing):
                self.faults.owe(handle)  # newer values have to wait as well
            if status == NODE_UNKNOWN:
                self._read_target_again(handle)

    def too_large(self, handle: int, why: str) -> None:
        """The value was not sent: the server would fail over the whole request."""
        self._histories[handle].not_written()
        if handle in self._queued():
            self.losses.record(Cause.REFUSED, handle, None, self._now())
        self._fault(handle, 0, f"at {self.writing.name}: {why}; not written", retries=False)

    def _read_target_again(self, handle: int) -> None:
        """The node is not what it was, or is away: the newest value follows when it is known."""
        self._unseen.pop(handle, None)
        self.writer.pending.postpone(handle)
        self.targets.again(handle)

    def _learn_refusal(self, handle: int, value: bytes) -> bool:
        """Find out what the server did not take; False if there is nothing left to leave out."""
        lesson = lesson_of(
            self._ability(),
            has_timestamp=bool(value[0] & HAS_SOURCE_TIMESTAMP),
            has_status=bool(value[0] & HAS_STATUS),
            insists_on_timestamp=self.pipe.timestamps is not Timestamps.AUTO,
        )
        match lesson:
            case Lesson.NO_TIMESTAMPS:
                self.writing.learn(writes_timestamps=False)
            case Lesson.NO_STATUS:
                self.writing.learn(writes_status=False)
                self.writer.bare.discard(handle)  # it was not its timestamp
            case Lesson.BARE_NODE:
                self.writer.bare.add(handle)
            case Lesson.AGAIN | Lesson.NOTHING:
                pass
        self.writer.keep_timestamps = writes_source_timestamp(self.pipe.timestamps, self._ability())
        return lesson is not Lesson.NOTHING

    def _learn_from_success(self) -> None:
        sample = self.writer.sample
        if not sample:
            return
        if self.writing.writes_timestamps is None and sample[0] & HAS_SOURCE_TIMESTAMP:
            self.writing.learn(writes_timestamps=True)
        if self.writing.writes_status is None and sample[0] & HAS_STATUS:
            self.writing.learn(writes_status=True)

    def _fault(self, handle: int, status: int, message: str, *, retries: bool) -> None:
        fault = self.faults.record(handle, status, message, retries=retries)
        self._unseen.pop(handle, None)
        self.writer.in_error.add(handle)
        if fault.count == 1:
            log.info("%s: item %s: %s", self.name, handle, message)
        self.echoes.not_written(handle)
