from __future__ import annotations

from typing import Any

import pytest

from pipes.core.findings import Finding, Severity
from pipes.core.lint_facts import lint_facts, wanted_nodes, written_in_part
from pipes.core.node_facts import Known, NodeFacts
from tests.unit.pipes.core.lint_cases import configuration

MISSING = NodeFacts(status=0x8034_0000)
MISMATCH = [("error", "type_mismatch")]
IN_PART = [("warning", "type_mismatch")]
NARROWS = [("warning", "narrowing")]
OFF_AND_ONE = {"0": "Off", "1": 1}
PERCENT = {"deadband": {"type": "percent", "value": 1}}


def node(name: str) -> str:
    return f"nsu=urn:plant;s={name}"


def known(**nodes: NodeFacts) -> Known:
    """``A_x=…`` is what is known of node x of server A."""
    servers: dict[str, dict[str, NodeFacts]] = {}
    for place, facts in nodes.items():
        servers.setdefault(place[0], {})[node(place[2:])] = facts
    return Known(servers, {})


def found(move: Any, facts: Known, **more: Any) -> list[tuple[str, str]]:
    findings = lint_facts(configuration(move, **more), facts)
    assert all(finding.items == (1,) for finding in findings)
    return [(str(finding.severity), finding.rule) for finding in findings]


def test_nodes_of_enabled_items_are_wanted_by_server() -> None:
    made = configuration(
        "A.x > B.y", ("A.x > B.z", PERCENT), "B.y = C.w", ("A.off > B.off", {"enabled": False})
    )
    assert wanted_nodes(made) == {
        "A": {node("x"): True},
        "B": {node("y"): False, node("z"): False},
        "C": {node("w"): False},
    }
    assert wanted_nodes(made, [3]) == {"B": {node("y"): False}, "C": {node("w"): False}}


def test_nothing_known_is_nothing_found() -> None:
    assert lint_facts(configuration("A.x = B.y"), Known({}, {})) == []


def test_what_fits_is_no_finding() -> None:
    fits = NodeFacts(0, "Double", -1, 3, 50.0, has_range=True)
    assert found(("A.x = B.y", PERCENT), known(A_x=fits, B_y=fits)) == []


def test_missing_nodes_of_a_server_are_one_finding_with_their_names() -> None:
    made = configuration(*[f"A.x{n} > B.y{n}" for n in range(5)], "A.x0 > C.z")
    facts = known(**{f"A_x{n}": MISSING for n in range(5)}, C_z=MISSING)
    first, second = lint_facts(made, facts)
    assert first == Finding(
        Severity.ERROR,
        "missing_node",
        "A has no such variables (BadNodeIdUnknown):"
        f" {node('x0')}, {node('x1')}, {node('x2')} and 2 more",
        (1, 2, 3, 4, 5, 6),
    )
    assert second.items == (6,)


@pytest.mark.parametrize(
    ("move", "source", "target", "rules"),
    [
        ("A.x > B.y", 1, 2, []),
        ("A.x > B.y", 2, 3, ["source_access"]),
        ("A.x > B.y", 3, 1, ["target_access"]),
        ("A.x < B.y", 2, 1, []),
        ("A.x < B.y", 1, 2, ["source_access", "target_access"]),
        ("A.x = B.y", 3, 3, []),
        ("A.x = B.y", 1, 2, ["source_access", "target_access"]),
        ("A.x = B.y", 0, 3, ["source_access"]),
    ],
)
def test_rights_that_are_missing_are_errors(
    move: str, source: int, target: int, rules: list[str]
) -> None:
    facts = known(A_x=NodeFacts(access=source), B_y=NodeFacts(access=target))
    assert found(move, facts) == [("error", rule) for rule in rules]


