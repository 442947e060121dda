"""Waiting less for a locked database than writers do, where a late answer is worth nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError, connection


@contextlib.contextmanager
def short_patience(milliseconds: int) -> Iterator[None]:
    """Let this thread's connection wait at most so long for a lock of SQLite, meanwhile.

    A database that does not even take that setting is left to say so at the first query.
    """
    before: int | None = None
    if connection.vendor == "sqlite":
        with contextlib.suppress(DatabaseError):
            before = _busy_timeout(milliseconds)
    try:
        yield
    finally:
        if before is not None:
            with contextlib.suppress(DatabaseError):
                _busy_timeout(before)


def _busy_timeout(milliseconds: int) -> int:
    with connection.cursor() as cursor:
        before = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds:d}")
    return int(before)
