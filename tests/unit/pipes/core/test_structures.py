"""StructureDefinitions as servers send them."""

from __future__ import annotations

import struct

import pytest

from pipes.core.decoder import DecodeError
from pipes.core.encoder import encode_scalar
from pipes.core.structures import (
    MOST_TYPES,
    Definition,
    FieldDefinition,
    FieldLayout,
    Layout,
    StructureKind,
    Structures,
    read_definition,
)
from pipes.core.values import ExtensionObject, LocalizedText, NodeId, VariantType

STRUCTURE = StructureKind.STRUCTURE


def field_bytes(name: str, data_type: NodeId, rank: int = -1, *, optional: bool = False) -> bytes:
    return (
        encode_scalar(VariantType.STRING, name)
        + encode_scalar(VariantType.LOCALIZED_TEXT, LocalizedText("what it is"))
        + encode_scalar(VariantType.NODE_ID, data_type)
        + struct.pack("<i", rank)
        + struct.pack("<iI", 1, 0)
        + struct.pack("<I?", 0, optional)
    )


def definition(*fields: bytes, kind: int = 0, count: int | None = None) -> ExtensionObject:
    body = (
        encode_scalar(VariantType.NODE_ID, NodeId(2, 5001))
        + encode_scalar(VariantType.NODE_ID, NodeId(0, 22))
        + struct.pack("<ii", kind, len(fields) if count is None else count)
        + b"".join(fields)
    )
    return ExtensionObject(NodeId(0, 122), body, 1)


def test_a_definition_gives_its_kind_and_its_fields_in_order():
    found = read_definition(
        definition(
            field_bytes("Name", NodeId(0, 12)),
            field_bytes("Steps", NodeId(2, 3003), 1, optional=True),
            kind=1,
        )
    )
    assert found == Definition(
        StructureKind.OPTIONAL_FIELDS,
        (
            FieldDefinition("Name", NodeId(0, 12), -1, is_optional=False),
            FieldDefinition("Steps", NodeId(2, 3003), 1, is_optional=True),
        ),
    )


def test_a_field_may_be_as_short_as_can_be():
    field = bytes.fromhex("ffffffff 00 0001 ffffffff ffffffff 00000000 00")
    found = read_definition(definition(*[field] * 50))
    assert found.fields[-1] == FieldDefinition("", NodeId(0, 1), -1, is_optional=False)


@pytest.mark.parametrize("count", [-1, 0])
def test_a_structure_may_have_no_fields(count):
    assert read_definition(definition(count=count)) == Definition(STRUCTURE, ())


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "no StructureDefinition"),
        (ExtensionObject(NodeId(0, 123), b"", 1), "no StructureDefinition"),
        (ExtensionObject(NodeId(0, 122)), "wanted"),
        (definition(kind=7), "StructureType 7"),
        (definition(count=1_000_000), "a definition of 1000000 fields"),
        (definition(*([field_bytes("x", NodeId(0, 1))] * 2_001)), "a definition of 2001 fields"),
        (definition(field_bytes("x", NodeId(0, 1)), count=0), "left over"),
        (definition(field_bytes("a long name", NodeId(0, 1))[:-1]), "wanted"),
    ],
)
def test_what_is_no_definition_is_refused(value, why):
    with pytest.raises(DecodeError, match=why):
        read_definition(value)


def test_the_kinds_say_what_is_optional_and_what_a_union_is():
    unions = [kind for kind in StructureKind if kind.is_union]
    assert unions == [StructureKind.UNION, StructureKind.SUBTYPED_UNION]
    subtyped = [kind for kind in StructureKind if kind.allows_subtypes]
    assert subtyped == [StructureKind.SUBTYPED, StructureKind.SUBTYPED_UNION]


def nests(*others: NodeId) -> Layout:
    return Layout(
        STRUCTURE,
        tuple(FieldLayout("f", VariantType.EXTENSION_OBJECT, structure=other) for other in others),
    )


def has(kind: VariantType) -> Layout:
    return Layout(STRUCTURE, (FieldLayout("f", kind),))


A, B, C = (NodeId(2, number) for number in (1, 2, 3))


def test_a_type_is_free_if_nothing_that_it_nests_refers_to_a_namespace():
    free = Structures({}, {A: nests(B, C), B: has(VariantType.DOUBLE), C: nests(A, B)})
    assert free.is_free(A)
    for kind in (VariantType.NODE_ID, VariantType.VARIANT, VariantType.EXTENSION_OBJECT):
        bound = Structures({}, {**free.layouts, B: has(kind)})
        assert not bound.is_free(A)


def test_what_is_remembered_is_bounded():
    known = Structures()
    assert not known.is_full
    known.types.update((NodeId(2, number), "unknown") for number in range(MOST_TYPES))
    assert known.is_full
