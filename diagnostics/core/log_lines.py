"""Lines of log files: one JSON document each, or whatever a library printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

#: From the least to the most urgent.
LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def parse_log_line(line: str, process: str) -> dict[str, Any]:
    """One line as an object with at least ``at``, ``level``, ``process`` and ``event``.

    What is not one of our JSON lines becomes its own ``event``, without instant and level.
    """
    try:
        document = json.loads(line, parse_constant=str)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return {"at": None, "level": None, "process": process, "event": line}
    known = {"at": None, "level": None, "process": process, "event": ""}
    return known | {str(name): value for name, value in document.items()}


def is_at_least(entry: Mapping[str, Any], level: str) -> bool:
    """Whether the line is as urgent as ``level``; a line without a level is not."""
    return entry["level"] in LEVELS[LEVELS.index(level) :]


def instant_key(entry: Mapping[str, Any]) -> str:
    """Sort key by time; ISO 8601 in UTC sorts as text, lines without an instant come first."""
    return str(entry["at"] or "")
