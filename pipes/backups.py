"""Copies of the database in ``<data dir>/backups``, and the way back from a lost database.

A copy is made by SQLite's own backup, so it is whole whatever is being written meanwhile. A
database that is gone or damaged is made anew of the newest sound copy (accounts, chronicle) and the
last-good file (configuration, under the same ids); what is damaged is moved aside, never deleted.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from pipes import drafting, last_good, store
from pipes.core import configuration as core
from pipes.core.draft import Draft
from pipes.last_good import DamagedError, LastGood
from pipes.notices import revision_made
from pipes.refusals import Invalid

KEPT_BACKUPS: Final = 7
#: Copies are made at most so often, however often the station is started.
BACKUP_SECONDS: Final = 3000.0
REASON: Final = "rebuilt from last-good file"
USER: Final = "system"
_COPIES: Final = "database-*.sqlite3"
_PARTS: Final = ("", "-wal", "-shm")


def folder() -> Path:
    return Path(settings.STATION.data_dir) / "backups"


def back_up(at: datetime | None = None) -> Path:
    """Copy the database; of the copies the newest `KEPT_BACKUPS` stay.

    Raises:
        sqlite3.Error: the database cannot be read.
        OSError: the disk refused.

    """
    source = last_good.database_path()
    if source is None or not source.exists():
        raise FileNotFoundError(f"there is no database file {source} to copy")
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder() / f"database-{_stamp(at)}.sqlite3"
    draft = target.with_suffix(".part")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(draft)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    draft.replace(target)
    for old in sorted(folder().glob(_COPIES))[:-KEPT_BACKUPS]:
        old.unlink()
    return target


def _stamp(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%S%fZ")


def back_up_if_due(at: datetime | None = None) -> Path | None:
    """Copy the database unless a copy is younger than `BACKUP_SECONDS`; as `back_up`."""
    now = at or datetime.now(UTC)
    newest = max(folder().glob(_COPIES), default=None)
    age = BACKUP_SECONDS if newest is None else now.timestamp() - newest.stat().st_mtime
    return back_up(at) if not 0 <= age < BACKUP_SECONDS else None


def ensure_database() -> str | None:
    """Make a database that is gone or damaged anew; a sentence says what was done.

    Nothing is done (None) with a sound database, at a station's first start, and with a database
    server. The launcher calls this before it migrates.

    Raises:
        Invalid: the last-good file does not fit this version; the database is as in the backup.

    """
    path = last_good.database_path()
    if path is None:
        return None
    fault = find_fault(path)
    kept = _kept()
    if fault is None or (fault == MISSING and kept is None and not _sound_backup()):
        return None
    connection.close()
    done = [fault]
    copy = _sound_backup()
    if fault == MISSING:
        _move_aside(path)  # a journal that is left would be played into the new file
    elif fault != EMPTY or copy is not None:
        done.append(f"moved it to {_move_aside(path)}")
    if copy is not None:
        _copy(copy, path)
        done.append(f"took the backup {copy.name}")
    call_command("migrate", verbosity=0, interactive=False)
    done.append(_apply(kept))
    return "The database " + "; ".join(done) + "."


MISSING: Final = "was missing"
EMPTY: Final = "had lost its configuration"


def find_fault(path: Path) -> str | None:
    """What is wrong with the database file, in words that follow "The database"."""
    if not path.exists():
        return MISSING
    try:
        with closing(sqlite3.connect(path, timeout=5)) as probe:
            (found,) = probe.execute("PRAGMA quick_check(1)").fetchone()
            newest = _newest(probe)
    except sqlite3.OperationalError:
        return None  # locked, or not ours to open: no damage that a new file would mend
    except sqlite3.DatabaseError as error:
        return f"was damaged ({error})"
    if found != "ok":
        return f"was damaged ({found})"
    if newest > 0:
        return None
    kept = _kept()
    return EMPTY if kept is not None and kept.revision > 0 else None


def _newest(probe: sqlite3.Connection) -> int:
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'pipes_revision'"
    if not probe.execute(tables).fetchone()[0]:
        return 0
    return int(probe.execute("SELECT coalesce(max(number), 0) FROM pipes_revision").fetchone()[0])


def _kept() -> LastGood | None:
    try:
        return last_good.read_file()
    except (OSError, DamagedError):
        return None


def _sound_backup() -> Path | None:
    return next(_sound_backups(), None)


def _sound_backups() -> Iterator[Path]:
    for copy in sorted(folder().glob(_COPIES), reverse=True):
        try:
            with closing(sqlite3.connect(f"file:{copy}?mode=ro&immutable=1", uri=True)) as probe:
                if probe.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                    yield copy
        except sqlite3.Error:
            continue


def _move_aside(path: Path) -> Path:
    folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder() / f"damaged-{_stamp()}.sqlite3"
    for part in _PARTS:
        piece = path.with_name(path.name + part)
        if piece.exists():
            shutil.move(piece, aside.with_name(aside.name + part))
    return aside


def _copy(copy: Path, path: Path) -> None:
    for part in _PARTS[1:]:
        path.with_name(path.name + part).unlink(missing_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.copyfile(copy, draft)
    draft.chmod(0o600)
    draft.replace(path)


def _apply(kept: LastGood | None) -> str:
    """Make the last-good configuration the newest revision, under its own number."""
    if kept is None:
        return "there is no last-good configuration"
    state = store.read()
    present = state.configuration
    if kept.revision <= present.revision:
        return f"its revision {present.revision} is as new as the last-good file"
    draft = Draft(present)
    draft.refuses_findings = False  # what was running is recovered as it was
    drafting.put_document(draft, core.document(kept.configuration), drafting.REPLACE)
    for name, secret in kept.secrets.items():
        draft.new_secret(name, secret)
    plan = draft.plan()
    if plan.wrong:
        raise Invalid(plan.errors, plan)
    plan = replace(plan, next_item_id=max(plan.next_item_id, kept.next_item_id))
    made = store.write(state, plan, user=USER, reason=REASON, number=kept.revision)
    revision_made(made, user=USER)
    return f"revision {made.revision} was rebuilt from the last-good file"
