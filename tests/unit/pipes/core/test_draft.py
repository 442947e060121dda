from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.configuration import Configuration, document, key_of
from pipes.core.draft import Draft
from pipes.core.fields import Kind
from pipes.core.plan import Action, Change, Plan, WrongRow, undo
from pipes.core.problems import FieldError

A = {"name": "A", "endpoint": "opc.tcp://h:1"}
B = {"name": "B", "endpoint": "opc.tcp://h:2"}
PIPE = {"name": "P", "source": "A", "target": "B"}


def item(number: int, source: str = "", **more: Any) -> dict[str, Any]:
    source = source or f"i={number}"
    return {"id": number, "pipe": "P", "source_node": source, "target_node": f"{source}99", **more}


START = Configuration(
    {"A": A, "B": B}, {"P": PIPE}, {1: item(1), 2: item(2)}, revision=7, next_item_id=3
)


def patch_of(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "id"}


def applied(start: Configuration, plan: Plan) -> Configuration:
    """What the store makes of a plan."""
    parts: dict[Kind, dict[Any, Any]] = {kind: dict(start.of(kind)) for kind in Kind}
    for change in plan.changes:
        if change.old is not None:
            del parts[change.kind][change.key]
    for change in plan.changes:
        if change.new is not None:
            parts[change.kind][key_of(change.kind, change.new)] = change.new
    return Configuration(*parts.values(), start.revision + 1, plan.next_item_id)


def messages(plan: Plan) -> list[tuple[int | None, str, str]]:
    return [(error.row, error.field, error.message) for error in plan.errors]


def test_a_new_item_gets_the_next_id_and_never_one_that_was_given() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7")), row=2)
    plan = draft.plan()
    assert [(change.action, change.key) for change in plan.changes] == [(Action.ADD, 3)]
    assert (plan.ids, plan.next_item_id) == ([3], 4)
    draft = Draft(applied(START, plan))
    draft.delete(Kind.ITEM, [3])
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=8")))
    assert draft.plan().ids == [4]


def test_an_id_of_a_file_that_nobody_has_becomes_the_items_id() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7")), row=2)
    draft.propose(Kind.ITEM, 40, patch_of(item(0, "i=8")), row=3)
    plan = draft.plan()
    assert (plan.ids, plan.next_item_id) == ([41, 40], 42)


def test_a_kind_that_the_pipe_gives_is_no_change_and_another_one_is() -> None:
    draft = Draft(START)
    draft.propose(Kind.PIPE, "P", {"overflow": "queue"})
    draft.propose(Kind.ITEM, 1, {"kind": "queue"})
    draft.propose(Kind.ITEM, 2, {"kind": "state"})
    plan = draft.plan()
    assert [(change.key, change.fields()) for change in plan.changes if change.key != "P"] == [
        (2, {"kind": {"old": None, "new": "state"}})
    ]
    queues = applied(START, plan)
    draft = Draft(queues)
    draft.propose(Kind.ITEM, 2, {"kind": "state"}, fresh=False)
    assert (draft.plan().changes, draft.plan().same) == ([], 1)


def test_what_does_not_go_with_the_pipe_is_refused_when_it_is_new() -> None:
    paced = {"minimum_interval_ms": 100}
    queues = {"P": {**PIPE, "overflow": "queue"}}
    draft = Draft(Configuration(START.servers, queues, {1: item(1), 2: item(2, **paced)}))
    draft.propose(Kind.ITEM, 1, paced, row=2)
    draft.propose(Kind.ITEM, 2, {"note": "x"}, row=3)
    plan = draft.plan()
    assert [(row, field) for row, field, _ in messages(plan)] == [(2, "minimum_interval_ms")]
    assert [change.key for change in plan.changes] == [2]


def test_same_is_counted_but_no_change() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, 1, patch_of(item(1)), row=2, fresh=True)
    draft.propose(Kind.SERVER, "A", {}, row=3)
    plan = draft.plan()
    assert plan.changes == []
    assert plan.counts == {"add": 0, "change": 0, "delete": 0, "same": 2, "error": 0}


def test_a_patch_changes_what_it_names_and_a_fresh_body_everything() -> None:
    start = Configuration(START.servers, START.pipes, {1: item(1, note="x", enabled=False)})
    draft = Draft(start)
    draft.propose(Kind.ITEM, 1, {"enabled": None}, row=2)
    (change,) = draft.plan().changes
    assert change.new == item(1, note="x")
    assert change.fields() == {"enabled": {"old": False, "new": True}}
    draft = Draft(start)
    draft.propose(Kind.ITEM, 1, patch_of(item(1)), row=2, fresh=True)
    (change,) = draft.plan().changes
    assert change.new == item(1)


