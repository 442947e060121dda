"""Watching the condition nodes of a flow; `core.condition` says what they mean.

A condition node stands on the source of its pipe. A forward flow watches it in the subscriptions
of its items, so that a node that says "not valid" and the value that is not come in one
notification; the node is judged first. A reverse flow reads the target: its conditions have a
feed of their own at the source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from pipes.core.choices import Trigger
from pipes.core.condition import FIRST_HANDLE, ConditionTable, Edges
from pipes.core.retries import advise
from pipes.core.status_codes import name_of
from pipes.core.wanted import Item
from pipes.feed import Feed, FeedItem, Receiver
from pipes.opcua.session import Session


class Owner(Protocol):
    """Where the items of a flow wait, as the conditions see it."""

    def conditions_met(self, items: Collection[int]) -> None:
        """The newest values of these may go."""

    def conditions_failed(self, items: Collection[int]) -> None:
        """Nothing of these goes from here."""


class Conditions:
    """The receiver of the feed that watches them; what belongs to items goes on to ``receiver``."""

    def __init__(
        self,
        server: str,
        receiver: Receiver,
        owner: Owner,
        feed: Feed,
        new_feed: Callable[[Receiver], Feed] | None,
    ) -> None:
        """``new_feed`` makes the feed of a flow that reads another server; else ``feed`` serves."""
        self._server = server
        self._receiver = receiver
        self._owner = owner
        self._table = ConditionTable()
        self._shared_feed = feed
        self._new_feed = new_feed
        self._own_feed: Feed | None = None
        self._is_watching = False

    # -- what the flow says ---------------------------------------------------------------------

    def add(self, items: Iterable[Item]) -> None:
        new = [
            _watched(*node)
            for item in items
            if item.condition is not None and (node := self._table.add(item)) is not None
        ]
        if new:
            self._feed().add(new)

    def remove(self, items: Iterable[int]) -> None:
        if self._is_watching:
            self._feed().remove(self._table.remove(items))

    def why_closed(self, item: int) -> str:
        """Why an item must not go; empty if it may, or has no condition."""
        return self._table.why_closed(item)

    def _feed(self) -> Feed:
        if not self._is_watching:
            self._is_watching = True
            if self._new_feed is None:
                self._shared_feed.receiver = self
            else:
                self._own_feed = self._new_feed(self)
        return self._own_feed or self._shared_feed

    def connected(self, session: Session) -> None:
        """The source's session of a reverse flow."""
        if self._own_feed is not None:
            self._own_feed.connected(session)

    def disconnected(self) -> None:
        if self._own_feed is not None:
            self._own_feed.disconnected()

    async def unsubscribe(self) -> None:
        if self._own_feed is not None:
            await self._own_feed.unsubscribe()

    def tick(self, now: float) -> None:
        if self._own_feed is not None:
            self._own_feed.tick(now)

    # -- as `feed.Receiver` ---------------------------------------------------------------------

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        """Nodes first, then items: what a node closes does not go, what it opens is the newest."""
        mine = values.keys() & self._table.handles
        if not mine:
            if self._own_feed is None:
                self._receiver.values(values, special)
            return
        edges = self._table.values({handle: values.pop(handle) for handle in mine})
        self._closed(edges)
        came = frozenset(values)
        if came and self._own_feed is None:
            self._receiver.values(values, special - mine)
        if edges.opened:
            self._owner.conditions_met(edges.opened - came)

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        of_items = [sample for sample in samples if sample[0] < FIRST_HANDLE]
        if of_items:
            self._receiver.earlier(of_items)

    def overflowed(self, handles: Collection[int]) -> None:
        self._receiver.overflowed([handle for handle in handles if handle < FIRST_HANDLE])

    def subscribing(self, handles: Collection[int]) -> None:
        for handle in handles:
            if handle >= FIRST_HANDLE:
                self._closed(self._table.unknown(handle))
        of_items = [handle for handle in handles if handle < FIRST_HANDLE]
        if of_items:
            self._receiver.subscribing(of_items)

    def watch_refused(self, handle: int, status: int, message: str) -> None:
        if handle < FIRST_HANDLE:
            self._receiver.watch_refused(handle, status, message)
            return
        why = message or f"{name_of(status)}: {advise(status).sentence}"
        self._closed(self._table.unknown(handle, f"at {self._server}: {why}"))

    def filter_refused(self, handle: int) -> None:
        if handle < FIRST_HANDLE:
            self._receiver.filter_refused(handle)

    def healed(self, why: str) -> None:
        self._receiver.healed(why)

    def _closed(self, edges: Edges) -> None:
        if edges.closed:
            self._owner.conditions_failed(edges.closed)


def _watched(handle: int, node: str) -> FeedItem:
    return FeedItem(
        handle=handle,
        node=node,
        sampling_interval_ms=-1.0,
        trigger=Trigger.STATUS_VALUE,
        absolute_deadband=None,
        index_range="",
    )
