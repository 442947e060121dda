from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics import receivers, spool_files
from diagnostics.core.chronicle import Record
from diagnostics.spool import Spool
from redundancy.core.events import Event, EventKind, Severity
from redundancy.signals import emit


def event(number: int = 0, message: str = "") -> Event:
    text = message or f"number {number}"
    return Event(time.time_ns(), EventKind.PIPE, "TEST", Severity.INFO, "P1", text)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the state was not reached in time"
        tick.wait(0.01)


def read(folder: Path) -> list[Record]:
    """Every record of the folder, in the order of its files and lines."""
    files = sorted(folder.glob("*.jsonl"), key=lambda path: int(path.stem.rpartition("-")[2]))
    return [record for path in files for record in spool_files.read_part(path, 0, 10**6).records]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", "pipes-1", station="REDOPC")
    yield made
    made.close()


class TestWriting:
    def test_an_event_is_in_the_file_as_soon_as_it_is_flushed(self, spool: Spool) -> None:
        spool.append(event(message="PLC1 does not answer"))

        assert spool.flush()
        (found,) = read(spool.folder)
        assert (found.message, found.station) == ("PLC1 does not answer", "REDOPC")
        assert (found.origin.process, found.origin.boot, found.origin.seq) == (
            "pipes-1",
            spool.boot,
            1,
        )

    def test_files_and_folder_are_private(self, spool: Spool) -> None:
        spool.append(event())
        spool.flush()

        (file,) = spool.folder.iterdir()
        assert file.name == "pipes-1-1.jsonl"
        assert file.stat().st_mode & 0o777 == 0o600
        assert spool.folder.stat().st_mode & 0o777 == 0o700

    def test_closing_writes_what_waits(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, "web")
        for number in range(1000):
            spool.append(event(number))

        assert spool.close()
        assert [record.message for record in read(tmp_path)] == [f"number {n}" for n in range(1000)]

    def test_an_event_after_the_end_is_refused_and_counted(self, spool: Spool) -> None:
        spool.append(event())
        spool.close()

        assert not spool.append(event())
        assert spool.status().dropped == 1

    def test_a_full_file_is_followed_by_the_next(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, "web", file_bytes=10_000)
        for number in range(300):
            spool.append(event(number))
            if number % 50 == 0:
                spool.flush()
        spool.close()

        assert len(list(tmp_path.iterdir())) > 1
        assert [record.origin.seq for record in read(tmp_path)] == list(range(1, 301))

    def test_two_processes_of_one_name_write_two_files(self, tmp_path: Path) -> None:
        first, second = Spool(tmp_path, "web"), Spool(tmp_path, "web")
        for spool in (first, second):
            spool.append(event())
            spool.flush()
        first.close()
        second.close()

        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"web-1.jsonl", "web-2.jsonl"}

    def test_a_name_cannot_leave_the_folder(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path / "spool", "../../etc/cron")
        spool.append(event())
        spool.close()

        (file,) = (tmp_path / "spool").iterdir()
        assert file.name == ".._.._etc_cron-1.jsonl"

    def test_a_file_that_somebody_removed_is_made_again(self, spool: Spool) -> None:
        spool.append(event(1))
        spool.flush()
        shutil.rmtree(spool.folder)

        def written_again() -> bool:
            spool.append(event(2))
            spool.flush()
            return spool.folder.exists() and bool(read(spool.folder))

        wait_until(written_again)


