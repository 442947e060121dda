"""Reads of the chronicle, spool first.

An event is visible as soon as its process has written it to its spool file, whether or not the
jobs worker or the database live. With the database away the spool files alone are shown: they hold
what is not drained yet, and as much of the past as the files that are still written to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from django.db import DatabaseError
from django.db.models import Q, QuerySet

from diagnostics.core.chronicle import Query, Record, in_order, merged, stored_window, window
from diagnostics.models import ChronicleEvent, SpoolOffset
from diagnostics.patience import short_patience
from diagnostics.receivers import spool_folder
from diagnostics.records import from_row, instant
from diagnostics.spool_files import boot_of, read_part, spool_files

log = logging.getLogger(__name__)

#: How many spooled lines one listing reads; normally there are a few. Newest files first.
SPOOLED_LIMIT: Final = 20_000
#: How long a listing waits for a locked database before it shows the spool alone.
PATIENCE_MS: Final = 500
CHUNK: Final = 1_000


class Listing:
    """The events that a query asks for: sliced and counted like a query set.

    ``is_spool_only`` tells that the database did not answer.
    """

    def __init__(self, query: Query, folder: Path | None = None) -> None:
        self.query = query
        self.is_spool_only = False
        with short_patience(PATIENCE_MS):
            spooled = self._spooled(folder or spool_folder())
            try:
                spooled = _not_stored(spooled)
                self._stored_count = _rows(query).count()
            except DatabaseError as error:
                self._go_without(error)
        self._fresh = in_order(spooled, query)

    def count(self) -> int:
        """How many events match, drained or not."""
        return self._stored_count + len(self._fresh)

    def __getitem__(self, part: slice) -> list[Record]:
        start = part.start or 0
        stop = self.count() if part.stop is None else part.stop
        stored: list[Record] = []
        if not self.is_spool_only:
            first, last = stored_window(start, stop, len(self._fresh))
            stored = [from_row(row) for row in _rows(self.query)[first:last]]
        return window(self._fresh, stored, start, stop, self.query)

    def __iter__(self) -> Iterator[Record]:
        """Every match, the stored rows in chunks: no long read keeps SQLite's log from ending."""
        return merged(self._fresh, self._stored(), self.query)

    def _stored(self) -> Iterator[Record]:
        if self.is_spool_only:
            return
        ids = list(_rows(self.query).values_list("id", flat=True))
        for first in range(0, len(ids), CHUNK):
            rows = ChronicleEvent.objects.in_bulk(ids[first : first + CHUNK])
            for row_id in ids[first : first + CHUNK]:
                if row_id in rows:  # else retention was quicker
                    yield from_row(rows[row_id])

    def _spooled(self, folder: Path) -> list[Record]:
        """What is not drained, by the offsets; everything there is if nobody knows them."""
        try:
            known = {offset.name: offset for offset in SpoolOffset.objects.all()}
        except DatabaseError as error:
            known = {}
            self._go_without(error)
        found: list[Record] = []
        for path in reversed(spool_files(folder)):
            if len(found) >= SPOOLED_LIMIT:
                break
            offset = known.get(path.name)
            start = offset.offset if offset and offset.boot == boot_of(path) else 0
            found += read_part(path, start, SPOOLED_LIMIT - len(found)).records
        return found

    def _go_without(self, error: DatabaseError) -> None:
        if not self.is_spool_only:
            log.info("the chronicle is shown from the spool alone: %s", error)
        self.is_spool_only = True
        self._stored_count = 0


def _rows(query: Query) -> QuerySet[ChronicleEvent]:
    rows = ChronicleEvent.objects.filter(_span(query) & _word(query.search))
    if query.kinds:
        rows = rows.filter(kind__in=query.kinds)
    if query.codes:
        rows = rows.filter(code__in=query.codes)
    if query.severities:
        rows = rows.filter(severity__in=query.severities)
    order = ("-at", "-seq", "-id") if query.newest_first else ("at", "seq", "id")
    return rows.order_by(*order)


def _span(query: Query) -> Q:
    span = Q()
    if query.since_ns is not None:
        span &= Q(at__gte=instant(query.since_ns))
    if query.until_ns is not None:
        span &= Q(at__lte=instant(query.until_ns))
    return span


def _word(word: str) -> Q:
    if not word:
        return Q()
    return (
        Q(message__icontains=word)
        | Q(source__icontains=word)
        | Q(code__icontains=word)
        | Q(user__icontains=word)
    )


def _not_stored(records: Sequence[Record]) -> list[Record]:
    """Those that a drain has not brought into the database meanwhile."""
    stored: set[int] = set()
    ids = [record.id for record in records]
    for first in range(0, len(ids), CHUNK):
        chunk = ChronicleEvent.objects.filter(id__in=ids[first : first + CHUNK])
        stored.update(chunk.values_list("id", flat=True))
    return [record for record in records if record.id not in stored]
