"""A real station as a test sees it: its processes, its REST, its data folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any

import psutil

from tests.scenarios.plants import ROOT, Plant, free_port
from tests.scenarios.waiting import eventually


class Answer:
    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status = status
        self.raw = body
        self.headers = headers

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Station:
    """``manage.py station`` in a data folder of its own, with an admin's token."""

    def __init__(self, folder: Path, *, workers: int = 2, **environment: str) -> None:
        self.data_dir = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MIRRORSITE_")},
            "MIRRORSITE_NO_BOOTSTRAP": "1",
            "MIRRORSITE_DATA_DIR": str(self.data_dir),
            "MIRRORSITE_HTTP": f"127.0.0.1:{self.port}",
            "MIRRORSITE_PIPE_WORKERS": str(workers),
            **environment,
        }
        self.workers = workers
        self.token = ""
        self.output: deque[str] = deque(maxlen=5_000)
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()

    # -- life -----------------------------------------------------------------------------------

    def manage(self, *arguments: str, stdin: str | None = None, check: bool = True) -> Any:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
        )

    def start(self, *, within: float = 60.0) -> float:
        """Start, and return the seconds until READY."""
        if not self.token:
            self.token = (
                self.manage("create_token", "scenario", "--role", "admin")
                .stdout.strip()
                .splitlines()[-1]
            )
        self._ready.clear()
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "station"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._follow, args=(self._process,), daemon=True).start()
        if not self._ready.wait(within):
            raise AssertionError("no READY:\n" + "\n".join(list(self.output)[-60:]))
        return time.monotonic() - began

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip())
            if line.startswith("READY "):
                self._ready.set()

    def stop(self, *, within: float = 30.0) -> int:
        """SIGTERM, as systemd does; returns the exit status."""
        if self._process is None:
            self.remove_run_folder()
            return 0
        process, self._process = self._process, None
        descendants = (
            psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        )
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(
                "the station did not stop:\n" + "\n".join(list(self.output)[-60:])
            ) from None
        finally:
            for child in descendants:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            if process.stdout is not None:
                process.wait()
            self.remove_run_folder()

    def remove_run_folder(self) -> None:
        """Sockets and board lie in memory, outside of the test's folder."""
        note = self.data_dir / "run"
        if note.is_file():
            shutil.rmtree(note.read_text(encoding="utf-8").strip(), ignore_errors=True)

    @property
    def run_dir(self) -> Path:
        return Path((self.data_dir / "run").read_text(encoding="utf-8").strip())

    def kill(self) -> None:
        """SIGKILL of the launcher, as by the kernel that is out of memory."""
        assert self._process is not None
        process, self._process = self._process, None
        process.kill()
        process.wait()

    @property
    def launcher(self) -> psutil.Process:
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def processes(self, word: str) -> list[psutil.Process]:
        """Descendants with ``word`` in their command line, e.g. ``--role pipes``."""
        found = []
        for process in self.launcher.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if word in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def role(self, role: str, index: int = 1) -> psutil.Process:
        """The main process of a worker (its own children have other command lines)."""
        return eventually(
            lambda: next(
                (
                    process
                    for process in self.processes(f"--role {role}")
                    if f"--index {index}" in " ".join(process.cmdline())
                ),
                None,
            ),
            within=20,
            what=f"a worker with --role {role} --index {index}",
        )

    # -- REST -----------------------------------------------------------------------------------

    def api(
        self, method: str, path: str, body: Any = None, *, timeout: float = 60.0, **headers: str
    ) -> Answer:
        raw = path.startswith(("/healthz", "/readyz", "/role", "/metrics"))
        url = self.url + (path if raw or path.startswith("/api/") else f"/api/v1{path}")
        data = (
            body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        )
        sent = {
            "Authorization": f"Bearer {self.token}",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(url, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), error.headers)

    def get(self, path: str) -> Any:
        answer = self.api("GET", path)
        assert answer.status == 200, (path, answer.status, answer.raw[:2000])
        return answer.json

    def put_configuration(self, document: dict[str, Any]) -> dict[str, Any]:
        parts: dict[str, Any] = {"servers": [], "pipes": [], "items": []}
        answer = self.api(
            "PUT", "/configuration", {"format": "mirrorsite", "version": 1, **parts, **document}
        )
        assert answer.status == 200, (answer.status, answer.raw[:3000])
        plan: dict[str, Any] = answer.json
        return plan

    def pipe(self, name: str = "P1") -> dict[str, Any]:
        return self.get(f"/pipes/{name}")["status"]

    def item(self, item_id: int) -> dict[str, Any]:
        return self.get(f"/items/{item_id}")["status"]

    def events(self, **filters: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"limit": "1000", **filters})
        return self.get(f"/chronicle?{query}")["results"]


def server_body(name: str, plant: Plant, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "endpoint": plant.url,
        "security_policy": "None",
        "security_mode": "None",
        **more,
    }
