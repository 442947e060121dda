"""The main job: configured, values move, in both directions, between servers of two makers."""

from __future__ import annotations

import pytest

from tests.scenarios.plants import node_id
from tests.scenarios.stations import server_body
from tests.scenarios.waiting import eventually

TAGS = [f"T{index:06}" for index in range(50)]


def forward_items(**more):
    return [
        {"pipe": "P1", "source_node": node_id(tag), "target_node": node_id(tag), **more}
        for tag in TAGS
    ]


@pytest.mark.parametrize(("source", "target"), [("asyncua", "node"), ("node", "asyncua")])
@pytest.mark.parametrize("codec", ["splice", "decode"])
def test_c07_values_move_between_servers_of_two_makers(
    make_station, make_plant, source, target, codec
):
    source_plant, target_plant = make_plant(source, items=50), make_plant(target, items=50)
    station = make_station()
    station.put_configuration(
        {
            "servers": [server_body("SRC", source_plant), server_body("TGT", target_plant)],
            "pipes": [{"name": "P1", "source": "SRC", "target": "TGT", "codec": codec}],
            "items": forward_items(),
        }
    )

    for step in (1, 2, 3):
        wanted = {tag: float(index * 10 + step) for index, tag in enumerate(TAGS)}
        source_plant.set_many(wanted)
        eventually(lambda wanted=wanted: target_plant.values(TAGS) == wanted, within=10)

    shown = source_plant.read(TAGS), target_plant.read(TAGS)
    assert [t["stamp"] // 1000 for t in shown[0].values()] == [
        t["stamp"] // 1000 for t in shown[1].values()
    ]
    status = eventually(lambda: (s := station.pipe())["good"] == 50 and s, within=5)
    assert status["state"] == "running"
    assert status["errors"] == 0


@pytest.mark.node
def test_c07_an_item_of_both_directions_carries_changes_of_either_side(make_station, make_plant):
    north, south = make_plant(items=50), make_plant("node", items=50)
    station = make_station()
    station.put_configuration(
        {
            "servers": [server_body("N", north), server_body("S", south)],
            "pipes": [{"name": "P1", "source": "N", "target": "S"}],
            "items": forward_items(direction="both"),
        }
    )
    north.set_many(dict.fromkeys(TAGS, 1.0))
    eventually(lambda: set(south.values(TAGS).values()) == {1.0}, within=15)

    south.set_many(dict.fromkeys(TAGS[:25], 2.0))
    north.set_many(dict.fromkeys(TAGS[25:], 3.0))

    wanted = dict.fromkeys(TAGS[:25], 2.0) | dict.fromkeys(TAGS[25:], 3.0)
    eventually(lambda: north.values(TAGS) == wanted == south.values(TAGS), within=15)
    writes = station.pipe()["writes"]
    assert writes <= 50 + 50 + 10, "values go round in circles"


def test_changing_one_item_does_not_disturb_another_pipe(make_station, make_plant):
    source, target = make_plant(items=50), make_plant(items=51)
    station = make_station(workers=1)
    items = forward_items()
    for item in items[25:]:
        item["pipe"] = "P2"
    station.put_configuration(
        {
            "servers": [server_body("SRC", source), server_body("TGT", target)],
            "pipes": [{"name": name, "source": "SRC", "target": "TGT"} for name in ("P1", "P2")],
            "items": items,
        }
    )
    source.set_many(dict.fromkeys(TAGS, 5.0))
    eventually(lambda: set(target.values(TAGS).values()) == {5.0}, within=15)
    before = station.pipe("P2"), target.ask("counts")

    first = station.get("/items?pipe=P1&limit=1")["results"][0]
    answer = station.api(
        "PATCH", f"/items/{first['id']}", {"target_node": node_id("T000050"), "note": "moved"}
    )
    assert answer.status == 200, answer.raw

    revision = station.get("/station")["revision"]["saved"]
    eventually(lambda: station.get("/station")["revision"]["applied"] == revision, within=5)
    after = station.pipe("P2"), target.ask("counts")
    assert after[0]["received"] == before[0]["received"], "the other pipe was subscribed again"
    assert after[1]["connections"] == before[1]["connections"]
    eventually(lambda: station.item(first["id"])["state"] == "good", within=5)
