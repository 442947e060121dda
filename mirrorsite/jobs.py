"""The jobs worker's pulse: a file that the launcher watches, as it has no socket to ask."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any, Final

from celery import bootsteps
from django.conf import settings

log = logging.getLogger(__name__)

PULSE_SECONDS: Final = 2.0


def pulse_file() -> Path:
    path: Path = settings.STATION.run_dir / "jobs.pulse"
    return path


class PulseStep(bootsteps.StartStopStep):
    """Touches the pulse file by the worker's own timer, so that a frozen worker is noticed."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: Any, role: str | None = None, **options: Any) -> None:
        self._role = role
        self._entry: Any = None
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:  # noqa: ARG002 - Celery's signature
        return self._role == "jobs"

    def start(self, parent: Any) -> None:
        self._beat()
        self._entry = parent.timer.call_repeatedly(PULSE_SECONDS, self._beat)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        if self._entry is not None:
            self._entry.cancel()
        with contextlib.suppress(OSError):
            pulse_file().unlink(missing_ok=True)

    @staticmethod
    def _beat() -> None:
        try:
            pulse_file().touch(mode=0o600)
        except OSError as error:  # a full disk must not end the timer's thread
            log.warning("the pulse file could not be touched: %s", error)
