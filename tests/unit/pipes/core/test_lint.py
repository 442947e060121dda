from __future__ import annotations

from typing import Any

import pytest

from pipes.core import lint as linter
from pipes.core.findings import Severity
from pipes.core.lint import lint, lint_pipe
from tests.unit.pipes.core.lint_cases import configuration

Found = list[tuple[str, str, tuple[int, ...]]]


def found(*moves: Any, **more: Any) -> Found:
    return [(str(f.severity), f.rule, f.items) for f in lint(configuration(*moves, **more))]


def condition(node: str, equals: object) -> dict[str, Any]:
    return {"condition": {"node": f"nsu=urn:plant;s={node}", "equals": equals}}


def test_a_sound_mapping_has_no_finding() -> None:
    assert found("A.x > B.x", "B.y > A.y", "A.z = B.z", "A.x > C.x") == []


def test_a_loop_is_an_error_that_tells_the_way_in_words() -> None:
    (finding,) = lint(configuration("A.x > B.y", "B.y > C.z", "C.z > A.x"))
    assert (finding.severity, finding.rule, finding.items) == (Severity.ERROR, "loop", (1, 2, 3))
    assert finding.message == (
        "a value would go round for ever: nsu=urn:plant;s=x of A,"
        " by item 1 of pipe AB to nsu=urn:plant;s=y of B,"
        " by item 2 of pipe BC to nsu=urn:plant;s=z of C,"
        " by item 3 of pipe CA to nsu=urn:plant;s=x of A"
    )


def test_a_way_names_each_server_as_its_pipe_does() -> None:
    same = {"C": {"endpoint": "opc.tcp://A:4840"}}
    finding = lint(configuration("A.x > B.y", "B.y > C.x", servers=same))[0]
    assert finding.message.endswith("by item 2 of pipe BC to nsu=urn:plant;s=x of C")


def test_a_long_way_is_told_in_part() -> None:
    steps = [f"A.n{step} > A.n{(step + 1) % 20}" for step in range(20)]
    (finding,) = lint(configuration(*steps))
    assert finding.message.endswith("and 12 steps more back to the first")
    assert len(finding.items) == 20


def test_an_item_that_writes_what_it_reads_is_an_error() -> None:
    (finding,) = lint(configuration(("A.x > A.x", {"index_range": "1"})))
    assert (finding.severity, finding.rule, finding.items) == (Severity.ERROR, "same_node", (1,))
    assert "item 1 writes the node that it reads, nsu=urn:plant;s=x" in finding.message


@pytest.mark.parametrize(
    ("moves", "severity"),
    [
        (["A.x > B.y", "A.z > B.y"], "error"),
        (["A.x > B.y", "C.x > B.y"], "error"),
        (["A.x > B.y", "B.y < C.x"], "error"),
        (["A.x = B.y", "C.z > B.y"], "error"),
        (["A.x = B.y", "C.z = B.y"], "warning"),
        ([("A.x > B.y", condition("m", 1)), "A.z > B.y"], "error"),
        ([("A.x > B.y", condition("m", 1)), ("A.z > B.y", condition("n", 2))], "warning"),
        ([("A.x > B.y", condition("m", 1)), ("C.z > B.y", condition("m", 2))], "warning"),
        ([("A.x > B.y", condition("m", 1)), ("A.z > B.y", condition("m", 1))], "warning"),
        ([("A.x > B.y", condition("m", 1)), ("A.z > B.y", condition("m", True))], "warning"),
        ([("A.x > B.y", condition("m", 1)), ("A.z > B.y", condition("m", 2))], None),
        ([("B.p < A.x", {"index_range": "0:3"}), ("B.p < A.y", {"index_range": "4"})], None),
        ([("B.p < A.x", {"index_range": "0:3"}), ("B.p < A.y", {"index_range": "3"})], "error"),
        ([("A.x > B.y", {"index_range": "1"}), ("A.z > B.y", {"index_range": "2"})], "error"),
        (["A.x > B.y", ("A.z > B.y", {"enabled": False})], None),
    ],
)
def test_two_writers_of_one_node(moves: list[Any], severity: str | None) -> None:
    wanted = [] if severity is None else [(severity, "two_writers", (1, 2))]
    assert found(*moves) == wanted