def test_references_are_spelled_as_the_object_calls_itself() -> None:
    draft = Draft(START)
    draft.propose(Kind.PIPE, None, {"name": "Q", "source": "a", "target": "b"})
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7", pipe="q")))
    plan = draft.plan()
    assert [change.new and change.new.get("source") for change in plan.changes] == ["A", None]
    assert plan.changes[1].new is not None
    assert plan.changes[1].new["pipe"] == "Q"


def test_references_follow_a_rename() -> None:
    draft = Draft(START)
    draft.propose(Kind.SERVER, "A", {"name": "AA"})
    draft.propose(Kind.PIPE, "P", {"name": "PP"})
    plan = draft.plan()
    after = applied(START, plan)
    assert after.pipes["PP"] == {"name": "PP", "source": "AA", "target": "B"}
    assert {body["pipe"] for body in after.items.values()} == {"PP"}
    assert [change.key for change in plan.changes] == ["A", "P", 1, 2]


def test_a_name_taken_over_in_the_same_plan_names_its_new_owner() -> None:
    draft = Draft(START)
    draft.propose(Kind.SERVER, "A", {"name": "C"})
    draft.propose(Kind.SERVER, "B", {"name": "A"})
    after = applied(START, draft.plan())
    assert (after.pipes["P"]["source"], after.pipes["P"]["target"]) == ("A", "A")


def test_a_missing_server_or_pipe_is_an_error_of_the_row() -> None:
    draft = Draft(START)
    draft.propose(Kind.PIPE, None, {"name": "Q", "source": "X", "target": "B"}, row=2)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7", pipe="R")), row=3)
    assert messages(draft.plan()) == [
        (2, "source", "names X, but there is no such server"),
        (3, "pipe", "names R, but there is no such pipe"),
    ]


def test_a_wrong_pipe_is_one_error_not_one_for_each_of_its_items() -> None:
    draft = Draft(START)
    draft.propose(Kind.PIPE, None, {"name": "Q", "source": "A"}, row=2)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7", pipe="Q")), row=3)
    assert messages(draft.plan()) == [(2, "target", "is required")]


def test_what_still_refers_to_a_deleted_object_is_wrong() -> None:
    draft = Draft(START)
    draft.delete(Kind.SERVER, ["A"])
    plan = draft.plan()
    assert messages(plan) == [(None, "source", "names A, but there is no such server")]
    assert plan.wrong[0].key == "P"


def test_two_items_must_not_map_the_same_nodes() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=1")), row=2)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=5")), row=3)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=5")), row=4)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=5", index_range="1", enabled=False)), row=5)
    assert [(row, text.split("by ")[1]) for row, _, text in messages(draft.plan())] == [
        (2, "item 1 already"),
        (4, "row 3 already"),
    ]


def test_a_wrong_row_counts_once_and_is_no_change() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, 1, {"pipe": "R"}, row=2)
    draft.propose(Kind.ITEM, 2, {}, row=3)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7", pipe="R")), row=4)
    draft.propose(Kind.ITEM, None, patch_of(item(0, "i=7", pipe="R")), row=5)
    draft.propose(Kind.PIPE, None, {"name": "Q", "source": "X", "target": "Y"}, row=6)
    plan = draft.plan()
    assert plan.counts == {"add": 0, "change": 0, "delete": 0, "same": 1, "error": 4}
    assert [wrong.row for wrong in plan.wrong] == [2, 4, 5, 6]
    assert [error.field for error in plan.wrong[2].errors] == ["pipe", "target_node"]
    assert [error.field for error in plan.wrong[3].errors] == ["source", "target"]
    assert plan.wrong[0].key == 1
    assert plan.changes == []


def test_items_may_exchange_their_nodes() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, 1, {"source_node": "i=2"})
    draft.propose(Kind.ITEM, 2, {"source_node": "i=1"})
    plan = draft.plan()
    assert plan.wrong == []
    assert plan.counts["change"] == 2


def test_an_object_has_one_row() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, 1, {"note": "x"}, row=2)
    draft.propose(Kind.ITEM, 1, {"note": "y"}, row=3)
    draft.propose(Kind.SERVER, None, {"name": "N", "endpoint": "opc.tcp://h:1"}, row=4)
    draft.propose(Kind.SERVER, None, {"name": "n", "endpoint": "opc.tcp://h:1"}, row=5)
    draft.propose(Kind.SERVER, "B", {})
    draft.propose(Kind.SERVER, "B", {})
    assert messages(draft.plan()) == [
        (3, "id", "names the same item a second time; see row 2"),
        (5, "name", "names the same server a second time; see row 4"),
        (None, "name", "names the same server a second time"),
    ]


