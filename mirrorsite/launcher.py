"""Runs every process of one station in the foreground: ``manage.py station``.

Start: Redis, migrations, supervisor, pipe workers, web, jobs worker. Redis and a database that is
locked or away hold nothing up: pipes run from the last-good file. A database that is lost or
damaged is made anew, also while the station runs. ``READY`` is said once ``/healthz``, the
supervisor and every pipe host answer.

Stop: pipe workers first, so that they drain while the supervisor still grants the lease, then
supervisor, jobs, web, Redis. Then the run folder is emptied of what they left there.

A child that ends by itself is an event of the chronicle (``PROCESS_RESTARTED``); a pipe worker's
end is reported by the supervisor, which sees it on the board, unless it never got that far.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from mirrorsite import probes, redis
from mirrorsite.admission import redis_owner
from mirrorsite.console import Console
from mirrorsite.env import ROOT, StationSettings
from mirrorsite.jobs import pulse_file
from mirrorsite.processes import Backoff, Ending, Process, Program, stop_in_order
from mirrorsite.run_folder import leave_run_folder
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

#: Order of stopping; each stage is stopped as a whole before the next.
STOP_ORDER: Final = ("pipes", "supervisor", "jobs", "web", "redis")

PROCESS_RESTARTED: Final = "PROCESS_RESTARTED"

DATABASE_SECONDS: Final = 5.0
#: How long after a turn that failed the next one begins at the earliest.
FAILED_SECONDS: Final = 1.0
#: How often all of the database is read, and at most which share of the time that takes.
THOROUGH_SECONDS: Final = 20.0
THOROUGH_SHARE: Final = 0.01


def programs(station: StationSettings) -> dict[str, list[Program]]:
    """What a station consists of, by stage; Redis only if it is ours to run and there is one."""
    indices = range(1, station.pipe_workers + 1)
    found: dict[str, list[Program]] = {
        "redis": _redis(station),
        "supervisor": [
            _worker(station, "supervisor", 1, probes.command_socket(station.supervisor_socket))
        ],
        "pipes": [
            _worker(station, "pipes", index, probes.command_socket(station.host_socket(index)))
            for index in indices
        ],
        "web": [_web(station)],
        "jobs": [_worker(station, "jobs", 1, probes.pulse(pulse_file()))],
    }
    return found


def _redis(station: StationSettings) -> list[Program]:
    server = None if station.redis_url else redis.find_server()
    if server is None:
        return []
    return [
        Program(
            name="redis",
            command=redis.server_command(server, station.run_dir),
            is_ready=probes.redis_socket(redis.embedded_socket(station.run_dir)),
            directory=ROOT,
            is_chatter=redis.is_chatter,
        )
    ]


def _worker(station: StationSettings, role: str, index: int, probe: probes.Probe) -> Program:
    name = f"{role}-{index}"
    options = ["--role", role, "--index", str(index), "-n", f"{name}@{station.name}", "-Q", role]
    # Threads: a forked child could not reach the step's event loop.
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "warning"]
    celery = [sys.executable, "-m", "mirrorsite.celery"]
    return Program(
        name=name,
        command=[*celery, "worker", *options, "-P", "threads", "-c", "4", *quiet],
        is_ready=probe,
        directory=ROOT,
        environ=_environ(station, name),
    )


def _web(station: StationSettings) -> Program:
    return Program(
        name="web",
        command=[sys.executable, "-m", "mirrorsite.web"],
        is_ready=probes.http_health(
            station.http_host, station.http_port, tls=bool(station.tls_cert)
        ),
        directory=ROOT,
        environ=_environ(station, "web"),
    )


def _environ(station: StationSettings, process: str) -> Mapping[str, str]:
    environ = {
        "MIRRORSITE_PROCESS": process,
        "MIRRORSITE_STATION": station.name,
        "MIRRORSITE_DATA_DIR": str(station.data_dir),
        "MIRRORSITE_RUN_DIR": str(station.run_dir),
        "MIRRORSITE_TLS_CERT": station.tls_cert,  # absolute: a child works in another folder
        "MIRRORSITE_TLS_KEY": station.tls_key,
        "DJANGO_SETTINGS_MODULE": "mirrorsite.settings",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # glibc's arena per thread made workers a third larger
        "CELERY_SKIP_CHECKS": "1",  # the launcher ran them; they would load every page
    }
    if sys.stderr.isatty():
        environ["MIRRORSITE_LOG_FORMAT"] = "text"
    return environ


class Database(Protocol):
    """What the launcher asks of the station's database; both block."""

    def make_usable(self) -> str | None: ...

    def is_lost(self, *, thorough: bool) -> bool: ...


