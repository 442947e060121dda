"""What others hear of a new revision: the supervisor at once, the chronicle as an event.

Both are best effort. The database holds what is wanted and the supervisor looks at it regularly, so
a notice that gets lost makes the change later, never wrong.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import transaction

from pipes.core.plan import Plan
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

log = logging.getLogger(__name__)

SUPERVISOR_SECONDS = 1.0


def revision_made(plan: Plan, *, user: str) -> None:
    """Tell of ``plan``, applied, as soon as its transaction is durable."""
    transaction.on_commit(lambda: _tell(plan, user))


def _tell(plan: Plan, user: str) -> None:
    counts = plan.counts
    said = ", ".join(f"{counts[word]} {past}" for word, past in _PAST.items() if counts[word])
    emit(
        EventKind.CONFIGURATION,
        "REVISION_APPLIED",
        Severity.INFO,
        "configuration",
        f"revision {plan.revision}: {said}",
        user=user,
        revision=plan.revision,
    )
    _poke_supervisor(plan.revision)


_PAST = {"add": "added", "change": "changed", "delete": "deleted"}


def _poke_supervisor(number: int | None) -> None:
    from redundancy.command import CommandError, CommandUnavailable, call

    path = settings.STATION.supervisor_socket
    try:
        call(path, "configuration_changed", {"revision": number}, timeout=SUPERVISOR_SECONDS)
    except (CommandUnavailable, CommandError) as error:
        log.debug("the supervisor was not told of revision %s: %s", number, error)
