"""Looks for a newer configuration: a level, so that a lost word makes things later, never wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from redundancy.board import Board
from redundancy.side_thread import SideThread

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 6.0  # a locked database answers, late


class RevisionWatch:
    """Knows the newest revision, and turns news into a new generation on the board."""

    def __init__(self, board: Board) -> None:
        self.newest = 0
        self._board = board
        self._is_blind = False

    def poke(self, revision: int) -> int:
        """Somebody saved ``revision`` (0: something else that hosts should look at again)."""
        self.newest = max(self.newest, revision)
        return self._board.raise_generation()

    async def poll(self, look: Callable[[], int] | None, every_seconds: float) -> None:
        """Ask for the newest revision for ever; ``look`` blocks, and may fail or hang."""
        if look is None:
            return
        thread = SideThread("newest-revision")
        try:
            while True:
                try:
                    self._see(await thread.call(look, ANSWER_SECONDS))
                except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                    self._miss(error)
                await asyncio.sleep(every_seconds)
        finally:
            thread.close()

    def _see(self, found: int) -> None:
        if self._is_blind:
            log.info("the newest revision can be read again")
        self._is_blind = False
        if found > self.newest:
            self.poke(found)

    def _miss(self, error: Exception) -> None:
        if not self._is_blind:
            log.warning("the newest revision cannot be read: %s", error)
        self._is_blind = True
