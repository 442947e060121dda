"""The write ledger and the reading back, against a target of another maker."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from tests.scenarios.mirrors import Mirror, assert_equal_final_state, took
from tests.scenarios.plants import node_id
from tests.scenarios.waiting import eventually

pytestmark = pytest.mark.node

PIPE_WORKERS = 2
PLAIN, SCALED, REFUSED, CLAMPED = TAGS = [f"T{index:06}" for index in range(4)]
_numbers = count(1000)


@pytest.fixture(scope="module")
def north(shared_plant):
    return shared_plant(items=4)


@pytest.fixture(scope="module")
def foreign(shared_plant):
    return shared_plant("node", items=4)


@pytest.fixture(scope="module")
def mirror(shared_station, north, foreign):
    """A plain item, one with a transform, and two that are read back."""
    return Mirror(
        shared_station,
        north,
        foreign,
        TAGS,
        items={
            SCALED: {"transform": {"kind": "linear", "gain": 2.0, "offset": 1.0}, "verify": True},
            CLAMPED: {"verify": True},
        },
    ).apply()


def ledger(mirror: Mirror, tag: str = "", **filters: Any) -> dict[str, Any]:
    query = dict(filters) | ({"item": mirror.item_id(tag)} if tag else {})
    return mirror.station.get("/ledger?" + "&".join(f"{k}={v}" for k, v in query.items()))


def newest(mirror: Mirror, tag: str, number: float) -> Mapping[str, Any] | None:
    """The newest write of an item, if it is that of this number of the source."""
    rows = ledger(mirror, tag, limit=1)["results"]
    return rows[0] if rows and rows[0]["requested"]["value"] == number else None


def move(mirror: Mirror, tag: str, number: float | None = None) -> float:
    number = float(next(_numbers)) if number is None else number
    mirror.source.set(tag, number)
    return number


def event(mirror: Mirror, code: str, tag: str) -> dict[str, Any]:
    """The event about an item, as soon as it is there."""
    source = str(mirror.item_id(tag))

    def look() -> dict[str, Any] | None:
        found = [each for each in mirror.station.events(code=code) if each["source"] == source]
        return found[0] if found else None

    return eventually(look, within=10, what=f"{code} of {tag}")


def test_an_acknowledged_write_says_what_was_requested_and_what_was_sent(mirror):
    number = move(mirror, SCALED)
    row = eventually(
        lambda: (found := newest(mirror, SCALED, number)) and found["verified"] and found,
        within=15,
        what="the write is in the ledger, and verified",
    )
    assert row["sent"]["value"] == 2 * number + 1
    assert (row["outcome"], row["status"], row["verified"]) == ("acked", "Good", True)
    assert (row["pipe"], row["direction"], row["item"]) == (
        "P1",
        "forward",
        mirror.item_id(SCALED),
    )
    assert row["requested"]["source_timestamp"] == row["sent"]["source_timestamp"]
    assert mirror.item(SCALED)["verified"] is True
    assert mirror.item(PLAIN)["verified"] is None, "it does not ask for it"


def test_a_write_that_the_target_refuses_is_in_the_ledger_and_an_event(mirror):
    mirror.target.ask("refuse", statuses={REFUSED: "BadOutOfRange"})
    number = move(mirror, REFUSED)
    row = eventually(lambda: newest(mirror, REFUSED, number), within=10)
    assert (row["outcome"], row["status"], row["verified"]) == ("rejected", "BadOutOfRange", None)
    assert row["reason"] == "the server refuses the value as out of range; the next value is tried"
    told = event(mirror, "WRITE_REFUSED", REFUSED)
    assert (told["kind"], told["severity"]) == ("item", "high")
    assert told["message"] == (
        f"item {mirror.item_id(REFUSED)} of P1: TGT refuses {number} for {node_id(REFUSED)}: "
        "BadOutOfRange: the server refuses the value as out of range; the next value is tried"
    )
    assert told["details"]["status"] == "BadOutOfRange"

    mirror.target.ask("refuse", statuses={REFUSED: ""})
    number = move(mirror, REFUSED)
    eventually(
        lambda: (found := newest(mirror, REFUSED, number)) and found["outcome"] == "acked",
        within=10,
        what="the next value is written",
    )
    outcomes = [each["outcome"] for each in ledger(mirror, REFUSED)["results"]]
    assert {"acked", "rejected"} <= set(outcomes)


def test_a_target_that_alters_the_value_is_an_error_until_it_takes_one(mirror):
    mirror.target.ask("clamp", node=CLAMPED, low=0, high=100)
    number = move(mirror, CLAMPED)
    shown = mirror.wait_for_item(CLAMPED, "error")
    assert shown["reason"] == (
        f"wrote {number}, but TGT holds 100.0: another client writes the node or the server "
        "alters values; the next change is written again"
    )
    row = newest(mirror, CLAMPED, number)
    assert row is not None
    assert (row["outcome"], row["status"], row["verified"]) == ("acked", "Good", False)
    assert row["reason"] == shown["reason"]
    told = event(mirror, "WRITE_MISMATCH", CLAMPED)
    assert f"wrote {number} to {node_id(CLAMPED)}, but TGT holds 100.0" in told["message"]
    assert mirror.target.value(CLAMPED) == 100, "it is reported, and not written again"

    move(mirror, CLAMPED, 50.0)
    shown = mirror.wait_for_item(CLAMPED, "good")
    assert shown["verified"] is True
    mirror.target.ask("clamp", node=CLAMPED)


def test_the_ledger_is_filtered_paged_and_says_how_far_it_reaches(mirror):
    everything = ledger(mirror, limit=1000)
    assert everything["count"] == len(everything["results"]) >= 6
    stamps = [row["at"] for row in everything["results"]]
    assert stamps == sorted(stamps, reverse=True), "newest first"
    for outcome in ("acked", "rejected", "unknown"):
        rows = ledger(mirror, outcome=outcome, limit=1000)["results"]
        assert rows == [row for row in everything["results"] if row["outcome"] == outcome]
    assert ledger(mirror, REFUSED, outcome="rejected")["count"] >= 1
    assert ledger(mirror, PLAIN, outcome="rejected")["count"] == 0
    assert ledger(mirror, pipe="p1")["count"] == everything["count"]
    assert ledger(mirror, pipe="P2")["count"] == 0
    assert ledger(mirror, verified="false")["results"][0]["item"] == mirror.item_id(CLAMPED)
    second = ledger(mirror, limit=2, offset=2)
    assert second["results"] == everything["results"][2:4]
    assert "limit=2&offset=0" in second["previous"]
    assert everything["notes"][0].startswith("complete since ")
    refused = mirror.station.api("GET", "/ledger?outcome=perhaps")
    assert (refused.status, refused.json["errors"][0]["field"]) == (400, "outcome")


def test_the_diagnostics_count_what_the_ledger_holds(mirror):
    tree = mirror.station.get("/diagnostics/REDOPC/REDOPC/mirror/pipes/P1")
    shown = {each["name"]: each["value"] for each in tree["parameters"]}
    assert shown["Writes read back as written"] >= 2
    assert shown["Writes read back otherwise"] >= 1
    assert shown["Writes in the ledger"] >= 6
    assert shown["Ledger complete since"].endswith("Z")


def test_a_write_that_dies_with_its_target_is_unknown_and_then_written_again(mirror):
    """Last, since the target starts anew."""
    received = mirror.station.pipe()["received"]
    mirror.target.pause()  # it will read no more, and the write stays without an answer
    number = move(mirror, PLAIN)
    took(
        "the write is on its way",
        lambda: mirror.station.pipe()["received"] > received,
        within=5,
    )
    mirror.target.kill()
    row = eventually(lambda: newest(mirror, PLAIN, number), within=10)
    assert (row["outcome"], row["status"], row["verified"]) == ("unknown", None, None)
    assert row["reason"]
    told = event(mirror, "WRITE_UNKNOWN", PLAIN)
    assert f"nobody knows whether TGT took {number} for {node_id(PLAIN)}" in told["message"]
    assert "the newest value is written again" in told["message"]

    mirror.target.start()
    eventually(
        lambda: (found := newest(mirror, PLAIN, number)) and found["outcome"] == "acked",
        within=15,
        what="written again",
    )
    assert mirror.target.value(PLAIN) == number
    assert ledger(mirror, PLAIN, outcome="unknown")["count"] >= 1
    del mirror.names[SCALED]  # its values are meant to differ
    assert_equal_final_state(mirror, within=10)
