"""Child processes of a launcher: started, watched, started again, and stopped in order.

Rules:

* a child lives in a session of its own, so that a terminal's Ctrl-C reaches the launcher alone,
  and on a leash (`mirrorsite.leash`), so that it does not outlive the launcher;
* a child that ends is started again after a back-off that grows from 0.2 s to 10 s and starts
  afresh once a child has lived for 30 s;
* a child that was ready and fails ``HUNG_PROBES`` probes in a row is killed and started again;
* whatever goes wrong in watching a child, such as a lack of file handles, ends that child and
  starts it again: no child is left without somebody who watches it;
* stopping is SIGTERM, a grace, then SIGKILL for the whole process group.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mirrorsite.console import Console

BACKOFF_LEAST: Final = 0.2
BACKOFF_MOST: Final = 10.0
STEADY_SECONDS: Final = 30.0

#: How often a child is asked whether it lives when the kernel cannot tell its end.
POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 0.1
WATCH_SECONDS: Final = 5.0
HUNG_PROBES: Final = 6

LINE_BYTES: Final = 8 * 1024
TAIL_LINES: Final = 30

_LEASH: Final = Path(__file__).with_name("leash.py")

Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to tell that it works.

    Attributes:
        is_ready: answers whether the process does its work now; it never raises and answers
            within a few seconds.
        grace_seconds: how long it may take to stop before it is killed.
        take_line: takes its lines instead of the console's log.
        is_chatter: tells lines that nobody needs; they are left out.

    """

    name: str
    command: Sequence[str]
    is_ready: Probe
    directory: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 8.0
    take_line: Callable[[str], None] | None = None
    is_chatter: Callable[[str], bool] | None = None


class Backoff:
    """How long to wait before a child is started again."""

    def __init__(self) -> None:
        self._next = BACKOFF_LEAST

    def after(self, lived_seconds: float) -> float:
        """The wait in seconds, for a child that lived this long."""
        if lived_seconds >= STEADY_SECONDS:
            self._next = BACKOFF_LEAST
        wait = self._next
        self._next = min(BACKOFF_MOST, self._next * 2)
        return wait


@dataclass(frozen=True, slots=True)
class Ending:
    """A child ended without being asked to; ``was_ready`` if it had done its work before."""

    program: Program
    said: str
    was_ready: bool
    restarts: int


