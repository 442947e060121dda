"""Which node of an item a direction of a pipe reads, which it writes, and how it is watched."""

from __future__ import annotations

from pipes.core.choices import ItemKind, Trigger
from pipes.core.transfer import absolute_deadband, percent_deadband
from pipes.core.wanted import Item, Pipe, kind_of
from pipes.feed import FeedItem


class Sides:
    def __init__(self, pipe: Pipe, *, is_reverse: bool) -> None:
        self.is_reverse = is_reverse
        self._pipe = pipe

    def read_node(self, item: Item) -> str:
        return item.target_node if self.is_reverse else item.source_node

    def written_node(self, item: Item) -> tuple[str, str]:
        """The node, and the index range of it that is written."""
        return (item.source_node, item.index_range) if self.is_reverse else (item.target_node, "")

    def feed_item(self, item: Item) -> FeedItem:
        interval = item.sampling_interval_ms
        # Without a wish: a state as often as is published, samples as often as there are some.
        is_state = kind_of(item, self._pipe) is ItemKind.STATE
        unasked = -1.0 if is_state else 0.0
        return FeedItem(
            handle=item.id,
            node=self.read_node(item),
            sampling_interval_ms=unasked if interval is None else float(interval),
            queue_size=1 if is_state else self._pipe.queue_limit,
            trigger=_asked_trigger(item),
            absolute_deadband=absolute_deadband(item),
            percent_deadband=percent_deadband(item),
            index_range="" if self.is_reverse else item.index_range,
        )


def _asked_trigger(item: Item) -> Trigger:
    """What the server is asked for. When a condition is met the newest value goes, so values have
    to be known by then; that only the status counts while it is met is kept to here.
    """
    if item.condition is not None and item.trigger is Trigger.STATUS:
        return Trigger.STATUS_VALUE
    return item.trigger
