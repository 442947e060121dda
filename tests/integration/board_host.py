"""A process that behaves on the board as a pipe host does: ``python -m … BOARD INDEX``.

Lines on stdin: ``drain`` ends it in order. It writes ``ready`` once its loop turns.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from redundancy.board import Board
from redundancy.core.progress import HostState
from redundancy.processes import start_time


def main(board_file: str, index: str) -> None:
    board = Board.open_or_create(Path(board_file))
    slot = board.host(int(index))
    slot.occupy(os.getpid(), start_time(os.getpid()))
    slot.enter(HostState.RUNNING)
    slot.applied(12, board.generation)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        slot.progress()
        if board.reopen():
            slot.occupy(os.getpid(), start_time(os.getpid()))
            slot.enter(HostState.RUNNING)
    slot.enter(HostState.DRAINING)
    slot.vacate()


if __name__ == "__main__":
    main(*sys.argv[1:])
