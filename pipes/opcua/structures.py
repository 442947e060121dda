"""Find out how a server lays out a structure: its DataType, its definition, those it nests.

Asked once per type and session, and only when a value of it has to be rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipes.core.conversion import AbstractType
from pipes.core.decoder import DecodeError
from pipes.core.node_ids import encode
from pipes.core.skip import ScanError, ServiceFaultError
from pipes.core.status_codes import name_of
from pipes.core.structures import (
    MOST_TYPES,
    Definition,
    FieldDefinition,
    FieldLayout,
    Layout,
    read_definition,
)
from pipes.core.values import NULL, NodeId, VariantType, is_bad
from pipes.opcua.data_types import built_in, encoded_type
from pipes.opcua.session import Session

DATA_TYPE_DEFINITION: Final = 23
_STRUCTURE: Final = NodeId(0, 22)
MOST_NESTED: Final = 200


class _UnknownError(Exception):
    """A layout cannot be found out; the text says why, as part of a sentence."""


async def learn_structure(session: Session, type_id: NodeId) -> None:
    """Enter the type with this id in ExtensionObjects in ``session.structures``, with all that it
    nests, or why that is not possible.

    Raises:
        ConnectionError: the session is lost.
        TimeoutError: a call was not answered in time.
    """
    known = session.structures
    if known.is_full:
        known.types.clear()
        known.layouts.clear()
    search = _Search(session, dict(known.layouts))
    try:
        data_type = await search.start(type_id)
    except _UnknownError as unknown:
        known.types[type_id] = str(unknown)
    except (DecodeError, ScanError) as damage:
        known.types[type_id] = f"what the server says of it cannot be read: {damage}"
    except ServiceFaultError as fault:
        known.types[type_id] = f"the server answered {name_of(fault.status)} when asked about it"
    else:
        known.layouts.update(search.layouts)
        known.types[type_id] = data_type


@dataclass(slots=True)
class _Search:
    session: Session
    layouts: dict[NodeId, Layout]

    async def start(self, type_id: NodeId) -> NodeId:
        """The DataType of an encoding; it and all that it nests are in ``layouts`` then."""
        data_type = await encoded_type(self.session, type_id)
        if data_type is None:
            raise _UnknownError("its server does not show which DataType has this encoding")
        left, found = [data_type], 0
        while left:
            nested = left.pop()
            if nested in self.layouts:
                continue
            found += 1
            if found > MOST_NESTED or len(self.layouts) >= MOST_TYPES:
                raise _UnknownError(f"it nests more than {MOST_NESTED} other types")
            layout = await self._layout(nested)
            self.layouts[nested] = layout
            left += layout.nested
        return data_type

    async def _layout(self, data_type: NodeId) -> Layout:
        definition = await self._definition(data_type)
        return Layout(definition.kind, tuple(await self._fields(definition)))

    async def _definition(self, data_type: NodeId) -> Definition:
        node = encode(data_type)
        (answer,) = await self.session.read([(node, DATA_TYPE_DEFINITION)])
        if is_bad(answer.status) or answer.variant in (None, NULL):
            raise _UnknownError("its server gives no DataTypeDefinition of it")
        return read_definition(answer.variant.value)

    async def _fields(self, definition: Definition) -> Iterable[FieldLayout]:
        return [await self._field(field, definition) for field in definition.fields]

    async def _field(self, field: FieldDefinition, definition: Definition) -> FieldLayout:
        if field.value_rank < -1 or field.value_rank == 0:
            raise _UnknownError(f"its field {field.name} has the ValueRank {field.value_rank}")
        rank = max(field.value_rank, 0)
        may_be_subtype = definition.kind.allows_subtypes and field.is_optional
        is_optional = field.is_optional and not definition.kind.allows_subtypes
        target = await built_in(self.session, field.data_type)
        if target is None:
            raise _UnknownError(f"its server does not show the type of its field {field.name}")
        if target is VariantType.EXTENSION_OBJECT:
            # In place, unless the field says Structure itself or allows subtypes (Part 6, 5.1.7).
            is_wrapped = may_be_subtype or field.data_type == _STRUCTURE
            nested = None if is_wrapped else field.data_type
            return FieldLayout(field.name, target, rank, is_optional, nested)
        if may_be_subtype or isinstance(target, AbstractType):
            target = VariantType.VARIANT
        return FieldLayout(field.name, target, rank, is_optional)
