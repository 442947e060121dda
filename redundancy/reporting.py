"""How a supervisor reports: a code and its facts become an event and one line of the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from redundancy.core.codes import Code
from redundancy.core.events import Detail, Severity
from redundancy.signals import emit

log = logging.getLogger(__name__)

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.LOW: logging.WARNING,
    Severity.HIGH: logging.ERROR,
    Severity.CRITICAL: logging.CRITICAL,
}


class Reporter:
    """Reports for one station; the facts become the event's details."""

    def __init__(self, station: str, send: Callable[..., None] = emit) -> None:
        self.station = station
        self._send = send

    def report(self, code: Code, *, user: str = "", **facts: Detail) -> None:
        sentence = code.sentence(**{"station": self.station, **facts})
        log.log(_LEVELS[code.severity], "%s: %s", code.name, sentence)
        self._send(code.kind, code.name, code.severity, self.station, sentence, user=user, **facts)
