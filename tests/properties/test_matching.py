"""Bulk mapping: whatever the names are, no node is lost, doubled or mapped twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.matching import Leaf, Side, match_nodes, match_paths, path_of
from pipes.core.renaming import rename_all

names = st.text("AB/&", min_size=1, max_size=3)
sides = st.lists(names, max_size=12)


def leaves(found: list[str]) -> list[Leaf]:
    return [Leaf(f"i={number + 1}", name) for number, name in enumerate(found)]


@given(sides, sides, st.data())
def test_every_leaf_is_in_one_pair_or_unmatched_once(sources, targets, data):
    given_sources, given_targets = leaves(sources), leaves(targets)
    renamed = data.draw(
        st.none() | st.lists(st.none() | names, min_size=len(sources), max_size=len(sources))
    )

    found = match_paths(given_sources, given_targets, renamed)

    seen = Counter((Side.SOURCE, source) for source, _ in found.pairs)
    seen += Counter((Side.TARGET, target) for _, target in found.pairs)
    seen += Counter((each.side, each.leaf) for each in found.unmatched)
    assert set(seen.values()) <= {1}
    assert len(seen) == len(sources) + len(targets)


@given(sides, sides)
def test_pairs_by_path_have_equal_paths(sources, targets):
    found = match_paths(leaves(sources), leaves(targets))

    assert all(source.path == target.path for source, target in found.pairs)


@given(st.lists(st.integers(1, 40), unique=True), st.lists(st.integers(1, 40), unique=True))
def test_pairs_by_pattern_are_those_that_the_rule_names(sources, targets):
    given_sources = [Leaf(f"nsu=urn:a;s=T{number}", str(number)) for number in sources]
    given_targets = [Leaf(f"nsu=urn:b;s=Q{number}", str(number)) for number in targets]
    renamed = rename_all(r"s=T(\d+)", r"s=Q\1", [f"s=T{number}" for number in sources])

    found = match_nodes(given_sources, given_targets, renamed, "nsu=urn:b;")

    assert [source.path for source, _ in found.pairs] == [
        str(number) for number in sources if number in set(targets)
    ]
    assert all(source.path == target.path for source, target in found.pairs)


@given(st.lists(names, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
def test_different_names_make_different_paths(one, other):
    def path(parts: list[str]) -> str:
        whole = ""
        for part in parts:
            whole = path_of(whole, part)
        return whole

    assert (path(one) == path(other)) is (one == other)
