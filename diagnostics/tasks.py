"""Housekeeping of the chronicle, on the jobs worker's queue. Doing it twice is harmless.

The supervisor's timers ask for these; a request that waited too long is dropped, the next is near.
"""

from __future__ import annotations

import logging
from typing import Final

from celery import shared_task
from django.db import DatabaseError

from diagnostics import services

log = logging.getLogger(__name__)

#: Tasks carry intent, never life: less than 3 s each.
DRAIN_SECONDS: Final = 2.0

_is_failing = False


@shared_task(name="diagnostics.drain_spool", expires=10, ignore_result=True)
def drain_spool() -> None:
    """Bring what the processes have spooled into the chronicle."""
    global _is_failing  # noqa: PLW0603 - one line when it breaks, one when it recovers
    try:
        services.drain_for(DRAIN_SECONDS)
    except DatabaseError as error:
        if not _is_failing:
            log.warning("the chronicle cannot be written, events stay in the spool: %s", error)
        _is_failing = True
    else:
        if _is_failing:
            log.warning("the chronicle is written again")
        _is_failing = False


@shared_task(name="diagnostics.retain", expires=600, ignore_result=True)
def retain() -> None:
    """Remove what the chronicle need not keep any longer."""
    removed = services.retain()
    if removed:
        log.info("removed %d old events from the chronicle", removed)
