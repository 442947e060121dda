"""Looks for a newer configuration: a level, so that a lost word makes things later, never wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from redundancy.board import Board
from redundancy.side_thread import SideThread
from redundancy.surroundings import Surroundings

ANSWER_SECONDS: Final = 6.0  # a locked database answers, late


class RevisionWatch:
    """Knows the newest revision, and turns news into a new generation on the board."""

    def __init__(self, board: Board, surroundings: Surroundings) -> None:
        self.newest = 0
        self._board = board
        self._surroundings = surroundings

    def poke(self, revision: int) -> int:
        """Somebody saved ``revision`` (0: something else that hosts should look at again)."""
        self.newest = max(self.newest, revision)
        return self._board.raise_generation()

    async def poll(self, look: Callable[[], int] | None, every_seconds: float) -> None:
        """Ask for the newest revision for ever; what the database answers is its health."""
        if look is None:
            return
        thread = SideThread("newest-revision")
        try:
            while True:
                try:
                    found = await thread.call(look, ANSWER_SECONDS)
                except Exception as error:  # noqa: BLE001 - any fault of a database is a finding
                    self._surroundings.enter("database", str(error) or type(error).__name__)
                else:
                    self._surroundings.enter("database", "")
                    if found > self.newest:
                        self.poke(found)
                await asyncio.sleep(every_seconds)
        finally:
            thread.close()