class Launcher:
    """One station's processes, from start to stop."""

    def __init__(
        self,
        station: StationSettings,
        console: Console,
        database: Database,
        setup_line: Callable[[], str | None],
    ) -> None:
        self._station = station
        self._console = console
        self._database = database
        self._setup_line = setup_line
        self._stages: dict[str, list[Process]] = {}
        self._stop = asyncio.Event()
        self._started = time.monotonic()
        self._keepers: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run the station until SIGINT or SIGTERM; then every process has ended."""
        self._listen_for_signals()
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stopping
        finally:
            ending = [starting, *self._keepers]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            self._say("stopping")
            await stop_in_order([self._stages.get(stage, []) for stage in STOP_ORDER])
            leave_run_folder(self._station)
            self._say("stopped")

    def _listen_for_signals(self) -> None:
        # Said explicitly: a shell hands an ignored SIGINT to what it starts in the background.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked_to_stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup keeps it running
            loop.add_signal_handler(signal.SIGHUP, self._asked_to_stop)

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():  # asked again: no grace
            for process in self._processes():
                process.kill()
        self._stop.set()

    def _processes(self) -> Sequence[Process]:
        return [process for stage in self._stages.values() for process in stage]

    async def _start(self) -> None:
        wanted = programs(self._station)
        if not wanted["redis"] and not self._station.redis_url:
            self._say(redis.NO_SERVER)
        self._launch("redis", wanted)
        if self._station.redis_url:
            self._keep("the mark on Redis", self._redis_turn())
        migrated = await self._migrate_once()
        for stage in ("supervisor", "pipes", "web"):
            self._launch(stage, wanted)
        if not migrated:
            await self._migrate_until_done()
        self._keep("the look at the database", self._database_turn())
        await self._show_setup_line()
        await asyncio.gather(*(self._ready(stage) for stage in ("supervisor", "pipes", "web")))
        # Last: it does not count for READY, and the start of the others is what people wait for.
        self._launch("jobs", wanted)
        self._console.say(f"READY {self._station.name} {self._station.public_url}")
        self._say(f"ready after {time.monotonic() - self._started:.1f} s")

    def _launch(self, stage: str, wanted: Mapping[str, list[Program]]) -> None:
        self._stages[stage] = [
            Process(
                program,
                self._console,
                f"{self._station.name}/{program.name}",
                self._report_host_ending if stage == "pipes" else self._report_ending,
            )
            for program in wanted[stage]
        ]
        for process in self._stages[stage]:
            process.start()

    async def _ready(self, stage: str) -> None:
        for process in self._stages[stage]:
            await process.ready.wait()

    async def _show_setup_line(self) -> None:
        try:
            line = await asyncio.to_thread(self._setup_line)
        except Exception as error:  # noqa: BLE001 - a database that is locked holds nothing up
            self._say(f"whether the station has an account is not known: {error}")
            return
        if line:
            self._console.say(line)

    def _report_host_ending(self, ending: Ending) -> None:
        if not ending.was_ready:  # else the supervisor reports it
            self._report_ending(ending)

    @staticmethod
    def _report_ending(ending: Ending) -> None:
        name = ending.program.name
        emit(
            EventKind.STATION,
            PROCESS_RESTARTED,
            Severity.HIGH,
            name,
            f"Process {name} ended ({ending.said}) and is started again.",
            ending=ending.said,
            restarts=ending.restarts,
        )

    def _keep(self, what: str, turn: Callable[[], Awaitable[None]]) -> None:
        self._keepers.append(asyncio.create_task(self._keep_turning(what, turn)))

    async def _keep_turning(self, what: str, turn: Callable[[], Awaitable[None]]) -> None:
        """Take turns for ever; one that fails is said once, and the next one is tried."""
        told = ""
        while True:
            try:
                await turn()
            except Exception as error:  # noqa: BLE001 - whatever it is may be better next time
                if repr(error) != told:
                    self._say(f"{what} failed and is tried again: {error!r}")
                told = repr(error)
                await asyncio.sleep(FAILED_SECONDS)
            else:
                told = ""

    def _redis_turn(self) -> Callable[[], Awaitable[None]]:
        """Keep the mark on a Redis that was given to us; a lost one is said once."""
        told = ""

        async def turn() -> None:
            nonlocal told
            await asyncio.sleep(redis.CLAIM_SECONDS / 3)
            url, owner = self._station.redis_url, redis_owner(self._station)
            other = await asyncio.to_thread(redis.claim, url, owner) or ""
            if other and other != told:
                self._say(f"the station {other} uses the same Redis: give each its own")
            told = other

        return turn

    def _database_turn(self) -> Callable[[], Awaitable[None]]:
        """Look whether the database is still there and whole, and make a lost one anew."""
        due = time.monotonic() + THOROUGH_SECONDS

        async def turn() -> None:
            nonlocal due
            await asyncio.sleep(DATABASE_SECONDS)
            began = time.monotonic()
            thorough = began >= due
            lost = await asyncio.to_thread(self._database.is_lost, thorough=thorough)
            if thorough:
                now = time.monotonic()
                due = now + max(THOROUGH_SECONDS, (now - began) / THOROUGH_SHARE)
            if lost:
                await self._migrate_until_done()

        return turn

    async def _migrate_once(self) -> bool:
        try:
            done = await asyncio.to_thread(self._database.make_usable)
        except Exception as error:  # noqa: BLE001 - whatever the database says, pipes go on
            self._say(
                f"the database is not usable now: {error}; pipes start from the last-good file"
            )
            return False
        if done:
            self._say(done)
        return True

    async def _migrate_until_done(self) -> None:
        backoff = Backoff()
        while not await self._migrate_once():  # noqa: ASYNC110 - a database sends no event
            await asyncio.sleep(backoff.after(0.0))
        self._say("the database is usable")

    def _say(self, text: str) -> None:
        self._console.log(f"{self._station.name}/launcher", text)
