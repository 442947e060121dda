"""Floods the log of a pipe worker, with debug on for everything else in it.

On PYTHONPATH of a station's processes; the file named by TEST_FLOOD_FILE says how many lines a
second a thread of the worker writes, by the handlers that its event loop uses as well.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

_file = Path(os.environ["TEST_FLOOD_FILE"])
TURN = 0.05
TEXT = "x" * 2000


def lines_per_second() -> float:
    try:
        return float(_file.read_text() or 0)
    except (OSError, ValueError):
        return 0.0


def flood() -> None:
    """Write the lines, and let the loop's own debug lines through while the flood lasts."""
    log = logging.getLogger("flood")
    while True:
        rate = lines_per_second()
        root = logging.getLogger()
        if root.handlers:
            root.setLevel(logging.DEBUG if rate else logging.INFO)
        for number in range(int(rate * TURN)):
            log.debug("%d %s", number, TEXT)
        time.sleep(TURN)


if "--role" in sys.orig_argv and "pipes" in sys.orig_argv:
    threading.Thread(target=flood, daemon=True).start()
