"""The chronicle with its real database file and its real spool files."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from diagnostics import receivers, services, tasks
from diagnostics.core.chronicle import Query, Record
from diagnostics.models import ChronicleEvent, SpoolOffset
from diagnostics.selectors import Listing
from diagnostics.spool import Spool
from mirrorsite.celery import app
from redundancy.core.events import Event, EventKind, Severity

pytestmark = pytest.mark.django_db(transaction=True)

DAY_NS = 86_400 * 10**9


def event(number: int = 0, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "at_ns": time.time_ns(),
        "kind": EventKind.PIPE,
        "code": "TEST",
        "severity": Severity.INFO,
        "source": "P1",
        "message": f"number {number}",
    }
    return Event(**fields | changes)


def messages(records: list[Record]) -> list[str]:
    return [record.message for record in records]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The station's spool folder, for this test alone."""
    made = tmp_path / "spool"
    for module in ("services", "selectors"):
        monkeypatch.setattr(f"diagnostics.{module}.spool_folder", lambda: made)
    return made


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    with receivers.using(Spool(folder, "pipes-1", station="REDOPC")) as made:
        yield made


class TestDrain:
    def test_drained_events_are_whole_and_in_order(self, spool: Spool) -> None:
        for number in range(1200):
            spool.append(event(number, user="anna", details={"attempts": number}))
        spool.flush()

        assert services.drain(5_000) == 1200
        rows = list(ChronicleEvent.objects.order_by("at", "seq"))
        assert [row.message for row in rows] == [f"number {number}" for number in range(1200)]
        assert (rows[7].station, rows[7].user, rows[7].details) == (
            "REDOPC",
            "anna",
            {"attempts": 7},
        )
        assert services.drain() == 0

    def test_a_drain_takes_no_more_than_its_limit_and_the_next_goes_on(self, spool: Spool) -> None:
        for number in range(900):
            spool.append(event(number))
        spool.flush()

        assert [services.drain(700), services.drain(700), services.drain(700)] == [700, 200, 0]
        assert ChronicleEvent.objects.count() == 900

    def test_draining_the_same_lines_twice_is_harmless(self, spool: Spool) -> None:
        for number in range(10):
            spool.append(event(number))
        spool.flush()
        services.drain()
        SpoolOffset.objects.all().delete()  # as after a restored backup

        assert services.drain() == 10
        assert ChronicleEvent.objects.count() == 10

    def test_a_drain_that_was_overtaken_stores_nothing_twice(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(10):
            spool.append(event(number))
        spool.flush()
        services.drain(3)
        real_store = services._store

        def overtaken_store(*arguments: Any) -> None:
            monkeypatch.setattr(services, "_store", real_store)
            services.drain()
            real_store(*arguments)

        monkeypatch.setattr(services, "_store", overtaken_store)
        services.drain()

        assert sorted(ChronicleEvent.objects.values_list("seq", flat=True)) == list(range(1, 11))

    def test_a_finished_file_goes_and_one_that_is_written_to_stays(
        self, folder: Path, spool: Spool
    ) -> None:
        ended = Spool(folder, "web", station="REDOPC")
        ended.append(event(1))
        ended.close()
        spool.append(event(2))
        spool.flush()

        services.drain()
        assert [path.name for path in folder.iterdir()] == ["pipes-1-1.jsonl"]
        assert list(SpoolOffset.objects.values_list("name", flat=True)) == ["pipes-1-1.jsonl"]

    def test_a_later_file_of_the_same_name_is_read_from_its_beginning(self, folder: Path) -> None:
        for number in range(2):
            once = Spool(folder, "web", station="REDOPC")
            once.append(event(number))
            once.close()
            services._drain_file(folder / "web-1.jsonl", 100)
            stale = SpoolOffset(name="web-1.jsonl", boot=once.boot, offset=10_000)
            stale.save()  # as if the row had outlived its file
            (folder / "web-1.jsonl").unlink(missing_ok=True)

        assert ChronicleEvent.objects.count() == 2

    def test_half_a_line_of_a_killed_writer_does_not_hold_the_file(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        killed = Spool(folder, "web", station="REDOPC")
        killed.append(event(1))
        killed.close()
        file = folder / "web-1.jsonl"
        file.write_bytes(file.read_bytes() + b'{"process":"web","bo')

        services.drain()
        assert ChronicleEvent.objects.count() == 1
        assert not file.exists()
        assert "unfinished line" in caplog.text

    def test_a_file_of_rubbish_is_passed(self, folder: Path, spool: Spool) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "rubbish-1.jsonl").write_bytes(b"\x00\xff\n" * 50 + b"[]\n")
        spool.append(event(1))
        spool.flush()

        services.drain()
        assert ChronicleEvent.objects.count() == 1
        assert not (folder / "rubbish-1.jsonl").exists()

    def test_a_file_that_cannot_be_read_holds_up_no_other(
        self, folder: Path, spool: Spool, caplog: pytest.LogCaptureFixture
    ) -> None:
        spool.append(event(1))
        spool.flush()
        (folder / "create_user-1.jsonl").mkdir()  # opening it fails, also for root

        services.drain()
        services.drain()
        assert ChronicleEvent.objects.count() == 1
        assert Listing(Query()).count() == 1
        assert caplog.text.count("create_user-1.jsonl cannot be read") == 1

    @pytest.mark.parametrize("text", ["\x00", "\ud800", "' OR 1=1 --", "<img onerror=x>", "🔥"])
    def test_a_hostile_text_is_stored_and_found(self, spool: Spool, text: str) -> None:
        spool.append(event(message=f"name {text}", details={text: text, "nan": float("nan")}))
        spool.flush()

        services.drain()
        (row,) = ChronicleEvent.objects.all()
        assert row.message.startswith("name ")
        assert row.details["nan"] == "nan"


class TestListing:
    def test_an_event_is_listed_before_and_after_it_is_drained_with_one_id(
        self, spool: Spool
    ) -> None:
        spool.append(event(1))
        spool.flush()

        (before,) = Listing(Query())[0:10]
        services.drain()
        (after,) = Listing(Query())[0:10]
        assert before.id == after.id
        assert ChronicleEvent.objects.get().id == before.id

    def test_drained_and_fresh_events_make_one_list_without_doubles(self, spool: Spool) -> None:
        for number in range(30):
            spool.append(event(number))
            if number in {9, 19}:
                spool.flush()
                services.drain()
        spool.flush()
        listing = Listing(Query())

        paged = [record for start in range(0, 35, 7) for record in listing[start : start + 7]]
        assert listing.count() == 30
        assert messages(paged) == [f"number {number}" for number in range(29, -1, -1)]
        assert list(listing) == paged

    def test_filters_hold_for_both_parts(self, spool: Spool) -> None:
        for part in range(2):
            spool.append(event(part, kind=EventKind.SERVER, code="SERVER_LOST", source="PLC1"))
            spool.append(event(part, severity=Severity.HIGH, message="a valve is stuck"))
            spool.flush()
            if not part:
                services.drain()

        assert Listing(Query(kinds=frozenset({EventKind.SERVER}))).count() == 2
        assert Listing(Query(codes=frozenset({"SERVER_LOST"}))).count() == 2
        assert Listing(Query(severities=frozenset({Severity.HIGH}))).count() == 2
        assert Listing(Query(search="VALVE")).count() == 2
        assert Listing(Query(search="plc1")).count() == 2
        assert Listing(Query(search="nothing")).count() == 0

    def test_a_span_includes_both_ends(self, spool: Spool) -> None:
        base = 1_764_000_000 * 10**9
        for number in range(4):
            spool.append(event(number, at_ns=base + number * 10**9))
            spool.flush()
            if number == 1:
                services.drain()

        found = Listing(Query(since_ns=base + 10**9, until_ns=base + 2 * 10**9, newest_first=False))
        assert messages(list(found)) == ["number 1", "number 2"]

    def test_a_file_that_goes_while_it_is_listed_costs_nothing(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.append(event(1))
        spool.flush()
        real = Listing._spooled

        def drained_in_between(self: Listing, place: Path) -> list[Record]:
            found = real(self, place)
            services.drain()
            return found

        monkeypatch.setattr(Listing, "_spooled", drained_in_between)
        listing = Listing(Query())
        assert (listing.count(), messages(listing[0:9])) == (1, ["number 1"])


class TestAcknowledge:
    def test_an_event_that_is_only_spooled_is_drained_and_acknowledged(self, spool: Spool) -> None:
        spool.append(event(1))
        spool.flush()
        (fresh,) = Listing(Query())[0:1]

        record = services.acknowledge(fresh.id, "anna")
        assert record.acknowledged_by == "anna"
        assert record.acknowledged_at_ns is not None
        spool.flush()
        (newest,) = Listing(Query())[0:1]
        assert (newest.code, newest.user, newest.details["event"]) == (
            "EVENT_ACKNOWLEDGED",
            "anna",
            fresh.id,
        )

    def test_the_first_acknowledgement_stays(self, spool: Spool) -> None:
        spool.append(event(1))
        spool.flush()
        services.drain()
        row_id = ChronicleEvent.objects.get().id

        first = services.acknowledge(row_id, "anna")
        second = services.acknowledge(row_id, "bert")
        assert second == first

    def test_what_does_not_exist_cannot_be_acknowledged(self, folder: Path) -> None:
        with pytest.raises(services.EventNotFoundError):
            services.acknowledge(12345, "anna")


class TestRetention:
    def test_old_events_and_the_oldest_beyond_the_limit_go(self, spool: Spool) -> None:
        now = time.time_ns()
        for days in range(10):
            spool.append(event(days, at_ns=now - days * DAY_NS))
        spool.flush()
        services.drain()

        assert services.retain(days=7, rows=4) == 6
        left = ChronicleEvent.objects.order_by("-at").values_list("message", flat=True)
        assert list(left) == ["number 0", "number 1", "number 2", "number 3"]
        assert services.retain(days=7, rows=4) == 0

    def test_what_was_removed_does_not_come_back_from_the_spool(self, spool: Spool) -> None:
        spool.append(event(1, at_ns=time.time_ns() - 100 * DAY_NS))
        spool.flush()
        services.drain()
        services.retain()

        services.drain()
        assert ChronicleEvent.objects.count() == 0
        assert Listing(Query()).count() == 0

    def test_offsets_of_files_that_are_gone_are_forgotten(self, folder: Path) -> None:
        SpoolOffset.objects.create(name="web-1.jsonl", boot="b", offset=5)

        services.retain()
        assert not SpoolOffset.objects.exists()


class TestTasks:
    def test_the_tasks_drain_and_retain(self, spool: Spool) -> None:
        spool.append(event(1))
        spool.append(event(2, at_ns=time.time_ns() - 100 * DAY_NS))
        spool.flush()

        tasks.drain_spool()
        assert ChronicleEvent.objects.count() == 2
        tasks.retain()
        assert ChronicleEvent.objects.count() == 1

    def test_the_tasks_expire_and_are_for_the_jobs_worker(self) -> None:
        for name in ("diagnostics.drain_spool", "diagnostics.retain"):
            task = app.tasks[name]
            assert task.expires
            assert app.amqp.router.route({}, name)["queue"].name == "jobs"
            assert not task.acks_late


@pytest.fixture
def database_file(tmp_path: Path, transactional_db: None) -> Iterator[Path]:
    """The chronicle's tables in a database file of its own, so that somebody else can lock it."""
    place = tmp_path / "db.sqlite3"
    shared = connections["default"]
    own = type(shared)({**shared.settings_dict, "NAME": str(place)}, "default")
    connections["default"] = own
    try:
        with own.schema_editor() as editor:
            editor.create_model(ChronicleEvent)
            editor.create_model(SpoolOffset)
        yield place
    finally:
        own.close()
        connections["default"] = shared


class TestDatabaseAway:
    @pytest.mark.skipif(connection.vendor != "sqlite", reason="locks a database file")
    def test_with_a_database_locked_for_ten_seconds_nothing_is_lost_and_all_is_seen(
        self, spool: Spool, database_file: Path
    ) -> None:
        spool.append(event(0))
        spool.flush()
        services.drain()
        blocker = sqlite3.connect(database_file, isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        released = threading.Event()
        timer = threading.Timer(10.0, lambda: (blocker.execute("ROLLBACK"), released.set()))
        timer.start()
        waited = []
        number = 0
        try:
            while not released.is_set():
                for _ in range(20):
                    number += 1
                    spool.append(event(number))
                    spool.flush()
                    started = time.monotonic()
                    newest = Listing(Query())[0:1]
                    waited.append(time.monotonic() - started)
                    assert messages(newest) == [f"number {number}"]
                tasks.drain_spool()  # waits for the lock, gives up, says so once
        finally:
            timer.join()
            blocker.close()

        tasks.drain_spool()
        assert ChronicleEvent.objects.count() == number + 1
        assert sorted(waited)[len(waited) // 2] < 1.0

    def test_without_a_database_the_spool_is_shown_alone(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.append(event(1))
        spool.flush()
        services.drain()
        spool.append(event(2))
        spool.flush()

        def refuse(*arguments: object) -> None:
            raise DatabaseError("disk I/O error")

        with connection.execute_wrapper(refuse):
            listing = Listing(Query())
            assert listing.is_spool_only
            assert messages(listing[0:10]) == ["number 2", "number 1"]
            assert messages(list(listing)) == ["number 2", "number 1"]

    def test_a_drain_without_a_database_is_said_once_and_loses_nothing(
        self, spool: Spool, caplog: pytest.LogCaptureFixture
    ) -> None:
        spool.append(event(1))
        spool.flush()

        def refuse(*arguments: object) -> None:
            raise DatabaseError("disk I/O error")

        with connection.execute_wrapper(refuse):
            tasks.drain_spool()
            tasks.drain_spool()
        tasks.drain_spool()
        assert caplog.text.count("stay in the spool") == 1
        assert ChronicleEvent.objects.count() == 1


def test_the_clock_of_rows_is_exact_to_the_microsecond(spool: Spool) -> None:
    at = dt.datetime(2026, 11, 24, 10, 0, 0, 123_457, tzinfo=dt.UTC)
    spool.append(event(at_ns=round(at.timestamp()) * 10**9 + 123_457_999))
    spool.flush()
    services.drain()

    assert ChronicleEvent.objects.get().at == at
    assert timezone.is_aware(ChronicleEvent.objects.get().at)
