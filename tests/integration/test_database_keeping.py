"""The launcher's look at the database, and copies that are made when they are due."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from mirrorsite import database
from pipes import backups, last_good, services
from redundancy.signals import event_emitted
from tests.integration.file_station import file_station
from tests.integration.plants import make_plant


@pytest.fixture(autouse=True)
def station(tmp_path: Path, monkeypatch: Any, django_db_blocker: Any) -> Iterator[Path]:
    with django_db_blocker.unblock(), file_station(tmp_path, monkeypatch) as folder:
        make_plant(2)
        last_good.load_wanted()
        connection.close()
        yield folder


def lose(station: Path) -> None:
    for part in ("", "-wal", "-shm"):
        (station / f"db.sqlite3{part}").unlink(missing_ok=True)


def damage(station: Path, at: int) -> None:
    with closing(sqlite3.connect(station / "db.sqlite3")) as writer:
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (station / "db.sqlite3").open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 65536)


def test_a_sound_database_is_not_lost() -> None:
    assert not database.is_lost(thorough=False)
    assert not database.is_lost(thorough=True)


def test_a_deleted_database_is_lost(station: Path) -> None:
    lose(station)
    assert database.is_lost(thorough=False)


def test_an_empty_file_in_its_place_is_a_lost_database(station: Path) -> None:
    lose(station)
    with closing(sqlite3.connect(station / "db.sqlite3")) as careless:
        careless.execute("PRAGMA user_version = 1")
    assert database.is_lost(thorough=False)


def test_a_damaged_head_is_seen_by_every_look(station: Path) -> None:
    damage(station, 0)
    assert database.is_lost(thorough=False)


def test_a_damaged_page_is_seen_by_a_thorough_look(station: Path) -> None:
    damage(station, 4096)
    assert database.is_lost(thorough=True)


def test_a_locked_database_is_not_lost(station: Path) -> None:
    with closing(sqlite3.connect(station / "db.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert not database.is_lost(thorough=False)
        assert not database.is_lost(thorough=True)


def test_a_database_that_cannot_be_opened_is_not_lost(station: Path) -> None:
    lose(station)
    (station / "db.sqlite3").mkdir()
    assert not database.is_lost(thorough=False)


def test_a_lost_database_is_made_anew_and_the_chronicle_hears_of_it(station: Path) -> None:
    before = services.digest()
    connection.close()
    lose(station)
    heard: list[Any] = []

    def listen(*, event: Any, **_: object) -> None:
        heard.append(event)

    event_emitted.connect(listen)
    try:
        done = database.make_usable()
    finally:
        event_emitted.disconnect(listen)
    assert done is not None
    assert connection.connection is None, "it holds on to a file that can be lost again"
    assert (event := heard[-1]).code == "DATABASE_REBUILT"
    assert event.message == done
    assert services.digest() == before
    assert database.make_usable() is None


def test_a_journal_that_was_left_is_not_played_into_the_new_database(station: Path) -> None:
    holder = sqlite3.connect(station / "db.sqlite3")
    holder.execute("UPDATE pipes_item SET body = '{}'")
    holder.commit()
    (station / "db.sqlite3").unlink()
    assert (station / "db.sqlite3-wal").stat().st_size > 0
    assert database.make_usable() is not None
    holder.close()
    assert {item["pipe"] for item in services.document()["items"]} == {"P"}
    assert not database.is_lost(thorough=True)


def test_a_copy_is_made_at_most_once_within_its_time() -> None:
    first = backups.back_up_if_due()
    assert first is not None
    assert backups.back_up_if_due() is None
    later = datetime.now(UTC) + timedelta(seconds=backups.BACKUP_SECONDS)
    assert backups.back_up_if_due(later) is not None
    assert len(list(backups.folder().iterdir())) == 2


def test_a_copy_of_the_future_does_not_hinder_copies() -> None:
    first = backups.back_up_if_due()
    assert first is not None
    assert backups.back_up_if_due(datetime.now(UTC) - timedelta(hours=2)) is not None
