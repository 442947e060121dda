"""Values that refer to namespaces, said in the numbers of another server."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest

from pipes.core.binary import decode_data_value, encode_data_value, encode_scalar, encode_variant
from pipes.core.decoder import DecodeError
from pipes.core.remap import (
    UnknownTypeError,
    UnmappedError,
    refers,
    remap_between,
    remapped,
)
from pipes.core.structures import FieldLayout, Layout, StructureKind, Structures
from pipes.core.values import (
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Variant,
    VariantType,
)

UA = "http://opcfoundation.org/UA/"
READ = (UA, "urn:source", "urn:a", "urn:b", "urn:only:there")
WRITTEN = (UA, "urn:target", "urn:b", "urn:x", "urn:a", "urn:source")
REMAP = remap_between(READ, WRITTEN)
SAME = remap_between((UA, "urn:one", "urn:a"), (UA, "urn:two", "urn:a"))
T = VariantType
NOTHING = Structures()
TYPE, ENCODING = NodeId(2, 3004), NodeId(2, 5004)
INNER = NodeId(2, 3003)


def field(name: str, kind: VariantType, rank: int = 0, **more) -> FieldLayout:
    return FieldLayout(name, kind, rank, **more)


EMPTY = Layout(StructureKind.STRUCTURE, ())


def known(
    *fields: FieldLayout,
    kind: StructureKind = StructureKind.STRUCTURE,
    inner: Layout = EMPTY,
) -> Structures:
    return Structures({ENCODING: TYPE}, {TYPE: Layout(kind, fields), INNER: inner})


def there(kind: VariantType, value, structures: Structures = NOTHING, remap=REMAP):
    """What the value is on the other server."""
    before = DataValue(Variant(kind, value), 0x4000_0000, 77)
    after = decode_data_value(remapped(encode_data_value(before), remap, structures))
    assert (after.status, after.source_timestamp) == (0x4000_0000, 77)
    return after.variant.value


def scalar(kind: VariantType, value) -> bytes:
    return encode_scalar(kind, value)


class TestTables:
    def test_an_index_goes_by_its_uri(self):
        assert [REMAP.index(index) for index in range(4)] == [0, 5, 4, 2]

    def test_a_uri_that_the_other_server_lacks_is_named(self):
        with pytest.raises(UnmappedError, match=r"namespace 'urn:only:there'.*load that model"):
            REMAP.index(4)

    def test_an_index_beyond_the_table_is_named(self):
        with pytest.raises(UnmappedError, match="namespace index 9"):
            REMAP.index(9)

    def test_the_own_uri_of_a_server_is_one_like_the_others(self):
        with pytest.raises(UnmappedError, match="urn:source"):
            remap_between(READ, WRITTEN[:-1]).index(1)

    def test_twins_speak_of_the_same_and_each_of_itself(self):
        assert SAME.is_identity
        assert [SAME.index(index) for index in (0, 1, 2, 7)] == [0, 1, 2, 7]

    def test_an_empty_uri_is_nobodys(self):
        with pytest.raises(UnmappedError):
            remap_between((UA, "urn:s", ""), (UA, "urn:t", "urn:z", "")).index(2)

    def test_of_two_entries_with_one_uri_the_first_counts(self):
        assert remap_between((UA, "u", "x"), (UA, "v", "y", "x", "x")).index(2) == 3


class TestBuiltInTypes:
    @pytest.mark.parametrize(
        ("kind", "value", "other"),
        [
            (T.NODE_ID, NodeId(2, "A"), NodeId(4, "A")),
            (T.NODE_ID, NodeId(3, 70_000), NodeId(2, 70_000)),
            (T.NODE_ID, NodeId(3, UUID(int=7)), NodeId(2, UUID(int=7))),
            (T.NODE_ID, NodeId(3, b"x"), NodeId(2, b"x")),
            (T.NODE_ID, NodeId(0, 2258), NodeId(0, 2258)),
            (T.NODE_ID, NodeId(1, 5), NodeId(5, 5)),
            (T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, "A")), ExpandedNodeId(NodeId(4, "A"))),
            (
                T.EXPANDED_NODE_ID,
                ExpandedNodeId(NodeId(0, "A"), "urn:only:there"),
                ExpandedNodeId(NodeId(0, "A"), "urn:only:there"),
            ),
            (T.QUALIFIED_NAME, QualifiedName(2, "N"), QualifiedName(4, "N")),
            (T.QUALIFIED_NAME, QualifiedName(0, None), QualifiedName(0, None)),
            (T.NODE_ID, (NodeId(2, "A"), NodeId(3, 5)), (NodeId(4, "A"), NodeId(2, 5))),
            (
                T.VARIANT,
                (Variant(T.DOUBLE, 1.5), Variant(T.NODE_ID, NodeId(2, 1))),
                (Variant(T.DOUBLE, 1.5), Variant(T.NODE_ID, NodeId(4, 1))),
            ),
            (
                T.DATA_VALUE,
                (DataValue(), DataValue(Variant(T.QUALIFIED_NAME, QualifiedName(3, "N")), 5, 6)),
                (DataValue(), DataValue(Variant(T.QUALIFIED_NAME, QualifiedName(2, "N")), 5, 6)),
            ),
            (
                T.VARIANT,
                (Variant(T.VARIANT, (Variant(T.NODE_ID, (NodeId(2, 1), NodeId(2, "x"))),)),),
                (Variant(T.VARIANT, (Variant(T.NODE_ID, (NodeId(4, 1), NodeId(4, "x"))),)),),
            ),
        ],
    )
    def test_indices_are_rewritten_and_nothing_else(self, kind, value, other):
        assert there(kind, value) == other

    def test_a_matrix_keeps_its_dimensions(self):
        nodes = tuple(NodeId(2, number) for number in range(4))
        raw = encode_data_value(DataValue(Variant(T.NODE_ID, nodes, (2, 2))))
        after = decode_data_value(remapped(raw, REMAP, NOTHING)).variant
        assert after.dimensions == (2, 2)
        assert after.value[3] == NodeId(4, 3)

    @pytest.mark.parametrize("value", [None, ()])
    def test_null_and_empty_arrays_stay_what_they_are(self, value):
        dimensions = () if value is None else None
        raw = encode_data_value(DataValue(Variant(T.NODE_ID, value, dimensions)))
        assert remapped(raw, REMAP, NOTHING) is raw

    def test_a_value_that_needs_nothing_is_the_same_object(self):
        raw = encode_data_value(DataValue(Variant(T.NODE_ID, NodeId(0, 5))))
        assert remapped(raw, REMAP, NOTHING) is raw

    def test_an_uncommon_encoding_of_a_node_id_is_read_as_any_other(self):
        raw = b"\x01\x11\x02\x02\x00" + struct.pack("<I", 5)  # a small number in seven bytes
        assert decode_data_value(remapped(raw, REMAP, NOTHING)).variant.value == NodeId(4, 5)

    def test_an_index_that_needs_more_bytes_gets_them(self):
        far = remap_between((UA, "u", "x"), (UA, "v", *(f"n{i}" for i in range(300)), "x"))
        assert there(T.NODE_ID, NodeId(2, 5), remap=far) == NodeId(302, 5)
        expanded = ExpandedNodeId(NodeId(2, 5), "")
        assert there(T.EXPANDED_NODE_ID, expanded, remap=far).node_id == NodeId(302, 5)

    def test_what_points_to_a_third_server_is_refused(self):
        with pytest.raises(UnmappedError, match="ServerIndex 3"):
            there(T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, 5), "urn:a", 3))

    @pytest.mark.parametrize("remap", [REMAP, SAME])
    def test_a_diagnostic_info_is_refused_wherever_it_stands(self, remap):
        info = DiagnosticInfo(symbolic_id=5)
        for kind, value in (
            (T.DIAGNOSTIC_INFO, info),
            (T.VARIANT, (Variant(T.DIAGNOSTIC_INFO, (info,)),)),
        ):
            with pytest.raises(UnmappedError, match="DiagnosticInfo"):
                there(kind, value, remap=remap)

    def test_between_twins_nothing_changes(self):
        value = (
            Variant(T.NODE_ID, NodeId(1, 5)),
            Variant(T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, 5), None, 4)),
            Variant(T.EXTENSION_OBJECT, ExtensionObject(NodeId(2, 9), b"???", 1)),
        )
        assert there(T.VARIANT, value, remap=SAME) == value

    def test_only_some_types_refer_to_namespaces(self):
        assert refers(encode_data_value(DataValue(Variant(T.NODE_ID, NodeId(2, 5)))))
        assert refers(encode_data_value(DataValue(Variant(T.VARIANT, ()))))
        assert not refers(encode_data_value(DataValue(Variant(T.DOUBLE, 1.0))))
        assert not refers(encode_data_value(DataValue(None, 17, 17)))
        assert not refers(b"\x00")


class TestStructures:
    def body_there(self, body: bytes, structures: Structures) -> bytes:
        found = there(T.EXTENSION_OBJECT, ExtensionObject(ENCODING, body, 1), structures)
        assert found.type_id == NodeId(4, 5004)
        return found.body

    def test_a_type_has_to_be_known_unless_its_body_is_empty(self):
        with pytest.raises(UnknownTypeError) as unknown:
            there(T.EXTENSION_OBJECT, ExtensionObject(ENCODING, b"x", 1))
        assert unknown.value.type_id == ENCODING
        for empty in (ExtensionObject(ENCODING), ExtensionObject(ENCODING, b"", 1)):
            assert there(T.EXTENSION_OBJECT, empty).type_id == NodeId(4, 5004)

    def test_the_null_object_stays_one(self):
        null = ExtensionObject(NodeId(0, 0))
        assert there(T.EXTENSION_OBJECT, null) == null
        odd = ExtensionObject(NodeId(0, 0), b"x", 1)
        assert there(T.EXTENSION_OBJECT, odd) == odd

    def test_a_standard_type_without_references_needs_no_definition(self):
        measuring_range = ExtensionObject(NodeId(0, 886), struct.pack("<dd", 0, 100), 1)
        assert there(T.EXTENSION_OBJECT, measuring_range) == measuring_range

    def test_a_type_that_cannot_be_found_out_is_refused_with_reason_and_remedy(self):
        structures = Structures({ENCODING: "its server gives no DataTypeDefinition of it"})
        with pytest.raises(UnmappedError) as refused:
            there(T.EXTENSION_OBJECT, ExtensionObject(ENCODING, b"x", 1), structures)
        assert "nsu=urn:a;i=5004" in str(refused.value)
        assert "gives no DataTypeDefinition" in str(refused.value)
        assert "same namespaces" in str(refused.value)

    def test_a_body_without_references_passes_byte_for_byte(self):
        structures = known(field("a", T.DOUBLE), field("b", T.STRING, 1))
        assert self.body_there(b"whatever", structures) == b"whatever"

    def test_every_kind_of_field_is_passed_over_or_rewritten(self):
        fields, before, after = [], b"", b""
        for kind, value, other in (
            (T.BOOLEAN, True, True),
            (T.STRING, "Wörter", "Wörter"),
            (T.NODE_ID, NodeId(2, "A"), NodeId(4, "A")),
            (T.GUID, UUID(int=9), UUID(int=9)),
            (T.BYTE_STRING, None, None),
            (T.XML_ELEMENT, "<a/>", "<a/>"),
            (T.LOCALIZED_TEXT, LocalizedText("t", "de"), LocalizedText("t", "de")),
            (T.QUALIFIED_NAME, QualifiedName(3, "N"), QualifiedName(2, "N")),
            (T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(2, 1)), ExpandedNodeId(NodeId(4, 1))),
            (T.VARIANT, Variant(T.NODE_ID, NodeId(2, 1)), Variant(T.NODE_ID, NodeId(4, 1))),
            (
                T.DATA_VALUE,
                DataValue(Variant(T.NODE_ID, NodeId(2, 1)), 3),
                DataValue(Variant(T.NODE_ID, NodeId(4, 1)), 3),
            ),
            (T.EXTENSION_OBJECT, ExtensionObject(NodeId(2, 7)), ExtensionObject(NodeId(4, 7))),
            (T.STATUS_CODE, 5, 5),
        ):
            fields.append(field("scalar", kind))
            before += scalar(kind, value)
            after += scalar(kind, other)
            fields.append(field("array", kind, 1))
            before += struct.pack("<i", 2) + scalar(kind, value) * 2
            after += struct.pack("<i", 2) + scalar(kind, other) * 2
        assert self.body_there(before, known(*fields)) == after

    def test_a_null_array_has_no_elements(self):
        structures = known(field("nodes", T.NODE_ID, 1), field("node", T.NODE_ID))
        body = struct.pack("<i", -1) + scalar(T.NODE_ID, NodeId(2, 1))
        after = struct.pack("<i", -1) + scalar(T.NODE_ID, NodeId(4, 1))
        assert self.body_there(body, structures) == after

    def test_a_matrix_has_its_dimensions_before_its_elements(self):
        structures = known(field("m", T.DOUBLE, 2), field("n", T.NODE_ID, 2))
        dimensions = struct.pack("<iii", 2, 1, 2)
        body = (
            dimensions + struct.pack("<dd", 1, 2) + dimensions + scalar(T.NODE_ID, NodeId(2, 1)) * 2
        )
        after = (
            dimensions + struct.pack("<dd", 1, 2) + dimensions + scalar(T.NODE_ID, NodeId(4, 1)) * 2
        )
        assert self.body_there(body, structures) == after
        null = struct.pack("<i", -1)
        assert self.body_there(null + null, structures) == null + null

    def test_a_structure_in_a_structure_stands_there_without_a_header(self):
        inner = Layout(StructureKind.STRUCTURE, (field("node", T.NODE_ID), field("x", T.DOUBLE)))
        structures = known(
            field("one", T.EXTENSION_OBJECT, structure=INNER),
            field("many", T.EXTENSION_OBJECT, 1, structure=INNER),
            inner=inner,
        )
        there_, here = (
            scalar(T.NODE_ID, NodeId(index, "A")) + struct.pack("<d", 5.0) for index in (2, 4)
        )
        count = struct.pack("<i", 2)
        assert self.body_there(there_ + count + there_ * 2, structures) == here + count + here * 2

    def test_an_object_in_an_object_is_rewritten_with_its_length(self):
        structures = known(field("object", T.EXTENSION_OBJECT), field("node", T.NODE_ID))
        leaf = ExtensionObject(NodeId(0, 0))
        objects = []
        for index in (2, 4):
            node = scalar(T.NODE_ID, NodeId(index, "A"))
            inside = ExtensionObject(
                NodeId(index, 5004), scalar(T.EXTENSION_OBJECT, leaf) + node, 1
            )
            objects.append(scalar(T.EXTENSION_OBJECT, inside) + node)
        assert self.body_there(objects[0], structures) == objects[1]

    def test_optional_fields_are_there_if_their_bit_is_set(self):
        structures = known(
            field("a", T.NODE_ID, is_optional=True),
            field("b", T.INT32),
            field("c", T.NODE_ID, is_optional=True),
            kind=StructureKind.OPTIONAL_FIELDS,
        )
        old, new = (scalar(T.NODE_ID, NodeId(index, 1)) for index in (2, 4))
        number = struct.pack("<i", 5)
        for mask, there_, here in (
            (0, number, number),
            (1, old + number, new + number),
            (2, number + old, number + new),
            (3, old + number + old, new + number + new),
        ):
            bits = struct.pack("<I", mask)
            assert self.body_there(bits + there_, structures) == bits + here
        with pytest.raises(DecodeError, match="the mask 0x4 for 2 optional fields"):
            self.body_there(struct.pack("<I", 4) + number, structures)

    @pytest.mark.parametrize("kind", [StructureKind.UNION, StructureKind.SUBTYPED_UNION])
    def test_a_union_holds_the_field_that_its_switch_names(self, kind):
        structures = known(field("a", T.INT32), field("b", T.NODE_ID), kind=kind)
        null, first = struct.pack("<I", 0), struct.pack("<Ii", 1, 5)
        assert self.body_there(null, structures) == null
        assert self.body_there(first, structures) == first
        second = struct.pack("<I", 2)
        assert self.body_there(second + scalar(T.NODE_ID, NodeId(2, 1)), structures) == (
            second + scalar(T.NODE_ID, NodeId(4, 1))
        )
        with pytest.raises(DecodeError, match="field 3 of a union of 2"):
            self.body_there(struct.pack("<I", 3), structures)

    def test_xml_is_refused_unless_nothing_in_it_can_refer_to_a_namespace(self):
        xml = ExtensionObject(ENCODING, b"<a/>", 2)
        assert there(T.EXTENSION_OBJECT, xml, known(field("a", T.INT32))).body == b"<a/>"
        with pytest.raises(UnmappedError, match="came as XML"):
            there(T.EXTENSION_OBJECT, xml, known(field("a", T.NODE_ID)))

    def test_a_namespace_that_is_missing_there_is_named_from_deep_inside(self):
        structures = known(field("nodes", T.NODE_ID, 1))
        body = struct.pack("<i", 1) + scalar(T.NODE_ID, NodeId(4, 1))
        with pytest.raises(UnmappedError, match="urn:only:there"):
            self.body_there(body, structures)

    def test_a_type_met_deep_inside_is_asked_for(self):
        structures = known(field("object", T.EXTENSION_OBJECT))
        inside = ExtensionObject(NodeId(3, 5), b"x", 1)
        with pytest.raises(UnknownTypeError) as unknown:
            self.body_there(scalar(T.EXTENSION_OBJECT, inside), structures)
        assert unknown.value.type_id == NodeId(3, 5)


class TestDamage:
    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            (b"\x00", [field("n", T.NODE_ID)]),
            (b"\x09\x00", [field("n", T.NODE_ID)]),
            (b"\x80\x05", [field("n", T.NODE_ID)]),
            (b"\x00\x05\x00", [field("n", T.NODE_ID)]),
            (b"\x00\x05\xff\xff\xff\x7f", [field("n", T.NODE_ID), field("s", T.STRING)]),
            (b"\xff\xff\xff\x7f\x00\x00", [field("n", T.NODE_ID, 1)]),
            (b"\xfe\xff\xff\xff\x00\x00", [field("n", T.NODE_ID, 1)]),
            (b"\x00\x05\x00", [field("n", T.NODE_ID), field("d", T.DOUBLE)]),
            (b"\x40", [field("v", T.DATA_VALUE)]),
            (struct.pack("<ii", 1, 5) + bytes(10), [field("n", T.NODE_ID, 2)]),
            (struct.pack("<iii", 2, -1, 5) + bytes(10), [field("n", T.NODE_ID, 2)]),
            (struct.pack("<iii", 2, 2**30, 2**30), [field("n", T.NODE_ID, 2)]),
            (
                struct.pack("<iii", 2, 2**30, 2**30) + b"\x00\x05",
                [field("d", T.DOUBLE, 2), field("n", T.NODE_ID)],
            ),
            (
                struct.pack("<i", 2**31 - 1),
                [field("s", T.EXTENSION_OBJECT, 1, structure=INNER), field("n", T.NODE_ID)],
            ),
        ],
    )
    def test_a_body_that_is_not_as_its_definition_says_is_refused(self, body, fields):
        raw = encode_data_value(
            DataValue(Variant(T.EXTENSION_OBJECT, ExtensionObject(ENCODING, body, 1)))
        )
        with pytest.raises(DecodeError, match="nsu=urn:a;i=5004 is not as its DataTypeDefinition"):
            remapped(raw, REMAP, known(*fields))

    def test_a_type_that_nests_itself_ends_at_a_depth(self):
        endless = Layout(
            StructureKind.STRUCTURE,
            (field("self", T.EXTENSION_OBJECT, structure=INNER), field("n", T.NODE_ID)),
        )
        structures = known(field("x", T.EXTENSION_OBJECT, structure=INNER), inner=endless)
        raw = encode_data_value(
            DataValue(Variant(T.EXTENSION_OBJECT, ExtensionObject(ENCODING, b"x", 1)))
        )
        with pytest.raises(DecodeError, match="nested deeper"):
            remapped(raw, REMAP, structures)

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x41",
            b"\x01\x11",
            b"\x01\x11\xc0\x05",
            b"\x01\x11\x00\x05\x00",
            b"\x01\x91\xff\xff\xff\x7f",
            b"\x01\x11\x80\x05\xff\xff\xff\xff",
        ],
    )
    def test_a_damaged_value_is_refused(self, raw):
        with pytest.raises(DecodeError):
            remapped(raw, REMAP, NOTHING)

    def test_objects_in_objects_end_at_a_depth(self):
        structures = known(field("object", T.EXTENSION_OBJECT))
        inside = ExtensionObject(NodeId(0, 0))
        for _ in range(40):
            inside = ExtensionObject(ENCODING, scalar(T.EXTENSION_OBJECT, inside), 1)
        raw = b"\x01" + encode_variant(Variant(T.EXTENSION_OBJECT, inside))
        with pytest.raises(DecodeError, match="nested deeper"):
            remapped(raw, REMAP, structures)
