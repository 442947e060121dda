"""Processes of a bench: the load servers, and what the kernel says about a process that copies."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import psutil

T = TypeVar("T")

ROOT: Final = Path(__file__).resolve().parents[1]
ANSWER_SECONDS: Final = 120.0
END_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02
LAST_WORDS: Final = 4_000


class BenchFailed(Exception):  # noqa: N818 - the outcome of a run, told to people
    """A run cannot be counted; the text says what happened, and the last words of the process."""


def free_port() -> int:
    """A port that nobody listens at, below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(
    look: Callable[[], T | None], seconds: float, what: str, child: Child | None = None
) -> T:
    """What ``look`` finds, as soon as it finds something.

    Raises:
        BenchFailed: nothing was found in time, or ``child`` has ended.

    """
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if child is not None and child.has_ended:
            raise BenchFailed(f"{child.name} ended before {what}:\n{child.last_words()}")
        if time.monotonic() > deadline:
            words = child.last_words() if child is not None else ""
            raise BenchFailed(f"{what}: not within {seconds:g} s\n{words}")
        time.sleep(POLL_SECONDS)
    return found


class Child:
    """A process of the bench; what it says goes to a file, of which a failure shows the end."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.started = time.monotonic()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.PIPE,
            stdout=self._stdout(),
            stderr=self._output,
            start_new_session=True,
        )

    def _stdout(self) -> Any:
        return self._output

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def last_words(self) -> str:
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - LAST_WORDS))
        return self._output.read().decode(errors="replace")

    def end(self) -> None:
        """SIGTERM, and SIGKILL for the whole group if that does not do."""
        if not self.has_ended:
            self.process.terminate()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._output):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # -- what the kernel says -------------------------------------------------------------------

    def cpu_seconds(self) -> float:
        """User and system time of all threads of the process and of its descendants."""
        return sum(map(thread_seconds, self._family()))

    def rss_mb(self) -> float:
        """Resident memory of the process and of its descendants, in MB."""
        return sum(process.memory_info().rss for process in self._family()) / 1e6

    def _family(self) -> list[psutil.Process]:
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]


def thread_seconds(process: psutil.Process) -> float:
    """CPU seconds of a process's threads, to the nanosecond where the kernel keeps them so.

    ``/proc/<pid>/stat`` counts in steps of 10 ms, a large part of what a cheap bridge uses.
    """
    nanoseconds = 0
    try:
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    except FileNotFoundError:
        nanoseconds = 0
    if nanoseconds:
        return nanoseconds / 1e9
    times = process.cpu_times()
    return float(times.user + times.system)


class LoadServer(Child):
    """A server of `benchmarks.load`, or some of `benchmarks.wire`; ``url`` is the first one's."""

    def __init__(self, name: str, ports: Sequence[int], command: Sequence[str]) -> None:
        self.urls = tuple(f"opc.tcp://127.0.0.1:{port}/load/" for port in ports)
        self.url = self.urls[0]
        self._unread = b""
        super().__init__(name, [sys.executable, "-m", *command])

    @classmethod
    def asyncua(cls, name: str, items: int, pki: Path | None = None) -> Self:
        """With ``pki`` also a SignAndEncrypt endpoint, its certificate in ``pki / name``."""
        port = free_port()
        arguments = ["--items", str(items), "--port", str(port)]
        if pki is not None:
            arguments += ["--pki", str(pki / name), "--name", name]
        return cls(name, [port], ["benchmarks.load", *arguments])

    @classmethod
    def wire(cls, name: str, items: int, *, kind: str = "doubles", servers: int = 1) -> Self:
        ports = [free_port() for _ in range(servers)]
        arguments = ["--items", str(items), "--kind", kind, "--ports", ",".join(map(str, ports))]
        return cls(name, ports, ["benchmarks.wire", *arguments])

    def _stdout(self) -> Any:
        return subprocess.PIPE

    def wait_ready(self) -> None:
        self._line()

    def ask(self, cmd: str, **params: Any) -> Any:
        """The answer to one command of `benchmarks.load` or `benchmarks.wire`.

        Raises:
            BenchFailed: the server has ended or did not answer.

        """
        stdin = self.process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"cmd": cmd, **params}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise BenchFailed(f"{self.name} has ended:\n{self.last_words()}") from error
        return self._line()["result"]

    def _line(self) -> dict[str, Any]:
        stdout = self.process.stdout
        assert stdout is not None
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([stdout], [], [], max(0.0, left))
            part = os.read(stdout.fileno(), 1 << 20) if ready else b""
            if not part:
                raise BenchFailed(f"{self.name} does not answer:\n{self.last_words()}")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def ready(*servers: LoadServer) -> Iterator[None]:
    """Servers that were just started, ready; they end with the block."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(server)
        for server in servers:
            server.wait_ready()
        yield


@contextlib.contextmanager
def asyncua_pair(items: int, pki: Path | None = None) -> Iterator[tuple[LoadServer, LoadServer]]:
    """Source and sink as asyncua servers; ``pki`` as of `LoadServer.asyncua`."""
    source, sink = (LoadServer.asyncua(name, items, pki) for name in ("source", "sink"))
    with ready(source, sink):
        yield source, sink


@contextlib.contextmanager
def wire_pair(
    items: int, *, kind: str = "doubles", sink_kind: str | None = None, servers: int = 1
) -> Iterator[tuple[LoadServer, LoadServer]]:
    """Source and sink of `benchmarks.wire`; with several ``servers`` each."""
    source = LoadServer.wire("source", items, kind=kind, servers=servers)
    sink = LoadServer.wire("sink", items, kind=sink_kind or kind, servers=servers)
    with ready(source, sink):
        yield source, sink


@contextlib.contextmanager
def long_line(server: LoadServer, round_trip: float) -> Iterator[str]:
    """An endpoint behind which ``server`` is so many seconds away, there and back."""
    port, to = free_port(), server.url.split(":")[2].split("/")[0]
    command = ["benchmarks.wire.proxy", "--listen", str(port), "--to", to]
    line = LoadServer("line", [port], [*command, "--round-trip", str(round_trip)])
    with ready(line):
        yield line.url
