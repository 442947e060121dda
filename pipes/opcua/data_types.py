"""Which built-in type is behind a DataType, found by its supertypes (Part 3, 5.8)."""

from __future__ import annotations

from typing import Final

from pipes.core.conversion import TargetType, target_type_of
from pipes.core.node_ids import encode
from pipes.core.values import NodeId, is_bad
from pipes.opcua import wire
from pipes.opcua.session import Session

_HAS_SUBTYPE: Final = encode(NodeId(0, 45))
_HAS_ENCODING: Final = encode(NodeId(0, 38))
_DEEPEST_TYPE: Final = 32


async def built_in(session: Session, data_type: NodeId) -> TargetType | None:
    """The type of namespace 0 that values of ``data_type`` are encoded as; None if the server
    does not show its supertypes.

    Raises:
        ConnectionError, TimeoutError: as of `Session.request`.
        ScanError, ServiceFaultError: as of `wire.browse_response`.
    """
    for _ in range(_DEEPEST_TYPE):
        found = target_type_of(data_type)
        if found is not None:
            return found
        parent = await _referring(session, data_type, _HAS_SUBTYPE)
        if parent is None:
            break
        data_type = parent
    return None


async def encoded_type(session: Session, encoding: NodeId) -> NodeId | None:
    """The DataType that has this encoding; None if the server does not show it.

    Raises:
        As of `built_in`.
    """
    return await _referring(session, encoding, _HAS_ENCODING)


async def _referring(session: Session, node: NodeId, reference_type: bytes) -> NodeId | None:
    """The first node that refers to ``node`` in this way."""
    body = await session.request(
        wire.BROWSE,
        lambda header: wire.browse_body(
            header, encode(node), reference_type=reference_type, inverse=True
        ),
    )
    page = wire.browse_response(body)
    if is_bad(page.status) or not page.references:
        return None
    return page.references[0].node_id.node_id