def test_two_writers_are_told_with_the_node() -> None:
    (finding,) = lint(configuration("A.x > B.y", "C.x > B.y"))
    assert finding.message == (
        "item 1 and item 2 write the same node, nsu=urn:plant;s=y of B;"
        " whichever comes last wins: keep one of them"
    )


def test_very_many_writers_of_one_node_are_not_compared_two_by_two() -> None:
    more = linter.MOST_COMPARED + 1
    moves = [(f"A.x{number} > B.y", condition("m", number)) for number in range(more)]
    assert found(*moves) == [("error", "two_writers", tuple(range(1, more + 1)))]


def test_a_condition_is_on_the_node_of_the_source_by_its_one_spelling() -> None:
    short = {"condition": {"node": "ns=2;s=m", "equals": 2}}
    made = configuration(("A.x > B.y", condition("m", 1)), ("A.z > B.y", short))
    assert [f.severity for f in lint(made)] == [Severity.WARNING]
    assert lint(made, {"A": ["", "urn:own", "urn:plant"]}) == []


def test_items_are_called_as_the_caller_says() -> None:
    (finding,) = lint(configuration("A.x > B.y", "C.x > B.y"), None, lambda item: f"row {item + 1}")
    assert finding.message.startswith("row 2 and row 3 write")


def test_a_tangle_of_parts_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = [("A.x > B.y", {"index_range": "0"}), ("A.x < B.y", {"index_range": "1"})]
    assert found(*moves) == []
    few_steps = linter.find_loops
    monkeypatch.setattr(linter, "find_loops", lambda moves: few_steps(moves, 0))
    (finding,) = lint(configuration(*moves))
    assert (finding.severity, finding.rule) == (Severity.WARNING, "loop_not_checked")
    assert finding.items == (1, 2)


def test_errors_come_first() -> None:
    rules = found("A.x > B.y", "A.z > B.y", servers={"C": {"security_policy": "None"}})
    assert [rule for _, rule, _ in rules] == ["two_writers", "no_security"]


class TestOnePipe:
    """What would be said of a pipe if it were switched on."""

    def found(self, *moves: Any, **more: Any) -> Found:
        _, findings = lint_pipe(configuration(*moves, **more), "BA")
        return [(str(f.severity), f.rule, f.items) for f in findings]

    @pytest.mark.parametrize("off", [{"enabled": False}, {"dry_run": True}, {}])
    def test_it_is_looked_at_whether_it_runs_or_not(self, off: dict[str, Any]) -> None:
        assert self.found("A.x > B.y", "B.y > A.x", pipes={"BA": off}) == [
            ("error", "loop", (1, 2))
        ]

    def test_what_is_wrong_with_others_is_left_out(self) -> None:
        moves = ("A.x > B.y", "C.x > B.y", ("A.z > B.z", {"substitute": 1}), "B.v > A.v")
        assert self.found(*moves) == []

    def test_its_own_settings_and_servers_are_told(self) -> None:
        found = self.found(
            "C.x > C.y",
            ("B.z > A.z", {"substitute": 1}),
            pipes={"BA": {"enabled": False}, "AB": {"overflow": "queue", "queue_limit": 1}},
            servers={"A": {"enabled": False}, "C": {"security_policy": "None"}},
        )
        assert found == [("warning", "server_disabled", ()), ("warning", "contradiction", (2,))]

    def test_it_is_handed_back_alone_and_switched_on(self) -> None:
        made = configuration("A.x > B.y", "B.y > A.z", pipes={"BA": {"enabled": False}})
        alone, _ = lint_pipe(made, "BA")
        assert (set(alone.servers), list(alone.items)) == ({"A", "B"}, [2])
        assert alone.pipes == {"BA": {**made.pipes["BA"], "enabled": True, "dry_run": False}}
