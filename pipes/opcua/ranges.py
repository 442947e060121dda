"""Read the EURange of many nodes: find the property of each, then read them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipes.core.ranges import TRANSLATE, Range, range_of, scan_translate_response, translate_body
from pipes.opcua.batching import in_batches
from pipes.opcua.reading import read_values
from pipes.opcua.session import Session
from pipes.opcua.splicelane import read_answer

CALL_TIMEOUT: Final = 10.0


async def read_ranges(session: Session, nodes: Sequence[bytes]) -> list[Range | None]:
    """The EURange of each of ``nodes`` (encoded NodeIds); None where there is none to read.

    Raises:
        ConnectionError: the session is lost.
        TimeoutError: a call was not answered in time.
    """

    async def call(batch: Sequence[bytes]) -> list[bytes | None]:
        body = await session.request(
            TRANSLATE, lambda header: translate_body(header, batch), CALL_TIMEOUT
        )
        return read_answer(session.calls, lambda: scan_translate_response(body, len(batch)))

    found = await in_batches(nodes, session.read_size, call, _refused)
    properties = [node for node in found if node is not None]
    values = iter(await read_values(session, properties) if properties else ())
    return [None if node is None else range_of(next(values)) for node in found]


def _refused(_node: bytes, _status: int) -> bytes | None:
    return None
