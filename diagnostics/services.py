"""Writes to the chronicle: from the spool files, acknowledgements, retention."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from django.db import transaction
from django.utils import timezone

from diagnostics.core.chronicle import Record
from diagnostics.models import ChronicleEvent, SpoolOffset
from diagnostics.receivers import spool_folder
from diagnostics.records import from_row, to_row
from diagnostics.spool_files import boot_of, finished_size, read_part, spool_files
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

log = logging.getLogger(__name__)

#: Rows in one write transaction: other writers wait for a few tens of milliseconds at most.
BATCH: Final = 250


class EventNotFoundError(LookupError):
    """No event of the chronicle has this id, stored or spooled."""


class _Overtaken(Exception):  # noqa: N818 - not a fault: somebody else drained the same lines
    pass


def drain(limit: int = 2_000, folder: Path | None = None) -> int:
    """Bring up to ``limit`` spooled events into the database; returns how many lines it read.

    Rows and the place reached in the file are one transaction, and a row's id is made from its
    origin: two drains at once, or a crash at any point, neither lose nor double an event. Files
    that are read to their end and have no writer any more are removed.

    Raises:
        django.db.DatabaseError: the database is away or locked; nothing is lost.

    """
    drained = 0
    for path in spool_files(folder or spool_folder()):
        if drained >= limit:
            break
        drained += _drain_file(path, limit - drained)
    return drained


def _drain_file(path: Path, limit: int) -> int:
    boot = boot_of(path)
    offset = _offset(path, boot)
    drained = 0
    try:
        while drained < limit:
            part = read_part(path, offset, min(BATCH, limit - drained))
            if part.end == offset:
                if part.is_readable:
                    _remove_finished(path, offset)
                break
            _store(path.name, boot, offset, part.end, part.records)
            drained += len(part.records) + part.damaged
            offset = part.end
    except _Overtaken:
        log.info("%s is drained by another process too", path.name)
    return drained


def _offset(path: Path, boot: str) -> int:
    found = SpoolOffset.objects.filter(name=path.name, boot=boot).first()
    return 0 if found is None else found.offset


def _store(name: str, boot: str, start: int, end: int, records: Sequence[Record]) -> None:
    with transaction.atomic():
        if start:
            here = SpoolOffset.objects.filter(name=name, boot=boot, offset=start)
            if not here.update(offset=end):
                raise _Overtaken
        else:
            SpoolOffset.objects.update_or_create(name=name, defaults={"boot": boot, "offset": end})
        ChronicleEvent.objects.bulk_create(
            [to_row(record) for record in records], ignore_conflicts=True
        )


def _remove_finished(path: Path, offset: int) -> None:
    with finished_size(path) as size:
        if size is None:
            return
        rest = read_part(path, offset, 1)  # its writer may have written last before it ended
        if rest.end != offset or not rest.is_readable:
            return
        if size > offset:
            log.warning("%s ends in %d bytes of an unfinished line", path.name, size - offset)
        # In this order: a crash in between reads the file again, which is harmless; the other
        # way round a later file of the same name would begin in its middle.
        SpoolOffset.objects.filter(name=path.name).delete()
        path.unlink(missing_ok=True)


def acknowledge(event_id: int, user: str) -> Record:
    """Note that ``user`` has seen an event; an event that was acknowledged stays as it is.

    Raises:
        EventNotFoundError: nothing has this id, also not the spool files.

    """
    row = ChronicleEvent.objects.filter(id=event_id).first()
    while row is None:
        if not drain():
            raise EventNotFoundError(f"the chronicle has no event {event_id}")
        row = ChronicleEvent.objects.filter(id=event_id).first()
    fresh = ChronicleEvent.objects.filter(id=event_id, acknowledged_at=None)
    if fresh.update(acknowledged_at=timezone.now(), acknowledged_by=user):
        emit(
            EventKind.OPERATOR,
            "EVENT_ACKNOWLEDGED",
            Severity.INFO,
            row.source,
            f"{user} acknowledged {row.code} of {row.source}",
            user=user,
            event=event_id,
        )
    row.refresh_from_db()
    return from_row(row)


def retain(days: int = 90, rows: int = 200_000) -> int:
    """Remove events older than ``days`` and the oldest beyond ``rows``; returns how many.

    In short transactions, so that a busy station's other writers hardly notice.
    """
    removed = _remove_all_before(timezone.now() - dt.timedelta(days=days))
    excess = ChronicleEvent.objects.count() - rows
    while excess > 0:
        oldest = ChronicleEvent.objects.order_by("at", "seq", "id")[: min(BATCH, excess)]
        gone = _remove(list(oldest.values_list("id", flat=True)))
        if not gone:
            break  # somebody else retains too
        excess -= gone
        removed += gone
    _forget_vanished_files()
    return removed


def _remove_all_before(limit: dt.datetime) -> int:
    removed = 0
    while True:
        old = ChronicleEvent.objects.filter(at__lt=limit).values_list("id", flat=True)[:BATCH]
        gone = _remove(list(old))
        removed += gone
        if not gone:
            return removed


def _remove(ids: Sequence[int]) -> int:
    count, _ = ChronicleEvent.objects.filter(id__in=ids).delete()
    return count


def _forget_vanished_files() -> None:
    present = [path.name for path in spool_files(spool_folder())]
    SpoolOffset.objects.exclude(name__in=present).delete()


def drain_for(seconds: float) -> int:
    """Drain until nothing is left or ``seconds`` are over; returns how many lines."""
    deadline = time.monotonic() + seconds
    total = 0
    while True:
        drained = drain()
        total += drained
        if not drained or time.monotonic() >= deadline:
            return total
