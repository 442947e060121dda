"""Build a WriteRequest from DataValue bytes and read its answer, nothing decoded.

A write is ``prefix + DataValue``: the prefix (NodeId, AttributeId, IndexRange; Part 4, 5.11.4)
is encoded once per item, the DataValue comes from ``scan``. What a target refuses in a DataValue
is cut off here: its status, its source timestamp. DataValues of this module have no other
optional field than these two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from struct import Struct
from typing import Final

from pipes.core.lookup import look_up
from pipes.core.skip import (
    HAS_SOURCE_TIME,
    HAS_STATUS,
    ScanError,
    Walker,
    reading,
)

__all__ = [
    "ScanError",
    "WriteResult",
    "encode_prefix",
    "encode_string",
    "scan_delete_monitored_items_response",
    "scan_write_response",
    "strip_source_timestamp",
    "strip_source_timestamps",
    "strip_status",
    "strip_statuses",
    "tail_status",
    "write_request_body",
]

_WRITE_RESPONSE: Final = 676
_DELETE_MONITORED_ITEMS_RESPONSE: Final = 784
_VALUE_ATTRIBUTE: Final = (13).to_bytes(4, "little")
_NULL_STRING: Final = b"\xff\xff\xff\xff"
_INT32: Final = Struct("<i")
_BYTES: Final = tuple(bytes((value,)) for value in range(256))


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The answer to a WriteRequest; ``results`` is None when every item is plain Good.

    With a Bad ``service_result`` no item was judged and ``results`` is None too.
    """

    service_result: int
    results: list[int] | None


def encode_prefix(node_id: bytes, index_range: str = "") -> bytes:
    """What stands before the DataValue in a WriteValue; the attribute is Value."""
    return node_id + _VALUE_ATTRIBUTE + encode_string(index_range)


def encode_string(text: str) -> bytes:
    """A String; the empty one is sent as null."""
    if not text:
        return _NULL_STRING
    data = text.encode()
    return _INT32.pack(len(data)) + data


def write_request_body(
    header: bytes, prefixes: Mapping[int, bytes], batch: Mapping[int, bytes]
) -> bytes:
    """A WriteRequest with one WriteValue for each handle of ``batch``, in its order.

    ``header`` is the request's type id and RequestHeader (``requests.request_header``).

    Raises:
        KeyError: a handle has no prefix.
    """
    parts = [header, _INT32.pack(len(batch))] + 2 * len(batch) * [b""]
    parts[2::2] = look_up(prefixes, batch)
    parts[3::2] = batch.values()
    return b"".join(parts)


def scan_write_response(body: bytes, expected: int) -> WriteResult:
    """Read the answer to a WriteRequest of ``expected`` items, a WriteResponse or a fault.

    Raises:
        ScanError: the message is damaged or has another number of results.
    """
    return _scan_results(body, _WRITE_RESPONSE, expected)


def scan_delete_monitored_items_response(body: bytes, expected: int) -> WriteResult:
    """Read the answer to a DeleteMonitoredItemsRequest, as ``scan_write_response`` does."""
    return _scan_results(body, _DELETE_MONITORED_ITEMS_RESPONSE, expected)


def _scan_results(body: bytes, type_id: int, expected: int) -> WriteResult:
    with reading():
        walker = Walker(body)
        _, service_result, at = walker.response_header(type_id)
        if not at:
            return WriteResult(service_result, None)
        count = walker.count(at, 4)
        if count != expected:
            raise ScanError(f"The answer has {count} results for {expected} items")
        start, stop = at + 4, at + 4 + 4 * count
        at = walker.diagnostic_infos(stop)
        if at != len(body):
            raise ScanError(f"The message has {len(body)} bytes but its fields end at {at}")
        results = body[start:stop]
        if results == bytes(len(results)):
            return WriteResult(service_result, None)
        return WriteResult(service_result, list(Struct(f"<{count}I").unpack(results)))


def strip_status(value: bytes) -> bytes:
    """The DataValue without its status; unchanged if it has none."""
    mask = value[0]
    if not mask & HAS_STATUS:
        return value
    if mask & HAS_SOURCE_TIME:
        return _BYTES[mask & ~HAS_STATUS] + value[1:-12] + value[-8:]
    return _BYTES[mask & ~HAS_STATUS] + value[1:-4]


def strip_source_timestamp(value: bytes) -> bytes:
    """The DataValue without its source timestamp; unchanged if it has none."""
    mask = value[0]
    return _BYTES[mask & ~HAS_SOURCE_TIME] + value[1:-8] if mask & HAS_SOURCE_TIME else value


def tail_status(value: bytes) -> int:
    """The StatusCode of a DataValue as this module knows them; Good (0) if it has none.

    Nothing is checked: `binary.status_of` reads those of any form.
    """
    mask = value[0]
    if not mask & HAS_STATUS:
        return 0
    return int.from_bytes(value[-12:-8] if mask & HAS_SOURCE_TIME else value[-4:], "little")


def strip_statuses(batch: Mapping[int, bytes]) -> dict[int, bytes]:
    """``strip_status`` for a whole batch, in its order."""
    return _strip_batch(batch, strip_status, HAS_STATUS, 4)


def strip_source_timestamps(batch: Mapping[int, bytes]) -> dict[int, bytes]:
    """``strip_source_timestamp`` for a whole batch, in its order."""
    return _strip_batch(batch, strip_source_timestamp, HAS_SOURCE_TIME, 8)


def _strip_batch(
    batch: Mapping[int, bytes], strip: Callable[[bytes], bytes], bit: int, size: int
) -> dict[int, bytes]:
    """Values of one length and one mask are cut by columns, others one by one."""
    values = batch.values()
    lengths = set(map(len, values))
    block = bytearray().join(values)
    masks = set(block[:: min(lengths)]) if len(lengths) == 1 else set()
    if len(masks) != 1:
        return {handle: strip(value) for handle, value in batch.items()}
    (mask,), (length,) = masks, lengths
    if not mask & bit:
        return dict(batch)
    block[::length] = _BYTES[mask & ~bit] * len(batch)
    behind = 8 if bit == HAS_STATUS and mask & HAS_SOURCE_TIME else 0
    for offset in range(length - size - behind, length - size):
        block[offset::length] = block[offset + size :: length]
    cut = Struct(f"{length - size}s{size}x").iter_unpack(block)
    return dict(zip(batch, chain.from_iterable(cut), strict=True))
