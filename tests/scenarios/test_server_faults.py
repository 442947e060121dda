"""What OPC UA servers do while values move: restart, hang, forget, renumber, limit. F37 to F43."""

from __future__ import annotations

from itertools import count

import pytest

from tests.scenarios.mirrors import TIME_SCALE, Mirror, assert_equal_final_state, disturbed, took
from tests.scenarios.plants import Plant, node_id
from tests.scenarios.waiting import eventually, steadily

pytestmark = pytest.mark.node
TAGS = [f"T{index:06}" for index in range(20)]
OTHERS = ("urn:test:first", "urn:test:second", "urn:test:third")
_numbers = count(1000)


@pytest.fixture(scope="module")
def source(shared_plant):
    return shared_plant(items=50)


@pytest.fixture(scope="module")
def target(shared_plant):
    return shared_plant("node", items=50)


def change(plant: Plant, names=TAGS) -> None:
    """Give every node a value it never had."""
    plant.set_many({name: float(next(_numbers)) for name in names})


def started(mirror: Mirror) -> Mirror:
    """Configure the station and see new values arrive: from here on the fault may come."""
    mirror.apply()
    change(mirror.source, list(mirror.names))
    assert_equal_final_state(mirror, within=15, fault="started")
    return mirror


def changing(plant: Plant):
    def once() -> bool:
        change(plant)
        return True

    return once


@pytest.mark.parametrize("codec", ["splice", "decode"])
def test_f37_target_restarts_and_gets_every_value_again(shared_station, source, target, codec):
    mirror = started(Mirror(shared_station, source, target, TAGS, pipe={"codec": codec}))

    target.kill()
    mirror.wait_for_server("TGT", "disconnected")
    steadily(changing(source), during=5, what="the source goes on")
    target.start()

    assert_equal_final_state(mirror, within=5, fault=f"F37 target back ({codec})")
    eventually(lambda: shared_station.pipe()["state"] == "running", within=5)


def test_c13_f38_a_target_that_hangs_is_noticed_and_holds_the_newest_values_afterwards(
    shared_station, source, target
):
    mirror = started(Mirror(shared_station, source, target, TAGS))
    steadily(changing(source), during=1, what="values are on their way")

    with disturbed(target):
        change(source)
        took(
            "F38 hang noticed",
            lambda: mirror.server("TGT")["state"] != "connected",
            within=2.5,
        )
        reason = mirror.server("TGT")["reason"]
        assert "no answer" in reason, reason
        steadily(changing(source), during=7.5, what="the source goes on")

    assert_equal_final_state(mirror, within=5, fault="F38 after CONT")


def test_c03_f39_a_node_that_comes_late_is_picked_up(shared_station, source, target):
    source.ask("add_node", node="Late", value=1.0)
    names = {**{tag: tag for tag in TAGS}, "Late": "T000040"}
    mirror = started(Mirror(shared_station, source, target, names))

    source.restart()
    shown = mirror.wait_for_item("Late", "error", within=15)
    assert "BadNodeIdUnknown" in shown["reason"]
    assert "SRC" in shown["reason"]
    others = Mirror(shared_station, source, target, TAGS)
    assert_equal_final_state(others, within=5, fault="F39 the other items")
    steadily(lambda: mirror.item("Late")["state"] == "error", during=10, what="the node is away")
    source.ask("add_node", node="Late", value=77.0)

    assert_equal_final_state(mirror, within=5, fault="F39 late node")
    mirror.wait_for_item("Late", "good", within=5)


def test_f40_namespaces_that_move_in_a_restart_hit_no_wrong_node(shared_station, make_plant):
    north = make_plant(items=20, decoys=True, namespace_order="0123")
    south = make_plant(items=20, decoys=True, namespace_order="0123")
    mirror = started(Mirror(shared_station, north, south, TAGS))

    for plant, order in ((south, "2013"), (north, "3201")):
        plant.options["namespace_order"] = order
        plant.restart()
        change(north)
        assert_equal_final_state(mirror, within=5, fault=f"F40 order {order}")

    decoys = [f"{uri}:{tag}" for uri in OTHERS for tag in TAGS]
    assert set(south.values(decoys).values()) == {-1.0}, "a node of another namespace was written"


@pytest.mark.parametrize("maker", ["asyncua", "node"])
def test_c01_f41_a_subscription_that_vanishes_silently_is_made_anew(
    shared_station, request, make_plant, target, maker
):
    is_shared = maker == "asyncua"
    source = request.getfixturevalue("source") if is_shared else make_plant(maker, items=20)
    mirror = started(Mirror(shared_station, source, target, TAGS))
    healed = shared_station.pipe()["healed_subscriptions"]

    assert source.ask("delete_subscriptions") >= 1
    change(source)

    assert_equal_final_state(mirror, within=10, fault=f"F41 subscription lost ({maker})")
    assert shared_station.pipe()["healed_subscriptions"] > healed
    assert source.ask("counts")["subscriptions"] == 1, "a subscription was left behind"


