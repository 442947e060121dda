from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mirrorsite import launcher as launching
from mirrorsite import redis
from mirrorsite.console import Console
from mirrorsite.env import StationSettings, read_station
from mirrorsite.launcher import STOP_ORDER, Launcher, programs
from mirrorsite.processes import Ending
from redundancy.core.events import Event, Severity
from redundancy.signals import event_emitted


@pytest.fixture
def station(tmp_path: Path) -> StationSettings:
    return read_station({"MIRRORSITE_DATA_DIR": str(tmp_path / "data"), "MIRRORSITE_STATION": "S"})


def test_every_stage_that_is_started_is_stopped(station: StationSettings) -> None:
    assert set(programs(station)) == set(STOP_ORDER)


def test_pipe_workers_stop_before_the_supervisor_that_grants_their_lease() -> None:
    assert STOP_ORDER.index("pipes") < STOP_ORDER.index("supervisor") < STOP_ORDER.index("web")
    assert STOP_ORDER[-1] == "redis"


def test_there_are_as_many_pipe_workers_as_asked_for(station: StationSettings) -> None:
    found = programs(dataclasses.replace(station, pipe_workers=3))["pipes"]

    assert [program.name for program in found] == ["pipes-1", "pipes-2", "pipes-3"]


def test_a_worker_shows_its_role_and_takes_its_role_s_queue(station: StationSettings) -> None:
    command = list(programs(station)["pipes"][1].command)

    text = " ".join(command)
    assert "worker --role pipes --index 2 -n pipes-2@S -Q pipes -P threads" in text
    assert "--without-gossip --without-mingle --without-heartbeat" in text


def test_a_given_redis_is_not_started(station: StationSettings) -> None:
    given = dataclasses.replace(station, redis_url="redis://127.0.0.1:6379/0")

    assert programs(given)["redis"] == []


def test_children_get_the_station_s_own_folders_whatever_their_own_are(
    station: StationSettings,
) -> None:
    environ = programs(station)["web"][0].environ

    assert environ["MIRRORSITE_DATA_DIR"] == str(station.data_dir)
    assert environ["MIRRORSITE_RUN_DIR"] == str(station.run_dir)
    assert environ["MIRRORSITE_PROCESS"] == "web"


DEADLINE = 20.0


class Database:
    """Does as it is told, call by call; the last answer is repeated."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.made = 0

    def make_usable(self) -> str | None:
        self.made += 1
        return "made anew"

    def is_lost(self, *, thorough: bool) -> bool:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def no_line() -> str | None:
    return None


class Watched:
    """A launcher of which only one task runs, and what it said."""

    def __init__(
        self,
        station: StationSettings,
        database: Database,
        setup_line: Callable[[], str | None] = no_line,
    ) -> None:
        self.out, self.log = io.StringIO(), io.StringIO()
        self.console = Console(self.out, self.log)
        self.launcher = Launcher(station, self.console, database, setup_line)

    async def keep(self, turn: str, until: Callable[[], bool]) -> str:
        """Run the keeper with this turn until the state is reached; all that was logged."""
        self.launcher._keep("the keeper", getattr(self.launcher, turn)())
        async with asyncio.timeout(DEADLINE):
            while not until():
                await asyncio.sleep(0.005)
        (task,) = self.launcher._keepers
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self.console.close()
        return self.log.getvalue()


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "DATABASE_SECONDS", 0.001)
    monkeypatch.setattr(launching, "FAILED_SECONDS", 0.001)
    monkeypatch.setattr(redis, "CLAIM_SECONDS", 0.003)


@pytest.mark.usefixtures("_quick")
class TestKeepers:
    async def test_the_database_is_looked_at_again_after_a_look_that_failed(
        self, station: StationSettings
    ) -> None:
        full = OSError(24, "Too many open files")
        database = Database(full, full, full, True, False)
        watched = Watched(station, database)

        said = await watched.keep("_database_turn", lambda: database.asked > 5)

        assert database.made == 1
        assert said.count("the keeper failed and is tried again") == 1
        assert "Too many open files" in said

    async def test_a_failure_that_comes_back_is_said_again(self, station: StationSettings) -> None:
        full = OSError(24, "Too many open files")
        database = Database(full, False, full, False)
        watched = Watched(station, database)

        said = await watched.keep("_database_turn", lambda: database.asked > 5)

        assert said.count("Too many open files") == 2

    async def test_the_mark_on_redis_is_kept_after_a_thread_that_failed(
        self, station: StationSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = 0

        def claim(url: str, owner: str) -> str | None:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise OSError(24, "Too many open files")
            return "REDOPC_S in /srv on plant2" if asked < 6 else None

        monkeypatch.setattr(redis, "claim", claim)
        watched = Watched(station, Database(False))

        said = await watched.keep("_redis_turn", lambda: asked > 7)

        assert said.count("Too many open files") == 1
        assert said.count("the station REDOPC_S in /srv on plant2 uses the same Redis") == 1

    async def test_a_set_up_line_that_cannot_be_read_stops_no_start(
        self, station: StationSettings
    ) -> None:
        def locked() -> str | None:
            raise OSError("database is locked")

        watched = Watched(station, Database(False), locked)

        await watched.launcher._show_setup_line()
        watched.console.close()

        assert "is not known: database is locked" in watched.log.getvalue()


class TestEndings:
    @pytest.fixture
    def events(self) -> Iterator[list[Event]]:
        found: list[Event] = []

        def keep(*, event: Event, **_: object) -> None:
            found.append(event)

        event_emitted.connect(keep)
        yield found
        event_emitted.disconnect(keep)

    @staticmethod
    def ending(station: StationSettings, stage: str, *, was_ready: bool) -> Ending:
        return Ending(programs(station)[stage][0], "SIGKILL", was_ready, 2)

    def test_it_is_an_event_that_names_process_and_signal(
        self, station: StationSettings, events: list[Event]
    ) -> None:
        Watched(station, Database(False)).launcher._report_ending(
            self.ending(station, "jobs", was_ready=True)
        )

        (event,) = events
        assert (event.code, event.severity, event.source) == (
            "PROCESS_RESTARTED",
            Severity.HIGH,
            "jobs-1",
        )
        assert event.message == "Process jobs-1 ended (SIGKILL) and is started again."
        assert event.details == {"ending": "SIGKILL", "restarts": 2}

    @pytest.mark.parametrize(("was_ready", "reported"), [(True, 0), (False, 1)])
    def test_a_pipe_worker_that_worked_is_left_to_the_supervisor(
        self, station: StationSettings, events: list[Event], was_ready: bool, reported: int
    ) -> None:
        Watched(station, Database(False)).launcher._report_host_ending(
            self.ending(station, "pipes", was_ready=was_ready)
        )

        assert len(events) == reported


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1:C 24 Nov 2026 12:13:52.673 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo", True),
        ("1:M 24 Nov 2026 12:13:52.674 # Server initialized", True),
        ("1:M 24 Nov 2026 12:14:01.618 # Redis is now ready to exit, bye bye...", True),
        ("1:M 24 Nov 2026 12:14:01.618 # Out Of Memory allocating 1024 bytes!", False),
        ("# Warning: Could not create server TCP listening socket: bind: in use", False),
    ],
)
def test_redis_is_heard_when_it_has_news(line: str, expected: bool) -> None:
    assert redis.is_chatter(line) is expected
