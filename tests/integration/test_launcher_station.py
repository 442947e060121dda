"""``manage.py station`` as a whole: what it prints, what it runs, and that it leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest

from mirrorsite.env import ROOT
from redundancy.command import call
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually

LEASH = ROOT / "mirrorsite" / "leash.py"

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(240)]


def launcher_of(station: Station) -> psutil.Process:
    assert station._process is not None
    return psutil.Process(station._process.pid)


def processes_of(station: Station) -> dict[str, psutil.Process]:
    """The station's processes by what their command lines show."""
    found = {}
    for process in launcher_of(station).children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:  # it ended meanwhile
            continue
        if "--role" in words and str(LEASH) not in words:
            role, index = words[words.index("--role") + 1], words[words.index("--index") + 1]
            found[f"{role}-{index}"] = process
        elif words and Path(words[0].split()[0]).name in {"redis-server", "valkey-server"}:
            found["redis"] = process
        elif "mirrorsite.web" in words:
            found["web"] = process
    return found


ALL = {"redis", "supervisor-1", "pipes-1", "pipes-2", "jobs-1", "web"}


def all_running(station: Station) -> dict[str, psutil.Process]:
    return eventually(
        lambda: found if set(found := processes_of(station)) == ALL else {},
        within=60,
        what=f"the processes {sorted(ALL)}",
    )


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    station = Station(tmp_path_factory.mktemp("launcher"))
    station.start(within=120)
    yield station
    assert station.stop() == 0


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Station]]:
    made: list[Station] = []

    def make(**environment: str) -> Station:
        made.append(Station(tmp_path / str(len(made)), workers=1, **environment))
        return made[-1]

    yield make
    for station in made:
        station.stop()


def test_every_process_of_the_station_is_there_and_below_the_launcher(station: Station) -> None:
    found = all_running(station)

    for name in ("supervisor-1", "pipes-1", "pipes-2", "jobs-1"):
        assert "worker" in found[name].cmdline()
    assert f"READY REDOPC {station.url}" in station.output


def test_ready_means_that_supervisor_and_hosts_answer(station: Station) -> None:
    assert call(station.run_dir / "supervisor.sock", "status")["station"] == "REDOPC"
    assert "pipes" in call(station.run_dir / "pipes-1.sock", "status")
    assert "pipes" in call(station.run_dir / "pipes-2.sock", "status")


def test_redis_is_on_a_socket_of_this_user_only(station: Station) -> None:
    redis = all_running(station)["redis"]

    found = (station.run_dir / "redis.sock").stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert redis.net_connections("inet") == []


def test_only_pipe_workers_load_the_opc_ua_library(
    make: Callable[..., Station], tmp_path: Path
) -> None:
    station = make(PYTHONPROFILEIMPORTTIME="1")  # each process tells what it imports
    with (tmp_path / "output").open("wb") as output:
        station._process = subprocess.Popen(
            [sys.executable, "manage.py", "station"],
            cwd=ROOT,
            env=station.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    eventually(
        lambda: (station.run_dir / "jobs.pulse").exists() and b"READY" in _read(tmp_path),
        within=120,
        what="every process has started",
    )
    assert station.api("GET", "/healthz").status == 200
    assert station.stop() == 0

    lines = _read(tmp_path).decode("utf-8", "replace").splitlines()
    loaded = {line.split()[0] for line in lines if line.rstrip().endswith(" asyncua")}
    assert loaded == {"REDOPC/pipes-1"}


def _read(folder: Path) -> bytes:
    return (folder / "output").read_bytes()


@pytest.mark.parametrize("name", ["jobs-1", "pipes-2", "web", "redis", "supervisor-1"])
def test_a_process_that_is_killed_is_started_again(station: Station, name: str) -> None:
    before = all_running(station)

    before[name].kill()

    after = eventually(
        lambda: (now := all_running(station))[name].pid != before[name].pid and now,
        within=60,
        what=f"a new {name}",
    )
    others = ALL - {name}
    assert {other: after[other].pid for other in others} == {
        other: before[other].pid for other in others
    }
    code, source = ("HOST_CRASH", "REDOPC") if name == "pipes-2" else ("PROCESS_RESTARTED", name)
    eventually(
        lambda: [event for event in reported(station, code) if event["source"] == source],
        within=60,
        what=f"{code} of {name} in the chronicle",
    )


def reported(station: Station, code: str) -> list[dict[str, Any]]:
    answer = station.api("GET", "/chronicle?kind=station&limit=1000")
    if answer.status != HTTPStatus.OK:  # it was web that was killed
        return []
    return [event for event in answer.json["results"] if event["code"] == code]


def test_each_death_is_reported_once_and_by_one(station: Station) -> None:
    restarted = [event["source"] for event in reported(station, "PROCESS_RESTARTED")]
    messages = {event["message"] for event in reported(station, "PROCESS_RESTARTED")}

    assert sorted(restarted) == ["jobs-1", "redis", "supervisor-1", "web"]
    assert "Process web ended (SIGKILL) and is started again." in messages
    assert len(reported(station, "HOST_CRASH")) == 1


def test_the_loss_of_redis_and_a_start_are_no_long_story(station: Station) -> None:
    shown = "\n".join(station.output)

    assert "In Celery 5.1 we introduced" not in shown
    assert "Redis is starting" not in shown
    assert "Memory overcommit" not in shown


def test_each_process_has_a_log_file_of_its_own(station: Station) -> None:
    wanted = {f"{name}.log" for name in ALL - {"redis"}}

    eventually(
        lambda: {path.name for path in (station.data_dir / "logs").iterdir()} == wanted,
        within=60,
        what=f"the files {sorted(wanted)}",
    )


def test_a_second_start_is_refused_and_told_the_first(station: Station) -> None:
    pid = launcher_of(station).pid

    done = station.manage("station", check=False)

    assert done.returncode == 1
    assert f"process {pid}" in done.stderr
    assert all_running(station)


def test_a_taken_port_is_named_and_nothing_is_left_behind(make: Callable[..., Station]) -> None:
    station = make()
    with socket.create_server(("127.0.0.1", station.port)):
        done = station.manage("station", check=False)

    assert done.returncode == 1
    assert f"--http 127.0.0.1:{station.port}: another program listens there" in done.stderr
    assert "READY" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["--http", "0.0.0.0:8099"], 1, "mirrorsite.E002", id="plain HTTP"),
        pytest.param(["--name", "a b"], 1, "MIRRORSITE_STATION", id="a wrong name"),
        pytest.param(["--colour", "red"], 2, "unrecognized arguments", id="an unknown option"),
    ],
)
def test_a_start_with_wrong_settings_is_refused(
    make: Callable[..., Station], arguments: list[str], status: int, said: str
) -> None:
    done = make().manage("station", *arguments, check=False)

    assert done.returncode == status
    assert said in done.stderr


