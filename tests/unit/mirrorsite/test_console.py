from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from mirrorsite.console import QUEUE_LINES, Console
from mirrorsite.env import ROOT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Stuck(io.StringIO):
    """An output that takes nothing until it is let go, like a terminal after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait(20)
        return super().write(text)


def test_stdout_lines_have_no_prefix_and_log_lines_have_one() -> None:
    out, log = io.StringIO(), io.StringIO()
    console = Console(out, log)

    console.say("READY REDOPC http://127.0.0.1:8000")
    console.log("REDOPC/pipes-1", "a line")
    console.close()

    assert out.getvalue() == "READY REDOPC http://127.0.0.1:8000\n"
    assert log.getvalue() == "REDOPC/pipes-1     | a line\n"


def test_a_terminal_gets_a_colour_for_each_process() -> None:
    log = Terminal()
    console = Console(io.StringIO(), log)

    console.log("a", "one")
    console.log("b", "two")
    console.close()

    first, second = log.getvalue().splitlines()
    assert first.startswith("\x1b[36m")
    assert second.startswith("\x1b[33m")


def test_an_output_that_is_not_read_costs_lines_and_never_time() -> None:
    log = Stuck()
    console = Console(io.StringIO(), log)

    for number in range(QUEUE_LINES + 500):
        console.log("a", f"line {number}")
    log.go.set()
    while not console._lines.empty():
        threading.Event().wait(0.01)
    console.log("a", "after")
    console.close()

    text = log.getvalue()
    assert "line 0\n" in text
    assert f"line {QUEUE_LINES + 499}\n" not in text
    assert "lines were not shown" in text
    assert text.endswith("| after\n")


WRITES_BOTH = """
    import threading
    from mirrorsite.console import Console

    console = Console()

    def log():
        for number in range(300):
            console.log("web", f"log {number} " + "x" * 300)

    writer = threading.Thread(target=log)
    writer.start()
    for number in range(300):
        console.say(f"one {number}\\ntwo {number}")
    writer.join()
    console.close()
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_of_stdout_and_stderr_in_one_file_never_mix(tmp_path: Path, unbuffered: str) -> None:
    with (tmp_path / "both").open("wb") as both:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(WRITES_BOTH)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=both,
            stderr=both,
            check=True,
            timeout=60,
        )

    lines = (tmp_path / "both").read_text().splitlines()
    logged = [line for line in lines if line.startswith("web ")]
    said = [line for line in lines if not line.startswith("web ")]
    assert [line.split()[3] for line in logged] == [str(number) for number in range(300)]
    assert said == [f"{word} {number}" for number in range(300) for word in ("one", "two")]
    for number in range(300):  # lines that are said together stay together
        assert lines[lines.index(f"one {number}") + 1] == f"two {number}"


def test_what_stdout_does_not_take_is_in_the_log() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = io.StringIO()
    with os.fdopen(writing, "w") as out:
        console = Console(out, log)
        console.say("READY REDOPC")
        console.close()

    assert "stdout does not take what it was told: READY REDOPC" in log.getvalue()
