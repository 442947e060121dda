"""Read-back of acknowledged writes: the shell that reads; `core.verification` decides.

One round of reads is on its way at a time, in calls of a size that the target takes. The writer
only tells of items that ask for it; what a slow target gives no time for is left unverified.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from pipes.core.ledger import Batch, Ledger
from pipes.core.verification import Check, Step, Verification
from pipes.opcua.reading import read_back
from pipes.opcua.session import Session

log = logging.getLogger(__name__)

MOST_AT_A_TIME: Final = 1_000


class Owner(Protocol):
    """The flow, as its read-back sees it."""

    def contradicted(self, handle: int, sent: bytes, found: bytes) -> str:
        """The target holds another value than was written; the sentence for people is returned."""


class ReadBack:
    """``prefixes`` are those that the writer writes with."""

    def __init__(
        self,
        name: str,
        owner: Owner,
        ledger: Ledger,
        prefixes: Mapping[int, bytes],
        now: Callable[[], float],
    ) -> None:
        self.checks = Verification()
        self.mismatches: dict[int, str] = {}
        """What is wrong with each item whose newest judged write is not what the target holds."""
        self._name = name
        self._owner = owner
        self._ledger = ledger
        self._prefixes = prefixes
        self._now = now
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None

    def forget(self, handles: Iterable[int]) -> None:
        gone = list(handles)
        self.checks.forget(gone)
        for handle in gone:
            self.mismatches.pop(handle, None)

    def connected(self, session: Session) -> None:
        self.disconnected()
        self._session = session

    def disconnected(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._session = None
        self.checks.lost()

    # -- called by the writer -------------------------------------------------------------------

    def written(self, batch: Batch) -> None:
        self.checks.written(batch, self._now())
        self._look()

    # -- reading --------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        self.checks.lapse(now)
        self._look()

    def _look(self) -> None:
        is_reading = self._task is not None and not self._task.done()
        if self._session is None or is_reading or not self.checks.is_due(self._now()):
            return
        self._task = asyncio.create_task(self._read(self._session), name=f"verify {self._name}")

    async def _read(self, session: Session) -> None:
        while taken := self.checks.take(MOST_AT_A_TIME, self._now()):
            found = await self._found(session, taken)
            now = self._now()
            for handle, check in taken.items():
                if handle in found:
                    self._judge(handle, check, found[handle], now)
                else:
                    self.checks.unread(handle, check, now)

    async def _found(self, session: Session, handles: Iterable[int]) -> dict[int, bytes]:
        """What the target holds, of those that could be read."""
        nodes = {h: self._prefixes[h] for h in handles if h in self._prefixes}
        if not nodes:
            return {}
        try:
            values = await read_back(session, list(nodes.values()))
        except Exception as error:  # noqa: BLE001 - it counts as not read
            log.debug("%s: written values not read back: %s", self._name, error)
            return {}
        return dict(zip(nodes, values, strict=True))

    def _judge(self, handle: int, check: Check, value: bytes, now: float) -> None:
        match self.checks.found(handle, check, value, now):
            case Step.VERIFIED:
                self._ledger.verified(check.batch(), handle)
                if self.mismatches.pop(handle, None) is not None:
                    log.info("%s: item %s is read back as written again", self._name, handle)
            case Step.CONTRADICTED:
                why = self._owner.contradicted(handle, check.alone.sent[handle], value)
                self._ledger.contradicted(check.batch(), check.alone, why)
                self.mismatches[handle] = why
            case Step.OVERTAKEN | Step.UNREADABLE | Step.AGAIN:
                pass
