"""How structures are laid out in bytes, from their DataTypeDefinitions (Part 3, 8.48 to 8.51).

A definition is what a server says of a DataType; a layout is what it means for the bytes: each
field with the built-in type that encodes it. Finding out which built-in type is behind a field's
DataType takes further questions to the server, so that is done by the adapter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from pipes.core.decoder import DecodeError, Decoder
from pipes.core.values import ExtensionObject, NodeId, VariantType

#: What may mean something else on a server with other namespaces (Part 6, 5.2.2).
BOUND_TO_NAMESPACES: Final = frozenset(
    {
        VariantType.NODE_ID,
        VariantType.EXPANDED_NODE_ID,
        VariantType.QUALIFIED_NAME,
        VariantType.EXTENSION_OBJECT,
        VariantType.DATA_VALUE,
        VariantType.VARIANT,
        VariantType.DIAGNOSTIC_INFO,
    }
)

#: Binary encodings of namespace 0 in which nothing refers to a namespace, so that they need no
#: definition, which servers before version 1.04 do not give: Range, EUInformation, BuildInfo,
#: ServerStatusDataType, ServerDiagnosticsSummaryDataType, EnumValueType, TimeZoneDataType,
#: OptionSet, AxisInformation, XVType, complex numbers, RationalNumber, three-dimensional vectors,
#: coordinates, orientations and frames.
FREE_STANDARD: Final = frozenset(
    {886, 889, 340, 864, 861, 8251, 8917, 12765, 12089, 12090, 12181, 12182, 18815, 18817, 18819}
    | {18821, 18823}
)

_STRUCTURE_DEFINITION: Final = NodeId(0, 122)
_LEAST_FIELD: Final = 20  # bytes
MOST_FIELDS: Final = 2_000
MOST_TYPES: Final = 1_000


class StructureKind(IntEnum):
    """StructureType (Part 3, 8.50)."""

    STRUCTURE = 0
    OPTIONAL_FIELDS = 1
    UNION = 2
    SUBTYPED = 3
    SUBTYPED_UNION = 4

    @property
    def is_union(self) -> bool:
        return self in (StructureKind.UNION, StructureKind.SUBTYPED_UNION)

    @property
    def allows_subtypes(self) -> bool:
        """Then IsOptional of a field says that a subtype may stand there."""
        return self in (StructureKind.SUBTYPED, StructureKind.SUBTYPED_UNION)


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """StructureField (Part 3, 8.51), as far as it concerns the bytes."""

    name: str
    data_type: NodeId
    value_rank: int
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Definition:
    kind: StructureKind
    fields: tuple[FieldDefinition, ...]


@dataclass(frozen=True, slots=True)
class FieldLayout:
    """``rank`` 0 is a scalar. ``structure`` is the DataType of a structure that stands in place,
    without an ExtensionObject around it; ``type`` does not count then.
    """

    name: str
    type: VariantType
    rank: int = 0
    is_optional: bool = False
    structure: NodeId | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    kind: StructureKind
    fields: tuple[FieldLayout, ...]

    @property
    def nested(self) -> Iterable[NodeId]:
        return [each.structure for each in self.fields if each.structure is not None]


@dataclass(slots=True)
class Structures:
    """What is known of one server's structures; bounded by `MOST_TYPES`.

    ``types`` is the DataType by the id in an ExtensionObject, or why there is none; ``layouts``
    is by DataType. All that a layout in it nests is there as well.
    """

    types: dict[NodeId, NodeId | str] = field(default_factory=dict)
    layouts: dict[NodeId, Layout] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        return len(self.types) >= MOST_TYPES or len(self.layouts) >= MOST_TYPES

    def is_free(self, data_type: NodeId) -> bool:
        """Whether no value of this type can refer to a namespace."""
        seen: set[NodeId] = set()
        left = [data_type]
        while left:
            layout = self.layouts[left.pop()]
            if any(
                each.structure is None and each.type in BOUND_TO_NAMESPACES
                for each in layout.fields
            ):
                return False
            new = set(layout.nested) - seen
            seen |= new
            left += new
        return True


def read_definition(value: object) -> Definition:
    """The definition in the value of a DataTypeDefinition attribute.

    Raises:
        DecodeError: not a StructureDefinition, or damaged.
    """
    if not isinstance(value, ExtensionObject) or value.type_id != _STRUCTURE_DEFINITION:
        raise DecodeError("it is no StructureDefinition")
    decoder = Decoder(value.body or b"")
    decoder.node_id()  # DefaultEncodingId
    decoder.node_id()  # BaseDataType
    number = decoder.int32()
    try:
        kind = StructureKind(number)
    except ValueError:
        raise DecodeError(f"the StructureType {number} is not known") from None
    count = max(decoder.int32(), 0)
    if count * _LEAST_FIELD > decoder.end - decoder.position or count > MOST_FIELDS:
        raise DecodeError(f"a definition of {count} fields")
    definition = Definition(kind, tuple(_field(decoder) for _ in range(count)))
    decoder.finish()
    return definition


def _field(decoder: Decoder) -> FieldDefinition:
    name = decoder.string() or ""
    decoder.localized_text()
    data_type = decoder.node_id()
    value_rank = decoder.int32()
    decoder.array(VariantType.UINT32)  # ArrayDimensions
    decoder.uint32()  # MaxStringLength
    is_optional = decoder.byte() != 0
    return FieldDefinition(name, data_type, value_rank, is_optional)
