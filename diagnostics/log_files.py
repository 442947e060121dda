"""The ends of the station's log files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from diagnostics.core.log_lines import instant_key, is_at_least, parse_log_line

#: How much of each file's end is read.
TAIL_BYTES: Final = 1024 * 1024


def log_processes() -> list[str]:
    """The processes that have a log file."""
    return sorted(path.stem for path in _folder().glob("*.log"))


def newest_lines(processes: list[str], level: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest ``limit`` lines of some processes, newest first; ``level`` and more urgent."""
    entries = [
        parse_log_line(line, process)
        for process in processes
        for line in _tail(_folder() / f"{process}.log")
    ]
    found = [entry for entry in entries if level is None or is_at_least(entry, level)]
    found.sort(key=instant_key)
    return found[-limit:][::-1]


def _folder() -> Path:
    folder: Path = settings.STATION.data_dir / "logs"
    return folder


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    whole = lines[1:] if size > TAIL_BYTES else lines
    return [line.decode("utf-8", "replace") for line in whole if line.strip()]
