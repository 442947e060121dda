"""The linter on demand with facts of the nodes; the pipe worker's answers are the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from django.core.cache import cache

from pipes import commands, linting, services
from pipes.core.node_facts import NodeFacts
from pipes.known_facts import FACTS
from pipes.rest import unavailable
from tests.integration.plants import A, B, P, document_of, nodes
from tests.integration.rest_client import rest_as

pytestmark = pytest.mark.django_db(transaction=True)

Answer = Callable[..., Any]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    cache.clear()
    FACTS.forget()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()
    monkeypatch.setattr(commands, "run", made.run)
    return made


class Asked:
    """A pipe worker that knows ``facts`` by node; every other node is a Double that may all."""

    def __init__(self) -> None:
        self.facts: dict[str, NodeFacts] = {}
        self.away: dict[str, Exception] = {}
        self.ignoring: set[str] = set()
        self.with_part: set[str] = set()
        self.address: dict[str, str] = {}
        self.commands: list[tuple[str, list[str], list[str]]] = []

    def run(self, task: str, *, patience: float, **arguments: Any) -> Any:
        assert task == "pipes.node_facts"
        assert 0 < patience <= linting.SECONDS
        server = arguments["server"]
        self.commands.append((server, arguments["nodes"], arguments["with_range"]))
        if server in self.away:
            raise self.away[server]
        usual = NodeFacts(0, "Double", -1, 3)
        found = [self.facts.get(node, usual).row() for node in arguments["nodes"]]
        endpoint = self.address.get(server, {"A": A, "B": B}[server]["endpoint"])
        if arguments["with_part"]:
            self.with_part.add(server)
        ignores = server in self.ignoring if arguments["with_part"] else None
        return {"endpoint": endpoint, "facts": found, "ignores_index_range": ignores}


def make_plant(*items: dict[str, Any], **parts: Any) -> None:
    services.apply_document(document_of(*items, **parts), user="anna", reason="plant")


def rules(findings: Any) -> list[tuple[str, str, list[int]]]:
    return [
        (each["severity"], each["rule"], each["items"])
        for each in findings
        if each["rule"] != "no_security"
    ]


def lint_by_rest() -> list[tuple[str, str, list[int]]]:
    answer = rest_as("viewer").get("/configuration/lint")
    assert answer.status_code == 200, answer.content
    return rules(answer.json())


def test_what_the_nodes_are_is_found(asked: Asked) -> None:
    make_plant(nodes(1), nodes(2, deadband={"type": "percent", "value": 5}), nodes(3))
    asked.facts["nsu=urn:a;s=T1"] = NodeFacts(status=0x8034_0000)
    asked.facts["nsu=urn:b;s=T2"] = NodeFacts(0, "Int16", -1, 1)
    assert lint_by_rest() == [
        ("error", "missing_node", [1]),
        ("error", "target_access", [2]),
        ("warning", "narrowing", [2]),
    ]
    with_range = {server: needs for server, _, needs in asked.commands}
    assert with_range == {"A": ["nsu=urn:a;s=T2"], "B": []}


def test_nothing_is_asked_without_facts(asked: Asked) -> None:
    make_plant(nodes(1))
    assert rules(rest_as("viewer").get("/configuration/lint?facts=false").json()) == []
    assert asked.commands == []
    assert rest_as("viewer").get("/configuration/lint?facts=perhaps").status_code == 400
    assert rest_as("viewer").get("/configuration/lint?fact=true").status_code == 400


def test_a_server_that_is_away_is_not_checked_and_no_error(asked: Asked) -> None:
    make_plant(nodes(1), nodes(2))
    asked.away["B"] = unavailable("worker_away", "B cannot be reached")
    asked.facts["nsu=urn:a;s=T1"] = NodeFacts(status=0x8034_0000)
    findings = rest_as("viewer").get("/configuration/lint").json()
    assert rules(findings) == [("error", "missing_node", [1]), ("warning", "not_checked", [])]
    assert findings[-1]["message"] == "2 nodes of B not checked: B cannot be reached"


def test_a_server_that_ignores_index_ranges_is_told_where_a_part_is_written(asked: Asked) -> None:
    make_plant(nodes(1, index_range="3", direction="reverse"), nodes(2, index_range="3"), nodes(3))
    asked.ignoring = {"A", "B"}
    asked.facts["nsu=urn:a;s=T1"] = asked.facts["nsu=urn:a;s=T2"] = NodeFacts(0, "Double", 1, 3)
    assert lint_by_rest() == [("error", "index_range_ignored", [1])]
    assert asked.with_part == {"A"}
    answer = rest_as("engineer").patch("/items", [{"id": 1, "note": "x"}])
    assert rules(answer.json()["findings"]) == [("warning", "index_range_ignored", [1])]


def test_a_worker_with_another_address_of_a_server_is_not_believed(asked: Asked) -> None:
    make_plant(nodes(1), servers=[A, {**B, "standby_endpoint": "opc.tcp://standby:4840"}])
    asked.address["B"] = "opc.tcp://former:4840"
    findings = rest_as("viewer").get("/configuration/lint").json()
    assert findings[-1]["message"] == f"1 node of B not checked: {linting.OTHER_ADDRESS}"
    asked.address["B"] = "opc.tcp://standby:4840"
    assert lint_by_rest() == []


def test_servers_that_were_not_asked_come_before_those_that_do_not_answer(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four dead servers must not keep the time from all others for ever."""
    make_plant(nodes(1))
    asked.away["A"] = unavailable("worker_away", "A cannot be reached")
    lint_by_rest()
    FACTS.has_turn("A")
    assert FACTS.in_turn(["A", "B"]) == ["B", "A"]
    assert FACTS.in_turn(["A", "B", "C"])[0] == "C"


