"""How an event leaves the app that saw it, without that app knowing who listens."""

from __future__ import annotations

import time
from typing import Final

from django.dispatch import Signal

from redundancy.core.events import Detail, Event, EventKind, Severity

#: Sent with ``event``; receivers return at once (they put it into a bounded queue).
event_emitted: Final = Signal()


def emit(
    kind: EventKind,
    code: str,
    severity: Severity,
    source: str,
    message: str,
    *,
    user: str = "",
    **details: Detail,
) -> None:
    """Report something that happened now."""
    event = Event(time.time_ns(), kind, code, severity, source, message, user, details)
    event_emitted.send(sender=Event, event=event)
