"""Which process a pid means: a pid is used again, a pid with its start time is not."""

from __future__ import annotations

from pathlib import Path

_START_TIME_AFTER_NAME = 19  # field 22 of proc(5) stat, counted after the name in brackets


def start_time(pid: int) -> int:
    """When process ``pid`` started, in clock ticks since boot; 0 if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.rpartition(")")[2].split()[_START_TIME_AFTER_NAME])
