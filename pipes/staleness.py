"""The third watchdog: values that the source has and the subscription does not send.

A server can answer, keep its subscription alive and still have stopped sampling an item. A few
items at a time are read; one whose value differs from the newest notification, and that is still
not notified after a while, is stale: its monitored item is made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from pipes.core.binary import DecodeError, comparable, decode_data_value
from pipes.core.choices import Trigger
from pipes.core.filtering import passes
from pipes.feed import Feed
from pipes.opcua.reading import read_values

log = logging.getLogger(__name__)

#: How often items are looked at, how many at a time, and how long a difference may last.
EVERY_SECONDS: Final = 5.0
ITEMS_AT_A_TIME: Final = 100
GRACE_SECONDS: Final = 3.0
MOST_DOUBLINGS: Final = 10


class Staleness:
    """``found`` is told of each stale item, before its monitored item is made anew."""

    def __init__(
        self,
        feed: Feed,
        last: Mapping[int, bytes],
        found: Callable[[int], None],
        now: Callable[[], float],
    ) -> None:
        self.healed = 0
        self._found = found
        self._feed = feed
        self._last = last
        self._now = now
        self._next_at = now() + EVERY_SECONDS
        self._round: list[int] = []
        self._place = 0
        self._suspects: dict[int, tuple[bytes, float]] = {}  # handle -> newest value then, when
        self._healings: Counter[int] = Counter()
        self._task: asyncio.Task[None] | None = None

    def disconnected(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._suspects.clear()

    def tick(self, now: float) -> None:
        self._judge(now)
        if now >= self._next_at and (self._task is None or self._task.done()):
            self._next_at = now + EVERY_SECONDS
            self._task = asyncio.create_task(self._look(), name=f"staleness {self._feed.name}")

    def _judge(self, now: float) -> None:
        """A suspect that was notified since is well; one that was not in time is stale.

        One that is not watched any more has no reason to be notified: it is the feed's to tell of.
        """
        for handle, (newest, since) in list(self._suspects.items()):
            if self._last.get(handle) is not newest or not self._feed.is_subscribed(handle):
                del self._suspects[handle]
            elif now - since > self._grace(handle):
                del self._suspects[handle]
                self.healed += 1
                self._healings[handle] += 1
                log.warning("%s: item %s is stale, subscribed anew", self._feed.name, handle)
                self._found(handle)
                self._feed.again(handle)

    def _grace(self, handle: int) -> float:
        """Sampled and published by then; doubled for an item that was healed in vain before."""
        item = self._feed.wanted.get(handle)
        sampling_ms = 0.0 if item is None else max(item.sampling_interval_ms, 0.0)
        usual = GRACE_SECONDS + (3 * self._feed.publishing_interval_ms + 2 * sampling_ms) / 1000
        return usual * 2.0 ** min(self._healings[handle], MOST_DOUBLINGS)

    async def _look(self) -> None:
        session = self._feed.session
        handles = self._next_handles()
        if session is None or not handles:
            return
        before = {handle: self._last.get(handle) for handle in handles}
        try:
            nodes = [session.encode_node(self._feed.wanted[handle].node) for handle in handles]
            values = await read_values(session, nodes)
        except Exception as error:  # noqa: BLE001 - a look that fails is tried again later
            log.debug("%s: not read: %s", self._feed.name, error)
            return
        now = self._now()
        for handle, value in zip(handles, values, strict=True):
            newest = before[handle]
            if newest is None or self._last.get(handle) is not newest:
                continue
            if _differ(value, newest, self._deadband(handle)):
                self._suspects.setdefault(handle, (newest, now))

    def _next_handles(self) -> list[int]:
        """The next few items that a difference says something about, round and round."""
        if self._place >= len(self._round):
            self._round = self._feed.subscribed_handles()
            self._place = 0
        part = self._round[self._place : self._place + ITEMS_AT_A_TIME]
        self._place += len(part)
        return [
            handle
            for handle in part
            if self._feed.is_subscribed(handle) and self._is_telling(handle)
        ]

    def _deadband(self, handle: int) -> float:
        """What the server was asked to filter; some compare with the last sample, not report."""
        item = self._feed.wanted.get(handle)
        if item is None:
            return 0.0
        if item.percent_deadband is not None:  # of a range that is not known, anything may be less
            return self._feed.widths.get(handle, inf)
        return item.absolute_deadband or 0.0

    def _is_telling(self, handle: int) -> bool:
        item = self._feed.wanted.get(handle)
        return item is not None and item.trigger is not Trigger.STATUS and not item.index_range


def _differ(value: bytes, newest: bytes, deadband: float) -> bool:
    """Whether a read value should have been notified; one that is damaged tells nothing."""
    try:
        if comparable(value) == comparable(newest):
            return False
        return deadband <= 0 or passes(
            decode_data_value(newest), decode_data_value(value), Trigger.STATUS_VALUE, deadband
        )
    except DecodeError:
        return False
