"""Read many attributes as bytes: batched to the server's limits, several calls in flight."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Final

from pipes.core.reading import READ, read_back_body, read_request_body, scan_read_response
from pipes.core.skip import HAS_STATUS
from pipes.opcua.batching import in_batches
from pipes.opcua.session import Session
from pipes.opcua.splicelane import read_answer

VALUE: Final = 13
CALL_TIMEOUT: Final = 10.0


async def read_raw(session: Session, nodes: Sequence[tuple[bytes, int]]) -> list[bytes]:
    """One encoded DataValue for each (encoded NodeId, attribute id), without ServerTimestamp.

    Raises:
        ConnectionError: the session is lost.
        TimeoutError: a call was not answered in time.

    """

    async def call(batch: Sequence[tuple[bytes, int]]) -> list[bytes]:
        body = await session.request(
            READ, lambda header: read_request_body(header, batch), CALL_TIMEOUT
        )
        return read_answer(session.calls, lambda: scan_read_response(body, len(batch)))

    return await in_batches(nodes, session.read_size, call, _refused)


async def read_values(session: Session, nodes: Sequence[bytes]) -> list[bytes]:
    """The present values of ``nodes``, as `read_raw` gives them."""
    return await read_raw(session, [(node, VALUE) for node in nodes])


async def read_back(session: Session, prefixes: Sequence[bytes]) -> list[bytes]:
    """What the target holds now of what was written with ``prefixes`` (NodeId, Value, range).

    Raises:
        ConnectionError, TimeoutError: as of `read_raw`.

    """

    async def call(batch: Sequence[bytes]) -> list[bytes]:
        body = await session.request(
            READ, lambda header: read_back_body(header, batch), CALL_TIMEOUT
        )
        return read_answer(session.calls, lambda: scan_read_response(body, len(batch)))

    return await in_batches(prefixes, session.read_size, call, _refused)


def _refused(_node: object, status: int) -> bytes:
    return bytes((HAS_STATUS,)) + pack("<I", status)
