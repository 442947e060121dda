"""Fault F52: loops of items are refused when they are saved; those that nobody sees are guarded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.scenarios.mirrors import TIME_SCALE, Mirror, assert_equal_final_state, took
from tests.scenarios.plants import ROOT, Plant, free_port, node_id
from tests.scenarios.stations import server_body
from tests.scenarios.waiting import eventually, steadily

LOOPING, TOGGLING, OTHER = "T000000", "T000001", "T000002"
Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def script() -> Iterator[Script]:
    """Start a script at the plant; see `tests.servers.script`."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.script", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def north(shared_plant):
    return shared_plant("node", items=5)


@pytest.fixture(scope="module")
def south(shared_plant):
    return shared_plant(items=5)


def errors_of(answer) -> list[tuple[int | None, str]]:
    return [(error.get("row"), error["message"]) for error in answer.json["errors"]]


@pytest.mark.node
def test_f52_a_loop_of_items_is_refused_by_every_route(shared_station, north, south):
    """A → B → A, also where one server has two names; nothing of it is saved."""
    mirror = Mirror(shared_station, north, south, [LOOPING, OTHER])
    alias = north.url.replace("127.0.0.1", "localhost")
    mirror.configuration["servers"].append({**server_body("ALIAS", north), "endpoint": alias})
    mirror.configuration["pipes"] += [
        {"name": "BACK", "source": "TGT", "target": "SRC"},
        {"name": "HIDDEN", "source": "TGT", "target": "ALIAS"},
    ]
    mirror.apply()
    before = shared_station.get("/configuration")
    for pipe in ("BACK", "HIDDEN"):
        back = {"pipe": pipe, "source_node": node_id(OTHER), "target_node": node_id(OTHER)}
        table = "pipe,source_node,target_node\r\n" + ",".join(back.values())
        for answer, row in (
            (shared_station.api("POST", "/items", back), None),
            (shared_station.api("POST", "/items", [back]), 1),
            (
                shared_station.api(
                    "POST",
                    "/items/import?format=csv",
                    table.encode(),
                    Content_Type="text/csv",
                ),
                2,
            ),
            (
                shared_station.api(
                    "PUT", "/configuration", {**before, "items": [*before["items"], back]}
                ),
                3,
            ),
        ):
            assert answer.status == 400, answer.raw
            ((told, message),) = errors_of(answer)
            assert told == row
            assert "(loop)" in message
            assert f"of pipe {pipe}" in message
    assert shared_station.get("/configuration") == before
    found = shared_station.get("/configuration/lint")
    assert "loop" not in {finding["rule"] for finding in found}


def writes_of(plant: Plant, name: str) -> int:
    return plant.ask("attempts", nodes=[name])[name]["count"]


@pytest.mark.node
def test_f52_a_loop_that_nobody_sees_is_guarded_and_others_go_on(
    shared_station, north, south, script
):
    """A script of the plant answers each value with its opposite: our writes never end."""
    mirror = Mirror(shared_station, north, south, [LOOPING, TOGGLING, OTHER]).apply()
    assert_equal_final_state(mirror, within=10)
    writes_of(south, LOOPING)
    loop = script(
        "--reads", south.url, node_id(LOOPING), "--writes", north.url, node_id(LOOPING),
        "--opposite",
    )  # fmt: skip
    toggling = script("--writes", north.url, node_id(TOGGLING), "--every", "0.2")
    began = time.monotonic()
    eventually(lambda: writes_of(south, LOOPING) > 5, within=10, what="it oscillates")

    shown = mirror.wait_for_item(LOOPING, "error", within=20)

    seconds = time.monotonic() - began
    written = writes_of(south, LOOPING)
    sys.stdout.write(f"MEASURED oscillation guarded: {seconds:.1f} s, {written} writes\n")
    assert "because it oscillates: what is written to TGT comes back to SRC" in shown["reason"]
    events = eventually(lambda: shared_station.events(code="ITEMS_OSCILLATE"), within=5)
    assert str(mirror.item_id(LOOPING)) in events[0]["message"]
    assert events[0]["severity"] == "high"
    north.set(OTHER, 77.0)
    took("another item while one is suspended", lambda: south.value(OTHER) == 77.0, within=2)
    toggled = writes_of(south, TOGGLING)
    steadily(lambda: writes_of(south, LOOPING) == written, during=2, what="nothing is written")
    assert writes_of(south, TOGGLING) > toggled + 3, "a source that toggles by itself goes on"
    assert mirror.item(TOGGLING)["state"] == "good"

    for ended in (loop, toggling):
        ended.kill()
        ended.wait()
    mirror.wait_for_item(LOOPING, "good", within=15 * TIME_SCALE)
    assert_equal_final_state(mirror, within=5, fault="the loop has ended")
    assert writes_of(south, LOOPING) <= written + 2


@pytest.mark.node
def test_what_cannot_work_at_the_servers_is_told_before_it_fails(shared_station, shared_plant):
    """Missing nodes, rights, shapes, conditions, parts and a server that is away; two makers."""
    north, south = shared_plant("node", items=3, types=True), shared_plant(items=3, types=True)
    names = {
        "T000000": "Nothing",
        "T000001": "ReadOnly",
        "T000002": "Scalar.Int16",
        "Array.Double": "T000001",
        "Scalar.ByteString": "T000002",
        "Scalar.Double": "Scalar.Double",
    }
    mirror = Mirror(shared_station, north, south, names)
    gone = {**server_body("GONE", south), "endpoint": f"opc.tcp://127.0.0.1:{free_port()}"}
    mirror.configuration["servers"].append(gone)
    mirror.configuration["pipes"].append({"name": "P2", "source": "SRC", "target": "GONE"})
    mirror.configuration["pipes"].append({"name": "Back", "source": "TGT", "target": "SRC"})
    mirror.configuration["items"] += [
        {"pipe": "P2", "source_node": node_id("T000000"), "target_node": node_id("X")},
        {
            "pipe": "P1",
            "source_node": node_id("Scalar.Float"),
            "target_node": node_id("Scalar.Float"),
            "condition": {"node": node_id("NoSuchFlag"), "equals": 1},
            "deadband": {"type": "percent", "value": 1},
        },
        {
            "pipe": "Back",
            "direction": "reverse",
            "index_range": "1",
            "source_node": node_id("Array.Int32"),
            "target_node": node_id("Scalar.Int32"),
        },
    ]
    mirror.apply()

    began = time.monotonic()
    found = shared_station.get("/configuration/lint")

    sys.stdout.write(f"MEASURED lint with facts: {time.monotonic() - began:.2f} s\n")
    ids = mirror.item_id
    (back,) = shared_station.get("/items?pipe=Back")["results"]
    told = {(each["severity"], each["rule"], *each["items"]) for each in found}
    assert told == {
        ("error", "missing_node", ids("T000000")),
        ("error", "target_access", ids("T000001")),
        ("error", "type_mismatch", ids("Scalar.ByteString")),
        ("error", "rank_mismatch", ids("Array.Double")),
        ("error", "condition_node", ids("Scalar.Float")),
        ("error", "index_range_ignored", back["id"]),
        ("warning", "no_eu_range", ids("Scalar.Float")),
        ("warning", "narrowing", ids("T000002")),
        ("warning", "no_security"),
        ("warning", "not_checked"),
    }
    not_checked = next(each["message"] for each in found if each["rule"] == "not_checked")
    assert not_checked.startswith("1 node of GONE not checked: GONE cannot be reached")
