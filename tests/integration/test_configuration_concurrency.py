"""Writers that meet, and databases that cannot be used, with a database file of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from pipes import commits, services, store
from pipes.models import Item
from tests.integration.file_station import file_station
from tests.integration.plants import make_plant


@pytest.fixture
def station(tmp_path: Path, monkeypatch: Any, django_db_blocker: Any) -> Iterator[Path]:
    with django_db_blocker.unblock(), file_station(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.mark.usefixtures("station")
class TestWriters:
    def test_a_locked_database_is_busy_within_six_seconds(self, station: Path) -> None:
        make_plant(1)
        with closing(sqlite3.connect(station / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            started = time.monotonic()
            with pytest.raises(services.Busy, match="locked"):
                services.change_item(1, {"note": "x"}, user="u")
            assert time.monotonic() - started < 6
            assert services.document()["items"]
            other.execute("ROLLBACK")
        assert Item.objects.get().note == ""
        assert services.change_item(1, {"note": "x"}, user="u").revision == 2

    def test_a_long_plan_leaves_less_patience_for_the_lock(
        self, station: Path, monkeypatch: Any
    ) -> None:
        make_plant(1)
        monkeypatch.setattr(commits, "ANSWER_SECONDS", 0)
        with closing(sqlite3.connect(station / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with pytest.raises(services.Busy):
                services.change_item(1, {"note": "x"}, user="u")
            assert time.monotonic() - started < 4
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA busy_timeout").fetchone() == (5000,)

    def test_writers_at_the_same_time_make_one_revision_each(self) -> None:
        make_plant(4)
        failures: list[BaseException] = []

        def write(item: int) -> None:
            try:
                services.change_item(item, {"note": f"by {item}"}, user="u")
            except BaseException as error:  # shown by the assertion below
                failures.append(error)
            finally:
                connection.close()

        writers = [threading.Thread(target=write, args=(item,)) for item in range(1, 5)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(30)
        assert failures == []
        assert services.current_revision() == 5
        assert {item.note for item in Item.objects.all()} == {f"by {n}" for n in range(1, 5)}
        assert services.digest() == services.digest(services.document())

    def test_a_moved_configuration_is_planned_again_or_stale(self, monkeypatch: Any) -> None:
        make_plant(1)
        read, calls = store.read, []

        def read_then_move() -> store.State:
            state = read()
            calls.append(state.configuration.revision)
            if len(calls) == 1:
                services.change_item(1, {"note": "first"}, user="other")
            return state

        monkeypatch.setattr(store, "read", read_then_move)
        services.change_item(1, {"enabled": False}, user="u")
        assert calls == [1, 1, 2]
        assert (Item.objects.get().note, Item.objects.get().enabled) == ("first", False)

    def test_a_writer_that_never_gets_its_turn_is_told_so(self, monkeypatch: Any) -> None:
        make_plant(1)
        monkeypatch.setattr(store, "write", _always_moved)
        with pytest.raises(services.Busy, match="by others"):
            services.change_item(1, {"note": "x"}, user="u")

    def test_a_database_that_cannot_be_used_is_unavailable(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE pipes_revision")
        with pytest.raises(services.Unavailable, match="cannot be used now"):
            services.current_revision()


def _always_moved(*_: Any, **__: Any) -> None:
    raise store.MovedError
