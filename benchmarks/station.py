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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.names import NAMESPACE, PUBLISHING_MS, node_name
from benchmarks.rig import ROOT, BenchFailed, Child, wait_for
from mirrorsite import redis
from mirrorsite.env import StationSettings, make_folders, read_station
from mirrorsite.launcher import programs
from pipes.pki import Pki
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


NOT_SECURE: Final = {"security_policy": "None", "security_mode": "None"}
SECURE: Final = {"security_policy": "Basic256Sha256", "security_mode": "SignAndEncrypt"}


def document(
    source: str,
    target: str,
    items: int,
    *,
    publishing_ms: float = PUBLISHING_MS,
    server: Mapping[str, Any] = NOT_SECURE,
    rules: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The configuration of one pipe with ``items`` items between two load servers.

    ``server`` are further fields of both servers, ``rules`` of every item.
    """
    return documents(
        [source], [target], items, publishing_ms=publishing_ms, server=server, rules=rules
    )


def documents(
    sources: Sequence[str],
    targets: Sequence[str],
    items: int,
    *,
    publishing_ms: float = PUBLISHING_MS,
    server: Mapping[str, Any] = NOT_SECURE,
    rules: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A pipe for each source and the target of the same place, each with ``items`` items."""
    nodes = [f"nsu={NAMESPACE};s={node_name(index)}" for index in range(items)]
    places = range(len(sources))
    return {
        "format": "mirrorsite",
        "version": 1,
        "servers": [
            {"name": f"{side}-{place}", "endpoint": url, **server}
            for side, urls in (("source", sources), ("target", targets))
            for place, url in enumerate(urls)
        ],
        "pipes": [
            {
                "name": f"bench-{place}",
                "source": f"source-{place}",
                "target": f"target-{place}",
                "publishing_interval_ms": publishing_ms,
            }
            for place in places
        ],
        "items": [
            {
                "id": place * items + number,
                "pipe": f"bench-{place}",
                "source_node": node,
                "target_node": node,
                **(rules or {}),
            }
            for place in places
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

    def trust(self, certificate: bytes) -> None:
        """Put a server's certificate (DER) on the station's trust list."""
        Pki(self.settings.data_dir / "pki").add_trusted(certificate)

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
