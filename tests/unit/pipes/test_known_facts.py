from __future__ import annotations

import pytest

from pipes import known_facts
from pipes.core.node_facts import NodeFacts
from pipes.known_facts import KnownFacts

URL = "opc.tcp://a:4840"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(known_facts.time, "monotonic", lambda: now[0])
    return now


def test_what_was_read_is_known_for_some_minutes(clock: list[float]) -> None:
    facts = KnownFacts()
    facts.learn("A", URL, {"i=1": NodeFacts()})
    assert facts.of("A", URL, ["i=1", "i=2"]) == {"i=1": NodeFacts()}
    clock[0] += known_facts.SECONDS + 1
    assert facts.of("A", URL, ["i=1"]) == {}


def test_a_server_at_another_address_is_another_server() -> None:
    facts = KnownFacts()
    facts.learn("A", URL, {"i=1": NodeFacts()})
    assert facts.of("A", "opc.tcp://b:4840", ["i=1"]) == {}
    facts.learn("A", "opc.tcp://b:4840", {"i=2": NodeFacts()})
    assert list(facts.of("A", "opc.tcp://b:4840", ["i=1", "i=2"])) == ["i=2"]


def test_what_is_not_known_is_read_first_then_the_oldest(clock: list[float]) -> None:
    facts = KnownFacts()
    facts.learn("A", URL, {"new": NodeFacts()})
    clock[0] -= 50
    facts.learn("A", URL, {"old": NodeFacts()})
    assert facts.unknown_first("A", ["new", "old", "x"]) == ["x", "old", "new"]


def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_facts, "MOST_NODES", 3)
    facts = KnownFacts()
    facts.learn("A", URL, {"i=1": NodeFacts(), "i=2": NodeFacts()})
    facts.learn("B", URL, {"i=3": NodeFacts(), "i=4": NodeFacts()})
    assert facts.of("A", URL, ["i=1"]) == {}
    assert len(facts.of("B", URL, ["i=3", "i=4"])) == 2
    facts.forget()
    assert facts.of("B", URL, ["i=3"]) == {}


def test_whether_a_server_ignores_ranges_is_known_of_its_address() -> None:
    facts = KnownFacts()
    assert not facts.is_ignoring("A", URL)
    facts.learn("A", URL, {}, ignores_ranges=True)
    facts.learn("A", URL, {})
    assert facts.is_ignoring("A", URL)
    assert not facts.is_ignoring("A", "opc.tcp://b:4840")
    facts.learn("A", URL, {}, ignores_ranges=False)
    assert not facts.is_ignoring("A", URL)
    facts.learn("A", URL, {}, ignores_ranges=True)
    facts.learn("A", "opc.tcp://b:4840", {})
    assert not facts.is_ignoring("A", "opc.tcp://b:4840")


def test_servers_have_their_turn_one_after_another(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = KnownFacts()
    facts.has_turn("A")
    clock[0] += 1
    facts.has_turn("B")
    assert facts.in_turn(["B", "A", "C"]) == ["C", "A", "B"]
    monkeypatch.setattr(known_facts, "MOST_SERVERS", 2)
    facts.has_turn("D")
    assert facts.in_turn(["D", "B", "A"]) == ["B", "A", "D"]


def test_servers_beyond_the_most_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_facts, "MOST_SERVERS", 1)
    facts = KnownFacts()
    facts.learn("A", URL, {"i=1": NodeFacts()})
    facts.learn("B", URL, {"i=1": NodeFacts()})
    assert facts.of("A", URL, ["i=1"]) == {}
    assert list(facts.of("B", URL, ["i=1"])) == ["i=1"]
