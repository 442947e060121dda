"""EURange: what the percent of a percent deadband are of (Part 8, 5.3.2.4 and 6.2).

The range is a property of an analog item. A property has no NodeId that could be guessed; it is
found by TranslateBrowsePathsToNodeIds (Part 4, 5.9.4), for thousands of nodes in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from struct import Struct
from typing import Final

from pipes.core.binary import DecodeError, Decoder, decode_data_value
from pipes.core.node_ids import encode
from pipes.core.skip import ScanError, ServiceFaultError, Walker, reading
from pipes.core.values import ExtensionObject, NodeId, is_bad

TRANSLATE: Final = 554
"""Encoding id of a TranslateBrowsePathsToNodeIdsRequest, for ``requests.request_header``."""

_TRANSLATE_RESPONSE: Final = 557
_INT32: Final = Struct("<i")
_RANGE: Final = Struct("<dd")
_RANGE_ENCODING: Final = NodeId(0, 886)
_NAME: Final = b"EURange"
#: One element: HasProperty with its subtypes, forward, to ``0:EURange``.
_PATH: Final = (
    _INT32.pack(1) + encode(NodeId(0, 46)) + b"\x00\x01" + b"\x00\x00" + _INT32.pack(7) + _NAME
)
_SMALLEST_RESULT: Final = 8


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float

    def width(self, percent: float) -> float | None:
        """So many percent of the range, in units of the value; None if it has no width."""
        width = (self.high - self.low) * percent / 100
        return width if isfinite(width) and width > 0 else None


def translate_body(header: bytes, nodes: Sequence[bytes]) -> bytes:
    """A request for the EURange of each of ``nodes`` (encoded NodeIds)."""
    return header + _INT32.pack(len(nodes)) + b"".join(node + _PATH for node in nodes)


def scan_translate_response(body: bytes, expected: int) -> list[bytes | None]:
    """The encoded NodeId of each property; None where the node has none on this server.

    Raises:
        ServiceFaultError: the server refused the call as a whole.
        ScanError: the message is damaged or has another number of results.
    """
    with reading():
        walker = Walker(body)
        _, service_result, at = walker.response_header(_TRANSLATE_RESPONSE)
        if not at:
            raise ServiceFaultError(service_result)
        count = walker.count(at, _SMALLEST_RESULT)
        if count != expected:
            raise ScanError(f"The answer has {count} results for {expected} nodes")
        walker.spend(count)
    try:
        decoder = Decoder(body, at + 4)
        return [_found(decoder) for _ in range(count)]
    except DecodeError as error:
        raise ScanError(str(error)) from error


def _found(decoder: Decoder) -> bytes | None:
    status = decoder.uint32()
    found: bytes | None = None
    for _ in range(max(decoder.int32(), 0)):
        target = decoder.expanded_node_id()
        is_whole = decoder.uint32() == 0xFFFF_FFFF  # nothing of the path is left
        is_here = target.namespace_uri is None and not target.server_index
        if found is None and is_whole and is_here and not is_bad(status):
            found = encode(target.node_id)
    return found


def range_of(value: bytes) -> Range | None:
    """The Range in an encoded DataValue; None if there is none, or it is not Good."""
    try:
        found = decode_data_value(value)
    except DecodeError:
        return None
    content = None if found.variant is None or is_bad(found.status) else found.variant.value
    if not isinstance(content, ExtensionObject) or content.type_id != _RANGE_ENCODING:
        return None
    if content.body is None or len(content.body) != _RANGE.size:
        return None
    return Range(*_RANGE.unpack(content.body))
