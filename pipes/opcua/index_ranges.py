"""Whether a server applies an IndexRange (Part 4, 7.27): asked once, where an item has one.

Some answer Good and give the whole array; one that does so with a Write would replace the array
by the part. The NamespaceArray is there to ask with: it has two elements at least.
"""

from __future__ import annotations

from typing import Final

from pipes.core.node_ids import encode
from pipes.core.skip import ServiceFaultError
from pipes.core.values import NodeId
from pipes.opcua import wire
from pipes.opcua.session import VALUE, Session
from pipes.opcua.splicelane import read_answer

_NAMESPACE_ARRAY: Final = encode(NodeId(0, 2255))


async def ignores_index_range(session: Session) -> bool:
    """True if the server gave all elements when it was asked for the first one.

    Raises:
        ConnectionError, TimeoutError: as of `Session.request`.
    """
    if session.ignores_index_range is None:
        session.ignores_index_range = await _ask(session)
    return session.ignores_index_range


async def _ask(session: Session) -> bool:
    body = await session.request(
        wire.READ,
        lambda header: wire.read_body(header, [(_NAMESPACE_ARRAY, VALUE)], index_range="0"),
    )
    try:
        (answer,) = read_answer(session.calls, lambda: wire.read_response(body, 1))
    except ServiceFaultError:
        return False  # it does not ignore it, at least
    variant = answer.variant
    return variant is not None and isinstance(variant.value, tuple) and len(variant.value) > 1
