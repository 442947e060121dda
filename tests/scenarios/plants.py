"""Plant servers as processes: asyncua's and node-opcua's, driven alike, and a hostile one."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from pipes.pki import Pki

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ROOT / "tests" / "foreign"
NAMESPACE = "urn:test:plant"
PATHS = {"asyncua": "/plant/", "node": "", "hostile": "/hostile", "vast": "/hostile"}
MODULES = {"asyncua": "plant"}
CLOCK_SHIM = Path(__file__).with_name("clock_shim")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_node() -> bool:
    return shutil.which("node") is not None and (FOREIGN / "node_modules" / "node-opcua").is_dir()


def identity(folder: Path, application_uri: str) -> dict[str, str]:
    """A certificate and key for a plant: the options that name them."""
    own = Pki(folder).own(application_uri, ["127.0.0.1", socket.gethostname()])
    certificate = folder / "certificate.pem"
    certificate.write_bytes(own.certificate.public_bytes(Encoding.PEM))
    return {"certificate": str(certificate), "key": str(folder / "own" / "key.pem")}


def node_id(name: str) -> str:
    return f"nsu={NAMESPACE};s={name}"


class Plant:
    """``maker`` is ``asyncua``, ``node``, ``hostile`` or ``vast``; a restart keeps the port.

    A new one starts beside what follows, and is waited for as soon as it is used.
    ``clock`` is a file that says by how many seconds its wall clock is wrong.
    """

    def __init__(
        self, maker: str = "asyncua", *, clock: Path | None = None, **options: Any
    ) -> None:
        paths = [str(ROOT)] if clock is None else [str(CLOCK_SHIM), str(ROOT)]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        if clock is not None:
            self._environment["TEST_CLOCK_FILE"] = str(clock)
        self.maker = maker
        self.port = int(options.pop("port", 0)) or free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._is_ready = False
        self._spawn()

    @property
    def url(self) -> str:
        """Its endpoint; whoever asks for it means to connect, so it serves by then."""
        self._wait_ready()
        return f"opc.tcp://127.0.0.1:{self.port}{PATHS[self.maker]}"

    def start(self) -> None:
        self._spawn()
        self._wait_ready()

    def _wait_ready(self, within: float = 60.0) -> None:
        if not self._is_ready:
            assert self._line(within)["ready"]
            self._is_ready = True

    def _spawn(self) -> None:
        arguments = ["--port", str(self.port)]
        for name, value in self.options.items():
            option = f"--{name.replace('_', '-')}"
            arguments += [option] if value is True else [option, str(value)]
        if self.maker == "node":
            command = ["node", str(FOREIGN / "server.js"), *arguments]
        else:
            module = f"tests.servers.{MODULES.get(self.maker, self.maker)}"
            command = [sys.executable, "-m", module, *arguments]
        self._unread, self._is_ready = b"", False
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=self._environment,
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def ask(self, cmd: str, *, within: float = 60.0, **params: Any) -> Any:
        assert self._process is not None
        self._wait_ready()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"cmd": cmd, **params}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._line(within)
        assert answer["ok"], answer
        return answer.get("result")

    def set(self, name: str, value: Any, **more: Any) -> None:
        self.ask("set", node=name, value=value, **more)

    def set_many(self, values: dict[str, Any], **more: Any) -> None:
        self.ask("set_many", values=values, **more)

    def read(self, nodes: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        return self.ask("read", **({} if nodes is None else {"nodes": list(nodes)}))

    def value(self, name: str) -> Any:
        return self.read([name])[name]["value"]

    def values(self, nodes: Sequence[str] | None = None) -> dict[str, Any]:
        return {name: shown["value"] for name, shown in self.read(nodes).items()}

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_for_end(self, *, within: float = 10.0) -> None:
        """Wait until the process has ended by itself."""
        assert self._process is not None
        self._process.wait(within)
        self.kill()

    def kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def _line(self, within: float) -> dict[str, Any]:
        """The next answer; what the server logs to stdout besides is passed over."""
        deadline = time.monotonic() + within
        while True:
            line = self._raw_line(deadline)
            if line.startswith(b"{"):
                answer: dict[str, Any] = json.loads(line)
                return answer

    def _raw_line(self, deadline: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the plant server did not answer in time"
            part = os.read(descriptor, 1 << 20)
            assert part, f"the plant server ended with status {self._process.wait()}"
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line
