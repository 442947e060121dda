"""The EURange of the items that have a percent deadband, read once in each session.

The server is asked to filter, and some that say yes do not do it; so the flow filters, too, as soon
as the range is known. Until then, and for a node without a range, values pass as the server lets
them, and the item says what is missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from pipes.core.node_ids import NodeIdError
from pipes.core.ranges import Range
from pipes.opcua.ranges import read_ranges
from pipes.opcua.session import Session

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 2.0


class Owner(Protocol):
    """The flow, as its ranges see it."""

    def range_read(self, handle: int, found: Range | None) -> None: ...


class Ranges:
    def __init__(self, name: str, owner: Owner, now: Callable[[], float]) -> None:
        self.unknown: set[int] = set()
        """Items whose range has not been read in this session."""
        self._name = name
        self._owner = owner
        self._now = now
        self._nodes: dict[int, str] = {}
        self._again_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def add(self, nodes: Mapping[int, str]) -> None:
        self._nodes.update(nodes)
        self.unknown.update(nodes)

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self._nodes.pop(handle, None)
            self.unknown.discard(handle)

    def disconnected(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._again_at = 0.0
        self.unknown.update(self._nodes)

    def tick(self, session: Session | None, now: float) -> None:
        """Read the ranges that are missing, one reader at a time."""
        is_busy = self._task is not None and not self._task.done()
        if session is None or not self.unknown or is_busy or now < self._again_at:
            return
        self._task = asyncio.create_task(self._read(session), name=f"ranges {self._name}")

    async def _read(self, session: Session) -> None:
        handles = list(self.unknown)
        nodes: dict[int, bytes] = {}
        for handle in handles:
            try:
                nodes[handle] = session.encode_node(self._nodes[handle])
            except NodeIdError:
                self._found(handle, None)  # that it cannot be watched either is said elsewhere
        try:
            ranges = await read_ranges(session, list(nodes.values()))
        except Exception as error:  # noqa: BLE001 - whatever the server answers, it is asked again
            log.debug("%s: ranges not read: %s", self._name, error)
            self._again_at = self._now() + RETRY_SECONDS
            return
        for handle, found in zip(nodes, ranges, strict=True):
            self._found(handle, found)

    def _found(self, handle: int, found: Range | None) -> None:
        if handle in self.unknown:  # it may have been taken out meanwhile
            self.unknown.discard(handle)
            self._owner.range_read(handle, found)
