"""The product as a bench runs it: a real pipe worker, and the real supervisor that lets it write.

The station's processes have a data folder of their own. Only the pipe worker is measured; the
supervisor and Redis run beside it as they do under `manage.py station`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.names import NAMESPACE, PUBLISHING_MS, node_name
from benchmarks.rig import ROOT, BenchFailed, Child, wait_for
from mirrorsite import redis
from mirrorsite.env import StationSettings, make_folders, read_station
from mirrorsite.launcher import programs
from redundancy.command import CommandError, CommandUnavailable, call

START_SECONDS: Final = 60.0
APPLY_SECONDS: Final = 120.0

#: Run in a process of its own: the bench has no station, hence no database of one.
APPLY: Final = """
import json, sys
import django
django.setup()
from django.core.management import call_command
from pipes.services import apply_document
call_command("migrate", verbosity=0)
print(apply_document(json.load(sys.stdin), user="bench", reason="bench").revision)
"""


def document(source: str, target: str, items: int) -> dict[str, Any]:
    """The configuration of one pipe with ``items`` items between two load servers."""
    plain = {"security_policy": "None", "security_mode": "None"}
    nodes = [f"nsu={NAMESPACE};s={node_name(index)}" for index in range(items)]
    return {
        "format": "mirrorsite",
        "version": 1,
        "servers": [
            {"name": "source", "endpoint": source, **plain},
            {"name": "target", "endpoint": target, **plain},
        ],
        "pipes": [
            {
                "name": "bench",
                "source": "source",
                "target": "target",
                "publishing_interval_ms": PUBLISHING_MS,
            }
        ],
        "items": [
            {"id": number, "pipe": "bench", "source_node": node, "target_node": node}
            for number, node in enumerate(nodes, 1)
        ],
    }


class BenchStation:
    """One station with one pipe worker, which is started for every run."""

    def __init__(self, folder: Path) -> None:
        environ = {
            "MIRRORSITE_STATION": "BENCH",
            "MIRRORSITE_DATA_DIR": str(folder / "data"),
            "MIRRORSITE_RUN_DIR": str(folder / "run"),
            "MIRRORSITE_PIPE_WORKERS": "1",
        }
        self.settings: StationSettings = read_station(environ)
        make_folders(self.settings)
        self._environ = {**environ, "DJANGO_SETTINGS_MODULE": "mirrorsite.settings"}
        self._programs = programs(self.settings)

    def apply(self, configuration: dict[str, Any]) -> None:
        """Make ``configuration`` a revision of this station's database."""
        done = subprocess.run(
            [sys.executable, "-c", APPLY],
            cwd=ROOT,
            env={**os.environ, **self._environ},
            input=json.dumps(configuration),
            capture_output=True,
            text=True,
            check=False,
            timeout=APPLY_SECONDS,
        )
        if done.returncode:
            raise BenchFailed(f"the configuration is not applied:\n{done.stderr}")

    def redis(self) -> Child | None:
        """The station's Redis; None on a machine without one, where pipes run all the same."""
        server = redis.find_server()
        if server is None:
            return None
        child = Child("redis", redis.server_command(server, self.settings.run_dir))
        socket = redis.embedded_socket(self.settings.run_dir)
        wait_for(lambda: socket.exists() or None, START_SECONDS, "Redis is ready", child)
        return child

    def supervisor(self) -> Child:
        """The supervisor, granting the lease."""
        child = self._start("supervisor")
        socket = self.settings.supervisor_socket
        wait_for(lambda: answers(socket), START_SECONDS, "the supervisor answers", child)
        return child

    def pipe_worker(self) -> Child:
        return self._start("pipes")

    def worker_is_up(self) -> bool | None:
        return answers(self.settings.host_socket(1))

    def worker_status(self) -> dict[str, Any]:
        """What the pipe worker says of its servers and pipes."""
        status: dict[str, Any] = call(self.settings.host_socket(1), "status", timeout=10.0)
        return status

    def _start(self, stage: str) -> Child:
        (program,) = self._programs[stage]
        return Child(program.name, program.command, {**self._environ, **program.environ})


def answers(socket: Path) -> bool | None:
    """True if a process of a station answers at this socket, else None."""
    try:
        call(socket, "status", timeout=5.0)
    except (CommandUnavailable, CommandError):
        return None
    return True


@contextlib.contextmanager
def running_station(configuration: dict[str, Any]) -> Iterator[BenchStation]:
    """A station with ``configuration`` whose supervisor runs; pipe workers are the caller's."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mirrorsite-bench-"))
        station = BenchStation(Path(folder))
        station.apply(configuration)
        redis_server = station.redis()
        if redis_server is not None:
            stack.enter_context(redis_server)
        stack.enter_context(station.supervisor())
        yield station
