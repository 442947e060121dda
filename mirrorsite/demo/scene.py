"""The demo: two sample plants and a station between them, seeded and started together.

Everything lives in one folder (``var/demo``) and in one process tree under ``manage.py demo``.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mirrorsite.accounts.roles import Role
from mirrorsite.accounts.services import find, set_user
from mirrorsite.admission import StartRefused, is_free
from mirrorsite.console import Console
from mirrorsite.database import ensure_migrated
from mirrorsite.demo import tags
from mirrorsite.env import ROOT
from mirrorsite.processes import Process, Program, stop_in_order
from pipes.services import apply_document

STATION: Final = "REDOPC"
ADMIN: Final = "admin"
BASE_PORT: Final = 8000
LOOPBACK: Final = "127.0.0.1"
#: What each port is for, as its distance from the base port (the standby's are left free).
OFFSETS: Final[Mapping[str, int]] = {
    "web": 0,
    "opcua": 10,
    "link": 20,
    tags.NORTH: 30,
    tags.SOUTH: 31,
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line chose."""

    items: int
    rate: float
    minutes: float | None
    base_port: int | None


@dataclass(frozen=True, slots=True)
class Seed:
    """What the configuration was made from; another one means that it is made again."""

    items: int
    north: int
    south: int


def choose_ports(base_port: int | None, say: Callable[[str], None]) -> dict[str, int]:
    """A port for each part of the demo.

    Raises:
        StartRefused: a port is taken that follows from an explicit ``--base-port``.

    """
    chosen: dict[str, int] = {}
    for part, offset in OFFSETS.items():
        port = (BASE_PORT if base_port is None else base_port) + offset
        if not is_free(LOOPBACK, port):
            if base_port is not None:
                raise StartRefused(f"--base-port {base_port}: port {port} ({part}) is taken")
            port = _next_free(port, set(chosen.values()))
            say(f"port {BASE_PORT + offset} is taken: {part} uses {port}")
        chosen[part] = port
    return chosen


def _next_free(port: int, chosen: set[int]) -> int:
    reserved = {BASE_PORT + offset for offset in OFFSETS.values()} | chosen
    for candidate in range(port + 100, 65_536):
        if candidate not in reserved and is_free(LOOPBACK, candidate):
            return candidate
    raise StartRefused("this machine has no free port above 8100")


def what_to_try(web: str, data_dir: str) -> tuple[str, ...]:
    """The lines that the demo shows last."""
    return (
        "What to try",
        f"  * Open {web}/ and see values move.",
        "  * Browse both plants with any OPC UA client; From_north and From_south hold the",
        "    other's tags. Change TIC101.SP in either plant: it moves both ways.",
        "  * Kill a pipe worker (ps shows --role pipes): its pipes go on in the other one.",
        "  * Use REST with a token: python3 manage.py create_token ann --role engineer \\",
        f"    --data-dir {data_dir}",
        "  * Ctrl-C stops everything.",
    )