class Process:
    """One supervised child; ``tell`` gets the endings that are news, and returns at once."""

    def __init__(
        self,
        program: Program,
        console: Console,
        label: str,
        tell: Callable[[Ending], None] | None = None,
    ) -> None:
        self.program = program
        self.label = label
        self.restarts = 0
        self.ready = asyncio.Event()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._console = console
        self._tell = tell
        self._was_hung = False
        self._child: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._supervise(), name=f"process {self.label}")

    async def stop(self) -> None:
        """Ask the child to end, and end it when it does not; no child is left afterwards."""
        self._stopping.set()
        if self._task is None:
            return
        if self._child:
            self._child.terminate()
        done, _ = await asyncio.wait({self._task}, timeout=self.program.grace_seconds)
        if not done:
            self._say(f"did not stop within {self.program.grace_seconds:g} s; killed")
            self.kill()
        await self._task

    def end_at_once(self, error: Exception) -> None:
        """What is left to do when stopping in order failed."""
        self._say(f"was not stopped in order and is killed: {error!r}")
        self._end_child()

    def kill(self) -> None:
        """End the child and all that it started, at once."""
        if self._child:
            _kill_group(self._child.pid)

    async def _supervise(self) -> None:
        backoff = Backoff()
        said = ""
        while not self._stopping.is_set():
            started = time.monotonic()
            status = await self._run_guarded()
            was_ready = self.ready.is_set()
            self.ready.clear()
            if self._stopping.is_set():
                return
            wait = backoff.after(time.monotonic() - started)
            text = f"ended ({self._ending(status)}); starting again in {wait:.1f} s"
            self.restarts += 1
            if text != said or was_ready:  # a child that fails all night does so in a few lines
                self._say(text)
                self._report(Ending(self.program, self._ending(status), was_ready, self.restarts))
            said = text
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    def _report(self, ending: Ending) -> None:
        if self._tell is None:
            return
        try:
            self._tell(ending)
        except Exception as error:  # noqa: BLE001 - who listens must not end the supervision
            self._say(f"its end could not be reported: {error!r}")

    def _ending(self, status: int | None) -> str:
        return "it did not answer and was killed" if self._was_hung else _ending(status)

    async def _run_guarded(self) -> int | None:
        """Run the child to its end; whatever else goes wrong ends it too, and None is returned."""
        self._was_hung = False
        try:
            return await self._run_once()
        except Exception as error:  # noqa: BLE001 - a child without its supervisor is worse
            self._say(f"could not be watched and is ended: {error!r}")
            return None
        finally:
            self._end_child()

    def _end_child(self) -> None:
        """End and reap a child that is still there; nothing to do after a regular end."""
        child, self._child = self._child, None
        if child is not None:
            _kill_group(child.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1.0)  # a killed process ends at once, unless a disk holds it

    async def _run_once(self) -> int | None:
        """Run the child to its end; None if it could not be started."""
        try:
            child = self._child = self._spawn()
        except OSError as error:  # no memory, no file handle: may be better in a moment
            self._say(f"could not be started: {error.strerror}")
            return None
        tasks = [asyncio.create_task(self._read(child)), asyncio.create_task(self._watch())]
        try:
            await _ended(child)
            _kill_group(
                child.pid
            )  # what it started ends with it; not reaped yet, so it is its group
            self._child = None
            status = child.wait()
            # What it said last is still in the pipe; a stranger may hold the other end open.
            await asyncio.wait(tasks[:1], timeout=0.5)
            return status
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())]
        return subprocess.Popen(
            [*leash, *self.program.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.program.directory,
            env={**os.environ, **self.program.environ},
            start_new_session=True,
        )

    async def _read(self, child: subprocess.Popen[bytes]) -> None:
        try:
            await self._read_lines(child)
        except Exception as error:  # noqa: BLE001 - a child whose pipe fills up stands still
            self._say(f"its output cannot be read, so it is ended: {error!r}")
            _kill_group(child.pid)

    async def _read_lines(self, child: subprocess.Popen[bytes]) -> None:
        """Pass the child's lines on; a line is cut at ``LINE_BYTES``."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), child.stdout
        )
        try:
            rest = b""
            while chunk := await reader.read(64 * 1024):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_BYTES:
                    lines.append(rest)
                    rest = b""
                for line in lines:
                    self._pass_on(line)
            if rest:
                self._pass_on(rest)
        finally:
            transport.close()

    def _pass_on(self, line: bytes) -> None:
        text = line[:LINE_BYTES].decode("utf-8", "replace").rstrip("\r")
        self.tail.append(text)
        if not text or (self.program.is_chatter is not None and self.program.is_chatter(text)):
            return
        if self.program.take_line is not None:
            self.program.take_line(text)
        else:
            self._console.log(self.label, text)

    async def _watch(self) -> None:
        while not await self._answers():  # noqa: ASYNC110 - a child sends no event
            await asyncio.sleep(PROBE_SECONDS)
        self.ready.set()
        if self.restarts:
            self._say(f"works again (restart {self.restarts})")
        failed = 0
        while failed < HUNG_PROBES:
            await asyncio.sleep(WATCH_SECONDS)
            failed = 0 if await self._answers() else failed + 1
        self._say(f"has not answered {HUNG_PROBES} probes in a row; killed")
        self._was_hung = True
        self.kill()

    async def _answers(self) -> bool:
        """What its probe says; one that fails itself, such as for want of a thread, says no."""
        try:
            return await self.program.is_ready()
        except Exception:  # noqa: BLE001 - the finding is the same
            return False

    def _say(self, text: str) -> None:
        self._console.log(self.label, f"launcher: {text}")


async def _ended(child: subprocess.Popen[bytes]) -> None:
    """Wait for the child's end without reaping it.

    By pidfd: asyncio's own subprocesses wait for the end of their pipes too, which a grandchild
    can hold open. Without a file handle for that it is asked for again and again.
    """
    try:
        descriptor = os.pidfd_open(child.pid)
    except OSError:
        while not _has_ended(child):  # noqa: ASYNC110 - there is nothing to wait for
            await asyncio.sleep(POLL_SECONDS)
        return
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    try:
        loop.add_reader(descriptor, _set_once, ended)
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT  # seen, not reaped
    return os.waitid(os.P_PID, child.pid, flags) is not None


def _set_once(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _ending(status: int | None) -> str:
    if status is None:
        return "not started"
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"


async def stop_in_order(stages: Sequence[Sequence[Process]]) -> None:
    """Stop the processes of each stage together, one stage after the other, every one of them."""
    for stage in stages:
        found = await asyncio.gather(*(process.stop() for process in stage), return_exceptions=True)
        for process, error in zip(stage, found, strict=True):
            if isinstance(error, Exception):
                process.end_at_once(error)
