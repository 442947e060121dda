"""The reading half of a flow: what should be subscribed at a server, and what is.

Nobody subscribes anything: a flow edits ``wanted``, and one task compares it with what the
session has and makes it so, in batches. A new session starts from nothing. An item that the
server refuses is tried again later, alone; a subscription that is silent, lost or has a gap is
made anew, and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pipes.core.choices import CodecName, Trigger
from pipes.core.node_ids import NodeIdError
from pipes.core.patience import Patience
from pipes.core.status_codes import code_of, name_of
from pipes.core.values import is_bad
from pipes.opcua.index_ranges import ignores_index_range
from pipes.opcua.lane import (
    MonitoredItemResult,
    MonitoredItemSpec,
    Subscription,
    SubscriptionSettings,
)
from pipes.opcua.session import RequestFailed, Session

log = logging.getLogger(__name__)

#: Servers slow down with the square of the items in one subscription (pitfalls of the field).
ITEMS_PER_SUBSCRIPTION: Final = 5_000
#: What one takes when the server adds so quickly, in seconds per item: each costs its own publish.
MOST_ITEMS_PER_SUBSCRIPTION: Final = 10_000
QUICK_SECONDS_PER_ITEM: Final = 0.000_15
ITEMS_TO_JUDGE_BY: Final = 1_000
KEEP_ALIVE_SECONDS: Final = 2.5
#: A subscription that says nothing for so many keep-alive times is taken for dead.
SILENT_KEEP_ALIVES: Final = 3
#: The longest that this becomes while subscriptions fall silent again and again, and how long
#: none may have done so for it to be short again, in seconds.
LONGEST_SILENCE: Final = 60.0
CALM_SECONDS: Final = 120.0
FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 4.0
SUBSCRIPTION_GONE: Final = code_of("BadSubscriptionIdInvalid")
FILTER_REFUSALS: Final = frozenset(
    code_of(name)
    for name in (
        "BadMonitoredItemFilterUnsupported",
        "BadMonitoredItemFilterInvalid",
        "BadFilterNotAllowed",
        "BadDeadbandFilterInvalid",
    )
)


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One value to watch; ``node`` is NodeId text, resolved anew for every session."""

    handle: int
    node: str
    sampling_interval_ms: float
    trigger: Trigger
    absolute_deadband: float | None
    index_range: str
    queue_size: int = 1
    percent_deadband: float | None = None


class Receiver(Protocol):
    """The flow, as its feed sees it; every call is synchronous and returns at once."""

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None: ...

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        """Samples that are older than the values that follow at once, each item's in order."""

    def overflowed(self, handles: Collection[int]) -> None:
        """The server lost samples of these before the ones that follow at once."""

    def subscribing(self, handles: Collection[int]) -> None:
        """The next value of each handle is the first of a new monitored item."""

    def watch_refused(self, handle: int, status: int, message: str) -> None: ...

    def filter_refused(self, handle: int) -> None:
        """The server takes no filter for this item: the flow has to do it."""

    def healed(self, why: str) -> None: ...


class _Stream:
    """One subscription of a feed: the lane's sink, and what it carries."""

    def __init__(self, feed: Feed, now: float) -> None:
        self._feed = feed
        self.heard = now
        self.subscription: Subscription | None = None
        self.monitored: dict[int, int] = {}  # handle -> MonitoredItemId, 0 = not answered yet
        self.doomed: list[int] = []  # MonitoredItemIds to delete on the server
        self.is_lost = False

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        self.heard = self._feed.now()
        if not self.is_lost:  # its handles are those of other monitored items by now
            self._feed.receiver.values(values, special)

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        if not self.is_lost:
            self._feed.receiver.earlier(samples)

    def overflowed(self, handles: frozenset[int]) -> None:
        if not self.is_lost:
            self._feed.receiver.overflowed(handles)

    def keep_alive(self) -> None:
        self.heard = self._feed.now()

    def lost(self, reason: str) -> None:
        self._feed.renew(self, reason)

    def gap(self, missed: int) -> None:
        self._feed.renew(self, f"{missed} notifications were lost")


def _raise_if_gone(results: Iterable[MonitoredItemResult]) -> None:
    """That the subscription is not there is said of each item, and is no matter of theirs."""
    if any(result.status == SUBSCRIPTION_GONE for result in results):
        why = f"{name_of(SUBSCRIPTION_GONE)}: the server does not keep the subscription"
        raise RequestFailed("CreateMonitoredItems", SUBSCRIPTION_GONE, why)


