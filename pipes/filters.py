"""The filters of items that their source does not apply, or does not apply for sure.

What a server cannot filter is filtered here; what cannot be filtered at all is said of the item.
"""

from __future__ import annotations

from pipes.core.choices import Trigger
from pipes.core.ranges import Range
from pipes.core.transfer import absolute_deadband
from pipes.feed import Feed
from pipes.known import Known
from pipes.passing import Passing


class Filters:
    def __init__(self, server: str, known: Known, passing: Passing, feed: Feed) -> None:
        """``server``: the one that is read."""
        self._server = server
        self._known = known
        self._passing = passing
        self._feed = feed

    def refused(self, handle: int) -> None:
        """The server takes no filter for this item."""
        item = self._known.items[handle]
        deadband = absolute_deadband(item)
        if deadband is not None:
            self._apply(handle, deadband)
            self._passing.distrust(handle)
        if item.trigger is Trigger.STATUS_VALUE_TIMESTAMP:
            self._known.notes[handle] = (
                f"{self._server} takes no filter, so a new timestamp alone is not reported; "
                "values and statuses are"
            )

    def range_read(self, handle: int, found: Range | None) -> None:
        """The percent of a percent deadband have their width; or the item says why not."""
        notes = self._known.notes
        width = None if found is None else found.width(self._known.items[handle].deadband.value)
        self._apply(handle, width or 0.0)
        self._passing.look_at((handle,))
        if width is not None:
            self._feed.widths[handle] = width
            notes.pop(handle, None)
            return
        has = "no EURange" if found is None else f"the EURange {found.low:g} to {found.high:g}"
        notes[handle] = (
            f"the percent deadband is not applied, because the node has {has} at "
            f"{self._server}; use an absolute deadband, or give the node its EURange there"
        )

    def _apply(self, handle: int, deadband: float) -> None:
        self._known.rules[handle] = self._known.rules[handle].with_own_deadband(deadband)
