from __future__ import annotations

import pytest

from pipes.core.matching import (
    Leaf,
    Side,
    Unfit,
    findings,
    identifier_of,
    is_type_fit,
    match_nodes,
    match_paths,
    namespace_of,
    path_of,
)


def leaves(*paths: str, prefix: str = "nsu=urn:a;s=") -> list[Leaf]:
    return [Leaf(f"{prefix}{path}", path) for path in paths]


def pairs(matches):
    return [(source.node_id, target.node_id) for source, target in matches.pairs]


def reasons(matches):
    return [(each.side, each.leaf.path, each.reason) for each in matches.unmatched]


class TestPaths:
    def test_equal_paths_are_pairs_in_the_order_of_the_source(self):
        found = match_paths(leaves("B/2", "A/1"), leaves("A/1", "B/2", prefix="ns=1;s="))

        assert pairs(found) == [
            ("nsu=urn:a;s=B/2", "ns=1;s=B/2"),
            ("nsu=urn:a;s=A/1", "ns=1;s=A/1"),
        ]
        assert found.counts() == {"matched": 2, "source": 0, "target": 0}

    def test_what_has_no_partner_is_told_on_either_side(self):
        found = match_paths(leaves("A", "B"), leaves("B", "C"))

        assert reasons(found) == [
            (Side.SOURCE, "A", Unfit.NO_TARGET),
            (Side.TARGET, "C", Unfit.NO_SOURCE),
        ]
        assert found.unmatched[0].body() == {
            "side": "source",
            "node": "nsu=urn:a;s=A",
            "path": "A",
            "reason": "no_target",
            "message": "the target has no variable A",
        }

    def test_a_renamed_path_counts_and_the_others_stay(self):
        found = match_paths(leaves("Area/A", "B"), leaves("Unit/A", "B"), ["Unit/A", None])

        assert found.counts()["matched"] == 2

    def test_a_renamed_path_may_be_empty(self):
        assert reasons(match_paths(leaves("A"), [], [""])) == [(Side.SOURCE, "A", Unfit.NO_TARGET)]

    def test_of_two_targets_with_one_path_none_is_chosen(self):
        found = match_paths(leaves("A"), leaves("A", "A", "A"))

        assert found.counts() == {"matched": 0, "source": 1, "target": 3}
        assert found.unmatched[0].reason is Unfit.AMBIGUOUS
        assert "3 variables" in found.unmatched[0].message

    def test_a_target_is_given_to_one_source_only(self):
        found = match_paths(leaves("A", "B"), leaves("X"), ["X", "X"])

        assert pairs(found) == [("nsu=urn:a;s=A", "nsu=urn:a;s=X")]
        assert found.unmatched[0].reason is Unfit.TAKEN
        assert "nsu=urn:a;s=A" in found.unmatched[0].message


class TestNodes:
    def test_the_identifier_is_replaced_and_the_namespace_is_the_targets(self):
        sources = leaves("T1", "T2")
        targets = leaves("Q1", "Q2", prefix="nsu=urn:b;s=")

        found = match_nodes(sources, targets, ["s=Q1", "s=Q2"], "nsu=urn:b;")

        assert found.counts()["matched"] == 2

    def test_a_replacement_may_name_the_namespace_itself(self):
        found = match_nodes(leaves("T"), leaves("Q", prefix="ns=1;s="), ["ns=1;s=Q"], "nsu=urn:b;")

        assert pairs(found) == [("nsu=urn:a;s=T", "ns=1;s=Q")]

    def test_below_a_root_of_namespace_zero_the_sources_namespace_counts(self):
        found = match_nodes(leaves("T"), leaves("Q"), ["s=Q"], "")

        assert pairs(found) == [("nsu=urn:a;s=T", "nsu=urn:a;s=Q")]

    def test_sources_without_the_pattern_and_results_that_are_no_node_are_told(self):
        found = match_nodes(leaves("A", "B", "C"), [], [None, "Q", "s=Q"], "ns=1;")

        assert [each.reason for each in found.unmatched] == [
            Unfit.PATTERN,
            Unfit.INVALID,
            Unfit.NO_TARGET,
        ]
        assert "does not occur in s=A" in found.unmatched[0].message
        assert "is no NodeId" in found.unmatched[1].message


@pytest.mark.parametrize(
    ("node", "namespace", "identifier"),
    [
        ("nsu=urn:a;s=x;y", "nsu=urn:a;", "s=x;y"),
        ("ns=1;i=5", "ns=1;", "i=5"),
        ("i=85", "", "i=85"),
    ],
)
def test_a_node_id_is_taken_apart(node, namespace, identifier):
    assert (namespace_of(node), identifier_of(node)) == (namespace, identifier)


def test_names_with_separators_stay_apart_from_paths():
    assert path_of("", "A") == "A"
    assert path_of(path_of("", "A"), "B") == "A/B"
    assert path_of("", "A/B") == "A&/B"
    assert path_of("", "A&/B") == "A&&&/B"


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        ("Double", "Double", True),
        ("Double", "Int16", True),
        ("Double", "Boolean", True),
        ("Int32", "Number", True),
        ("Guid", "Number", False),
        ("ByteString", "String", False),
        ("Double", "DateTime", False),
        ("String", "Double", True),
        ("Variant", "Double", True),
        ("Double", "Variant", True),
        ("", "Double", True),
        ("Double", "", True),
        ("Integer", "String", True),
        ("ExtensionObject", "ExtensionObject", True),
    ],
)
def test_types_fit_where_values_convert(source, target, fits):
    assert is_type_fit(source, target) is fits


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (-1, -1, True),
        (-1, 1, False),
        (1, -1, False),
        (0, 1, True),
        (0, -1, False),
        (-3, 1, True),
        (-3, 2, False),
        (-2, 3, True),
        (2, 3, False),
        (None, 1, True),
        (1, None, True),
    ],
)
def test_ranks_fit_where_a_value_can_be_both(source, target, fits):
    pair = Leaf("i=1", "a", rank=source), Leaf("i=2", "b", rank=target)

    assert [each.rule for each in findings([pair])] == ([] if fits else ["rank_mismatch"])


class TestFindings:
    def test_equal_faults_are_one_finding_with_the_places(self):
        wrong = Leaf("i=1", "a", "ByteString"), Leaf("i=2", "b", "Double")
        right = Leaf("i=3", "c", "Double"), Leaf("i=4", "d", "Double")

        (found,) = findings([right, *[wrong] * 200])

        assert found.body() == {
            "severity": "error",
            "rule": "type_mismatch",
            "message": "200 × ByteString does not convert to Double",
            "items": [],
            "count": 200,
            "rows": list(range(2, 102)),
        }

    def test_nodes_must_be_readable_and_writable(self):
        pair = Leaf("i=1", "a", access=2), Leaf("i=2", "b", access=1)

        assert [each.rule for each in findings([pair])] == ["source_access", "target_access"]
        assert "be read" in findings([pair])[0].message

    def test_what_moves_in_reverse_needs_both_of_both(self):
        pair = Leaf("i=1", "a", access=1), Leaf("i=2", "b", access=2)

        assert findings([pair]) == []
        found = findings([pair], reads_target=True)
        assert [each.rule for each in found] == ["source_access", "target_access"]
        assert all("read and written" in each.message for each in found)