def test_the_first_start_shows_a_set_up_code(make: Callable[..., Station]) -> None:
    station = make()
    station.token = "none"  # no account is made before the start
    station.start(within=120)

    code = (station.data_dir / "setup-code").read_text().strip()
    assert f"SETUP {station.url}/setup/ code {code}" in station.output
    assert station.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_in_order(
    make: Callable[..., Station], number: signal.Signals
) -> None:
    station = make()
    station.start(within=120)
    launcher = launcher_of(station)
    children = launcher.children(recursive=True)
    assert station._process is not None

    launcher.send_signal(number)

    assert station._process.wait(60) == 0
    assert psutil.wait_procs(children, timeout=1)[1] == []
    assert not station.run_dir.exists()


def test_the_term_rises_over_a_stop_that_leaves_nothing_in_memory(
    make: Callable[..., Station],
) -> None:
    station = make()
    terms = []
    for _ in range(2):
        station.start(within=120)
        terms.append(
            eventually(
                lambda: call(station.run_dir / "supervisor.sock", "status")["term"],
                within=60,
                what="a term",
            )
        )
        folder = station.run_dir
        launcher_of(station).terminate()
        assert station._process is not None
        assert station._process.wait(60) == 0
        assert not folder.exists()

    assert terms[1] > terms[0] > 0
    assert station.run_dir == folder


def test_a_run_folder_that_was_given_stays_and_is_empty(
    make: Callable[..., Station], tmp_path_factory: pytest.TempPathFactory
) -> None:
    given = tmp_path_factory.mktemp("r")
    station = make(MIRRORSITE_RUN_DIR=str(given))
    station.start(within=120)
    assert (given / "board").exists()

    launcher_of(station).terminate()
    assert station._process is not None
    assert station._process.wait(60) == 0

    assert list(given.iterdir()) == []


def test_no_process_outlives_a_launcher_that_is_killed(make: Callable[..., Station]) -> None:
    station = make()
    station.start(within=120)
    children = launcher_of(station).children(recursive=True)
    assert len(children) >= 4

    launcher_of(station).kill()

    assert psutil.wait_procs(children, timeout=20)[1] == []
    station.start(within=120)  # what was left in its folders is in nobody's way
    assert station.stop() == 0


def test_a_station_is_ready_without_any_redis(make: Callable[..., Station], tmp_path: Path) -> None:
    station = make(MIRRORSITE_REDIS_URL=f"unix://{tmp_path}/nobody.sock")

    station.start(within=120)

    assert "redis" not in processes_of(station)
    assert call(station.run_dir / "supervisor.sock", "status")["state"] in {"starting", "active"}
    assert station.stop() == 0


def test_sigint_ignored_by_a_shell_still_stops_the_station(make: Callable[..., Station]) -> None:
    station = make()
    station.token = "none"
    # What a script without job control does to a command that it starts in the background.
    shell = subprocess.Popen(
        ["sh", "-c", f"trap '' INT; exec {sys.executable} manage.py station"],
        cwd=ROOT,
        env=station.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    station._process = shell
    assert shell.stdout is not None
    assert any(line.startswith("READY ") for line in shell.stdout)

    os.kill(shell.pid, signal.SIGINT)

    assert shell.wait(60) == 0
