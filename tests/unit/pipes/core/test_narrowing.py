from __future__ import annotations

import pytest

from pipes.core.narrowing import is_narrowing


@pytest.mark.parametrize(
    ("source", "target", "narrows"),
    [
        ("Float", "Double", False),
        ("Double", "Int64", True),
        ("Float", "Boolean", True),
        ("Double", "String", False),
        ("Int64", "Int32", True),
        ("Int16", "Int64", False),
        ("Byte", "Int16", False),
        ("SByte", "Byte", True),
        ("UInt32", "Int32", True),
        ("Int32", "Double", False),
        ("Int64", "Double", True),
        ("Int16", "Float", False),
        ("Int32", "Float", True),
        ("Int32", "Boolean", True),
        ("Int32", "String", False),
        ("Boolean", "Byte", False),
        ("String", "Double", False),
        ("Number", "Int16", False),
        ("Double", "Number", False),
        ("Double", "Integer", True),
        ("Double", "UInteger", True),
        ("Int16", "Integer", False),
        ("Int16", "UInteger", True),
        ("UInt16", "UInteger", False),
        ("String", "Integer", False),
        ("Double", "Unknown", False),
    ],
)
def test_a_type_is_narrower_if_some_number_has_no_place(
    source: str, target: str, narrows: bool
) -> None:
    assert is_narrowing(source, target) is narrows
