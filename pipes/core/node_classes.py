"""Names of the NodeClasses (Part 3, 5), as REST shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NODE_CLASSES: Final[Mapping[int, str]] = {
    1: "Object",
    2: "Variable",
    4: "Method",
    8: "ObjectType",
    16: "VariableType",
    32: "ReferenceType",
    64: "DataType",
    128: "View",
}


def node_class_name(number: int) -> str:
    return NODE_CLASSES.get(number, "Unspecified")
