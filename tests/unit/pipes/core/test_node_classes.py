from __future__ import annotations

from pipes.core.node_classes import node_class_name


def test_a_node_class_has_its_name_and_an_unknown_one_says_so() -> None:
    assert node_class_name(2) == "Variable"
    assert node_class_name(0) == "Unspecified"