class TestOnePipe:
    """What would be said if a pipe were switched on, before it is."""

    BACK: ClassVar[dict[str, Any]] = {
        "name": "Back",
        "source": "B",
        "target": "A",
        "enabled": False,
    }

    @pytest.fixture
    def plant(self, asked: Asked) -> Asked:
        make_plant(
            nodes(1),
            nodes(2, substitute=5),
            nodes(2, pipe="Back", source_node="nsu=urn:b;s=T1", target_node="nsu=urn:a;s=T1"),
            pipes=[P, self.BACK],
        )
        asked.facts["nsu=urn:a;s=T1"] = NodeFacts(0, "Double", -1, 1)
        return asked

    def test_a_loop_and_missing_rights_are_errors_before_it_runs(self, plant: Asked) -> None:
        viewer = rest_as("viewer")
        assert rules(viewer.get("/configuration/lint?facts=false").json()) == [
            ("warning", "contradiction", [2])
        ]
        assert rules(viewer.get("/configuration/lint?pipe=back").json()) == [
            ("error", "loop", [1, 3]),
            ("error", "target_access", [3]),
        ]
        assert {node for _, part, _ in plant.commands for node in part} == {
            "nsu=urn:b;s=T1",
            "nsu=urn:a;s=T1",
        }

    def test_a_pipe_that_is_not_there_is_not_found(self, plant: Asked) -> None:
        assert rest_as("viewer").get("/configuration/lint?pipe=Q").status_code == 404

    def test_a_plan_that_switches_it_on_tells_what_is_known_as_errors(self, plant: Asked) -> None:
        engineer = rest_as("engineer")
        assert engineer.delete("/items/1").status_code == 204
        engineer.get("/configuration/lint")
        whole = services.document()
        whole["pipes"] = [P, {**self.BACK, "enabled": True}]
        whole["items"][1]["note"] = "changed, too"  # type: ignore[index,call-overload]
        answer = engineer.put("/configuration", whole)
        assert answer.status_code == 200, answer.content
        assert ("error", "target_access", [3]) in rules(answer.json()["findings"])
        later = engineer.patch("/items", [{"id": 3, "note": "x"}])
        assert ("warning", "target_access", [3]) in rules(later.json()["findings"])


def test_a_disabled_server_is_not_asked(asked: Asked) -> None:
    make_plant(nodes(1), servers=[A, {**B, "enabled": False}])
    found = {rule for _, rule, _ in lint_by_rest()}
    assert found == {"server_disabled", "not_checked"}
    assert {server for server, _, _ in asked.commands} == {"A"}