class TestOverflow:
    def test_a_burst_of_ten_thousand_is_bounded_counted_and_in_order(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, "pipes-1")
        most = 0
        taken = 0
        for number in range(10_000):
            taken += spool.append(event(number))
            most = max(most, len(spool._queue))
        spool.close(timeout=20)

        records = read(tmp_path)
        reports = [record for record in records if record.code == "EVENTS_DROPPED"]
        others = [int(record.message.split()[1]) for record in records if record.code == "TEST"]
        assert most <= 4_097
        assert others == sorted(others)
        assert len(others) == taken
        assert sum(int(record.details["count"] or 0) for record in reports) == 10_000 - taken
        assert spool.status().dropped == 10_000 - taken

    def test_a_queue_that_is_full_drops_the_newest(self, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("")
        spool = Spool(blocked / "spool", "pipes-1", queue_limit=10)  # no folder can be made here
        spool.append(event(0))
        wait_until(lambda: bool(spool.status().failure))
        results = [spool.append(event(number)) for number in range(1, 21)]

        assert results == [True] * 10 + [False] * 10
        blocked.unlink()
        wait_until(lambda: spool.status().queued == 0)
        spool.close()
        messages = [record.message for record in read(blocked / "spool")]
        assert messages[:11] == [f"number {number}" for number in range(11)]
        assert any(text.startswith("10 events of pipes-1 were dropped") for text in messages)

    def test_an_event_that_cannot_be_written_costs_only_itself(
        self, spool: Spool, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Hostile:
            def __str__(self) -> str:
                raise RuntimeError("no text")

        broken = Event(
            1,
            EventKind.PIPE,
            "TEST",
            Severity.INFO,
            "P1",
            "broken",
            details={"it": Hostile()},  # type: ignore[dict-item]
        )
        spool.append(broken)
        spool.append(event(1))
        spool.flush()

        codes = [record.code for record in read(spool.folder)]
        assert codes == ["TEST", "EVENTS_DROPPED"]
        assert "cannot be written" in caplog.text


class TestFailure:
    def test_a_disk_that_fails_is_said_once_and_nothing_is_lost(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        blocked = tmp_path / "spool"
        blocked.write_text("a file stands where the folder must be")
        spool = Spool(blocked, "pipes-1")
        for number in range(100):
            spool.append(event(number))
        wait_until(lambda: bool(spool.status().failure))
        first_failure = time.monotonic()
        wait_until(lambda: time.monotonic() - first_failure > 1.2)  # at least two tries more

        assert caplog.text.count("cannot write events of pipes-1") == 1
        blocked.unlink()
        wait_until(lambda: spool.status().queued == 0 and not spool.status().failure)
        spool.close()
        messages = [record.message for record in read(blocked)]
        assert messages[:100] == [f"number {number}" for number in range(100)]
        assert messages[100].startswith("Events of pipes-1 could not be written for")

    def test_a_process_keeps_no_more_files_than_it_may(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, "web", file_bytes=1, bytes_limit=200)
        for number in range(3):
            spool.append(event(number))
            spool.flush(0.2)
        wait_until(lambda: bool(spool.status().failure))

        assert "no jobs worker has read" in spool.status().failure
        for path in tmp_path.iterdir():
            path.unlink()  # as the jobs worker does
        wait_until(lambda: not spool.status().failure)
        spool.close()
        assert "number 2" in [record.message for record in read(tmp_path)]

    @pytest.mark.root
    def test_a_full_disk_delays_events_and_halves_no_line(self, tmp_path: Path) -> None:
        disk = _small_disk(tmp_path)
        try:
            ballast = disk / "ballast"
            _fill(ballast)
            spool = Spool(disk / "spool", "pipes-1")
            (disk / "spool").mkdir()
            for number in range(1500):
                spool.append(event(number, f"number {number} " + "x" * 200))
            wait_until(lambda: "space" in spool.status().failure)
            ballast.unlink()
            wait_until(lambda: spool.status().queued == 0 and not spool.status().failure)
            spool.close()

            records = read(disk / "spool")
            numbers = [
                int(record.message.split()[1]) for record in records if record.code == "TEST"
            ]
            assert numbers == list(range(1500))
            assert {record.code for record in records} == {"TEST", "SPOOL_RECOVERED"}
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


def _small_disk(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "mirrorsite-test", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    return disk


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\x00" * 4096)
            except OSError:
                return


class TestFinishedFiles:
    def test_a_file_that_is_written_to_is_not_finished(self, spool: Spool) -> None:
        spool.append(event())
        spool.flush()
        (file,) = spool.folder.iterdir()

        with spool_files.finished_size(file) as size:
            assert size is None
        spool.close()
        with spool_files.finished_size(file) as size:
            assert size == file.stat().st_size

    def test_a_file_that_is_gone_is_not_finished(self, tmp_path: Path) -> None:
        with spool_files.finished_size(tmp_path / "gone.jsonl") as size:
            assert size is None

    def test_a_writer_leaves_a_file_that_a_reader_was_quicker_to_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real_open = os.open
        held: list[int] = []

        def open_and_lose_the_race(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            descriptor = real_open(path, flags, *rest, **named)
            if flags & os.O_CREAT and not held:
                held.append(real_open(path, os.O_RDONLY))
                fcntl.flock(held[0], fcntl.LOCK_EX)
            return descriptor

        monkeypatch.setattr("diagnostics.spool.os.open", open_and_lose_the_race)
        spool = Spool(tmp_path, "web")
        spool.append(event())
        spool.close()
        os.close(held[0])

        assert (tmp_path / "web-1.jsonl").stat().st_size == 0
        assert len(spool_files.read_part(tmp_path / "web-2.jsonl", 0, 9).records) == 1

    def test_the_lock_of_a_killed_writer_is_free(self, tmp_path: Path) -> None:
        code = (
            "import sys, time\n"
            "from pathlib import Path\n"
            "from diagnostics.spool import Spool\n"
            "from redundancy.core.events import Event, EventKind, Severity\n"
            "spool = Spool(Path(sys.argv[1]), 'pipes-1')\n"
            "spool.append(Event(1, EventKind.PIPE, 'TEST', Severity.INFO, 'P1', 'last words'))\n"
            "spool.flush()\n"
            "print('written', flush=True)\n"
            "time.sleep(60)\n"
        )
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        writer.stdout.close()

        with spool_files.finished_size(tmp_path / "pipes-1-1.jsonl") as size:
            assert size
        assert [record.message for record in read(tmp_path)] == ["last words"]


class TestReading:
    def test_a_line_without_its_end_is_left_for_later(self, tmp_path: Path, spool: Spool) -> None:
        spool.append(event(1))
        spool.append(event(2))
        spool.close()
        (file,) = spool.folder.iterdir()
        whole = file.read_bytes()
        first = whole.index(b"\n") + 1
        file.write_bytes(whole[:-5])

        part = spool_files.read_part(file, 0, 100)
        assert (len(part.records), part.end, part.damaged) == (1, first, 0)
        file.write_bytes(whole)
        rest = spool_files.read_part(file, part.end, 100)
        assert [record.message for record in rest.records] == ["number 2"]

    def test_a_damaged_line_is_counted_and_passed(
        self, spool: Spool, caplog: pytest.LogCaptureFixture
    ) -> None:
        spool.append(event(1))
        spool.close()
        (file,) = spool.folder.iterdir()
        file.write_bytes(b"\x00\x00rubbish\n" + file.read_bytes())

        part = spool_files.read_part(file, 0, 100)
        assert (len(part.records), part.damaged) == (1, 1)
        assert "skipped a line" in caplog.text

    def test_which_start_wrote_a_file_stands_in_its_first_line(
        self, tmp_path: Path, spool: Spool
    ) -> None:
        spool.append(event())
        spool.close()
        (file,) = spool.folder.iterdir()
        rubbish = tmp_path / "rubbish.jsonl"
        rubbish.write_bytes(b"rubbish\n")

        assert spool_files.boot_of(file) == spool.boot
        assert spool_files.boot_of(rubbish) == ""
        assert spool_files.boot_of(tmp_path / "gone.jsonl") == ""

    def test_a_missing_folder_has_no_files(self, tmp_path: Path) -> None:
        assert spool_files.spool_files(tmp_path / "none") == []


class TestReceiver:
    def test_what_is_emitted_anywhere_is_spooled(self, spool: Spool) -> None:
        with receivers.using(spool):
            emit(EventKind.STATION, "STARTED", Severity.INFO, "REDOPC", "REDOPC starts", pid=5)

        (found,) = read(spool.folder)
        assert (found.code, found.details) == ("STARTED", {"pid": 5})

    @pytest.mark.parametrize(
        ("environ", "argv", "name"),
        [
            ({"MIRRORSITE_PROCESS": "pipes-2"}, ["manage.py", "station"], "pipes-2"),
            ({}, ["/srv/manage.py", "config", "export"], f"config-{os.getpid()}"),
            ({}, ["/bin/celery", "-A", "x"], f"celery-{os.getpid()}"),
            ({}, [], f"python-{os.getpid()}"),
        ],
        ids=["launcher", "manage", "celery", "none"],  # no pid: every worker collects the same
    )
    def test_a_process_is_named_by_its_launcher_or_its_command(
        self, environ: dict[str, str], argv: list[str], name: str
    ) -> None:
        assert receivers.process_name(environ, argv) == name

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_has_a_spool_of_its_own(self, tmp_path: Path, settings: Any) -> None:
        station = settings.STATION
        settings.STATION = type(station)(
            **{name: getattr(station, name) for name in station.__slots__} | {"data_dir": tmp_path}
        )
        try:
            emit(EventKind.STATION, "PARENT", Severity.INFO, "REDOPC", "from the parent")
            receivers.current_spool().flush()
            child = os.fork()
            if child == 0:
                emit(EventKind.STATION, "CHILD", Severity.INFO, "REDOPC", "from the child")
                receivers.close()
                os._exit(0)
            os.waitpid(child, 0)
        finally:
            receivers.close()

        lines = [
            json.loads(line)
            for file in (tmp_path / "spool").iterdir()
            for line in file.read_text().splitlines()
        ]
        assert {line["code"] for line in lines} == {"PARENT", "CHILD"}
        assert len({line["boot"] for line in lines}) == 2
