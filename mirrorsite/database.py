"""The station's database, made and brought up to date by whichever command comes first."""

from __future__ import annotations

import fcntl

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor


def ensure_migrated() -> None:
    """Apply migrations that are missing; other processes that ask at the same time wait."""
    if _is_current():
        return
    with (settings.STATION.data_dir / "migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current():
            call_command("migrate", interactive=False, verbosity=0)


def _is_current() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())
