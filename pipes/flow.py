"""One direction of one pipe: notifications of the reader become writes at the writer.

A value that needs nothing goes straight through: `values` hands its bytes to the writer. What
needs a look is decided about. Here the parts are put together, and values and events go from one
to another:

==============  ===============================================================================
known           what is known of each item, shared by the parts; a handle is the item's id
passing         which values need no look
array_parts     what of an array that came whole is the item's
filters         what the reader's server does not filter
silences        values that do not come
deciding        what is written for a value
waiting         values that have to wait: conditions, intervals, holds, suspicions
newest          newest values that are decided about anew
delivery        the items that ask for more than their newest value
writer          what is due, on its way, written
answers         what became of writes, and what is learned of the written server
==============  ===============================================================================

What is decided anew, after an error or a new session, is always decided about the newest value.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from pipes.answers import Answers
from pipes.array_parts import ArrayParts
from pipes.connections import ServerConnection
from pipes.core.choices import Direction, InitialWrite, ItemKind, Timestamps
from pipes.core.losses import Cause, Losses
from pipes.core.outages import LOST, Outages
from pipes.core.retries import advise
from pipes.core.status_codes import code_of, name_of
from pipes.core.stops import Stops
from pipes.core.transfer import History, percent_deadband, rule_for
from pipes.core.transform import InvalidTransformError
from pipes.core.wanted import Item, Pipe, kind_of
from pipes.deciding import Deciding
from pipes.deciding import Surroundings as DecisionSurroundings
from pipes.delivery import Delivery, Surroundings
from pipes.echoes import Echoes, Guards
from pipes.faults import Faults
from pipes.feed import Feed, Receiver
from pipes.filters import Filters
from pipes.initial import InitialWrites
from pipes.known import Known
from pipes.newest import Newest
from pipes.passing import Passing
from pipes.ranges import Ranges
from pipes.sides import Sides
from pipes.silences import Silences
from pipes.staleness import Staleness
from pipes.targets import Targets
from pipes.translation import Translator
from pipes.verify import ReadBack
from pipes.waiting import Waiting
from pipes.writer import Writer
from redundancy.gate import TargetGate

log = logging.getLogger(__name__)

#: How long samples that wait may go on being written when a pipe ends.
DRAIN_SECONDS: Final = 0.5
NODE_UNKNOWN: Final = code_of("BadNodeIdUnknown")


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
        self.received = 0
        self.healed_subscriptions = 0
        self.delivery: Delivery | None = None  # there is one as soon as an item asks for more
        self._is_draining = False
        self._failure: Exception | None = None
        self._now = now = asyncio.get_running_loop().time
        self._known = known = Known()
        self._strangers = known.strangers
        self.items, self.last = known.items, known.last
        self.held_back, self.notes = known.held_back, known.notes
        self.outages, self.losses, self.stops = Outages(), Losses(), Stops()
        self.faults = Faults(now)
        self.echoes = Echoes(self.direction, guards, pipe.publishing_interval_ms, offer_again, now)
        self.newest = Newest(known, self)
        self._sides = Sides(pipe, is_reverse=is_reverse)
        self._put_writing_together()
        self._put_reading_together()
        self._put_deciding_together()

    def _put_writing_together(self) -> None:
        pipe, known, now = self.pipe, self._known, self._now
        self.answers = Answers(
            pipe, known, self.writing, self.faults, self.echoes, self.outages, self.losses, self,
            now,
        )  # fmt: skip
        self.incidents = self.answers.incidents
        self.targets = Targets(self.name, self.answers, now)
        prefixes = self.targets.prefixes
        self.writer = Writer(
            pipe.codec, self.answers, prefixes, self.gate.may_write, now, dry_run=pipe.dry_run
        )
        self.writer.watched = self.echoes.handles
        self.read_back = ReadBack(self.name, self.answers, self.writer.ledger, prefixes, now)

    def _put_reading_together(self) -> None:
        pipe, known, now = self.pipe, self._known, self._now
        self.feed = Feed(self.name, pipe.publishing_interval_ms, pipe.codec, self, now)
        self.passing = Passing(known, self.writing, self.writer.written)
        self._parts = ArrayParts(known, self.reading)
        self._filters = Filters(self.reading.name, known, self.passing, self.feed)
        self.ranges = Ranges(self.name, self._filters, now)
        self.silences = Silences(
            self.outages, known, self.faults, self.newest, now,
            is_first_attempt=lambda: self.reading.is_first_attempt,
            unmissed=self.echoes.handles if self._sides.is_reverse else (),  # not its source
            is_told_at_start=pipe.initial_write is not InitialWrite.NEVER,
        )  # fmt: skip
        self.staleness = Staleness(self.feed, self.last, self.silences.stale, now)

    def _put_deciding_together(self) -> None:
        reading, writing, is_reverse = self.reading, self.writing, self._sides.is_reverse
        self.waiting = Waiting(
            self.name, self._known, self.passing, self.writer, self.echoes, self.faults,
            self.newest, self.put_in_error, self._now,
            way=(writing.name, reading.name),
            source=writing.name if is_reverse else reading.name,
            receiver=self,
            feed=self.feed,
            new_feed=self._condition_feed if is_reverse else None,
        )  # fmt: skip
        self.conditions = self.waiting.conditions
        self.oscillations = self.waiting.oscillations
        self.throttle = self.waiting.throttle
        self.translator = Translator(self.name, reading, writing, self.newest)
        self._initial = InitialWrites(self.pipe.initial_write, self.writer)
        around = DecisionSurroundings(
            known=self._known,
            targets=self.targets,
            ability=self.answers.ability,
            translator=self.translator,
            echoes=self.echoes,
            waiting=self.waiting,
            passing=self.passing,
            ranges=self.ranges,
            initial=self._initial,
            writer=self.writer,
            faults=self.faults,
            put_in_error=self.put_in_error,
            stops=self.stops,
            now=self._now,
        )
        self.deciding = Deciding(self.name, around)

    def _condition_feed(self, receiver: Receiver) -> Feed:
        """That of a reverse flow, at the source, which it writes."""
        name = f"{self.name} conditions"
        interval = self.pipe.publishing_interval_ms
        feed = Feed(name, interval, self.pipe.codec, receiver, self._now)
        if self.writing.session is not None:
            feed.connected(self.writing.session)
        return feed

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
            self._known.first.update(self.last.keys() - self._known.queued)
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
        self.silences.begin(self.items, LOST)

    def _writer_gone(self) -> None:
        self.passing.target_lost()
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
        self.waiting.tick(now)
        self.ranges.tick(self.reading.session, now)
        self.oscillations.tick(now)
        if self.outages.current or self.outages.awaited:
            self.silences.tick(now)
        due = self.faults.due(now) + self.waiting.due(now)
        if due:
            self.newest.offer(due, is_retry=True)
        if self.writer.refresh and self.reading.session is not None:
            self.newest.refresh(now)
        if self.delivery is not None:
            self.delivery.tick(now)
        self.answers.learn_from_success()
        self._read_overdue_echoes(now)
        self.writer.flush()

    # -- items ----------------------------------------------------------------------------------

    def add(self, items: Iterable[Item]) -> None:
        """Take items in; those of both directions have their guard in ``guards`` already."""
        new = [item for item in items if self._compile(item)]
        sides = self._sides
        self._strangers.update(item.id for item in new)
        self.echoes.handles.update(i.id for i in new if i.direction is Direction.BOTH)
        self.writer.expect(len(self.items))
        self.targets.add({item.id: sides.written_node(item) for item in new})
        self.conditions.add(new)
        self.ranges.add({i.id: sides.read_node(i) for i in new if percent_deadband(i)})
        self.feed.add(sides.feed_item(item) for item in new)
        if self.reading.session is None:
            self.silences.begin([item.id for item in new], LOST)

    def _compile(self, item: Item) -> bool:
        self.items[item.id] = item
        try:
            rule = rule_for(item, self.pipe, is_reverse=self._sides.is_reverse)
        except InvalidTransformError as error:
            self.put_in_error(item.id, 0, str(error), retries=False)
            return False
        self._known.rules[item.id] = rule
        self._known.histories[item.id] = History()
        if rule.reads is not None:
            self._parts.add(item.id, rule.reads)
        if not rule.quality.is_plain:
            self.passing.minded.add(item.id)
        kind = kind_of(item, self.pipe)
        if kind is not ItemKind.STATE:
            self._make_delivery().add(item.id, kind)
        if item.refresh_seconds:
            self.writer.refresh.add(item.id, item.refresh_seconds, self._now())
        if item.minimum_interval_ms and kind is ItemKind.STATE:
            self.throttle.add(item.id, item.minimum_interval_ms)
        if item.verify:
            self.read_back.checks.add(item.id, both_ways=item.direction is Direction.BOTH)
            self.writer.read_back = self.read_back
        return True

    def _make_delivery(self) -> Delivery:
        if self.delivery is None:
            known, deciding = self._known, self.deciding
            around = Surroundings(
                known, self.silences.reading, self.targets, self.faults, self.losses,
                self._parts.cut_one, deciding.sample, deciding.is_asking, deciding.not_taken,
                self.gate.may_write, self._now,
            )  # fmt: skip
            self.delivery = Delivery(self.writer.latest, self.pipe, around)
            self.writer.pending = self.delivery
            known.queued = self.delivery.handles
        return self.delivery

    def remove(self, handles: Collection[int]) -> None:
        """Take items out; what is on its way of them ends by itself."""
        self.feed.remove(handles)
        self.targets.remove(handles)
        self.writer.forget(handles)
        self.faults.forget(handles)
        self.read_back.forget(handles)
        self.echoes.forget(handles)
        self.translator.forget(handles)
        self.outages.over(handles)
        self.waiting.forget(handles)
        self.ranges.forget(handles)
        self._initial.forget(handles)
        self._parts.forget(handles)
        self.passing.forget(handles)
        self._known.forget(handles)
        for handle in handles:
            self.stops.forget(handle)

    # -- values arrive (called by the feed) -----------------------------------------------------

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        if self._is_draining:
            return
        if self.outages.current:
            self.silences.reports_again(values)
        if self.delivery is not None:
            self.received += self.delivery.arrived(values)
            special &= values.keys()
        if values:
            self._newest(values, special)
        if self.delivery is not None:
            self.writer.flush()

    def _newest(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        passing = self.passing
        look = passing.differing(values)
        if self._strangers or not look <= passing.scalings.keys():
            values = self._parts.cut(self._without_strangers(values))
            look = passing.differing(values)
        self.received += len(values)
        if special:
            look |= special & values.keys()
        if passing.minded or self.writing.writes_status is False:
            look |= passing.with_status(values)
        made = passing.scaled(values, look - special) if look else {}
        look -= made.keys()
        if look:
            passing.remember_good(look)
        self.last.update(values)
        if made:
            self.writer.originate(values, made)
            values = values | made
        if look:
            values = self._decided(values, look)
        if values:
            self.writer.offer(values)

    def _without_strangers(self, values: dict[int, bytes]) -> dict[int, bytes]:
        """Leave out handles that are not ours: removed, changed meanwhile, or never given."""
        ours = (values.keys() & self.items.keys()) - self._strangers
        return {handle: value for handle, value in values.items() if handle in ours}

    def _decided(self, values: dict[int, bytes], look: Collection[int]) -> dict[int, bytes]:
        through = {handle: value for handle, value in values.items() if handle not in look}
        for handle in look:
            decided = self.deciding.arrived(handle, values[handle])
            if decided is not None:
                through[handle] = decided
        return through

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        if self.delivery is not None and not self._is_draining:
            self.received += self.delivery.earlier(samples)

    def overflowed(self, handles: Collection[int]) -> None:
        for handle in self._known.queued & set(handles):
            self.losses.record(
                Cause.SOURCE, handle, None, self._now(), is_told=self.gate.may_write()
            )

    # -- values will come, or not (called by the feed) ------------------------------------------

    def subscribing(self, handles: Collection[int]) -> None:
        self._strangers.difference_update(handles)
        self._known.first.update(handles)
        self.passing.look_at(handles)

    def watch_refused(self, handle: int, status: int, message: str) -> None:
        if handle in self.items:
            why = message or f"{name_of(status)}: {advise(status).sentence}"
            self.put_in_error(handle, status, f"at {self.reading.name}: {why}", retries=False)
            self.silences.begin((handle,), status or NODE_UNKNOWN)

    def filter_refused(self, handle: int) -> None:
        self._filters.refused(handle)

    def healed(self, why: str) -> None:
        self.healed_subscriptions += 1
        log.info("%s: subscription made anew: %s", self.name, why)

    # -- what others ask for --------------------------------------------------------------------

    def offer_one(self, handle: int) -> None:
        """The echo guard asks for the newest value of one handle, whatever came before."""
        self.newest.offer_one(handle)

    def _read_overdue_echoes(self, now: float) -> None:
        """An echo that does not come is settled by reading the written side."""
        overdue = self.echoes.overdue(now)
        if overdue:
            self.targets.read_present(self.writing.session, overdue, self.echoes.checked)

    # -- what is wrong, and what is told of it --------------------------------------------------

    def put_in_error(self, handle: int, status: int, message: str, *, retries: bool) -> None:
        fault = self.faults.record(handle, status, message, retries=retries)
        self.passing.distrust(handle)
        self.writer.in_error.add(handle)
        if fault.count == 1:
            log.info("%s: item %s: %s", self.name, handle, message)
        self.echoes.not_written(handle)

    def failing(self) -> list[tuple[int, str]]:
        """The items in error, and why."""
        faults = [(handle, fault.message) for handle, fault in self.faults.current.items()]
        return faults + list(self.read_back.mismatches.items())

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

    @property
    def target_name(self) -> str:
        """The server that is written."""
        return self.writing.name

    def written_node(self, item: Item) -> str:
        return self._sides.written_node(item)[0]
