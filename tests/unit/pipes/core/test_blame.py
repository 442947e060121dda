"""What the linter finds wrong refuses the rows that bring it in, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from pipes.core.configuration import Configuration
from pipes.core.draft import Draft
from pipes.core.fields import Kind
from pipes.core.plan import Plan
from tests.unit.pipes.core.lint_cases import configuration, items

Told = list[tuple[int | None, str | None, str, str]]


def start(*moves: Any, **more: Any) -> Configuration:
    made = configuration(*moves, **more)
    return Configuration(made.servers, made.pipes, made.items, 7, len(made.items) + 1)


def propose(draft: Draft, *moves: Any, row: int | None = None) -> None:
    for at, body in enumerate(items(*moves).values()):
        patch = {name: value for name, value in body.items() if name != "id"}
        draft.propose(Kind.ITEM, None, patch, row=None if row is None else row + at)


def told(plan: Plan) -> Told:
    """Row, key and field of each refusal, and the linter's rule."""
    return [
        (wrong.row, None if wrong.key is None else str(wrong.key), error.field, error.message)
        for wrong in plan.wrong
        for error in wrong.errors
    ]


def places(plan: Plan) -> list[tuple[int | None, str | None, str]]:
    return [(row, key, field) for row, key, field, _ in told(plan)]


def test_both_rows_that_make_a_loop_are_refused() -> None:
    draft = Draft(start("A.p > B.q"))
    propose(draft, "A.x > B.y", "A.z > B.z", "B.y > A.x", row=2)
    plan = draft.plan()
    assert places(plan) == [(2, None, "target_node"), (4, None, "target_node")]
    assert plan.counts["add"] == 1
    message = plan.errors[0].message
    assert message.startswith("is refused (loop): a value would go round for ever:")
    assert "by row 2 of pipe AB to" in message
    assert "by row 4 of pipe BA to" in message


def test_a_row_that_closes_a_loop_with_an_item_is_refused_and_the_item_named() -> None:
    draft = Draft(start("A.x > B.y"))
    propose(draft, "B.y > A.x", row=5)
    plan = draft.plan()
    assert places(plan) == [(5, None, "target_node")]
    assert "by item 1 of pipe AB" in plan.errors[0].message


def test_a_second_writer_that_stands_alone_is_the_new_item() -> None:
    draft = Draft(start("A.x > B.y"))
    propose(draft, "C.x > B.y")
    plan = draft.plan()
    assert places(plan) == [(None, None, "target_node")]
    assert "item 1 and the new item write the same node" in plan.errors[0].message


@pytest.mark.parametrize(
    ("moves", "patch", "field"),
    [
        (["A.x > B.y", ("B.y > A.x", {"enabled": False})], {"enabled": True}, "enabled"),
        (["A.x > B.y", "B.y > A.z"], {"target_node": "nsu=urn:plant;s=x"}, "target_node"),
        (["A.x > B.y", "A.v > B.w"], {"target_node": "nsu=urn:plant;s=y"}, "target_node"),
        (["A.x > B.y", "A.x > B.w"], {"pipe": "AC", "target_node": "nsu=urn:plant;s=y"}, None),
        (["A.x > B.y", "A.y < B.v"], {"source_node": "nsu=urn:plant;s=q"}, None),
    ],
)
def test_a_changed_item_is_refused_by_the_field_that_matters(
    moves: list[Any], patch: dict[str, Any], field: str | None
) -> None:
    draft = Draft(start(*moves))
    draft.propose(Kind.ITEM, 2, patch, row=3)
    plan = draft.plan()
    assert places(plan) == ([] if field is None else [(3, "2", field)])
    if field is not None:
        assert "item 2 (row 3)" in plan.errors[0].message


def test_a_change_of_a_pipe_that_makes_a_loop_of_its_items_is_refused_at_the_pipe() -> None:
    draft = Draft(start("A.x > B.y", "B.y > A.x", pipes={"BA": {"enabled": False}}))
    draft.propose(Kind.PIPE, "BA", {"enabled": True, "note": "go"}, row=1)
    draft.propose(Kind.ITEM, 1, {"note": "has nothing to do with it"})
    plan = draft.plan()
    assert places(plan) == [(1, "BA", "enabled")]


def test_a_change_of_a_server_that_makes_two_of_them_one_is_refused_at_the_server() -> None:
    draft = Draft(start("A.x > B.y", "C.y > A.x"))
    draft.propose(Kind.SERVER, "C", {"endpoint": "opc.tcp://B:4840"})
    plan = draft.plan()
    assert places(plan) == [(None, "C", "endpoint")]


def test_an_error_that_was_there_before_is_shown_and_refuses_nothing() -> None:
    draft = Draft(start("A.x > B.y", "B.y > A.x", "A.p > B.q"))
    draft.propose(Kind.ITEM, 1, {"note": "x"})
    propose(draft, "A.q > B.r")
    plan = draft.plan()
    assert plan.wrong == []
    assert [finding.rule for finding in plan.findings] == ["loop"]


def test_a_draft_that_refuses_no_findings_shows_them() -> None:
    draft = Draft(start("A.x > B.y"))
    draft.refuses_findings = False
    propose(draft, "B.y > A.x", row=2)
    plan = draft.plan()
    assert plan.wrong == []
    body = plan.body()["findings"]
    assert isinstance(body, list)
    assert body[0]["items"] == [1, 2]  # type: ignore[index, call-overload]


def test_the_end_of_one_old_loop_is_not_refused_for_another_old_one() -> None:
    draft = Draft(start("A.x > B.y", "B.y > A.x", "B.y > C.z", "C.z > B.y"))
    draft.delete(Kind.ITEM, [1])
    plan = draft.plan()
    assert plan.wrong == []
    assert [finding.items for finding in plan.findings] == [(3, 4)]


def test_warnings_refuse_nothing() -> None:
    draft = Draft(start("A.x = B.y"))
    propose(draft, "C.z = B.y", row=2)
    plan = draft.plan()
    assert plan.wrong == []
    assert [(str(f.severity), f.rule) for f in plan.findings] == [("warning", "two_writers")]


def test_deleting_one_of_two_lets_the_other_in() -> None:
    draft = Draft(start("A.x > B.y"))
    draft.delete(Kind.ITEM, [1])
    propose(draft, "C.x > B.y", row=2)
    assert draft.plan().wrong == []


def test_a_row_wrong_for_another_reason_is_not_linted() -> None:
    draft = Draft(start("A.x > B.y"))
    propose(draft, ("A.x > B.y", {}), row=2)
    plan = draft.plan()
    assert places(plan) == [(2, None, "target_node")]
    assert "mapped from the same source node" in plan.errors[0].message


def test_a_plan_shows_so_many_findings_and_counts_the_rest() -> None:
    draft = Draft(start(*[(f"A.x{n} > B.y{n % 3}") for n in range(9)]))
    plan = draft.plan()
    assert len(plan.findings) == 3
    body = Plan(1, findings=plan.findings, most_rows=2).body()
    assert (len(body["findings"]), body["findings_left_out"]) == (2, 1)  # type: ignore[arg-type]