def test_a_new_name_must_be_free() -> None:
    draft = Draft(START)
    draft.propose(Kind.SERVER, "A", {"name": "b"})
    assert messages(draft.plan())[0][1:] == (
        "name",
        "is the name of another server; choose a different one",
    )


def test_what_is_required_is_told_once() -> None:
    draft = Draft(START)
    wrong = FieldError("source", "must be text", 5)
    draft.propose(Kind.PIPE, None, {"name": "Q"}, [wrong], row=2)
    draft.propose(Kind.PIPE, None, {}, row=3)
    assert [(row, field) for row, field, _ in messages(draft.plan())] == [
        (2, "source"),
        (2, "target"),
        (3, "name"),
        (3, "source"),
        (3, "target"),
    ]


def test_replacing_deletes_what_no_row_spoke_of() -> None:
    draft = Draft(START)
    draft.propose(Kind.ITEM, 1, {}, row=2)
    draft.delete_unclaimed(Kind.ITEM, lambda body: body["pipe"] == "P")
    plan = draft.plan()
    assert [(change.action, change.key) for change in plan.changes] == [(Action.DELETE, 2)]
    assert plan.changes[0].fields()["source_node"] == {"old": "i=2", "new": None}


def test_deleting_what_is_not_there_does_nothing() -> None:
    draft = Draft(START)
    draft.delete(Kind.ITEM, [99])
    assert draft.plan().changes == []


def test_items_are_found_by_pipe_nodes_and_index_range() -> None:
    draft = Draft(START)
    nodes = {"pipe": "p", "source_node": "i=2", "target_node": "i=299"}
    assert draft.find_item(nodes) == 2
    assert draft.find_item({**nodes, "index_range": "1"}) is None
    assert draft.find_item({"pipe": 5}) is None
    assert Draft(Configuration()).find_item(nodes) is None


NAMESPACES = {"A": ["http://opcfoundation.org/UA/", "urn:own", "urn:a"], "B": ["", "", "urn:b"]}


def test_an_index_becomes_a_uri_when_the_servers_table_is_known() -> None:
    known = Configuration(
        START.servers, START.pipes, {1: item(1, "nsu=urn:a;s=x", target_node="nsu=urn:b;s=y")}
    )
    draft = Draft(known, NAMESPACES)
    nodes = {"pipe": "p", "source_node": "ns=2;s=x", "target_node": "ns=2;s=y"}
    assert draft.find_item(nodes) == 1
    draft.propose(Kind.ITEM, 1, nodes, row=2, fresh=True)
    draft.propose(Kind.PIPE, None, {"name": "Q", "source": "B", "target": "A"}, row=3)
    draft.propose(Kind.ITEM, None, {**nodes, "pipe": "q", "target_node": "ns=1;s=y"}, row=4)
    draft.propose(
        Kind.ITEM, None, {"pipe": "p", "source_node": "ns=7;s=x", "target_node": "ns=2;s=z"}, row=5
    )
    plan = draft.plan()
    assert plan.counts["same"] == 1
    kept = [(change.new or {}).get("source_node") for change in plan.changes[1:]]
    assert kept == ["nsu=urn:b;s=x", "ns=7;s=x"]
    assert (plan.changes[1].new or {})["target_node"] == "ns=1;s=y"


def test_a_patch_of_one_node_uses_the_items_pipe() -> None:
    draft = Draft(START, NAMESPACES)
    draft.propose(Kind.ITEM, 1, {"target_node": "ns=2;s=z"})
    draft.propose(Kind.ITEM, None, {"pipe": "X", "source_node": "ns=2;s=z", "target_node": "i=1"})
    plan = draft.plan()
    assert plan.changes[0].fields() == {"target_node": {"old": "i=199", "new": "nsu=urn:b;s=z"}}


def test_a_new_password_is_a_change_that_does_not_show_it() -> None:
    draft = Draft(START)
    draft.propose(Kind.SERVER, "A", {}, row=1)
    draft.new_secret("A", "encrypted")
    plan = draft.plan()
    (change,) = plan.changes
    assert change.fields() == {"password": {"old": None, "new": "•••"}}
    assert plan.secrets == {"A": "encrypted"}
    assert "encrypted" not in repr(plan)


