"""Real children: how a launcher starts, watches, restarts and stops them."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from mirrorsite import processes
from mirrorsite.console import Console
from mirrorsite.env import ROOT
from mirrorsite.processes import Ending, Process, Program, stop_in_order

DEADLINE = 20.0


async def always() -> bool:
    return True


async def until(condition: Callable[[], object], what: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.02)
    assert condition(), what


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", textwrap.dedent(code)]


SLEEPER = python(
    """
    import signal
    print("up", flush=True)
    signal.pause()
    """
)
STUBBORN = python(
    """
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up", flush=True)
    while True:
        signal.pause()
    """
)


class Bench:
    """Processes of one test, stopped at its end whatever happened."""

    def __init__(self, directory: Path) -> None:
        self.log = io.StringIO()
        self.console = Console(log=self.log)
        self.directory = directory
        self.processes: list[Process] = []
        self.endings: list[Ending] = []

    def start(
        self,
        command: list[str],
        name: str = "child",
        is_ready: Callable[[], Awaitable[bool]] = always,
        grace_seconds: float = 5.0,
    ) -> Process:
        program = Program(
            name=name,
            command=command,
            is_ready=is_ready,
            directory=self.directory,
            grace_seconds=grace_seconds,
        )
        process = Process(program, self.console, f"TEST/{name}", self.endings.append)
        process.start()
        self.processes.append(process)
        return process

    async def started(self, process: Process, says: str = "up") -> int:
        await until(lambda: process.pid and says in process.tail, f"{process.label} says {says}")
        assert process.pid is not None
        return process.pid


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for process in bench.processes:
        process.kill()
        await process.stop()
    bench.console.close()


async def test_a_killed_child_is_started_again(bench: Bench) -> None:
    process = bench.start(SLEEPER)
    first = await bench.started(process)

    os.kill(first, signal.SIGKILL)

    await until(lambda: process.pid not in {None, first}, "a new child")
    assert process.restarts == 1
    await until(lambda: "SIGKILL); starting again in 0.2 s" in bench.log.getvalue(), "said so")


async def test_a_child_that_always_fails_is_restarted_ever_later_and_says_so_briefly(
    bench: Bench,
) -> None:
    process = bench.start(python("import sys; sys.exit(3)"))

    await until(lambda: process.restarts >= 3, "three restarts")

    text = bench.log.getvalue()
    assert "ended (exit status 3); starting again in 0.2 s" in text
    assert "starting again in 0.4 s" in text


async def test_an_ending_is_told_with_its_signal(bench: Bench) -> None:
    process = bench.start(SLEEPER)
    first = await bench.started(process)
    await asyncio.wait_for(process.ready.wait(), DEADLINE)

    os.kill(first, signal.SIGKILL)
    await until(lambda: bench.endings, "an ending is told")

    (ending,) = bench.endings
    assert (ending.program.name, ending.said, ending.restarts) == ("child", "SIGKILL", 1)
    assert ending.was_ready


async def test_every_death_of_a_child_that_works_is_told(bench: Bench) -> None:
    process = bench.start(SLEEPER)

    for deaths in (1, 2, 3):
        await asyncio.wait_for(process.ready.wait(), DEADLINE)
        process.kill()
        await until(lambda deaths=deaths: len(bench.endings) == deaths, f"ending {deaths}")

    assert [ending.restarts for ending in bench.endings] == [1, 2, 3]


async def test_a_stop_is_no_ending_to_tell(bench: Bench) -> None:
    process = bench.start(SLEEPER)
    await bench.started(process)

    await process.stop()

    assert bench.endings == []


async def test_a_child_is_watched_when_there_is_no_file_handle_for_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", none_left)
    process = bench.start(SLEEPER)
    first = await bench.started(process)

    os.kill(first, signal.SIGKILL)
    await until(lambda: process.pid not in {None, first}, "a new child")
    second = await bench.started(process)
    await process.stop()

    assert is_gone(second)
    assert [ending.said for ending in bench.endings] == ["SIGKILL"]


async def test_a_child_that_cannot_be_watched_is_ended_and_started_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_the_end = processes._ended
    seen: list[int] = []

    async def fails_once(child: subprocess.Popen[bytes]) -> None:
        seen.append(child.pid)
        if len(seen) == 1:
            raise RuntimeError("no room in the selector")
        await wait_for_the_end(child)

    monkeypatch.setattr(processes, "_ended", fails_once)
    process = bench.start(SLEEPER)

    await until(lambda: len(seen) == 2, "a second child")
    assert is_gone(seen[0])
    assert await bench.started(process) == seen[1]
    await until(lambda: "could not be watched" in bench.log.getvalue(), "said so")


async def test_a_child_whose_output_cannot_be_read_is_ended_and_started_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_lines = Process._read_lines
    failed: list[int] = []

    async def fails_once(self: Process, child: subprocess.Popen[bytes]) -> None:
        if not failed:
            failed.append(child.pid)
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        await read_lines(self, child)

    monkeypatch.setattr(Process, "_read_lines", fails_once)
    process = bench.start(SLEEPER)

    pid = await bench.started(process)

    assert pid != failed[0]
    assert is_gone(failed[0])


async def test_a_probe_that_fails_is_an_answer_that_is_missing(bench: Bench) -> None:
    asked = 0

    async def probe() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RuntimeError("can't start new thread")
        return True

    process = bench.start(SLEEPER, is_ready=probe)

    await asyncio.wait_for(process.ready.wait(), DEADLINE)


async def test_later_stages_stop_although_an_earlier_one_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = bench.start(SLEEPER, "pipes"), bench.start(SLEEPER, "web")
    pids = [await bench.started(process) for process in (broken, whole)]
    stop = Process.stop

    async def fails(self: Process) -> None:
        if self is broken:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        await stop(self)

    with monkeypatch.context() as patched:
        patched.setattr(Process, "stop", fails)
        await stop_in_order([[broken], [whole]])
        assert [is_gone(pid) for pid in pids] == [True, True]
    await until(lambda: "was not stopped in order" in bench.log.getvalue(), "said so")


async def test_chatter_and_empty_lines_are_left_out(bench: Bench) -> None:
    program = Program(
        name="child",
        command=python("import signal; print('chatter\\n\\nnews', flush=True); signal.pause()"),
        is_ready=always,
        directory=bench.directory,
        is_chatter=lambda line: line == "chatter",
    )
    process = Process(program, bench.console, "TEST/child")
    process.start()
    bench.processes.append(process)

    await until(lambda: "| news" in bench.log.getvalue(), "the news")

    assert bench.log.getvalue() == "TEST/child         | news\n"


async def test_a_child_becomes_ready_when_its_probe_says_so(bench: Bench, tmp_path: Path) -> None:
    async def probe() -> bool:
        return (tmp_path / "served").exists()

    process = bench.start(SLEEPER, is_ready=probe)
    await bench.started(process)
    assert not process.ready.is_set()

    (tmp_path / "served").touch()

    await asyncio.wait_for(process.ready.wait(), DEADLINE)


async def test_a_child_that_stops_answering_is_killed_and_started_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "WATCH_SECONDS", 0.05)
    answers = True

    async def probe() -> bool:
        return answers

    process = bench.start(SLEEPER, is_ready=probe)
    first = await bench.started(process)
    await asyncio.wait_for(process.ready.wait(), DEADLINE)
    os.kill(first, signal.SIGSTOP)  # hung: it does not even see a SIGTERM

    answers = False

    await until(lambda: process.pid not in {None, first}, "a new child")
    assert is_gone(first)
    assert "has not answered" in bench.log.getvalue()


async def test_stop_ends_a_child_by_sigterm(bench: Bench) -> None:
    process = bench.start(SLEEPER)
    pid = await bench.started(process)

    await process.stop()

    assert is_gone(pid)
    assert process.restarts == 0


async def test_stop_kills_a_child_that_ignores_sigterm_after_its_grace(bench: Bench) -> None:
    process = bench.start(STUBBORN, grace_seconds=0.2)
    pid = await bench.started(process)

    await process.stop()

    assert is_gone(pid)
    await until(lambda: "did not stop within 0.2 s" in bench.log.getvalue(), "said so")


async def test_stop_during_the_back_off_starts_nothing_more(bench: Bench) -> None:
    process = bench.start(python("import sys; sys.exit(3)"))
    await until(lambda: process.restarts >= 3, "a wait of 0.8 s")

    before = time.monotonic()
    await process.stop()

    assert process.pid is None
    assert time.monotonic() - before < DEADLINE


async def test_what_a_child_started_ends_with_it(bench: Bench) -> None:
    process = bench.start(
        python(
            """
            import signal, subprocess, sys
            code = "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"
            child = subprocess.Popen([sys.executable, "-c", code])
            print("grandchild", child.pid, flush=True)
            signal.pause()
            """
        )
    )
    await until(lambda: any("grandchild" in line for line in process.tail), "a grandchild")
    grandchild = int(process.tail[-1].split()[1])

    await process.stop()

    await until(lambda: is_gone(grandchild), "the grandchild is gone")


async def test_stages_stop_one_after_the_other(bench: Bench, tmp_path: Path) -> None:
    code = """
        import signal, sys, time
        def end(*_):
            with open("order", "a") as file:
                file.write(sys.argv[1] + "\\n")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("up", flush=True)
        while True:
            signal.pause()
        """
    started = [bench.start([*python(code), name], name) for name in ("redis", "web", "pipes")]
    for process in started:
        await bench.started(process)
    redis, web, pipes = started

    await stop_in_order([[pipes], [web], [redis]])

    assert (tmp_path / "order").read_text().split() == ["pipes", "web", "redis"]


async def test_a_line_without_an_end_is_cut_not_collected(bench: Bench) -> None:
    process = bench.start(
        python("import signal; print('x' * 100_000); print('up', flush=True); signal.pause()")
    )

    await bench.started(process)

    assert max(len(line) for line in process.tail) <= processes.LINE_BYTES


async def test_a_command_that_does_not_exist_is_named(bench: Bench) -> None:
    process = bench.start(["no-such-program"])

    await until(lambda: process.restarts >= 1, "it ended")

    assert "no-such-program: No such file or directory" in process.tail


LAUNCHER = """
    import asyncio, sys
    from pathlib import Path
    from mirrorsite.console import Console
    from mirrorsite.processes import Process, Program

    async def ready():
        return True

    async def main():
        console = Console(log=sys.stdout)
        code = (
            "import signal, os; signal.signal(15, signal.SIG_IGN);"
            "print('child', os.getpid(), flush=True); signal.pause()"
        )
        command = [sys.executable, "-u", "-c", code]
        for name in ("a", "b"):
            program = Program(name=name, command=command, is_ready=ready, directory=Path.cwd())
            Process(program, console, name).start()
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def test_no_child_outlives_a_launcher_that_is_killed() -> None:
    with subprocess.Popen(
        python(LAUNCHER), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as launcher:
        assert launcher.stdout is not None
        lines = [launcher.stdout.readline() for _ in range(2)]
        children = [psutil.Process(int(line.split()[-1])) for line in lines]
        assert all(child.is_running() for child in children)

        launcher.kill()

        _, alive = psutil.wait_procs(children, timeout=DEADLINE)
    assert alive == []


def test_a_child_whose_launcher_died_before_the_leash_was_on_does_not_start() -> None:
    leash = Path(processes.__file__).with_name("leash.py")
    not_the_parent = "1"

    done = subprocess.run(
        [sys.executable, str(leash), not_the_parent, "echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
