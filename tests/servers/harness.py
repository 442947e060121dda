"""Start a test server as a process, wait until it serves, command it, stop it by its pid.

Everything here blocks, for milliseconds after the start: a server can so outlive the event loop
of a test and serve a whole module.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOREIGN = ROOT / "tests" / "foreign"
START_SECONDS = 60.0
COMMAND_SECONDS = 30.0
PATHS = {"plant": "/plant/", "foreign": "/foreign", "hostile": "/hostile", "vast": "/hostile"}


class ServerProcess:
    def __init__(self, kind: str, command: list[str]) -> None:
        self.kind = kind
        self.port = 0
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._commands = self.process.stdin
        self._answers = self.process.stdout.fileno()
        self._read = b""

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}{PATHS[self.kind]}"

    def _answer(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            line, newline, rest = self._read.partition(b"\n")
            if newline:
                self._read = rest
                if line.startswith(b"{"):
                    return json.loads(line)
                continue
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise TimeoutError(f"the {self.kind} server did not answer within {seconds:g} s")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise RuntimeError(f"the {self.kind} server ended with {self.process.wait()}")
            self._read += data

    def wait_until_ready(self) -> None:
        self.port = self._answer(START_SECONDS)["port"]

    def command(self, cmd: str, **parameters: Any) -> Any:
        self._commands.write(json.dumps({"cmd": cmd, **parameters}).encode() + b"\n")
        self._commands.flush()
        answer = self._answer(COMMAND_SECONDS)
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def set(self, node: str, value: Any, **more: Any) -> None:
        self.command("set", node=node, value=value, **more)

    def read(self, *nodes: str) -> dict[str, Any]:
        return self.command("read", nodes=list(nodes))

    def counts(self) -> dict[str, int]:
        return self.command("counts")

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._commands.close()
        self.process.stdout.close()


def command_line(kind: str, *arguments: str) -> list[str]:
    if kind != "foreign":
        return [sys.executable, "-m", f"tests.servers.{kind}", *arguments]
    node = shutil.which("node")
    if node is None or not (FOREIGN / "node_modules" / "node-opcua").is_dir():
        pytest.skip("needs Node.js and `npm ci` in tests/foreign")
    return [node, str(FOREIGN / "server.js"), *arguments]


@contextmanager
def running(kind: str, *arguments: str) -> Iterator[ServerProcess]:
    """A server of ``kind`` (plant, foreign, hostile); it is gone when the block ends."""
    server = ServerProcess(kind, command_line(kind, *arguments))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()


async def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
    """Wait for a state, with a deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.01)
