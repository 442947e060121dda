"""Subscriptions of a load: what changed since the last PublishResponse goes into the next.

Items change round robin, so that what changed is a range of running numbers. An item is reported
once for its newest value (queue size 1), however far a client has fallen behind.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import pack
from typing import Final

from benchmarks.wire.fields import now_ticks, response
from benchmarks.wire.store import Store

PUBLISH_RESPONSE: Final = 829
DATA_CHANGE: Final = 811
SHORTEST_INTERVAL_MS: Final = 5.0

Reply = Callable[[bytes], None]
"""Sends an answer to the client that asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A PublishRequest that waits for something to be said."""

    handle: int
    acknowledged: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Segment:
    """Monitored items of neighbouring nodes, ``first`` and those behind it."""

    first: int
    count: int
    template: bytearray

    def overlap(self, start: int, stop: int) -> tuple[int, int]:
        return max(start, self.first), min(stop, self.first + self.count)


class Changes:
    """How many changes the items of a server have had; item ``serial % items`` has the newest."""

    def __init__(self, items: int) -> None:
        self.items = items
        self.serial = 0

    def ranges(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The items that the changes from ``start`` to ``stop`` belong to, at most all."""
        while start < stop:
            index = start % self.items
            count = min(stop - start, self.items - index)
            yield index, index + count
            start += count


class Subscription:
    def __init__(
        self,
        number: int,
        session: Session,
        interval_ms: float,
        keep_alive_count: int,
        limit: int,
    ) -> None:
        self.number = number
        self.interval_ms = max(interval_ms, SHORTEST_INTERVAL_MS)
        self.keep_alive_count = max(1, keep_alive_count)
        self.is_late = False
        self._session = session
        self._limit = limit
        self._items: dict[int, tuple[int, int]] = {}  # MonitoredItemId -> item, client handle
        self._next_id = 1
        self._timestamps = 0
        self._segments: list[Segment] = []
        self._fresh: deque[tuple[Segment, int, int]] = deque()
        self._sent = session.changes.serial
        self._until = self._sent
        self._sequence = 1
        self._quiet = 0
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + self.interval_ms / 1000
        self._timer = self._loop.call_at(self._due, self._tick)

    def close(self) -> None:
        self._timer.cancel()

    # -- monitored items ------------------------------------------------------------------------

    def add(self, items: Iterable[tuple[int, int]], timestamps: int) -> list[int]:
        """Watch items, each with its client handle; their MonitoredItemIds."""
        self._timestamps = timestamps
        wanted = list(items)
        numbers = list(range(self._next_id, self._next_id + len(wanted)))
        self._next_id += len(wanted)
        self._items.update(zip(numbers, wanted, strict=True))
        self._watch(wanted)
        return numbers

    def remove(self, numbers: Iterable[int]) -> list[bool]:
        """Forget monitored items; whether each was known. The others are reported once more."""
        known = [self._items.pop(number, None) is not None for number in numbers]
        self._segments.clear()
        self._fresh.clear()
        self._watch(sorted(self._items.values()))
        return known

    def _watch(self, wanted: list[tuple[int, int]]) -> None:
        start = 0
        for at in range(1, len(wanted) + 1):
            if at == len(wanted) or wanted[at][0] != wanted[at - 1][0] + 1:
                self._watch_run(wanted[start:at])
                start = at

    def _watch_run(self, run: list[tuple[int, int]]) -> None:
        first = run[0][0]
        handles = array("I", [handle for _, handle in run])
        template = self._session.store.template(handles, self._timestamps)
        segment = Segment(first, len(run), template)
        self._segments.append(segment)
        self._fresh.append((segment, first, first + len(run)))

    # -- publishing -----------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.time()
        self._due = max(self._due + self.interval_ms / 1000, now)
        self._timer = self._loop.call_at(self._due, self._tick)
        if not self._session.may_publish():
            return
        self.publish()

    def publish(self) -> None:
        """Say what has changed till now, as far as there are PublishRequests."""
        self._until = self._session.changes.serial
        said = False
        while asked := self._session.asked:
            block, count = self._next_block()
            if not count:
                break
            said = True
            self._say(asked.popleft(), block, count)
        self.is_late = not asked and self._has_more()
        self._quiet = 0 if said else self._quiet + 1
        if self._quiet >= self.keep_alive_count and asked:
            self._quiet = 0
            self._keep_alive(asked.popleft())

    def _has_more(self) -> bool:
        return bool(self._fresh) or self._sent < self._until

    def _next_block(self) -> tuple[bytes, int]:
        """Notifications for one message, and how many they are."""
        parts: list[bytes] = []
        left = self._limit
        while left and self._fresh:
            segment, start, stop = self._fresh.popleft()
            end = min(stop, start + left)
            parts.append(self._notifications(segment, start, end))
            left -= end - start
            if end < stop:
                self._fresh.appendleft((segment, end, stop))
        left -= self._changed(parts, left)
        return b"".join(parts), self._limit - left

    def _changed(self, parts: list[bytes], left: int) -> int:
        """Add what changed, up to ``left`` notifications; how many were added."""
        changes = self._session.changes
        self._sent = max(self._sent, self._until - changes.items)
        added = 0
        while added < left and self._sent < self._until:
            stop = min(self._until, self._sent + left - added)
            for start, end in changes.ranges(self._sent, stop):
                for segment in self._segments:
                    first, last = segment.overlap(start, end)
                    if first < last:
                        parts.append(self._notifications(segment, first, last))
                        added += last - first
            self._sent = stop
        return added

    def _notifications(self, segment: Segment, start: int, stop: int) -> bytes:
        return self._session.store.notifications(
            segment.template, segment.first, start, stop, self._timestamps
        )

    def _say(self, asked: Asked, block: bytes, count: int) -> None:
        body = pack("<i", count) + block + pack("<i", -1)
        head = pack("<BBHBi", 1, 0, DATA_CHANGE, 1, len(body))
        more = self._has_more()
        self._session.published += 1
        asked.reply(self._message(asked, pack("<i", 1) + head + body, more=more))
        self._sequence = self._sequence + 1 & 0xFFFF_FFFF or 1

    def _keep_alive(self, asked: Asked) -> None:
        """With the number of the message that comes next (Part 4, 5.14.1.1)."""
        asked.reply(self._message(asked, pack("<i", -1), more=False))

    def _message(self, asked: Asked, data: bytes, *, more: bool) -> bytes:
        head = pack("<IiI?Iq", self.number, 1, self._sequence, more, self._sequence, now_ticks())
        count = asked.acknowledged
        tail = pack("<i", count) + bytes(4 * count) + pack("<i", -1)
        return response(PUBLISH_RESPONSE, asked.handle) + head + data + tail


class Session:
    """One session: its subscriptions, and the PublishRequests that wait for them."""

    def __init__(
        self, token: bytes, store: Store, changes: Changes, may_publish: Callable[[], bool]
    ) -> None:
        self.token = token
        self.store = store
        self.changes = changes
        self.may_publish = may_publish
        self.published = 0
        self.asked: deque[Asked] = deque()
        self.subscriptions: dict[int, Subscription] = {}

    def ask(self, asked: Asked) -> None:
        """Take a PublishRequest; one that was missing is answered at once."""
        self.asked.append(asked)
        if not self.may_publish():
            return
        for subscription in self.subscriptions.values():
            if subscription.is_late:
                subscription.publish()

    def close(self) -> None:
        for subscription in self.subscriptions.values():
            subscription.close()
        self.subscriptions.clear()
        self.asked.clear()
