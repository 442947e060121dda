from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from mirrorsite import logs


@pytest.fixture(autouse=True)
def _keep_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # `configure` closes what it finds; pytest's own are to live on
    yield
    logging.captureWarnings(capture=False)
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(folder: Path) -> list[dict[str, object]]:
    text = (folder / "pipes-1.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_names_station_process_and_time(tmp_path: Path) -> None:
    logs.configure("pipes-1", station="REDOPC", directory=tmp_path)

    logging.getLogger("pipes.host").warning("%s is silent", "PLC1", extra={"seconds": 3})
    structlog.get_logger("pipes.host").info("connected", server="PLC1")

    first, second = lines(tmp_path)
    assert first["event"] == "PLC1 is silent"
    assert (first["station"], first["process"], first["level"]) == ("REDOPC", "pipes-1", "warning")
    assert str(first["at"]).endswith("Z")
    assert first["seconds"] == 3
    assert (second["event"], second["server"]) == ("connected", "PLC1")


def test_control_characters_cannot_start_a_line_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRRORSITE_LOG_FORMAT", "text")
    logs.configure("pipes-1", station="REDOPC", directory=tmp_path)

    logging.getLogger("pipes.host").warning("name is %s", "a\nREADY x\x1b[2J\u202e\x85°C")

    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "a\\u000aREADY x\\u001b[2J\\u202e\\u0085°C" in shown
    assert lines(tmp_path)[0]["event"] == "name is a\nREADY x\x1b[2J\u202e\x85°C"


def test_a_traceback_is_shown_with_its_lines_set_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRRORSITE_LOG_FORMAT", "text")
    logs.configure("web")

    try:
        raise ValueError("wrong\nvalue")
    except ValueError:
        logging.getLogger("pipes.host").exception("failed")

    first, *rest = capsys.readouterr().err.splitlines()
    assert "error" in first
    assert all(line.startswith("  ") for line in rest)


def test_libraries_speak_from_warning_on(tmp_path: Path) -> None:
    logs.configure("pipes-1", directory=tmp_path)

    logging.getLogger("asyncua.client").info("chatter")
    logging.getLogger("asyncua.client").warning("trouble")

    assert [line["event"] for line in lines(tmp_path)] == ["trouble"]


def test_a_library_that_repeats_itself_is_cut_short_and_counted() -> None:
    now = 0.0
    repetition = logs.Repetition(clock=lambda: now)

    def said(name: str) -> tuple[bool, object]:
        record = logging.LogRecord(name, logging.WARNING, "a.py", 1, "again", None, None)
        return repetition.filter(record), getattr(record, "left_out", None)

    first = [said("asyncua.client")[0] for _ in range(100)]
    now = logs.REPEAT_SECONDS
    after = said("asyncua.client")

    assert first.count(True) == logs.REPEATS
    assert after == (True, 100 - logs.REPEATS)


def test_our_own_events_are_never_cut() -> None:
    repetition = logs.Repetition(clock=lambda: 0.0)
    record = logging.LogRecord("pipes.host", logging.INFO, "a.py", 1, "event", None, None)

    assert all(repetition.filter(record) for _ in range(100))


def test_a_log_file_that_cannot_be_written_is_said_once_and_once_more_when_it_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    logs.configure("pipes-1", directory=folder)
    log = logging.getLogger("pipes.host")
    (folder / "pipes-1.log").mkdir()  # in the way of the file, for root too

    for number in range(3):
        log.warning("event %s", number)
    (folder / "pipes-1.log").rmdir()
    log.warning("event 3")

    shown = capsys.readouterr().err
    assert shown.count("not written") == 1
    assert "written again; 3 lines were lost" in shown
    assert [line["event"] for line in lines(folder)] == ["event 3"]


def test_files_are_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 2_000)
    logs.configure("pipes-1", directory=tmp_path)

    for number in range(100):
        logging.getLogger("pipes.host").warning("event %s", number)

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["pipes-1.log", "pipes-1.log.1", "pipes-1.log.2"]


def test_a_process_logs_to_stderr_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()
    logs.configure("web", station="REDOPC")

    logging.getLogger("diagnostics").info("hello")

    assert json.loads(capsys.readouterr().err)["process"] == "web"


class TestRequests:
    @pytest.fixture(autouse=True)
    def _fresh_filters(self) -> Iterator[None]:
        requests = logging.getLogger(logs.REQUESTS)
        before, requests.filters = requests.filters, []
        yield
        requests.filters = before
        requests.setLevel(logging.NOTSET)

    @staticmethod
    def failed(level: int, status: int) -> None:
        logging.getLogger(logs.REQUESTS).log(level, "%s", status, extra={"status_code": status})

    def test_what_a_client_did_wrong_is_no_line(self, tmp_path: Path) -> None:
        logs.configure("pipes-1", directory=tmp_path)

        for status in (400, 401, 404, 409, 422, 429):
            self.failed(logging.WARNING, status)
        self.failed(logging.ERROR, 500)

        assert [line["event"] for line in lines(tmp_path)] == ["500"]

    def test_that_a_part_is_away_is_a_line_a_minute(self, tmp_path: Path) -> None:
        logs.configure("pipes-1", directory=tmp_path)
        logs.configure("pipes-1", directory=tmp_path)  # no second filter

        for _ in range(5):
            self.failed(logging.ERROR, 503)

        assert [line["event"] for line in lines(tmp_path)] == ["503"]
        assert len(logging.getLogger(logs.REQUESTS).filters) == 1

    def test_the_next_minute_says_how_many_were_left_out(self) -> None:
        now = 100.0
        unavailability = logs.Unavailability(clock=lambda: now)

        def answered() -> tuple[bool, object]:
            record = logging.LogRecord(logs.REQUESTS, logging.ERROR, "a.py", 1, "", None, None)
            record.status_code = 503
            return unavailability.filter(record), getattr(record, "left_out", None)

        first = [answered() for _ in range(4)]
        now += logs.REPEAT_SECONDS

        assert first == [(True, None), (False, None), (False, None), (False, None)]
        assert answered() == (True, 3)
