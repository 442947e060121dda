"""The linter on demand with facts of the nodes; the pipe worker's answers are the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache

from pipes import commands, linting, services
from pipes.core.node_facts import NodeFacts
from pipes.known_facts import FACTS
from pipes.rest import unavailable
from tests.integration.plants import A, B, document_of, nodes
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
        return {"endpoint": {"A": A, "B": B}[server]["endpoint"], "facts": found}


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
    assert with_range == {"A": ["nsu=urn:a;s=T2"], "B": ["nsu=urn:b;s=T2"]}


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
    assert findings[-1]["message"] == "2 nodes of B were not checked: B cannot be reached"


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
