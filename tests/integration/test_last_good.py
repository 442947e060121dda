"""The last-good file, lost and damaged databases, and the ``config`` command, on real files."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from pipes import backups, last_good, secrets, services
from pipes.last_good import DamagedError, NothingWanted
from pipes.models import Item, Revision, Server
from tests.integration.file_station import file_station
from tests.integration.plants import A, document_of, make_plant, nodes


@pytest.fixture(autouse=True)
def station(tmp_path: Path, monkeypatch: Any, django_db_blocker: Any) -> Iterator[Path]:
    with django_db_blocker.unblock(), file_station(tmp_path, monkeypatch) as folder:
        yield folder


def lose_database(station: Path) -> None:
    connection.close()
    for part in ("", "-wal", "-shm"):
        (station / f"db.sqlite3{part}").unlink(missing_ok=True)


def damage_database(station: Path) -> None:
    """Flip pages: the head stays, so that it still looks like a database."""
    connection.close()
    with closing(sqlite3.connect(station / "db.sqlite3")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (station / "db.sqlite3").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 65536)


class TestLoading:
    def test_the_database_comes_first_and_is_kept_in_the_file(self, station: Path) -> None:
        make_plant(2)
        services.change_server("A", {"password": "geheim"}, user="u")
        wanted = last_good.load_wanted()
        assert (wanted.revision, wanted.servers["A"].password) == (2, "geheim")
        assert sorted(wanted.pipes["P"].items) == [1, 2]
        kept = last_good.read_file()
        assert (kept.revision, kept.digest) == (2, services.digest())
        assert kept.wanted() == wanted
        file = station / "last_good.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"geheim" not in file.read_bytes()
        assert [path.name for path in station.glob(".last_good*")] == []

    def test_without_a_database_the_file_counts(self, station: Path) -> None:
        make_plant(1)
        wanted = last_good.load_wanted()
        lose_database(station)
        assert last_good.load_wanted() == wanted
        assert last_good.newest_revision() == 1
        assert not (station / "db.sqlite3").exists()

    def test_with_a_damaged_database_the_file_counts(self, station: Path) -> None:
        make_plant(1)
        wanted = last_good.load_wanted()
        damage_database(station)
        assert last_good.load_wanted() == wanted
        assert last_good.newest_revision() == 1

    def test_a_database_that_lost_everything_is_not_believed(self, station: Path) -> None:
        make_plant(1)
        wanted = last_good.load_wanted()
        lose_database(station)
        call_command("migrate", verbosity=0)
        assert last_good.load_wanted() == wanted
        assert last_good.newest_revision() == 1

    def test_a_new_station_wants_nothing_yet(self) -> None:
        wanted = last_good.load_wanted()
        assert (wanted.revision, wanted.pipes) == (0, {})
        assert last_good.newest_revision() == 0

    def test_neither_is_a_defined_failure(self, station: Path) -> None:
        lose_database(station)
        with pytest.raises(NothingWanted, match="there is no database"):
            last_good.load_wanted()
        (station / "last_good.json").write_text("{}")
        with pytest.raises(NothingWanted, match="is no last-good configuration"):
            last_good.load_wanted()
        assert last_good.newest_revision() == 0

    def test_a_thread_of_its_own_closes_its_connection(self) -> None:
        make_plant(1)
        found: list[Any] = []

        def load() -> None:
            found.append(last_good.load_wanted().revision)
            found.append(connection.connection)

        thread = threading.Thread(target=load)
        thread.start()
        thread.join(30)
        assert found == [1, None]

    def test_a_lost_key_costs_the_password_not_the_pipe(
        self, station: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        services.create_server({**A, "password": "geheim"}, user="u")
        key = (station / "pki" / "secrets.key").read_bytes()
        secrets._fernet.cache_clear()
        (station / "pki" / "secrets.key").unlink()
        assert last_good.load_wanted().servers["A"].password == ""
        assert "password of server A" in caplog.text
        assert key.decode().strip() not in caplog.text


class TestFile:
    def test_an_older_revision_never_replaces_a_newer_one(self) -> None:
        make_plant(1)
        older = last_good.from_database()
        services.change_item(1, {"note": "x"}, user="u")
        newer = last_good.from_database()
        assert last_good.keep(newer)
        assert not last_good.keep(older)
        assert not last_good.keep(newer)
        assert last_good.read_file().revision == 2
        assert last_good.keep(replace(newer, secrets={"A": "x"}))

    def test_a_damaged_file_is_replaced(self, station: Path) -> None:
        make_plant(1)
        (station / "last_good.json").write_bytes(b"\x00damaged")
        assert last_good.load_wanted().revision == 1
        assert last_good.read_file().revision == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text[: len(text) // 2],
            lambda text: text.replace("s=T1", "s=T2", 1),
            lambda text: text.replace('"version":1', '"version":2', 1),
            lambda text: text.replace('"mirrorsite-last-good"', '"else"'),
            lambda text: text.replace('"revision":1', '"revision":"1"'),
            lambda text: text.replace("[", "{", 1),
            lambda _: "",
            lambda _: "[" * 5000,
        ],
    )
    def test_whatever_is_damaged_is_seen(self, station: Path, change: Any) -> None:
        make_plant(1)
        last_good.load_wanted()
        file = station / "last_good.json"
        file.write_text(change(file.read_text()))
        with pytest.raises(DamagedError):
            last_good.read_file()

    def test_a_document_of_another_shape_is_seen(self) -> None:
        make_plant(1)
        found = last_good.from_database()
        for text in (
            '{"servers":[],"pipes":[],"items":5}',
            '{"servers":[],"pipes":[],"items":[{}]}',
        ):
            digest = last_good.digest_of_text(text)
            last_good.file_path().unlink(missing_ok=True)
            last_good.keep(replace(found, text=text, digest=digest))
            with pytest.raises(DamagedError, match="is no last-good"):
                last_good.read_file()

    def test_a_full_disk_leaves_the_former_file_and_the_pipes_running(
        self, station: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        make_plant(1)
        last_good.load_wanted()
        services.change_item(1, {"note": "x"}, user="u")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        assert last_good.load_wanted().revision == 2
        assert last_good.read_file().revision == 1
        assert "No space left" in caplog.text
        assert list(station.glob(".last_good*")) == []


class TestRebuilding:
    def test_a_sound_database_is_left_alone(self, station: Path) -> None:
        make_plant(1)
        last_good.load_wanted()
        assert last_good.ensure_database() is None
        assert not (station / "backups").exists()

    def test_a_first_start_is_none_of_our_business(self, station: Path) -> None:
        lose_database(station)
        assert last_good.ensure_database() is None
        assert not (station / "db.sqlite3").exists()
        call_command("migrate", verbosity=0)
        assert last_good.ensure_database() is None

    def test_a_lost_database_is_rebuilt_under_the_same_number_and_ids(self, station: Path) -> None:
        make_plant(3)
        services.delete_item(2, user="u")
        services.change_server("A", {"password": "geheim"}, user="u")
        digest = services.digest()
        last_good.load_wanted()
        lose_database(station)
        done = last_good.ensure_database()
        assert done == ("The database was missing; revision 3 was rebuilt from the last-good file.")
        assert (services.current_revision(), services.digest()) == (3, digest)
        assert sorted(Item.objects.values_list("pk", flat=True)) == [1, 3]
        assert services.create_item(nodes(9), user="u").pk == 4
        assert secrets.decrypt(Server.objects.get(name="A").secret) == "geheim"
        revision = Revision.objects.get(number=3)
        assert (revision.user, revision.reason) == ("system", "rebuilt from last-good file")

    def test_a_damaged_database_is_moved_aside(self, station: Path) -> None:
        make_plant(1)
        last_good.load_wanted()
        damage_database(station)
        done = last_good.ensure_database()
        assert done is not None
        assert "was damaged" in done
        (aside,) = (station / "backups").glob("damaged-*.sqlite3")
        assert str(aside) in done
        assert services.document()["items"]

    @pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
    def test_a_file_that_is_no_database_is_replaced(self, station: Path, content: bytes) -> None:
        make_plant(1)
        last_good.load_wanted()
        lose_database(station)
        (station / "db.sqlite3").write_bytes(content)
        assert last_good.ensure_database() is not None
        assert services.current_revision() == 1

    def test_the_newest_backup_brings_back_what_the_file_does_not_have(self, station: Path) -> None:
        make_plant(1)
        backups.back_up()
        services.change_item(1, {"note": "later"}, user="u")
        services.change_item(1, {"note": "latest"}, user="u")
        digest = services.digest()
        last_good.load_wanted()
        (station / "backups" / "database-9.sqlite3").write_bytes(b"damaged" * 1000)
        lose_database(station)
        done = last_good.ensure_database()
        assert done is not None
        assert "took the backup database-2" in done
        assert services.digest() == digest
        assert list(Revision.objects.values_list("number", flat=True)) == [3, 1]
        services.restore(1, user="u", reason="")
        assert Item.objects.get().note == ""
        assert services.current_revision() == 4

    def test_a_backup_without_a_last_good_file_is_taken_as_it_is(self, station: Path) -> None:
        make_plant(1)
        backups.back_up()
        lose_database(station)
        done = last_good.ensure_database()
        assert done is not None
        assert done.endswith("there is no last-good configuration.")
        assert services.current_revision() == 1

    def test_a_backup_as_new_as_the_file_needs_no_revision(self, station: Path) -> None:
        make_plant(1)
        last_good.load_wanted()
        backups.back_up()
        lose_database(station)
        done = last_good.ensure_database()
        assert done is not None
        assert done.endswith("as new as the last-good file.")

    def test_a_locked_database_is_not_taken_for_a_damaged_one(
        self, station: Path, monkeypatch: Any
    ) -> None:
        make_plant(1)
        last_good.load_wanted()
        connection.close()

        def refuse(*_: Any, **__: Any) -> None:
            raise sqlite3.OperationalError("database is locked")

        monkeypatch.setattr(backups.sqlite3, "connect", refuse)
        assert last_good.ensure_database() is None

    def test_backups_are_whole_and_few(self, station: Path) -> None:
        make_plant(2)
        copies = [backups.back_up() for _ in range(backups.KEPT_BACKUPS + 2)]
        assert sorted((station / "backups").iterdir()) == copies[2:]
        with closing(sqlite3.connect(copies[-1])) as copy:
            assert copy.execute("SELECT count(*) FROM pipes_item").fetchone() == (2,)
        assert copies[-1].stat().st_mode & 0o777 == 0o600
        lose_database(station)
        with pytest.raises(FileNotFoundError):
            backups.back_up()


def config(*arguments: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command("config", *map(str, arguments), stdout=out, **options)
    return out.getvalue()


class TestCommand:
    def test_export_and_apply_are_each_others_inverse(self, station: Path) -> None:
        make_plant(2)
        whole = services.document()
        for name in ("c.json", "c.xlsx"):
            config("export", "--out", station / name)
            services.apply_document(document_of(servers=[], pipes=[]), user="u", reason="")
            said = config("apply", station / name, "--reason", "back")
            assert "5 add" in said
            assert services.document() == whole
            assert Revision.objects.latest("number").reason == "back"
        assert json.loads(config("export")) == whole
        assert config("export", "--format", "csv").startswith("\ufeffid,pipe,")
        said = config("export", "--out", station / "c.csv", "--json")
        assert json.loads(said)["file"] == str(station / "c.csv")
        assert json.loads(config("plan", station / "c.csv", "--json"))["counts"]["same"] == 2

    def test_a_plan_shows_old_and_new_and_changes_nothing(self, station: Path) -> None:
        make_plant(1)
        file = station / "c.json"
        file.write_text(json.dumps(document_of(nodes(1, note="x"))))
        said = config("plan", file)
        assert 'change item 1  note: "" → "x"' in said
        assert "1 change, 3 same" in said
        assert services.current_revision() == 1
        assert "(1 rows are not shown)" in config("plan", file, "--rows", "0")
        assert json.loads(config("apply", file, "--json").splitlines()[-1])["revision"] == 2
        assert "4 same" in config("plan", file, "--mode", "merge")

    def test_errors_are_told_by_row_and_end_with_status_1(self, station: Path) -> None:
        make_plant()
        lines = ["pipe,source_node,target_node", *["P,x,i=1"] * 25]
        (station / "c.csv").write_text("\n".join(lines))
        for action in ("plan", "apply"):
            with pytest.raises(CommandError) as caught:
                config(action, station / "c.csv")
            assert caught.value.returncode == 1
            told = str(caught.value).splitlines()
            assert told[0].startswith("row 2: source_node must be a NodeId")
            assert told[-1] == "and 5 more"
        assert Item.objects.count() == 0

    def test_what_cannot_be_done_is_said(self, station: Path) -> None:
        with pytest.raises(CommandError, match="No such file"):
            config("plan", station / "missing.json")
        (station / "c.txt").write_text("x")
        with pytest.raises(CommandError, match="say --format"):
            config("plan", station / "c.txt")
        with pytest.raises(CommandError, match="is no XLSX file"):
            config("plan", station / "c.txt", "--format", "xlsx")
        with pytest.raises(CommandError, match="file is no JSON text"):
            config("plan", station / "c.txt", "--format", "json")

    def test_recover_says_what_it_did(self, station: Path) -> None:
        make_plant(1)
        last_good.load_wanted()
        assert "nothing to recover" in config("recover")
        assert json.loads(config("recover", "--json")) == {"recovered": False, "detail": ""}
        lose_database(station)
        assert "revision 1 was rebuilt" in config("recover")

    def test_a_locked_database_is_said(self, station: Path, monkeypatch: Any) -> None:
        make_plant(1)
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.05)
        (station / "c.json").write_text(json.dumps(document_of()))
        monkeypatch.setattr("pipes.management.commands.config._migrate", lambda: None)
        connection.close()
        with closing(sqlite3.connect(station / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CommandError, match="locked by another process"):
                config("apply", station / "c.json")
