"""What the parts of a station report: one frozen record, whatever the part.

An event is something that happened, for the chronicle. Its ``code`` is a reason enum's name, never
free text; ``message`` is the sentence that a person reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Detail = str | int | float | bool | None


class EventKind(StrEnum):
    """What part of the station an event speaks of; stored values never change."""

    SWITCHOVER = "switchover"
    ROLE = "role"
    LINK = "link"
    SERVER = "server"
    PIPE = "pipe"
    ITEM = "item"
    CONFIGURATION = "configuration"
    OPERATOR = "operator"
    SECURITY = "security"
    STATION = "station"


class Severity(StrEnum):
    """How much an event matters; in OPC UA terms 100, 300, 600 and 900 (Part 5, 6.4.2)."""

    INFO = "info"
    LOW = "low"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; ``at_ns`` is UTC in nanoseconds since 1970."""

    at_ns: int
    kind: EventKind
    code: str
    severity: Severity
    source: str
    message: str
    user: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)
