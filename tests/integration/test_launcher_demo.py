"""``manage.py demo``: two plants and a station come up, values move, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, ClassVar, cast

import psutil
import pytest
from asyncua import Client

from mirrorsite.admission import StartRefused
from mirrorsite.demo import plant, tags
from mirrorsite.demo.movement import DURATIONS, SETPOINT, TAGS, Kind, Phase, Reactor
from mirrorsite.demo.scene import BASE_PORT, OFFSETS, choose_ports
from mirrorsite.env import ROOT
from tests.scenarios.waiting import eventually

ENVIRONMENT = {**os.environ, "MIRRORSITE_NO_BOOTSTRAP": "1"}


class TestMovement:
    def test_a_reactor_goes_through_a_whole_batch(self) -> None:
        reactor = Reactor(Random(1))
        seen = []

        for _ in range(int(2.5 * sum(DURATIONS.values()))):
            reactor.step(1.0)
            if not seen or seen[-1] != reactor.phase:
                seen.append(reactor.phase)

        start = seen.index(Phase.IDLE)
        assert seen[start : start + 6] == list(DURATIONS)

    def test_every_value_stays_within_its_range_and_keeps_its_type(self) -> None:
        types = {
            Kind.DOUBLE: float,
            Kind.FLOAT: float,
            Kind.BOOLEAN: bool,
            Kind.INT32: int,
            Kind.STRING: str,
            Kind.DOUBLES: list,
        }
        reactor = Reactor(Random(2))

        for _ in range(2_000):
            reactor.step(0.5)
            values = reactor.values()
            for tag in TAGS:
                value = values[tag.name]
                assert type(value) is types[tag.kind]
                if tag.unit is not None and isinstance(value, float):
                    assert tag.low <= value <= tag.high, tag.name

    def test_the_temperature_follows_its_setpoint(self) -> None:
        reactor = Reactor(Random(3))
        while reactor.phase is not Phase.REACT:
            reactor.step(1.0)

        reactor.setpoint = 60.0
        for _ in range(25):
            reactor.step(1.0)

        assert abs(float(str(reactor.values()["TT101"])) - 60.0) < 10.0


class TestDocument:
    ENDPOINTS: ClassVar = {
        tags.NORTH: "opc.tcp://127.0.0.1:1/",
        tags.SOUTH: "opc.tcp://127.0.0.1:2/",
    }

    @pytest.mark.parametrize("items", [1, 2, 21, 200])
    def test_it_has_as_many_items_as_asked_for_and_none_twice(self, items: int) -> None:
        document = tags.document(items, self.ENDPOINTS)

        targets = {(item["pipe"], item["target_node"]) for item in document["items"]}
        assert len(targets) == len(document["items"]) == items

    def test_setpoints_move_both_ways(self) -> None:
        document = tags.document(200, self.ENDPOINTS)

        both = [item for item in document["items"] if item["direction"] == "both"]
        assert len(both) == 20
        assert all(item["source_node"].endswith(SETPOINT) for item in both)


class TestNodeCache:
    """Two plants that start for the first time write the same cache."""

    class Server:
        """What the cache asks of a server; ``meanwhile`` happens while it loads its nodes."""

        def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
            self.loaded: list[Path] = []
            self._meanwhile = meanwhile

        async def init(self, shelf: Path) -> None:
            self.loaded.append(shelf)
            if not shelf.parent.name.startswith("nodes-"):
                (shelf.parent / "nodes.db").write_text("nodes")
                self._meanwhile()

    @staticmethod
    async def load(server: Server, cache: Path) -> None:
        await plant._load_standard_nodes(cast("Any", server), cache)

    async def test_the_second_start_loads_what_the_first_has_written(self, tmp_path: Path) -> None:
        first, second = self.Server(), self.Server()

        await self.load(first, tmp_path)
        await self.load(second, tmp_path)

        (folder,) = tmp_path.iterdir()
        assert (folder / "nodes.db").read_text() == "nodes"
        assert second.loaded == [folder / "nodes"]

    async def test_the_slower_of_two_says_nothing_and_leaves_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", plant.log.name)
        await self.load(self.Server(), tmp_path)
        (folder,) = tmp_path.iterdir()
        aside = tmp_path.with_name("aside")
        folder.rename(aside)

        await self.load(self.Server(meanwhile=lambda: shutil.move(aside, folder)), tmp_path)

        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        assert caplog.records == []

    async def test_a_disk_that_takes_no_cache_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", plant.log.name)

        await self.load(self.Server(meanwhile=lambda: shutil.rmtree(tmp_path)), tmp_path)

        assert "the standard nodes were not cached" in caplog.text


class TestPorts:
    def test_a_taken_default_is_replaced_and_said(self) -> None:
        taken = []
        for offset in OFFSETS.values():
            try:
                taken.append(socket.create_server(("127.0.0.1", BASE_PORT + offset)))
            except OSError:
                continue  # taken by somebody else, which is as good
        said: list[str] = []

        try:
            ports = choose_ports(None, said.append)
        finally:
            for listener in taken:
                listener.close()

        assert len(set(ports.values())) == len(OFFSETS)
        assert said[0] == f"port 8000 is taken: web uses {ports['web']}"

    def test_a_taken_port_after_an_explicit_base_is_refused(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            base = other.getsockname()[1]

            with pytest.raises(StartRefused, match=f"port {base} .web. is taken"):
                choose_ports(base, lambda _: None)


class Demo:
    """A demo, as people start it."""

    def __init__(self, checkout: Path, *arguments: str) -> None:
        self.output: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", *arguments],
            cwd=checkout,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def until(self, text: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip())
            if text in line:
                return line.rstrip()
        raise AssertionError(f"no {text!r} in\n" + "\n".join(self.output))


def free_base() -> int:
    """A base port that leaves room for all of the demo's."""
    for base in range(23_000, 60_000, 100):
        try:
            choose_ports(base, lambda _: None)
        except StartRefused:
            continue
        return base
    raise AssertionError("no room")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the checkout: the demo keeps its data below the checkout that it is started in."""
    root = tmp_path / "checkout"
    root.mkdir()
    shutil.copy(ROOT / "manage.py", root)
    for name in ("mirrorsite", "diagnostics", "pipes", "redundancy", "templates", "static"):
        shutil.copytree(ROOT / name, root / name)
    yield root
    note = root / "var" / "demo" / "REDOPC" / "run"
    if note.exists():
        shutil.rmtree(note.read_text().strip(), ignore_errors=True)


async def _values(port: int, nodes: list[str]) -> list[object]:
    async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=20) as client:
        found = await client.read_values([client.get_node(node) for node in nodes])
        return list(found)


@pytest.mark.scenario
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_demo_moves_values_and_leaves_no_process(checkout: Path) -> None:
    base = free_base()
    demo = Demo(checkout, "--base-port", str(base), "--items", "40", "--rate", "5")
    try:
        login = demo.until("LOGIN admin ")
        demo.until(f"READY REDOPC http://127.0.0.1:{base}")
        demo.until("Ctrl-C stops everything")
        north, south = base + OFFSETS[tags.NORTH], base + OFFSETS[tags.SOUTH]
        children = psutil.Process(demo.process.pid).children(recursive=True)

        file = checkout / "var" / "demo" / "login"
        assert file.read_text() == login.removeprefix("LOGIN ") + "\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        first = _read(south, "From_north.Area1.R101.TT101")
        eventually(
            lambda: _read(south, "From_north.Area1.R101.TT101") != first,
            within=60,
            what="a value that moves from NORTH to SOUTH",
        )
        eventually(
            lambda: _read(north, "From_south.Area1.R101.Phase") in set(Phase),
            within=60,
            what="a text that moved from SOUTH to NORTH",
        )
        _write(south, f"From_north.Area1.R101.{SETPOINT}", 88.5)
        eventually(
            lambda: _read(north, f"Area1.R101.{SETPOINT}") == 88.5,
            within=60,
            what="a setpoint that was changed in SOUTH arrives in NORTH",
        )

        second = subprocess.run(
            [sys.executable, "manage.py", "demo"],
            cwd=checkout,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert second.returncode == 1
        assert f"process {demo.process.pid}" in second.stderr
    finally:
        demo.process.send_signal(signal.SIGINT)
        status = demo.process.wait(90)

    assert status == 0
    assert psutil.wait_procs(children, timeout=1)[1] == []


def _read(port: int, path: str) -> object:
    return asyncio.run(_values(port, [f"ns=2;s={path}"]))[0]


def _write(port: int, path: str, value: float) -> None:
    async def write() -> None:
        async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=20) as client:
            await client.get_node(f"ns=2;s={path}").write_value(value)

    asyncio.run(write())
