"""What a launcher shows: its few lines on stdout, its children's log lines on stderr.

A terminal that does not take output must never hold up a child, so log lines wait in a bounded
queue for a thread of their own. Overflow ``drop newest``: it is counted, and the count is shown
when there is room again.
"""

from __future__ import annotations

import queue
import sys
import threading
from typing import Final, TextIO

QUEUE_LINES: Final = 2_000
_COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class Console:
    def __init__(self, out: TextIO | None = None, log: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._log = log or sys.stderr
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._lost = 0
        self._colours: dict[str, str] | None = {} if self._log.isatty() else None
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """A line for programs and people, at its start and without a prefix, on stdout."""
        try:
            print(line, file=self._out, flush=True)
        except BrokenPipeError:
            self.log("launcher", f"nobody reads stdout; it said: {line}")

    def log(self, name: str, line: str) -> None:
        """One line of the process ``name``, such as ``REDOPC/pipes-1``."""
        self.pass_on(f"{self._prefix(name)} {line}")

    def pass_on(self, line: str) -> None:
        """A log line that has its prefix already."""
        try:
            if self._lost:
                self._lines.put_nowait(
                    f"… {self._lost} lines were not shown: the output is not read"
                )
                self._lost = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what is waiting, if the output takes it within a second."""
        try:
            self._lines.put(None, timeout=0.2)
        except queue.Full:
            return
        self._thread.join(timeout=1.0)

    def _prefix(self, name: str) -> str:
        text = f"{name:<18} |"
        if self._colours is None:
            return text
        colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\x1b[{colour}m{text}\x1b[0m"

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._log.write(line + "\n")
                if self._lines.empty():
                    self._log.flush()
            except (OSError, ValueError):  # nobody is left to read it; the log files have it too
                return