def test_c09_an_item_that_falls_silent_is_subscribed_anew(shared_station, source, target):
    mirror = started(Mirror(shared_station, source, target, TAGS))

    assert source.ask("mute", nodes=TAGS[:3]) == 3
    change(source)

    assert_equal_final_state(mirror, within=15, fault="a stale item heals")
    assert shared_station.pipe()["healed_items"] == 3
    assert shared_station.pipe()["healed_subscriptions"] == 0, "only the stale items were touched"


def test_c12_f42_reconnecting_leaves_no_session_behind(shared_station, source, make_plant):
    target = make_plant("node", items=20, max_sessions=2)
    mirror = started(Mirror(shared_station, source, target, TAGS))

    for attempt in range(50):
        host = "localhost" if attempt % 2 == 0 else "127.0.0.1"
        answer = shared_station.api(
            "PATCH", "/servers/TGT", {"endpoint": f"opc.tcp://{host}:{target.port}"}
        )
        assert answer.status == 200, answer.raw
        mirror.applied(shared_station.get("/station")["revision"]["saved"])

    change(source)
    assert_equal_final_state(mirror, within=10, fault="F42 after 50 reconnects")
    assert target.ask("counts")["sessions"] == 1
    errors = shared_station.events(search="BadTooManySessions")
    assert errors == []


def test_f43_servers_that_take_fifty_operations_a_call_get_5000_items(shared_station, make_plant):
    source = make_plant(items=5000, max_operations=50)  # does not say so
    target = make_plant("node", items=5000, max_operations=50)  # says so
    names = [f"T{index:06}" for index in range(5000)]
    mirror = Mirror(shared_station, source, target, names)
    mirror.station.put_configuration(mirror.configuration)

    took("F43 5,000 items live", lambda: shared_station.pipe()["good"] == 5000, within=60)
    change(source, names[::7])
    assert_equal_final_state(mirror, within=30, fault="F43 values")
    assert shared_station.pipe()["errors"] == 0


def test_a_server_that_is_down_at_the_start_is_met_as_soon_as_it_is_up(
    shared_station, source, target
):
    shared_station.put_configuration({})  # no connection of before
    source.kill()
    mirror = Mirror(shared_station, source, target, TAGS).apply()
    reason = eventually(  # before it is tried, no pipe uses it
        lambda: (
            (r := shared_station.get("/servers/SRC")["status"]["reason"])
            and "cannot be reached" in r
            and r
        ),
        within=10 * TIME_SCALE,
    )
    assert reason.startswith("SRC cannot be reached")
    assert "Is the server running" in reason
    shown = eventually(lambda: (s := shared_station.pipe())["state"] == "waiting" and s, within=5)
    assert "SRC" in shown["reason"]

    source.start()

    assert_equal_final_state(mirror, within=5, fault="server up after the station")


def test_a_source_restart_moves_only_what_the_source_has_now(shared_station, source, target):
    mirror = started(Mirror(shared_station, source, target, TAGS))

    source.restart()  # its nodes have their start values again

    assert_equal_final_state(mirror, within=5, fault="source back")
    assert target.value(TAGS[3]) == 3.0


def test_an_item_of_both_directions_is_equal_after_either_server_restarts(
    shared_station, source, target
):
    north, south = source, target
    mirror = started(Mirror(shared_station, north, south, TAGS, item={"direction": "both"}))

    south.restart()
    assert_equal_final_state(mirror, within=5, fault="both directions, target back")
    south.set(TAGS[0], 4711.0)
    eventually(lambda: north.value(TAGS[0]) == 4711.0, within=5)

    north.restart()
    assert_equal_final_state(mirror, within=5, fault="both directions, source back")
    assert south.value(TAGS[1]) == 1.0, "the source has the first word after a restart"


def test_items_that_are_removed_while_the_target_is_away_are_not_written(
    shared_station, source, target
):
    mirror = started(Mirror(shared_station, source, target, TAGS))
    target.kill()
    mirror.wait_for_server("TGT", "disconnected")
    change(source)
    less = Mirror(shared_station, source, target, TAGS[:10]).apply()
    target.start()

    assert_equal_final_state(less, within=5, fault="target back, items removed")
    assert target.value(TAGS[15]) == 15.0, "its start value, as nothing wrote it"
    assert node_id(TAGS[15]) not in str(shared_station.get("/items?pipe=P1&limit=1000"))