def test_many_nodes_are_read_in_parts_within_the_time(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plant(*[nodes(number) for number in range(25)])
    monkeypatch.setattr(linting, "NODES_A_COMMAND", 10)
    assert lint_by_rest() == []
    assert sorted(len(part) for server, part, _ in asked.commands if server == "A") == [5, 10, 10]


def test_what_there_was_no_time_for_is_read_first_the_next_time(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plant(*[nodes(number) for number in range(25)])
    monkeypatch.setattr(linting, "NODES_A_COMMAND", 10)
    seconds = iter([0.0, *[1.0, 100.0] * 20])
    monkeypatch.setattr(linting, "SERVERS_AT_ONCE", 1)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return next(seconds)

    monkeypatch.setattr(linting, "time", Clock)
    findings = rest_as("viewer").get("/configuration/lint").json()
    told = [each["message"] for each in findings if each["rule"] == "not_checked"]
    assert told
    assert all(linting.NO_TIME in message for message in told)
    monkeypatch.undo()
    monkeypatch.setattr(commands, "run", asked.run)
    monkeypatch.setattr(linting, "NODES_A_COMMAND", 10)
    known = {node for _, part, _ in asked.commands for node in part}
    asked.commands.clear()
    assert lint_by_rest() == []
    first_parts = {server: set(part) for server, part, _ in reversed(asked.commands)}
    assert all(not part & known for part in first_parts.values())


def test_two_who_ask_at_once_are_one_look(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plant(nodes(1))
    configuration = linting.store.read().configuration
    entered, release = threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        entered.set()
        assert release.wait(10)
        return asked.run(*arguments, **more)

    monkeypatch.setattr(commands, "run", slow)
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.append(linting.read_facts(configuration)))
    first.start()
    assert entered.wait(10)
    second = threading.Thread(target=lambda: found.append(linting.read_facts(configuration)))
    second.start()
    release.set()
    first.join(10)
    second.join(10)
    assert [one.unread for one in found] == [{}, {}]
    assert len(asked.commands) == 2, "each server once"


def test_who_waits_reads_what_the_other_one_did_not(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plant(nodes(1), nodes(2))
    whole = linting.store.read().configuration
    entered, release = threading.Event(), threading.Event()

    def slow(*arguments: Any, **more: Any) -> Any:
        entered.set()
        assert release.wait(10)
        return asked.run(*arguments, **more)

    monkeypatch.setattr(commands, "run", slow)
    part = replace(whole, items={1: whole.items[1]})
    first = threading.Thread(target=linting.read_facts, args=(part,))
    first.start()
    assert entered.wait(10)
    found: list[Any] = []
    second = threading.Thread(target=lambda: found.append(linting.read_facts(whole)))
    second.start()
    release.set()
    first.join(10)
    second.join(10)
    assert found[0].unread == {}
    assert sorted(part for _, part, _ in asked.commands) == [
        [f"nsu=urn:{server};s=T{number}"] for server in "ab" for number in (1, 2)
    ]


class TestPlans:
    """What is known of nodes is told in plans about them, and refuses nothing."""

    def test_a_plan_tells_what_is_known(self, asked: Asked) -> None:
        make_plant(nodes(1), nodes(2))
        asked.facts["nsu=urn:b;s=T2"] = NodeFacts(0, "Int16", -1, 1)
        linting.lint_present(with_facts=True)
        asked.commands.clear()

        answer = rest_as("engineer").patch("/items", [{"id": 2, "note": "x"}])

        assert answer.status_code == 200
        assert rules(answer.json()["findings"]) == [
            ("warning", "target_access", [2]),
            ("warning", "narrowing", [2]),
        ]
        assert asked.commands == []

    def test_a_plan_of_a_pipe_and_server_that_are_new_or_wrong_is_made(self, asked: Asked) -> None:
        make_plant(nodes(1))
        linting.lint_present(with_facts=True)
        whole = {
            **services.document(),
            "pipes": [
                {"name": "P", "source": "A", "target": "B"},
                {"name": "Q", "source": "A", "target": "nowhere"},
            ],
            "items": [nodes(1), nodes(3), nodes(4, pipe="Q"), nodes(5, pipe="R")],
        }
        answer = rest_as("engineer").put("/configuration?dry_run=true", whole)
        assert answer.status_code == 200, answer.content
        assert answer.json()["counts"]["error"] >= 2

    def test_a_large_plan_is_not_looked_up(
        self, asked: Asked, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pipes.commits.MOST_LOOKED_UP", 1)
        make_plant(nodes(1), nodes(2))
        asked.facts["nsu=urn:b;s=T2"] = NodeFacts(0, "Int16", -1, 1)
        linting.lint_present(with_facts=True)
        patches = [{"id": number, "note": "x"} for number in (1, 2)]
        answer = rest_as("engineer").patch("/items", patches)
        assert rules(answer.json()["findings"]) == []
