"""Values that refer to namespaces, in the terms of the server that a flow writes to.

The two namespace tables are those of the present sessions. The layout of a structure is asked
for when the first value of its type comes; until the answer is there the value waits, and the
newest one is decided about then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Final, Protocol

from pipes.connections import ServerConnection
from pipes.core.conversion import Rejected, RejectReason
from pipes.core.remap import (
    Remap,
    UnknownTypeError,
    UnmappedError,
    refers,
    remap_between,
    remapped,
)
from pipes.core.structures import Structures
from pipes.core.values import NodeId, VariantType
from pipes.opcua.session import Session
from pipes.opcua.structures import learn_structure

log = logging.getLogger(__name__)

#: Between servers with the same namespaces only what is nested has to be looked at: it may hold
#: what means nothing in another message.
_LOOKED_AT_ALWAYS: Final = frozenset(
    {VariantType.DATA_VALUE, VariantType.VARIANT, VariantType.DIAGNOSTIC_INFO}
)


class Owner(Protocol):
    """The newest values of the flow, as its translator sees them."""

    def structures_learned(self, handles: Collection[int]) -> None:
        """The newest values of these handles can be translated now, or refused for good."""


class Translator:
    def __init__(
        self, name: str, reading: ServerConnection, writing: ServerConnection, owner: Owner
    ) -> None:
        self.name = name
        self._reading = reading
        self._writing = writing
        self._owner = owner
        self._tables: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._remap: Remap = remap_between((), ())
        self._structures = Structures()
        self._waiting: dict[NodeId, set[int]] = {}  # handles by the type that is asked for
        self._asking: set[asyncio.Task[None]] = set()

    def reader_gone(self) -> None:
        """Answers of a session that is over are not waited for; its values come anew."""
        for task in self._asking:
            task.cancel()
        self._waiting.clear()

    def forget(self, handles: Collection[int]) -> None:
        for waiting in self._waiting.values():
            waiting.difference_update(handles)

    def translated(self, handle: int, value: bytes) -> bytes | Rejected | None:
        """The value as the written server understands it; None while its type is asked for.

        Raises:
            DecodeError: the value is damaged.
        """
        if not refers(value):
            return value
        self._follow_sessions()
        if self._remap.is_identity and value[1] & 0x3F not in _LOOKED_AT_ALWAYS:
            return value
        try:
            return remapped(value, self._remap, self._structures)
        except UnmappedError as refusal:
            return Rejected(RejectReason.NO_CONVERSION, str(refusal))
        except UnknownTypeError as unknown:
            self._ask(unknown.type_id, handle)
            return None

    def _follow_sessions(self) -> None:
        """Take the tables of the present sessions; the last ones hold while one is away."""
        read, written = self._tables
        if self._reading.session is not None:
            read = self._reading.session.namespaces
            self._structures = self._reading.session.structures
        if self._writing.session is not None:
            written = self._writing.session.namespaces
        if (read, written) != self._tables:
            self._tables = read, written
            self._remap = remap_between(read, written)

    def _ask(self, type_id: NodeId, handle: int) -> None:
        waiting = self._waiting.get(type_id)
        if waiting is not None:
            waiting.add(handle)
            return
        session = self._reading.session
        if session is None:
            return  # its values come anew with the next session
        self._waiting[type_id] = {handle}
        task = asyncio.create_task(self._learn(session, type_id), name=f"structures {self.name}")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _learn(self, session: Session, type_id: NodeId) -> None:
        try:
            await learn_structure(session, type_id)
        except (ConnectionError, TimeoutError) as error:
            log.debug("%s: the type %s was not read: %s", self.name, type_id, error)
        except Exception as error:
            log.exception("%s: the type %s could not be read", self.name, type_id)
            session.structures.types[type_id] = f"what its server says of it fails here: {error!r}"
        handles = self._waiting.pop(type_id, set())
        if handles:
            self._owner.structures_learned(handles)