class Feed:
    def __init__(
        self,
        name: str,
        publishing_interval_ms: float,
        codec: CodecName,
        receiver: Receiver,
        now: Callable[[], float],
    ) -> None:
        self.name = name
        self.receiver = receiver
        self.now = now
        self.wanted: dict[int, FeedItem] = {}
        self.widths: dict[int, float] = {}
        """What a percent deadband comes to in units of the value, where that is known."""
        self.source_timestamps = True
        self.publishing_interval_ms = publishing_interval_ms
        self._codec = codec
        self._session: Session | None = None
        self._streams: list[_Stream] = []
        self._place: dict[int, _Stream] = {}
        self._retries: dict[int, tuple[float, int]] = {}  # handle -> (when, attempt)
        self._no_filter: set[int] = set()
        self._patience = Patience(
            KEEP_ALIVE_SECONDS * SILENT_KEEP_ALIVES, LONGEST_SILENCE, CALM_SECONDS
        )
        self._capacity = ITEMS_PER_SUBSCRIPTION
        self._was_gone = False  # the last subscription that was asked for something
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- what the flow says ---------------------------------------------------------------------

    def connected(self, session: Session) -> None:
        self.disconnected()
        self._capacity = ITEMS_PER_SUBSCRIPTION
        self._session = session
        self._task = asyncio.create_task(self._work(session), name=f"feed {self.name}")
        self._wake.set()

    def disconnected(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._session = None
        for stream in self._streams:
            stream.is_lost = True
        self._streams.clear()
        self._place.clear()
        self._retries.clear()

    async def unsubscribe(self) -> None:
        """Delete the subscriptions on the server and read nothing more."""
        streams = list(self._streams)
        self.disconnected()
        for stream in streams:
            if stream.subscription is not None:
                await stream.subscription.delete()

    def add(self, items: Iterable[FeedItem]) -> None:
        self.wanted.update((item.handle, item) for item in items)
        self._wake.set()

    def remove(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self.wanted.pop(handle, None)
            self.widths.pop(handle, None)
            self._retries.pop(handle, None)
            self._no_filter.discard(handle)
            self._take_out(handle)
        self._wake.set()

    def again(self, handle: int) -> None:
        """Make the monitored item of ``handle`` anew: its values cannot be trusted."""
        self._take_out(handle)
        self._wake.set()

    def tick(self, now: float) -> None:
        """Look at the clock: silent subscriptions, items whose next try is due."""
        limit = self._patience.limit(now)
        for stream in list(self._streams):
            if now - stream.heard > limit and not stream.is_lost:
                self._patience.use(now)
                self.renew(stream, f"silent for {now - stream.heard:.0f} s")
        if any(when <= now for when, _ in self._retries.values()):
            self._wake.set()

    def renew(self, stream: _Stream, why: str) -> None:
        """Give a subscription up; its items are subscribed again in a new one."""
        if stream.is_lost:
            return
        stream.is_lost = True
        for handle in stream.monitored:
            self._place.pop(handle, None)
        self.receiver.healed(why)
        self._wake.set()

    @property
    def session(self) -> Session | None:
        return self._session

    def is_subscribed(self, handle: int) -> bool:
        """Whether the server has said that it watches the item; one that is being asked may not."""
        stream = self._place.get(handle)
        return stream is not None and stream.monitored.get(handle, 0) != 0

    def subscribed_handles(self) -> list[int]:
        return [handle for handle in self._place if self.is_subscribed(handle)]

    # -- making it so ---------------------------------------------------------------------------

    async def _work(self, session: Session) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._delete_lost()
                await self._delete_doomed()
                await self._add_missing(session)
                self._was_gone = False
            except (ConnectionError, TimeoutError) as error:
                # A lost session is replaced by the connection, and this task with it.
                log.debug("feed %s: %s", self.name, error)
                await asyncio.sleep(FIRST_RETRY)
                self._wake.set()
            except RequestFailed as refusal:
                await self._rest_after(refusal)
                self._wake.set()
            except Exception:
                log.exception("feed %s: subscribing failed; tried again", self.name)
                await asyncio.sleep(LONGEST_RETRY)
                self._wake.set()

    async def _rest_after(self, refusal: RequestFailed) -> None:
        """A subscription that is gone is no refusal, unless the next one is gone as well."""
        was_gone, self._was_gone = self._was_gone, refusal.status == SUBSCRIPTION_GONE
        if self._was_gone and not was_gone:
            log.info("feed %s: %s", self.name, refusal)
            await asyncio.sleep(FIRST_RETRY)
        else:
            self._all_refused(refusal)
            await asyncio.sleep(LONGEST_RETRY)

    def _all_refused(self, refusal: RequestFailed) -> None:
        """The server makes no further subscription: every item that needs one says so."""
        for handle in self.wanted.keys() - self._place.keys():
            self.receiver.watch_refused(handle, refusal.status, str(refusal))

    async def _delete_lost(self) -> None:
        for stream in [stream for stream in self._streams if stream.is_lost]:
            try:
                if stream.subscription is not None:
                    await stream.subscription.delete()
            except TimeoutError as error:  # nothing of it is taken any more; tried again
                log.debug("feed %s: subscription not deleted: %s", self.name, error)
            else:
                self._streams.remove(stream)

    async def _delete_doomed(self) -> None:
        for stream in self._streams:
            doomed, stream.doomed = stream.doomed, []
            if not doomed or stream.subscription is None:
                continue
            try:
                await stream.subscription.remove(doomed)
            except BaseException:  # they may go on reporting under handles of other items
                self.renew(stream, "items could not be removed")
                raise

    async def _add_missing(self, session: Session) -> None:
        now = self.now()
        missing = [
            item
            for handle, item in self.wanted.items()
            if handle not in self._place and self._retries.get(handle, (0.0, 0))[0] <= now
        ]
        while missing:
            stream = await self._stream_with_room(session)
            room = self._capacity - len(stream.monitored)
            part, missing = missing[:room], missing[room:]
            await self._add(session, stream, part)

    async def _stream_with_room(self, session: Session) -> _Stream:
        for stream in self._streams:
            if not stream.is_lost and len(stream.monitored) < self._capacity:
                return stream
        stream = await self._subscribe(session, self.publishing_interval_ms)
        made = stream.subscription
        if made is not None and made.keep_alive_seconds > 2 * KEEP_ALIVE_SECONDS:
            # A server that publishes more slowly than asked counts the keep-alive in its own
            # intervals; asked for those it speaks as often as is needed to be known as alive.
            await made.delete()
            stream = await self._subscribe(session, made.publishing_interval_ms)
        self._streams.append(stream)
        return stream

    async def _subscribe(self, session: Session, publishing_interval_ms: float) -> _Stream:
        stream = _Stream(self, self.now())
        stream.subscription = await session.lane(self._codec).subscribe(
            SubscriptionSettings(publishing_interval_ms, keep_alive_seconds=KEEP_ALIVE_SECONDS),
            stream,
        )
        stream.heard = self.now()
        return stream

    async def _add(self, session: Session, stream: _Stream, items: list[FeedItem]) -> None:
        if any(item.index_range for item in items):
            await ignores_index_range(session)
        specs = [spec for item in items if (spec := self._spec(session, item)) is not None]
        if not specs or stream.subscription is None:
            return
        handles = [spec.handle for spec in specs]
        self.receiver.subscribing(handles)
        for handle in handles:  # values may come before the answer does
            self._place[handle] = stream
            stream.monitored[handle] = 0
        began = self.now()
        try:
            results = await stream.subscription.add(specs)
            _raise_if_gone(results)
        except BaseException:
            self.renew(stream, "its items could not be added")
            raise
        stream.heard = self.now()
        self._judge_capacity(len(specs), stream.heard - began)
        for result in results:
            if is_bad(result.status):
                self._refused(stream, result.handle, result.status)
            elif stream.monitored.get(result.handle) == 0:
                stream.monitored[result.handle] = result.monitored_item_id
                self._retries.pop(result.handle, None)
            else:  # taken out of the configuration meanwhile
                stream.doomed.append(result.monitored_item_id)
                self._wake.set()

    def _judge_capacity(self, items: int, seconds: float) -> None:
        """A server that adds items quickly takes more of them in one subscription."""
        if items < ITEMS_TO_JUDGE_BY:
            return
        is_quick = seconds < items * QUICK_SECONDS_PER_ITEM
        self._capacity = MOST_ITEMS_PER_SUBSCRIPTION if is_quick else ITEMS_PER_SUBSCRIPTION

    def _spec(self, session: Session, item: FeedItem) -> MonitoredItemSpec | None:
        try:
            node = session.encode_node(item.node)
        except NodeIdError as error:
            self._retry_later(item.handle)
            self.receiver.watch_refused(item.handle, 0, str(error))
            return None
        takes_filter = item.handle not in self._no_filter
        return MonitoredItemSpec(
            handle=item.handle,
            node_id=node,
            sampling_interval_ms=item.sampling_interval_ms,
            queue_size=item.queue_size,
            trigger=item.trigger if takes_filter else Trigger.STATUS_VALUE,
            absolute_deadband=item.absolute_deadband if takes_filter else None,
            percent_deadband=item.percent_deadband if takes_filter else None,
            # A server that gives the whole array is not asked: the flow takes the part out of it.
            index_range="" if session.ignores_index_range else item.index_range,
            source_timestamp=self.source_timestamps,
        )

    def _refused(self, stream: _Stream, handle: int, status: int) -> None:
        stream.monitored.pop(handle, None)
        self._place.pop(handle, None)
        if handle not in self.wanted:
            return
        if status in FILTER_REFUSALS and handle not in self._no_filter:
            self._no_filter.add(handle)
            self.receiver.filter_refused(handle)
            self._wake.set()
            return
        self._retry_later(handle)
        self.receiver.watch_refused(handle, status, "")

    def _retry_later(self, handle: int) -> None:
        attempt = self._retries.get(handle, (0.0, 0))[1]
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2**attempt)
        self._retries[handle] = (self.now() + delay, min(attempt + 1, 16))

    def _take_out(self, handle: int) -> None:
        stream = self._place.pop(handle, None)
        if stream is None:
            return
        monitored_item_id = stream.monitored.pop(handle, 0)
        if monitored_item_id:
            stream.doomed.append(monitored_item_id)