@pytest.mark.parametrize(
    ("source", "target", "more", "wanted"),
    [
        ("Double", "Double", {}, []),
        ("Double", "Float", {}, [("warning", "narrowing")]),
        ("Double", "Float", {"transform": {"kind": "convert", "on_overflow": "saturate"}}, []),
        ("Double", "Float", {"transform": {"kind": "none", "to_type": "Float"}}, []),
        ("Double", "Float", {"transform": {"kind": "linear", "gain": 2}}, NARROWS),
        ("Double", "Float", {"transform": {"kind": "convert"}}, [("warning", "narrowing")]),
        ("ByteString", "Double", {}, [("error", "type_mismatch")]),
        ("ByteString", "Double", {"transform": {"kind": "lookup", "table": {"x": 1}}}, []),
        ("Byte", "Double", {"transform": {"kind": "lookup", "table": {"0": "Off"}}}, MISMATCH),
        ("Byte", "Double", {"transform": {"kind": "lookup", "table": OFF_AND_ONE}}, IN_PART),
        ("Double", "Float", {"transform": {"kind": "none", "to_type": "ByteString"}}, MISMATCH),
        ("ByteString", "Double", {"transform": {"kind": "convert", "to_type": "Int16"}}, MISMATCH),
        ("Double", "String", {"transform": {"kind": "bits", "to_type": "Guid"}}, MISMATCH),
        ("Double", "String", {"transform": {"kind": "linear", "to_type": "Int16"}}, []),
        ("", "Double", {}, []),
        ("Double", "", {}, []),
    ],
)
def test_types_that_do_not_hold_each_other(
    source: str, target: str, more: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    facts = known(A_x=NodeFacts(type=source), B_y=NodeFacts(type=target))
    assert found(("A.x > B.y", more), facts) == wanted


def test_a_type_to_convert_to_is_on_the_way_from_the_source_alone() -> None:
    facts = known(A_x=NodeFacts(type="Double"), B_y=NodeFacts(type="Double"))
    more = {"transform": {"kind": "convert", "to_type": "ByteString"}}
    assert found(("A.x > B.y", more), facts) == MISMATCH
    assert found(("A.x < B.y", more), facts) == []


def test_each_direction_is_judged_by_itself() -> None:
    facts = known(A_x=NodeFacts(type="Int16"), B_y=NodeFacts(type="Int32"))
    assert found("A.x > B.y", facts) == []
    assert found("A.x < B.y", facts) == [("warning", "narrowing")]
    assert found("A.x = B.y", facts) == [("warning", "narrowing")]


@pytest.mark.parametrize(
    ("source", "target", "more", "words"),
    [
        (-1, -1, {}, None),
        (1, -1, {}, "ValueRank 1 (array) does not fit ValueRank -1 (scalar)"),
        (-1, 2, {}, "ValueRank 2 (array of 2 dimensions)"),
        (1, -1, {"index_range": "3"}, None),
        (None, 1, {}, None),
        (-2, 1, {}, None),
        (0, -1, {}, "ValueRank 0 (array)"),
        (-3, 2, {}, "(scalar or one dimension)"),
    ],
)
def test_arrays_do_not_fit_scalars(
    source: int | None, target: int, more: dict[str, Any], words: str | None
) -> None:
    facts = known(A_x=NodeFacts(rank=source), B_y=NodeFacts(rank=target))
    findings = lint_facts(configuration(("A.x > B.y", more)), facts)
    assert [finding.rule for finding in findings] == ([] if words is None else ["rank_mismatch"])
    assert words is None or words in findings[0].message


def test_two_shapes_that_are_unknown_or_any_say_so() -> None:
    facts = known(A_x=NodeFacts(rank=-2), B_y=NodeFacts(rank=9))
    (finding,) = lint_facts(configuration("A.x > B.y"), facts)
    assert "ValueRank -2 (any) does not fit" in finding.message


@pytest.mark.parametrize(
    ("move", "more", "pipe", "is_found"),
    [
        ("A.x > B.y", {}, {}, True),
        ("A.x > B.y", {"sampling_interval_ms": 500}, {}, False),
        ("A.x > B.y", {"sampling_interval_ms": 100}, {"publishing_interval_ms": 1000}, True),
        ("A.x > B.y", {}, {"publishing_interval_ms": 500}, False),
        ("A.x > B.y", {"kind": "queue"}, {}, False),
        ("A.x > B.y", {}, {"overflow": "queue"}, False),
        ("A.x > B.y", {"sampling_interval_ms": 0}, {}, False),
        ("A.x > B.y", {"sampling_interval_ms": 50}, {"overflow": "queue"}, True),
        ("A.x = B.y", {}, {"overflow": "queue"}, True),
        ("A.x < B.y", {}, {}, False),
        ("A.x = B.y", {}, {}, True),
    ],
)
def test_a_rate_that_no_source_has_is_a_warning(
    move: str, more: dict[str, Any], pipe: dict[str, Any], is_found: bool
) -> None:
    facts = known(A_x=NodeFacts(minimum_sampling_ms=250), B_y=NodeFacts())
    rules = found((move, more), facts, pipes={"AB": pipe})
    assert rules == ([("warning", "sampling_rate")] if is_found else [])


def test_the_rate_is_told_once_for_all_items_of_a_pipe() -> None:
    facts = known(**{f"A_x{n}": NodeFacts(minimum_sampling_ms=250) for n in range(3)})
    (finding,) = lint_facts(configuration(*[f"A.x{n} > B.y{n}" for n in range(3)]), facts)
    assert finding.items == (1, 2, 3)
    assert finding.message == (
        "values of pipe AB are asked for every 100 ms, but their nodes are sampled every 250 ms"
        " at most"
    )


def test_a_percent_deadband_without_a_range_is_a_warning_for_each_end_that_is_read() -> None:
    bare = NodeFacts(has_range=False)
    assert found(("A.x > B.y", PERCENT), known(A_x=bare)) == [("warning", "no_eu_range")]
    assert found(("A.x = B.y", PERCENT), known(A_x=bare, B_y=bare)) == [
        ("warning", "no_eu_range"),
        ("warning", "no_eu_range"),
    ]
    assert found(("A.x > B.y", PERCENT), known(B_y=bare)) == []
    assert found("A.x > B.y", known(A_x=bare)) == []
    assert found(("A.x > B.y", PERCENT), known(A_x=NodeFacts())) == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (NodeFacts(), None),
        (MISSING, "A does not show the nodes of conditions (BadNodeIdUnknown)"),
        (NodeFacts(access=2), "(no right to read)"),
        (None, None),
    ],
)
@pytest.mark.parametrize("sign", "><")
def test_a_condition_whose_node_is_not_shown_is_an_error(
    sign: str, facts: NodeFacts | None, words: str | None
) -> None:
    """The node of a condition stands on the source, whatever the direction."""
    move = (f"A.x {sign} B.y", {"condition": {"node": node("c"), "equals": 1}})
    findings = lint_facts(
        configuration(move), known(B_y=NodeFacts(), **({"A_c": facts} if facts else {}))
    )
    assert [finding.rule for finding in findings] == (["condition_node"] if words else [])
    assert words is None or words in findings[0].message
    assert words is None or findings[0].message.endswith(
        f", so that nothing is written: {node('c')}"
    )


