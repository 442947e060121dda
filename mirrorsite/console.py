"""What a launcher shows: its few lines on stdout, its children's log lines on stderr.

Both may be one file or one terminal, so a line goes out whole, with its end, by one write: lines
never mix. A terminal that does not take output must never hold up a child, so log lines wait in a
bounded queue for a thread of their own. Overflow ``drop newest``: it is counted, and the count is
shown when there is room again.
"""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
from typing import Final, TextIO

QUEUE_LINES: Final = 2_000
_COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class Console:
    def __init__(self, out: TextIO | None = None, log: TextIO | None = None) -> None:
        self._out = _Output(out or sys.stdout)
        self._log = _Output(log or sys.stderr)
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._lost = 0
        self._colours: dict[str, str] | None = {} if self._log.is_terminal else None
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """A line, or lines that stay together, for programs and people: unprefixed, on stdout."""
        try:
            self._out.write_line(text)
        except (OSError, ValueError):  # closed by its reader, or a full disk
            self.log("launcher", f"stdout does not take what it was told: {text}")

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
                self._log.write_line(line)
            except (OSError, ValueError):  # nobody is left to read it; the log files have it too
                return


class _Output:
    """A stream to which each line goes by one write of the system, past Python's buffers."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        try:
            self._descriptor = stream.fileno()
        except (OSError, ValueError, AttributeError):  # a stream in memory
            self._descriptor = -1

    def write_line(self, text: str) -> None:
        """Write ``text`` and the end of its line.

        Raises:
            OSError, ValueError: nobody reads it, there is no space, or the stream is closed.

        """
        self._stream.flush()
        if self._descriptor < 0:
            self._stream.write(f"{text}\n")
            return
        encoding = self._stream.encoding or "utf-8"
        rest = memoryview(f"{text}\n".encode(encoding, "backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # a terminal that another program left non-blocking
                select.select([], [self._descriptor], [])
