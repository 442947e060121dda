"""Read requests and answers as bytes: many attributes of many nodes, nothing decoded.

Reading 30,000 targets before their first write is on the way to the first value, so it takes the
same road as the values do: pre-encoded nodes in, DataValue bytes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from pipes.core.scan import writable
from pipes.core.skip import HAS_VALUE, TAIL_SIZES, ScanError, ServiceFaultError, Walker, reading

READ: Final = 631
"""Encoding id of a ReadRequest, for ``requests.request_header``."""

_READ_RESPONSE: Final = 634
_PARAMETERS: Final = Struct("<dIi")  # MaxAge, TimestampsToReturn, number of nodes
_SOURCE_TIMESTAMPS: Final = 0
_ATTRIBUTE: Final = Struct("<I")
_NO_ENCODING: Final = b"\0\0\xff\xff\xff\xff"  # null DataEncoding, a QualifiedName
_WHOLE_VALUE: Final = b"\xff\xff\xff\xff" + _NO_ENCODING  # null IndexRange before it


def read_request_body(header: bytes, nodes: Sequence[tuple[bytes, int]]) -> bytes:
    """A ReadRequest (Part 4, 5.11.2) of (encoded NodeId, attribute id) pairs, newest values."""
    return (
        header
        + _PARAMETERS.pack(0.0, _SOURCE_TIMESTAMPS, len(nodes))
        + b"".join(node + _ATTRIBUTE.pack(attribute) + _WHOLE_VALUE for node, attribute in nodes)
    )


def read_back_body(header: bytes, prefixes: Sequence[bytes]) -> bytes:
    """A ReadRequest of what was written; ``prefixes`` as of `splice.encode_prefix`.

    A WriteValue begins with the same three fields as a ReadValueId (Part 4, 7.29): the node, the
    attribute and the index range.
    """
    return (
        header
        + _PARAMETERS.pack(0.0, _SOURCE_TIMESTAMPS, len(prefixes))
        + b"".join(prefix + _NO_ENCODING for prefix in prefixes)
    )


def scan_read_response(body: bytes, expected: int) -> list[bytes]:
    """DataValues in the order of the request, in the form of `pipes.core.scan`.

    Raises:
        ServiceFaultError: the server refused the call as a whole.
        ScanError: the message is damaged or has another number of results.

    """
    with reading():
        walker = Walker(body)
        _, service_result, at = walker.response_header(_READ_RESPONSE)
        if not at:
            raise ServiceFaultError(service_result)
        count = walker.count(at, 1)
        if count != expected:
            raise ScanError(f"The answer has {count} results for {expected} nodes")
        walker.spend(count)
        at += 4
        values: list[bytes] = []
        for _ in range(count):
            at = _scan_value(walker, at, values)
        at = walker.diagnostic_infos(at)
        if at != len(body):
            raise ScanError(f"The message has {len(body)} bytes but its fields end at {at}")
        return values


def _scan_value(walker: Walker, at: int, values: list[bytes]) -> int:
    mask = walker.body[at]
    if mask >= len(TAIL_SIZES):
        raise ScanError(f"A DataValue has the unknown mask 0x{mask:02X}")
    value_end = walker.variant(at + 1) if mask & HAS_VALUE else at + 1
    values.append(writable(walker.body, at, value_end))
    return value_end + TAIL_SIZES[mask]
