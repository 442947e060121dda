from __future__ import annotations

from typing import Any

import pytest

from pipes.core.node_facts import NodeFacts, from_row


@pytest.mark.parametrize(
    "facts",
    [
        NodeFacts(),
        NodeFacts(0x8034_0000),
        NodeFacts(0, "Double", -1, 3, 250.0, True),
        NodeFacts(0, "Number", 1, 1, 1, False),
    ],
)
def test_facts_come_back_from_their_row(facts: NodeFacts) -> None:
    assert from_row(facts.row()) == facts


@pytest.mark.parametrize("row", [[], [0, "Double", -1, 3, None], ["0", "", -1, 3, None, None]])
def test_what_is_no_row_is_refused(row: list[Any]) -> None:
    with pytest.raises(ValueError, match="is no row of facts"):
        from_row(row)


def test_a_node_with_a_bad_status_is_missing() -> None:
    assert NodeFacts(0x8034_0000).is_missing
    assert not NodeFacts(0x4000_0000).is_missing