def test_a_plan_shows_errors_first_and_says_what_it_leaves_out() -> None:
    changes = [Change(Kind.ITEM, n, None, item(n), n) for n in range(2, 5)]
    errors = [WrongRow(Kind.ITEM, None, [FieldError("pipe", "is required")], 9)]
    plan = Plan(12, changes, errors, 5, most_rows=2, ids=[2, 3, 4])
    body = plan.body()
    assert body["counts"] == {"add": 3, "change": 0, "delete": 0, "same": 5, "error": 1}
    rows: Any = body["rows"]
    assert [row["action"] for row in rows] == ["error", "add"]
    assert rows[0]["errors"][0]["field"] == "pipe"
    assert rows[1] == {
        "row": 2,
        "kind": "item",
        "key": "2",
        "action": "add",
        "fields": {
            "pipe": {"old": None, "new": "P"},
            "source_node": {"old": None, "new": "i=2"},
            "target_node": {"old": None, "new": "i=299"},
        },
    }
    assert (body["rows_left_out"], body["ids"], body["findings"]) == (2, [2, 3, 4], [])
    assert "ids" not in Plan(1).body()
    assert WrongRow(None, 5, []).body()["key"] == "5"
    assert Plan(1, [], errors * 3, most_rows=2).body()["rows_left_out"] == 1


def test_a_change_of_an_object_shows_its_children() -> None:
    old = item(1, transform={"kind": "linear", "gain": 2, "offset": 0})
    change = Change(Kind.ITEM, 1, old, item(1))
    assert change.fields() == {
        "transform.kind": {"old": "linear", "new": "none"},
        "transform.gain": {"old": 2, "new": None},
        "transform.offset": {"old": 0, "new": None},
    }


def names_of(configuration: Configuration) -> dict[Kind, dict[str, str]]:
    return {
        kind: {name: name for name in configuration.of(kind)} for kind in (Kind.SERVER, Kind.PIPE)
    }


def test_undoing_follows_names_back() -> None:
    draft = Draft(START)
    draft.propose(Kind.SERVER, "A", {"name": "AA"})
    draft.propose(Kind.SERVER, None, {"name": "N", "endpoint": "opc.tcp://h:3"})
    draft.delete(Kind.ITEM, [2])
    plan = draft.plan()
    after = applied(START, plan)
    names = names_of(after)
    before = undo(after, plan.changes, names)
    assert document(before) == document(START)
    assert names[Kind.SERVER] == {"AA": "A", "B": "B"}


SMALL = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("server"), SMALL, SMALL),
        st.tuples(st.just("pipe"), SMALL, SMALL),
        st.tuples(st.just("item"), SMALL, SMALL),
        st.tuples(st.just("rename"), SMALL, SMALL),
        st.tuples(st.just("delete"), SMALL, SMALL),
    ),
    max_size=12,
)


def step(draft: Draft, what: str, one: int, two: int) -> None:
    if what == "server":
        draft.propose(
            Kind.SERVER, draft.find_named(Kind.SERVER, f"S{one}"),
            {"name": f"S{one}", "endpoint": f"opc.tcp://h:{two + 1}"},
        )  # fmt: skip
    elif what == "pipe":
        draft.propose(
            Kind.PIPE, draft.find_named(Kind.PIPE, f"P{one}"),
            {"name": f"P{one}", "source": f"S{two}", "target": "s0"},
        )  # fmt: skip
    elif what == "item":
        nodes = {"pipe": f"p{one}", "source_node": f"i={two + 1}", "target_node": "i=9"}
        draft.propose(Kind.ITEM, draft.find_item(nodes), nodes)
    elif what == "rename" and f"P{one}" in draft.current.pipes:
        draft.propose(Kind.PIPE, f"P{one}", {"name": f"P{two}"})
    elif what == "delete":
        draft.delete(Kind.ITEM, [one * 4 + two])


@given(st.lists(STEPS, max_size=5))
def test_every_history_can_be_undone_step_by_step(history: list[Any]) -> None:
    present = Configuration()
    past: list[tuple[Configuration, Plan]] = []
    for steps in history:
        draft = Draft(present)
        for what, one, two in steps:
            step(draft, what, one, two)
        plan = draft.plan()
        if plan.wrong:
            continue
        past.append((present, plan))
        present = applied(present, plan)
        again = Draft(present)
        for kind in Kind:
            for key, body in present.of(kind).items():
                again.propose(kind, key, patch_of(dict(body)), fresh=True)
        assert again.plan().changes == []
        assert set(present.items) <= set(range(1, present.next_item_id))
    for before, plan in reversed(past):
        present = undo(present, plan.changes, names_of(present))
        assert document(present) == document(before)