@pytest.mark.parametrize(
    ("move", "part", "source", "target", "words"),
    [
        ("A.x > B.y", "3", NodeFacts(type="Int32", rank=1), NodeFacts(rank=-1), None),
        ("A.x > B.y", "3", NodeFacts(type="Int32", rank=1), NodeFacts(rank=1), None),
        ("A.x > B.y", "0:3", NodeFacts(type="Int32", rank=1), NodeFacts(rank=1), None),
        ("A.x > B.y", "0:3", NodeFacts(type="Int32", rank=1), NodeFacts(rank=-1), "a part with 1"),
        ("A.x < B.y", "0:3", NodeFacts(type="Int32", rank=1), NodeFacts(rank=-1), "a part with 1"),
        ("A.x < B.y", "3", NodeFacts(type="Int32", rank=-1), NodeFacts(rank=-1), "of source_node"),
        ("A.x = B.y", "3", NodeFacts(type="Int32", rank=-1), NodeFacts(rank=-1), "of source_node"),
        ("A.x > B.y", "1,2", NodeFacts(type="Int32", rank=1), NodeFacts(), "of 2 dimensions"),
        ("A.x > B.y", "1,2:3", NodeFacts(type="Int32", rank=2), NodeFacts(rank=1), "with 2"),
        ("A.x > B.y", "1,2", NodeFacts(type="Int32", rank=0), NodeFacts(rank=-1), None),
        ("A.x > B.y", "0:3", NodeFacts(type="String", rank=-1), NodeFacts(rank=-1), None),
        ("A.x > B.y", "0:3", NodeFacts(type="", rank=-1), NodeFacts(rank=-1), None),
        ("A.x > B.y", "0:3", NodeFacts(type="Int32"), NodeFacts(), None),
    ],
)
def test_a_part_needs_an_array_and_a_place_of_its_shape(
    move: str, part: str, source: NodeFacts, target: NodeFacts, words: str | None
) -> None:
    made = configuration((move, {"index_range": part}))
    findings = [
        finding
        for finding in lint_facts(made, known(A_x=source, B_y=target))
        if finding.rule != "narrowing"
    ]
    assert [finding.rule for finding in findings] == (["rank_mismatch"] if words else [])
    assert words is None or words in findings[0].message


@pytest.mark.parametrize(
    ("move", "part", "is_found"),
    [
        ("A.x > B.y", "3", False),
        ("A.x < B.y", "3", True),
        ("A.x = B.y", "3", True),
        ("A.x < B.y", "", False),
        ("B.x < A.y", "3", False),
    ],
)
def test_a_part_is_not_written_to_a_server_that_ignores_index_ranges(
    move: str, part: str, is_found: bool
) -> None:
    more = {"index_range": part} if part else {}
    made = configuration((move, more))
    findings = lint_facts(made, Known({}, {}, {"A"}))
    assert [finding.rule for finding in findings] == ["index_range_ignored"] * is_found
    assert all(finding.severity is Severity.ERROR for finding in findings)
    assert written_in_part(made) == ({move[0]} if part and ">" not in move else set())


def test_nodes_of_conditions_are_wanted_from_the_source() -> None:
    made = configuration(("A.x < B.y", {"condition": {"node": node("c"), "equals": 1}, **PERCENT}))
    assert wanted_nodes(made) == {
        "A": {node("x"): False, node("c"): False},
        "B": {node("y"): True},
    }


def test_disabled_items_and_others_than_asked_for_are_left_out() -> None:
    facts = known(A_x=MISSING, A_z=MISSING)
    made = configuration(("A.x > B.y", {"enabled": False}), "A.z > B.y")
    assert [finding.items for finding in lint_facts(made, facts)] == [(2,)]
    assert lint_facts(made, facts, [1]) == []


def test_what_was_not_read_is_told_with_the_reason() -> None:
    (finding,) = lint_facts(configuration(), Known({}, {"A": (7, "A cannot be reached")}))
    assert (finding.severity, finding.rule) == (Severity.WARNING, "not_checked")
    assert finding.message == "7 nodes of A not checked: A cannot be reached"
