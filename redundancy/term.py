"""A station's term: read at the start, raised, and durable before anybody uses it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

import msgspec

from redundancy.board import Board
from redundancy.core.lease import next_term
from redundancy.core.view import RecordState
from redundancy.record import CorruptRecord, RecordFile, TermRecord
from redundancy.side_thread import SideThread

SECONDS: Final = 10.0  # a disk that takes longer to sync a page is as good as none


class TermKeeper:
    """Knows the present term; asks the disk in a side thread."""

    def __init__(self, file: RecordFile, board: Board) -> None:
        self.file = file
        self.record = TermRecord(station_id="")
        self.state = RecordState.UNREAD
        self.why = ""
        self.was_healed = False
        self._board = board

    @property
    def term(self) -> int:
        return self.record.term

    @property
    def is_good(self) -> bool:
        return self.state is RecordState.GOOD

    async def prepare(self, thread: SideThread) -> bool:
        """Read the record and make a term above every known one durable.

        False if the disk refused and it is worth trying again; `why` says what happened.
        """
        return await self._try(thread, self._read_and_raise)

    async def clear(self, thread: SideThread) -> bool:
        """Take the failure out of the record, or begin a new record in place of a damaged one."""
        return await self._try(thread, self._clear_and_raise)

    async def _try(self, thread: SideThread, work: Callable[[], TermRecord]) -> bool:
        try:
            self.record = await thread.call(work, SECONDS)
        except CorruptRecord as error:
            self.state, self.why = RecordState.CORRUPT, str(error)
        except (OSError, TimeoutError) as error:
            self.state, self.why = RecordState.UNWRITABLE, str(error)
            return False
        else:
            self.state, self.why = RecordState.GOOD, ""
        return True

    def _read_and_raise(self) -> TermRecord:
        found = self.file.read()
        self.was_healed = self.file.damaged_slots > 0
        return self._raise(found or _new_record())

    def _clear_and_raise(self) -> TermRecord:
        try:
            found = self.file.read()
        except CorruptRecord:
            self.file.set_aside()
            # The terms of the past are lost: one that counts seconds is above them all.
            found = TermRecord(station_id=_new_record().station_id, term=int(time.time()))
        return self._raise(msgspec.structs.replace(found or _new_record(), failed=False, cause=""))

    def _raise(self, record: TermRecord) -> TermRecord:
        term = next_term(record.term, self._board.lease().term)
        fresh = msgspec.structs.replace(record, term=term)
        self.file.write(fresh)
        return fresh


def _new_record() -> TermRecord:
    return TermRecord(station_id=uuid.uuid4().hex)
