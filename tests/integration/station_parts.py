"""Parts of a station that tests run in this process: the real supervisor, a scripted pipe host."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from redundancy.command import CommandServer, call
from redundancy.core.lease import PROFILES, Profile
from redundancy.loop_thread import LoopThread
from redundancy.setup import Setup
from redundancy.supervisor import Supervisor

_HOST = """
import os, sys, time
from pathlib import Path
from redundancy.board import Board
from redundancy.processes import start_time
board = Board.open(Path(sys.argv[1]))
slot = board.host(1)
slot.occupy(os.getpid(), start_time(os.getpid()))
while True:
    slot.progress()
    slot.applied(3, board.generation)
    time.sleep(0.02)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the state was not reached in time"
        tick.wait(0.02)


class Parts:
    """A station's folders, and its processes as far as they were started."""

    def __init__(self, settings: Any, folder: Path, run_dir: Path) -> None:
        self.station = replace(
            settings.STATION, data_dir=folder, run_dir=run_dir, name="REDOPC", pipe_workers=1
        )
        settings.STATION = self.station
        settings.REDIS_URL = f"unix://{run_dir}/redis.sock"
        self._stack = ExitStack()

    def close(self) -> None:
        self._stack.close()

    def start_supervisor(self) -> LoopThread:
        """The real supervisor, without probes of the other processes."""
        setup = Setup(
            station=self.station.name,
            data_dir=self.station.data_dir,
            board_file=self.station.board_file,
            socket=self.station.supervisor_socket,
            pipe_workers=self.station.pipe_workers,
            timing=PROFILES[Profile.STANDARD],
        )
        thread = LoopThread("supervisor")
        thread.start(Supervisor(setup).run)
        self._stack.callback(thread.stop)
        wait_until(self.station.supervisor_socket.exists)
        return thread

    def start_host(self) -> None:
        """A process that holds the first pipe host's place on the board and makes progress.

        Not in this process: a supervisor ends a host that stands still.
        """
        wait_until(self.station.board_file.exists)
        host = subprocess.Popen([sys.executable, "-c", _HOST, str(self.station.board_file)])

        def end() -> None:
            host.kill()
            host.wait(10)

        self._stack.callback(end)

    def start_active(self) -> LoopThread:
        """Supervisor and host; returns when the station is active."""
        supervisor = self.start_supervisor()
        self.start_host()
        wait_until(
            lambda: call(self.station.supervisor_socket, "status")["state"] == "active", 30.0
        )
        return supervisor

    def serve(self, path: Path, **answers: Any) -> None:
        """A process that gives fixed answers at its socket."""
        handlers = {name: _answering(answer) for name, answer in answers.items()}

        async def main() -> None:
            server = CommandServer(path, handlers)
            await server.start()
            try:
                await asyncio.Event().wait()
            finally:
                await server.stop()

        thread = LoopThread(path.stem)
        thread.start(main)
        self._stack.callback(thread.stop)
        wait_until(path.exists)


def _answering(answer: Any) -> Callable[[dict[str, Any]], Any]:
    async def handler(params: dict[str, Any]) -> Any:
        return answer(params) if callable(answer) else answer

    return handler


@contextmanager
def station_parts(settings: Any, folder: Path) -> Iterator[Parts]:
    """Folders of a station of its own; sockets in a short one."""
    run_dir = Path(tempfile.mkdtemp(prefix="mirrorsite-"))
    parts = Parts(settings, folder, run_dir)
    try:
        yield parts
    finally:
        parts.close()
        shutil.rmtree(run_dir, ignore_errors=True)
