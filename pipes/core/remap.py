"""Values that refer to namespaces, said in the numbers of another server.

NodeIds, ExpandedNodeIds and QualifiedNames carry an index into the NamespaceArray of the server
that they come from; so do the type of an ExtensionObject and what its body holds. `remapped`
writes the index that the same URI has on the other server, and copies every other byte as it is.
A body is walked by the layout of its type, which has to be known then.

Rules:

1. Servers whose tables agree from index 2 on speak of the same namespaces: index 1 is each
   server's own ApplicationUri (Part 5, 6.3.1) and stays 1. Nothing is rewritten between them.
2. Otherwise every index goes by its URI, 1 included; a URI that the other server lacks is
   refused by its name, because any number there would mean something else.
3. What points to a third server (ServerIndex) and a DiagnosticInfo (numbers into the string table
   of one message) mean nothing elsewhere and are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from struct import Struct
from typing import Final

from pipes.core.decoder import DecodeError, Decoder
from pipes.core.encoder import encode_scalar
from pipes.core.node_ids import format_node_id
from pipes.core.skip import (
    FIXED_SIZES,
    HAS_VALUE,
    MAX_DEPTH,
    TAIL_SIZES,
    ScanError,
    Walker,
    reading,
)
from pipes.core.structures import (
    BOUND_TO_NAMESPACES,
    FREE_STANDARD,
    FieldLayout,
    Layout,
    StructureKind,
    Structures,
)
from pipes.core.values import NodeId, VariantType

__all__ = ["Remap", "UnknownTypeError", "UnmappedError", "refers", "remap_between", "remapped"]

_INT32: Final = Struct("<i")
_UINT16: Final = Struct("<H")
_UINT32: Final = Struct("<I")
_NULL_ID: Final = NodeId(0, 0)
_XML: Final = 2
_REMEDY: Final = (
    "give both servers the same namespaces in the same order, or map its fields one by one"
)


class UnmappedError(Exception):
    """The value cannot be said on the other server; the text says what of it, and a remedy."""


class UnknownTypeError(Exception):
    """The layout of ``type_id``, the id in an ExtensionObject, has to be found out first."""

    def __init__(self, type_id: NodeId) -> None:
        super().__init__(f"the layout of {type_id} is not known")
        self.type_id = type_id


@dataclass(frozen=True, slots=True, eq=False)
class Remap:
    """``indices`` of the writing server by those of the reading one; None: it lacks the URI."""

    uris: tuple[str, ...]
    indices: tuple[int | None, ...]
    is_identity: bool

    def index(self, index: int) -> int:
        """
        Raises:
            UnmappedError: the URI of this index is not known, or the other server lacks it.
        """
        if index == 0 or self.is_identity:
            return index
        if index >= len(self.uris):
            raise UnmappedError(
                f"the value refers to the namespace index {index}, which the table of the server "
                f"that it comes from does not have"
            )
        found = self.indices[index]
        if found is None:
            raise UnmappedError(
                f"the value refers to the namespace {self.uris[index]!r}, which the server that "
                "it is written to does not have; load that model there"
            )
        return found


def remap_between(reading: Sequence[str], writing: Sequence[str]) -> Remap:
    """From the NamespaceArray of the server that is read to that of the one that is written."""
    places = {uri: index for index, uri in reversed(list(enumerate(writing))) if uri}
    indices = (0, *(places.get(uri) for uri in reading[1:]))
    return Remap(tuple(reading), indices, tuple(reading[2:]) == tuple(writing[2:]))


def refers(value: bytes) -> bool:
    """Whether an encoded DataValue is of a type that may refer to a namespace."""
    return len(value) > 1 and bool(value[0] & HAS_VALUE) and value[1] & 0x3F in BOUND_TO_NAMESPACES


def remapped(value: bytes, remap: Remap, structures: Structures) -> bytes:
    """The DataValue in the numbers of the other server; ``structures`` are of the reading one.

    Raises:
        DecodeError: damaged, or a body is not as the definition of its type says.
        UnmappedError: it cannot be said there.
        UnknownTypeError: find out the layout of a type, then ask again.
    """
    try:
        with reading():
            end = Walker(value).data_value(0, 0)
            if end != len(value):
                raise DecodeError(f"{len(value) - end} bytes left over at {end}")
            rewriter = _Rewriter(value, remap, structures)
            return rewriter.finished(rewriter.data_value(0, 0))
    except ScanError as damage:
        raise DecodeError(str(damage)) from None


class _Rewriter:
    """Copies ``body``, with replacements. Methods take where a field begins and a nesting depth,
    and return where it ends.
    """

    __slots__ = ("_body", "_copied", "_parts", "_remap", "_structures", "_walker")

    def __init__(self, body: bytes, remap: Remap, structures: Structures) -> None:
        self._body = body
        self._remap = remap
        self._structures = structures
        self._walker = Walker(body)
        self._parts: list[bytes] = []
        self._copied = 0

    def finished(self, end: int) -> bytes:
        """All of it, after a walk that has come to ``end``."""
        if end != len(self._body):
            raise DecodeError(f"the fields end at {end}, the body at {len(self._body)}")
        if not self._parts:
            return self._body
        return b"".join((*self._parts, self._body[self._copied :]))

    def _replace(self, start: int, end: int, by: bytes) -> None:
        self._parts += (self._body[self._copied : start], by)
        self._copied = end

    # --- built-in types ---

    def data_value(self, at: int, depth: int) -> int:
        mask = self._body[at]
        if mask > 0x3F:
            raise DecodeError(f"a DataValue with the mask {mask:#04x} at {at}")
        end = self.variant(at + 1, depth) if mask & HAS_VALUE else at + 1
        return end + TAIL_SIZES[mask]

    def variant(self, at: int, depth: int) -> int:
        encoding = self._body[at]
        kind = encoding & 0x3F
        if kind not in BOUND_TO_NAMESPACES:
            return self._walker.variant(at, depth)
        end = self._walker.variant(at, depth)  # whole, so that what follows is not looked at twice
        rewrite = _REWRITE[kind]
        at += 1
        count = 1
        if encoding & 0x80:
            count = max(_INT32.unpack_from(self._body, at)[0], 0)
            at += 4
        for _ in range(count):
            at = rewrite(self, at, depth + 1)
        return end

    def node_id(self, at: int, _depth: int) -> int:
        end = self._walker.node_id(at)
        if self._body[at] & 0xC0:
            raise DecodeError(f"a NodeId with flags {self._body[at]:#04x} at {at}")
        self._map_node(at, end, 0)
        return end

    def _map_node(self, at: int, end: int, flags: int) -> None:
        decoder = Decoder(bytes((self._body[at] & 0x3F,)) + self._body[at + 1 : end])
        node = decoder.node_id()
        index = self._remap.index(node.namespace_index)
        if index != node.namespace_index:
            encoded = encode_scalar(VariantType.NODE_ID, NodeId(index, node.identifier))
            self._replace(at, at + decoder.position, bytes((encoded[0] | flags,)) + encoded[1:])

    def expanded_node_id(self, at: int, _depth: int) -> int:
        end = self._walker.node_id(at)
        expanded = Decoder(self._body[at:end]).expanded_node_id()
        if self._remap.is_identity:
            return end
        if expanded.server_index:
            raise UnmappedError(
                f"the value points to another server (ServerIndex {expanded.server_index}), a "
                "number that means something else to the server that it is written to"
            )
        if not expanded.namespace_uri:  # a URI says it without an index
            self._map_node(at, end, self._body[at] & 0xC0)
        return end

    def qualified_name(self, at: int, _depth: int) -> int:
        end = self._walker.qualified_name(at)
        index: int = _UINT16.unpack_from(self._body, at)[0]
        found = self._remap.index(index)
        if found != index:
            self._replace(at, at + 2, _UINT16.pack(found))
        return end

    def diagnostic_info(self, at: int, _depth: int) -> int:
        raise UnmappedError(
            f"the value holds a DiagnosticInfo (at byte {at}), whose numbers have a meaning in "
            "one message of its server only; it is not carried over"
        )

    def extension_object(self, at: int, depth: int) -> int:
        after_id = self._walker.node_id(at)
        end = self._walker.extension_object(at)
        type_id = Decoder(self._body, at).node_id()
        self.node_id(at, depth)
        encoding = self._body[after_id]
        start = after_id + 5
        if encoding and start < end and not self._is_free(type_id):
            self._rewrite_body(type_id, encoding, start, end, depth)
        return end

    # --- structures ---

    def _is_free(self, type_id: NodeId) -> bool:
        """Whether the body may stay as it is."""
        if self._remap.is_identity or type_id == _NULL_ID:
            return True
        if type_id.namespace_index == 0 and type_id.identifier in FREE_STANDARD:
            return True
        data_type = self._structures.types.get(type_id)
        if data_type is None:
            raise UnknownTypeError(type_id)
        if isinstance(data_type, str):
            raise UnmappedError(
                f"a structure of the type {self._name(type_id)} may refer to namespaces that have "
                f"other numbers there, and {data_type}; {_REMEDY}"
            )
        return self._structures.is_free(data_type)

    def _rewrite_body(
        self, type_id: NodeId, encoding: int, start: int, end: int, depth: int
    ) -> None:
        if encoding == _XML:
            raise UnmappedError(
                f"a structure of the type {self._name(type_id)} came as XML, in which NodeIds "
                f"cannot be rewritten; {_REMEDY}"
            )
        data_type = self._structures.types[type_id]
        layout = self._structures.layouts[data_type]  # type: ignore[index]  # is free: it is there
        inner = _Rewriter(self._body[start:end], self._remap, self._structures)
        inner._walker.elements_left = self._walker.elements_left
        try:
            with reading():
                body = inner.finished(inner.structure(layout, 0, depth + 1))
        except (ScanError, DecodeError) as damage:
            raise DecodeError(
                f"a structure of the type {self._name(type_id)} is not as its DataTypeDefinition "
                f"says: {damage}"
            ) from None
        self._walker.elements_left = inner._walker.elements_left
        if body != inner._body:
            self._replace(start - 4, end, _INT32.pack(len(body)) + body)

    def _name(self, type_id: NodeId) -> str:
        return format_node_id(type_id, self._remap.uris)

    def structure(self, layout: Layout, at: int, depth: int) -> int:
        """The fields of a structure or union (Part 6, 5.2.6 to 5.2.8)."""
        if depth > MAX_DEPTH:
            raise ScanError(f"Structures are nested deeper than {MAX_DEPTH}")
        if layout.kind.is_union:
            return self._union(layout, at, depth)
        given = layout.fields
        if layout.kind is StructureKind.OPTIONAL_FIELDS:
            given = _given(layout, _UINT32.unpack_from(self._body, at)[0])
            at += 4
        for each in given:
            at = self._field(each, at, depth)
        return at

    def _union(self, layout: Layout, at: int, depth: int) -> int:
        switch: int = _UINT32.unpack_from(self._body, at)[0]
        if switch > len(layout.fields):
            raise DecodeError(f"field {switch} of a union of {len(layout.fields)}")
        return self._field(layout.fields[switch - 1], at + 4, depth) if switch else at + 4

    def _field(self, field: FieldLayout, at: int, depth: int) -> int:
        size = 0 if field.structure else FIXED_SIZES.get(field.type, 0)
        if field.rank == 0:
            return at + size if size else self._element(field, at, depth)
        count, at = self._count(field, at, size)
        if size:
            return at + count * size
        self._walker.spend(count)
        for _ in range(count):
            at = self._element(field, at, depth)
        return at

    def _count(self, field: FieldLayout, at: int, size: int) -> tuple[int, int]:
        """How many elements an array has, and where they begin; a matrix has its dimensions
        instead of a length (Part 6, 5.2.5).
        """
        if field.rank == 1:
            return self._walker.count(at, size), at + 4
        dimensions = self._walker.count(at, 4)
        after = at + 4 + 4 * dimensions
        if not dimensions:
            return 0, after
        sizes = Struct(f"<{dimensions}i").unpack_from(self._body, at + 4)
        if dimensions != field.rank or min(sizes) < 0:
            raise DecodeError(f"dimensions {sizes} for a field of ValueRank {field.rank}")
        count = prod(sizes)
        if count * size > len(self._body) - after:
            raise DecodeError(f"a matrix of {sizes} is longer than the body")
        return count, after

    def _element(self, field: FieldLayout, at: int, depth: int) -> int:
        if field.structure is not None:
            return self.structure(self._structures.layouts[field.structure], at, depth + 1)
        rewrite = _REWRITE.get(field.type)
        if rewrite is not None:
            return rewrite(self, at, depth + 1)
        return _SKIP[field.type](self._walker, at)


def _given(layout: Layout, mask: int) -> tuple[FieldLayout, ...]:
    """The fields that are there: a bit for each that is optional, in their order."""
    given = []
    bit = 1
    for field in layout.fields:
        if not field.is_optional:
            given.append(field)
            continue
        if mask & bit:
            given.append(field)
        bit <<= 1
    if mask >= bit:
        raise DecodeError(f"the mask {mask:#x} for {bit.bit_length() - 1} optional fields")
    return tuple(given)


_REWRITE: Final[dict[int, Callable[[_Rewriter, int, int], int]]] = {
    VariantType.NODE_ID: _Rewriter.node_id,
    VariantType.EXPANDED_NODE_ID: _Rewriter.expanded_node_id,
    VariantType.QUALIFIED_NAME: _Rewriter.qualified_name,
    VariantType.EXTENSION_OBJECT: _Rewriter.extension_object,
    VariantType.DATA_VALUE: _Rewriter.data_value,
    VariantType.VARIANT: _Rewriter.variant,
    VariantType.DIAGNOSTIC_INFO: _Rewriter.diagnostic_info,
}

_SKIP: Final[dict[int, Callable[[Walker, int], int]]] = {
    VariantType.STRING: Walker.string,
    VariantType.BYTE_STRING: Walker.string,
    VariantType.XML_ELEMENT: Walker.string,
    VariantType.LOCALIZED_TEXT: Walker.localized_text,
}