class Scene:
    """The demo's folder, its processes and what it says."""

    def __init__(
        self, folder: Path, choices: Choices, ports: Mapping[str, int], console: Console
    ) -> None:
        self._folder = folder
        self._choices = choices
        self._ports = ports
        self._console = console
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._started = time.monotonic()
        self._plants = [self._process(self._plant(name)) for name in (tags.NORTH, tags.SOUTH)]
        self._station = self._process(self._station_program())

    async def run(self) -> None:
        """Run until SIGINT, SIGTERM or the chosen minutes end; then every process has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        if self._choices.minutes is not None:
            loop.call_later(self._choices.minutes * 60, self._stop.set)
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            self._say("stopping")
            await stop_in_order([[self._station], self._plants])
            self._say("stopped; the data stays in var/demo (--reset removes it)")

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():  # asked again: no grace
            for process in (self._station, *self._plants):
                process.kill()
        self._stop.set()

    async def _start(self) -> None:
        for plant in self._plants:
            plant.start()
        password = await asyncio.to_thread(self._prepare)
        self._console.say(f"LOGIN {ADMIN} {password}")
        self._station.start()
        await self._ready.wait()
        for plant in self._plants:
            await plant.ready.wait()
        self._show(password)

    def _prepare(self) -> str:
        """Make database, account and configuration, each only if it is not there yet."""
        ensure_migrated()
        password = self._login()
        seed = Seed(self._choices.items, self._ports[tags.NORTH], self._ports[tags.SOUTH])
        note = self._folder / "seed.json"
        wanted = json.dumps(asdict(seed))
        if not note.exists() or note.read_text(encoding="utf-8") != wanted:
            endpoints = {plant: self._endpoint(plant) for plant in (tags.NORTH, tags.SOUTH)}
            whole = tags.document(seed.items, endpoints)
            apply_document(whole, user="system", reason="Sample configuration of the demo")
            note.write_text(wanted, encoding="utf-8")
        return password

    def _login(self) -> str:
        file = self._folder / "login"
        if file.exists() and find(ADMIN) is not None:
            return file.read_text(encoding="utf-8").split()[1]
        password = secrets.token_urlsafe(12)
        set_user(ADMIN, Role.ADMIN, password)
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(f"{ADMIN} {password}\n")
        return password

    def _process(self, program: Program) -> Process:
        return Process(program, self._console, f"demo/{program.name}")

    def _plant(self, name: str) -> Program:
        choices = self._choices
        options = {
            "--name": name,
            "--port": str(self._ports[name]),
            "--items": str(choices.items),
            "--rate": str(choices.rate),
            "--cache": str(self._folder / "cache"),
        }
        words = [word for option in options.items() for word in option]
        port = self._ports[name]

        async def serves() -> bool:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                return False
            writer.close()
            return True

        return Program(
            name=name,
            command=[sys.executable, "-m", "mirrorsite.demo.plant", *words],
            is_ready=serves,
            directory=ROOT,
            environ={"MALLOC_ARENA_MAX": "2"},
        )

    def _station_program(self) -> Program:
        async def is_ready() -> bool:
            return self._ready.is_set()

        return Program(
            name=STATION,
            command=[sys.executable, str(ROOT / "manage.py"), "station"],
            is_ready=is_ready,
            directory=ROOT,
            environ={
                "MIRRORSITE_STATION": STATION,
                "MIRRORSITE_DATA_DIR": str(self._folder / STATION),
                "MIRRORSITE_HTTP": f"{LOOPBACK}:{self._ports['web']}",
                "MIRRORSITE_OPCUA": f"{LOOPBACK}:{self._ports['opcua']}",
                "MIRRORSITE_LINK": f"{LOOPBACK}:{self._ports['link']}",
                "MIRRORSITE_NO_BOOTSTRAP": "1",
                "MIRRORSITE_LOG_FORMAT": "text" if sys.stderr.isatty() else "json",
            },
            grace_seconds=40.0,  # it stops its own processes in order
            take_line=self._take_line,
        )

    def _take_line(self, line: str) -> None:
        if line.startswith(f"READY {STATION} "):
            self._ready.set()
            self._console.say(line)
        else:
            self._console.pass_on(line)

    def _endpoint(self, plant: str) -> str:
        return f"opc.tcp://{LOOPBACK}:{self._ports[plant]}/"

    def _show(self, password: str) -> None:
        seconds = time.monotonic() - self._started
        web = f"http://{LOOPBACK}:{self._ports['web']}"
        rows = (
            ("pages, REST and its documentation", f"{web}/   {web}/api/docs"),
            ("sample plant NORTH", self._endpoint(tags.NORTH)),
            ("sample plant SOUTH", self._endpoint(tags.SOUTH)),
            ("login", f"{ADMIN}  {password}"),
        )
        lines = [
            "",
            f"Mirrorsite demo: {self._choices.items} items, ready after {seconds:.1f} s",
            "",
            *(f"  {name:<36}{value}" for name, value in rows),
            "",
            *what_to_try(web, str((self._folder / STATION).relative_to(ROOT))),
            "",
        ]
        self._console.say("\n".join(lines))  # at once: no log line gets in between

    def _say(self, text: str) -> None:
        self._console.log("demo", text)
