"""Newest values that are decided about anew, though their source has reported nothing.

A fault's time is over, a target or a type is known, an outage counts, a refresh is due, the other
side of an item has to be put right: what goes then is always the newest value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from pipes.deciding import Deciding
from pipes.delivery import Delivery
from pipes.known import Known
from pipes.passing import Passing
from pipes.silences import Silences
from pipes.writer import Writer


class Owner(Protocol):
    """The flow, with the parts of it that this needs."""

    delivery: Delivery | None
    deciding: Deciding
    passing: Passing
    silences: Silences
    writer: Writer


class Newest:
    """As `silences.Owner` and `translation.Owner`."""

    def __init__(self, known: Known, flow: Owner) -> None:
        self._known = known
        self._flow = flow

    def offer(
        self, handles: Iterable[int], *, is_retry: bool = False, is_first: bool = False
    ) -> None:
        """Decide about the newest value of each handle.

        ``is_retry``: it was to be written before, and was not. ``is_first``: the target is new.
        """
        flow = self._flow
        if flow.delivery is not None:
            handles = flow.delivery.newest_again(handles, is_first=is_first)
        values: dict[int, bytes] = {}
        for handle in handles:
            newest = flow.silences.reading(handle)
            if newest is None:
                continue
            decided = flow.deciding.again(handle, newest, is_retry=is_retry)
            if decided is not None:
                values[handle] = decided
        if values or flow.delivery is not None:
            flow.writer.offer(values)

    def offer_one(self, handle: int) -> None:
        """The echo guard asks for this one, whatever came before."""
        newest = self._flow.silences.reading(handle)
        decided = None if newest is None else self._flow.deciding.decide(handle, newest)
        if decided is not None:
            self._flow.writer.offer({handle: decided})

    def refresh(self, now: float) -> None:
        """Write the newest value of items again that were not written for so long."""
        writer = self._flow.writer
        due = [handle for handle in writer.refresh.due(now) if writer.written.counts[handle]]
        for handle in due:
            self._known.histories[handle].not_written()  # no change is needed for this one
        self._not_as_first(due)

    def tell_of_outages(self, handles: Collection[int]) -> None:
        self._flow.passing.look_at(handles)
        if self._flow.delivery is not None:
            handles = self._flow.delivery.reported(handles)
        self._not_as_first(handles, is_retry=True)

    def structures_learned(self, handles: Collection[int]) -> None:
        self.offer(handles, is_retry=True)

    def _not_as_first(self, handles: Collection[int], *, is_retry: bool = False) -> None:
        """Decide about the newest values; what is said of a value to come is not said of them."""
        first = self._known.first
        next_first = first.intersection(handles)
        first -= next_first
        self.offer(handles, is_retry=is_retry)
        first |= next_first
