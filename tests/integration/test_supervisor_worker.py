"""The supervisor inside a real Celery worker, with Redis away from beginning to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redundancy.board import Board
from redundancy.command import CommandError, CommandUnavailable, call
from redundancy.gate import WriteGate

LONGEST = 40.0
LEASE_SECONDS = 0.6


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {LONGEST} s: {what}")
        time.sleep(0.01)


class Worker:
    """``celery worker --role supervisor`` of a station whose Redis cannot be reached."""

    def __init__(self, folder: Path) -> None:
        self.run_dir = folder / "run"
        self.socket = self.run_dir / "supervisor.sock"
        self.log = folder / "log"
        environment = {
            **{
                name: text for name, text in os.environ.items() if not name.startswith("MIRRORSITE")
            },
            "MIRRORSITE_DATA_DIR": str(folder / "data"),
            "MIRRORSITE_RUN_DIR": str(self.run_dir),
            "MIRRORSITE_REDIS_URL": "redis://127.0.0.1:1/0",
            "MIRRORSITE_HTTP": "127.0.0.1:1",
            "MIRRORSITE_PIPE_WORKERS": "1",
        }
        command = "celery -A mirrorsite worker --role supervisor -P threads -c 2 -Q supervisor"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command.split(), "--without-gossip", "--without-mingle"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def status(self) -> dict[str, Any]:
        assert self.process.poll() is None, self.log.read_text()
        try:
            answer: dict[str, Any] = call(self.socket, "status")
        except (CommandError, CommandUnavailable):
            return {}
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def worker() -> Iterator[Worker]:
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:
        worker = Worker(Path(folder))
        yield worker
        worker.end()


@pytest.fixture
def host(worker: Worker) -> Iterator[subprocess.Popen[str]]:
    until((worker.run_dir / "board").exists, "the board")
    host = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.board_host", worker.run_dir / "board", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    yield host
    host.kill()
    host.communicate()


def test_a_worker_without_redis_supervises_from_start_to_stop(
    worker: Worker, host: subprocess.Popen[str]
) -> None:
    until(lambda: worker.status().get("state") == "active", "active without Redis")
    gate = WriteGate(Board.open(worker.run_dir / "board"))
    gate.adopt()
    target = gate.target("DCS")
    assert target.may_write()

    # A supervisor that hangs needs not be told: the lease runs out.
    worker.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: not target.may_write(), "the gate shuts by itself")
    assert time.monotonic() - stopped < LEASE_SECONDS + 0.3
    worker.process.send_signal(signal.SIGCONT)
    until(target.may_write, "the gate opens again")
    assert host.poll() is None  # the station stood still, not the host

    rows = {row["component"]: row["state"] for row in worker.status()["health"]}
    assert rows["pipes/1"] == "good"
    assert rows["redis"] in {"check", "failed"}

    # SIGTERM: the lease outlives the pipe host, then the worker ends by itself.
    worker.process.terminate()
    until(lambda: worker.status().get("detail") == "DRAINING", "draining")
    assert target.may_write()
    host.communicate("drain\n")
    assert worker.process.wait(LONGEST) == 0
    assert not target.may_write()
    assert not worker.socket.exists()


def test_a_killed_worker_shuts_the_gates_and_its_successor_opens_a_new_term(
    worker: Worker, host: subprocess.Popen[str], tmp_path: Path
) -> None:
    until(lambda: worker.status().get("state") == "active", "active")
    term = worker.status()["term"]
    gate = WriteGate(Board.open(worker.run_dir / "board"))
    gate.adopt()

    worker.end()
    killed = time.monotonic()
    until(lambda: not gate.target("DCS").may_write(), "the gate shuts by itself")
    assert time.monotonic() - killed < LEASE_SECONDS + 0.3

    successor = Worker(worker.run_dir.parent)
    try:
        until(lambda: successor.status().get("state") == "active", "active again")
        assert successor.status()["term"] == term + 1
        assert not gate.target("DCS").may_write()
        gate.adopt()
        assert gate.target("DCS").may_write()
    finally:
        successor.end()
