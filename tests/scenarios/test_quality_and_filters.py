"""The quality contract, filters, conditions and intervals on the wire, from and to node-opcua.

The target is node-opcua's wherever a status is judged, since asyncua's server shows no value beside
a Bad status; the source is node-opcua's wherever a filter is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipes.core.status_codes import code_of
from tests.scenarios.mirrors import Mirror, assert_equal_final_state, took
from tests.scenarios.plants import Plant, node_id
from tests.scenarios.stations import Station
from tests.scenarios.waiting import eventually, steadily

pytestmark = pytest.mark.node

BAD = code_of("BadCommunicationError")
SENSOR = code_of("BadSensorFailure")
UNCERTAIN = code_of("UncertainSubNormal")
STALE = code_of("UncertainLastUsableValue")
LOST = code_of("BadNoCommunication")
SUBSTITUTED = code_of("UncertainSubstituteValue")
#: One item for each policy.
POLICIES = {
    "T000000": {"quality": "propagate"},
    "T000001": {"quality": "hold"},
    "T000002": {"quality": "substitute", "substitute": -1},
    "T000003": {"quality": "stop"},
}
Facts = tuple[Any, int]


@pytest.fixture(scope="module")
def north(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant(items=10, types=True)


@pytest.fixture(scope="module")
def foreign(shared_plant: Callable[..., Plant]) -> Plant:
    return shared_plant("node", items=10, types=True)


def shown(plant: Plant, *names: str) -> dict[str, Facts]:
    return {name: (one["value"], one["status"]) for name, one in plant.read(names).items()}


def shows(plant: Plant, wanted: dict[str, Facts], *, what: str, within: float = 5) -> None:
    took(what, lambda: shown(plant, *wanted) == wanted, within=within,
         what=lambda: f"{shown(plant, *wanted)}, not {wanted}")  # fmt: skip


def events(station: Station, code: str) -> list[dict[str, Any]]:
    return [event for event in station.events() if event["code"] == code]


def test_c08_each_policy_on_a_bad_value_and_on_a_lost_source(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    north.set_many(dict.fromkeys(POLICIES, 5.0))
    mirror = Mirror(
        shared_station, north, foreign, list(POLICIES), items=POLICIES, pipe={"hold_seconds": 1.0}
    ).apply()
    assert_equal_final_state(mirror, within=10)

    north.set_many(dict.fromkeys(POLICIES, 6.0), status=BAD)
    kept = {
        "T000000": (5.0, BAD),  # asyncua sends no value beside a Bad status
        "T000001": (5.0, BAD),
        "T000002": (-1.0, SUBSTITUTED),
        "T000003": (5.0, 0),
    }
    shows(foreign, kept, what="each policy on a Bad value")
    assert "stopped until the source is Good" in mirror.item("T000003")["reason"]
    assert "has the substitute value" in mirror.item("T000002")["reason"]
    north.set_many(dict.fromkeys(POLICIES, 7.0), status=UNCERTAIN)
    shows(foreign, {"T000000": (7.0, UNCERTAIN), "T000003": (5.0, 0)}, what="better is not Good")
    north.set_many(dict.fromkeys(POLICIES, 8.0))
    shows(foreign, dict.fromkeys(POLICIES, (8.0, 0)), what="Good again")
    eventually(lambda: events(shared_station, "ITEMS_GO_ON"), within=10)
    (stop, *_) = events(shared_station, "ITEMS_STOPPED")
    assert str(mirror.item_id("T000003")) in stop["message"]

    north.kill()
    lost = {
        "T000000": (8.0, LOST),
        "T000001": (8.0, LOST),
        "T000002": (-1.0, SUBSTITUTED),
        "T000003": (8.0, 0),
    }
    shows(foreign, lost, what="each policy on a lost source", within=15)
    assert "SRC is not connected" in mirror.item("T000000")["reason"]
    north.start()
    north.set_many(dict.fromkeys(POLICIES, 9.0))
    shows(foreign, dict.fromkeys(POLICIES, (9.0, 0)), what="the source is back", within=15)


def test_a_value_that_its_server_has_and_does_not_report_is_uncertain_until_it_does(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    stale, well = "T000008", "T000009"
    foreign.set_many({stale: 1.0, well: 1.0})
    mirror = Mirror(shared_station, foreign, north, [stale, well]).apply()
    assert_equal_final_state(mirror, within=10)
    before = mirror.server("SRC")

    foreign.ask("silence", nodes=[stale])
    foreign.set_many({stale: 2.0, well: 2.0})
    shows(north, {stale: (1.0, 0), well: (2.0, 0)}, what="the other item goes on")
    shows(north, {stale: (1.0, STALE), well: (2.0, 0)}, what="stale is told", within=15)
    item = mirror.wait_for_item(stale, "stale")
    assert "has another value and does not report it" in item["reason"]
    assert mirror.server("SRC")["state"] == "connected"
    assert mirror.server("SRC")["since"] == before["since"], "the session lives on"
    assert shared_station.pipe()["healed_subscriptions"] == 0

    foreign.ask("silence", nodes=[])
    foreign.set(stale, 3.0)
    shows(north, {stale: (3.0, 0), well: (2.0, 0)}, what="and it is Good when it reports")
    mirror.wait_for_item(stale, "good")


def test_the_table_of_the_pipe_says_what_single_statuses_become(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    names = ["T000000", "T000001", "T000002"]
    table = {"BadSensorFailure": "UncertainSubNormal", "Uncertain": "Good", "Bad": "hold"}
    north.set_many(dict.fromkeys(names, 1.0))
    mirror = Mirror(
        shared_station,
        north,
        foreign,
        names,
        pipe={"quality_table": table},
        items={"T000002": {"quality": "propagate"}},
    ).apply()
    assert_equal_final_state(mirror, within=10)

    north.set("T000000", 2.0, status=SENSOR)
    north.set("T000001", 2.0, status=UNCERTAIN)
    north.set("T000002", 2.0, status=SENSOR)
    shows(
        foreign,
        {"T000000": (1.0, UNCERTAIN), "T000001": (2.0, 0), "T000002": (1.0, SENSOR)},
        what="statuses by the table",
    )
    north.set("T000000", 3.0, status=BAD)
    eventually(lambda: "the target holds" in mirror.item("T000000")["reason"], within=5)
    assert shown(foreign, "T000000") == {"T000000": (1.0, UNCERTAIN)}


def test_an_item_goes_only_while_its_condition_is_met(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    condition = {"node": node_id("Scalar.Boolean"), "equals": True}
    foreign.set("Scalar.Boolean", False)
    foreign.set_many({"T000004": 1.0, "T000005": 1.0})
    north.set_many({"T000004": 0.0, "T000005": 0.0})
    mirror = Mirror(
        shared_station,
        foreign,
        north,
        ["T000004", "T000005"],
        items={"T000004": {"condition": condition}},
    ).apply()
    took("no condition", lambda: north.value("T000005") == 1.0, within=10)
    reason = eventually(lambda: mirror.item("T000004")["reason"], within=5)
    assert "is false, not true" in reason
    foreign.set("T000004", 2.0)
    steadily(lambda: north.value("T000004") == 0.0, during=0.5, what="not met")

    foreign.set("Scalar.Boolean", True)
    took("met: the newest value", lambda: north.value("T000004") == 2.0, within=5)
    foreign.set("T000004", 3.0)
    took("while met", lambda: north.value("T000004") == 3.0, within=5)
    foreign.set("Scalar.Boolean", False)
    eventually(lambda: "not met" in mirror.item("T000004")["reason"], within=5)
    foreign.set("T000004", 4.0)
    steadily(lambda: north.value("T000004") == 3.0, during=0.5, what="not met any more")
    assert mirror.item("T000004")["state"] == "good"


def test_a_transfer_on_request_is_made_once_for_each_request(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    """One shot, as docs/adr/0009-one-shot-transfers.md makes it: a condition and trigger status."""
    recipe, request, ready = "T000005", "Scalar.Int16", "T000004"
    foreign.set(request, 0)
    foreign.set_many({recipe: 1.0, ready: 1.0})
    north.set_many({recipe: 0.0, ready: 0.0})
    condition = {"node": node_id(request), "equals": 1}
    mirror = Mirror(
        shared_station,
        foreign,
        north,
        [recipe, ready],
        items={recipe: {"condition": condition, "trigger": "status"}},
    ).apply()
    took("the other item", lambda: north.value(ready) == 1.0, within=10)
    before = north.ask("attempts", nodes=[recipe])[recipe]["count"]

    for shot, (wanted, later) in enumerate([(2.0, 3.0), (4.0, 5.0)], start=1):
        foreign.set_many({recipe: wanted, ready: wanted})
        took("the recipe is ready", lambda wanted=wanted: north.value(ready) == wanted, within=5)
        foreign.set(request, 1)
        took(f"request {shot}", lambda wanted=wanted: north.value(recipe) == wanted, within=5)
        foreign.set_many({recipe: later, ready: later})
        took("what came later", lambda later=later: north.value(ready) == later, within=5)
        foreign.set(request, 0)
        eventually(lambda: "not met" in mirror.item(recipe)["reason"], within=5)
        assert north.value(recipe) == wanted
        assert north.ask("attempts", nodes=[recipe])[recipe]["count"] - before == shot


def test_a_reverse_item_looks_for_its_condition_at_the_source(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    condition = {"node": node_id("Scalar.Int32"), "equals": 7}
    north.set("Scalar.Int32", 0)
    north.set("T000006", 0.0)
    foreign.set("T000006", 5.0)
    Mirror(
        shared_station,
        north,
        foreign,
        ["T000006"],
        item={"direction": "reverse", "condition": condition},
    ).apply()
    eventually(lambda: shared_station.pipe()["state"] == "running", within=10)
    steadily(lambda: north.value("T000006") == 0.0, during=0.5, what="not met")
    north.set("Scalar.Int32", 7)
    took("met", lambda: north.value("T000006") == 5.0, within=5)


def test_a_minimum_interval_writes_seldom_and_the_last_value_always(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    foreign.set("T000007", 0.0)
    mirror = Mirror(
        shared_station, foreign, north, ["T000007"], item={"minimum_interval_ms": 1000}
    ).apply()
    mirror.wait_for_item("T000007", "good")
    assert_equal_final_state(mirror, within=10)
    before = north.ask("attempts", nodes=["T000007"])["T000007"]["count"]
    for number in range(1, 16):  # for 1.5 s, ten times a second
        foreign.set("T000007", float(number))
        steadily(lambda: True, during=0.1)
    took("the last value", lambda: north.value("T000007") == 15.0, within=3)

    tries = north.ask("attempts", nodes=["T000007"])["T000007"]
    assert 2 <= tries["count"] - before <= 4
    assert tries["shortest_gap"] > 0.9


@pytest.mark.parametrize(
    ("source", "codec"), [("foreign", "splice"), ("foreign", "decode"), ("north", "splice")]
)
def test_a_percent_deadband_is_of_the_eu_range(
    shared_station: Station, north: Plant, foreign: Plant, source: str, codec: str
) -> None:
    """5 % of 0 to 200 is 10; asyncua's server says that it filters and does not."""
    there, here = (foreign, north) if source == "foreign" else (north, foreign)
    deadband = {"type": "percent", "value": 5}
    there.set("Analog", 100.0)
    mirror = Mirror(
        shared_station, there, here, ["Analog"], item={"deadband": deadband}, pipe={"codec": codec}
    ).apply()
    mirror.wait_for_item("Analog", "good")
    assert_equal_final_state(mirror, within=10)
    for small in (104.0, 109.0):
        there.set("Analog", small)
        steadily(lambda: here.value("Analog") == 100.0, during=0.4, what="within the deadband")
    there.set("Analog", 112.0)
    took("beyond the deadband", lambda: here.value("Analog") == 112.0, within=5)
    assert mirror.item("Analog")["reason"] == ""


def test_a_percent_deadband_without_range_goes_on_and_says_what_would_help(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    deadband = {"type": "percent", "value": 5}
    foreign.set("T000008", 100.0)
    mirror = Mirror(
        shared_station, foreign, north, ["T000008"], item={"deadband": deadband}
    ).apply()
    assert_equal_final_state(mirror, within=10)
    foreign.set("T000008", 100.5)
    took("no deadband", lambda: north.value("T000008") == 100.5, within=5)
    assert "no EURange at SRC" in eventually(lambda: mirror.item("T000008")["reason"], within=5)


def test_trigger_status_is_kept_to_with_a_foreign_server(
    shared_station: Station, north: Plant, foreign: Plant
) -> None:
    foreign.set("T000009", 1.0)
    mirror = Mirror(shared_station, foreign, north, ["T000009"], item={"trigger": "status"}).apply()
    mirror.wait_for_item("T000009", "good")
    assert_equal_final_state(mirror, within=10)
    foreign.set("T000009", 2.0)
    steadily(lambda: north.value("T000009") == 1.0, during=0.5, what="only the status counts")
    foreign.set("T000009", 3.0, status=UNCERTAIN)
    took("a new status", lambda: north.value("T000009") == 3.0, within=5)
