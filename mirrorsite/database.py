"""The station's database: made, brought up to date, and made anew when it is lost or damaged."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from pipes import backups
from pipes.last_good import database_path
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

REBUILT: Final = "DATABASE_REBUILT"


def ensure_migrated() -> None:
    """Apply migrations that are missing; other processes that ask at the same time wait."""
    if _is_current():
        return
    with _alone():
        if not _is_current():
            call_command("migrate", interactive=False, verbosity=0)


def make_usable() -> str | None:
    """Make a lost or damaged database anew and apply migrations; what was done, in a sentence.

    Raises:
        Exception: whatever the database says; it is as it was, or moved aside whole.

    """
    try:
        with _alone():
            done = backups.ensure_database()
        ensure_migrated()
    finally:
        connection.close()  # an open one would hold on to a file that is gone
    if done:
        emit(EventKind.STATION, REBUILT, Severity.HIGH, "database", done)
    return done


def is_lost(*, thorough: bool) -> bool:
    """Whether the database is gone, empty or damaged; a locked one is not.

    Cheap unless ``thorough``, which reads all of it (a tenth of a second for each 20 MB).
    """
    path = database_path()
    if path is None:
        return False
    if not path.exists():
        return True
    if thorough:
        return backups.find_fault(path) is not None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1)) as probe:
            probe.execute("SELECT max(number) FROM pipes_revision").fetchone()
    except sqlite3.OperationalError as error:
        return "no such table" in str(error)  # somebody made an empty one in place of the lost one
    except sqlite3.DatabaseError:
        return True
    return False


@contextmanager
def _alone() -> Iterator[None]:
    with (settings.STATION.data_dir / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_current() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
