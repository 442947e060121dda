"""Requests of the hot path as bytes: CreateMonitoredItems, DeleteMonitoredItems, Publish, Write.

The adapter supplies what belongs to the session (authentication token, handle, clock) and sends
the body; encoding 30,000 items this way takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from struct import Struct, pack
from typing import Final

from pipes.core.choices import Trigger
from pipes.core.skip import ScanError, ServiceFaultError, Walker, reading
from pipes.core.splice import encode_prefix

__all__ = [
    "CREATE_MONITORED_ITEMS",
    "DELETE_MONITORED_ITEMS",
    "ITEMS_PER_CALL",
    "PUBLISH",
    "WRITE",
    "ScanError",
    "ServiceFaultError",
    "create_monitored_items_body",
    "delete_monitored_items_body",
    "encode_monitored_item",
    "publish_request_body",
    "request_header",
    "scan_create_monitored_items_response",
]

CREATE_MONITORED_ITEMS: Final = 751
DELETE_MONITORED_ITEMS: Final = 781
PUBLISH: Final = 826
WRITE: Final = 673
"""Encoding ids of the requests, for ``request_header``."""

ITEMS_PER_CALL: Final = 1000
"""Items in one call when the server names no lower limit."""

_CREATE_MONITORED_ITEMS_RESPONSE: Final = 754
_DATA_CHANGE_FILTER: Final = 724

_UINT32: Final = Struct("<I")
_INT32: Final = Struct("<i")
_TYPE_ID: Final = Struct("<BBH")
_HEADER: Final = Struct("<qIIiI3x")  # AuditEntryId null, AdditionalHeader null
_CREATE: Final = Struct("<IIi")
_DELETE: Final = Struct("<Ii")
_FOUR_BYTE: Final = 1

_SOURCE_TIMESTAMPS: Final = 0
_NO_TIMESTAMPS: Final = 3
_DEFAULT_ENCODING: Final = b"\0\0\xff\xff\xff\xff"  # a null QualifiedName
_REPORTING: Final = _UINT32.pack(2)
_NO_FILTER: Final = b"\0\0\0"
_FILTER: Final = Struct("<BBHBiIId")
_FILTER_SIZE: Final = 16
_DEADBAND_NONE, _DEADBAND_ABSOLUTE, _DEADBAND_PERCENT = 0, 1, 2
_TRIGGERS: Final = {
    Trigger.STATUS: 0,
    Trigger.STATUS_VALUE: 1,
    Trigger.STATUS_VALUE_TIMESTAMP: 2,
}
_PARAMETERS: Final = Struct("<Id")
_QUEUE: Final = Struct("<IB")
_RESULT: Final = Struct("<IIdI3s")
_RESULT_HEAD: Final = Struct("<II").unpack_from
_SMALLEST_RESULT: Final = _RESULT.size


def request_header(
    type_id: int, token: bytes, timestamp: int, request_handle: int, timeout_ms: int = 0
) -> bytes:
    """Type id and RequestHeader (Part 4, 7.33), with which every request body begins.

    ``token`` is the session's authentication token, an encoded NodeId; ``timestamp`` counts
    100 ns from 1601; ``timeout_ms`` 0 gives the server no hint.
    """
    return (
        _TYPE_ID.pack(_FOUR_BYTE, 0, type_id)
        + token
        + _HEADER.pack(timestamp, request_handle, 0, -1, timeout_ms)
    )


def encode_monitored_item(
    handle: int,
    node_id: bytes,
    sampling_interval_ms: float,
    *,
    queue_size: int = 1,
    trigger: Trigger = Trigger.STATUS_VALUE,
    absolute_deadband: float | None = None,
    percent_deadband: float | None = None,
    index_range: str = "",
) -> bytes:
    """One MonitoredItemCreateRequest for the Value attribute, reporting, oldest discarded.

    A filter is sent only if it says more than the default: servers without filters exist.
    """
    return (
        encode_prefix(node_id, index_range)
        + _DEFAULT_ENCODING
        + _REPORTING
        + _PARAMETERS.pack(handle, sampling_interval_ms)
        + _filter(trigger, absolute_deadband, percent_deadband)
        + _QUEUE.pack(queue_size, 1)
    )


def _filter(
    trigger: Trigger, absolute_deadband: float | None, percent_deadband: float | None
) -> bytes:
    """A DataChangeFilter (Part 4, 7.22.2)."""
    if absolute_deadband is not None:
        deadband, width = _DEADBAND_ABSOLUTE, absolute_deadband
    elif percent_deadband is not None:
        deadband, width = _DEADBAND_PERCENT, percent_deadband
    elif trigger is Trigger.STATUS_VALUE:
        return _NO_FILTER
    else:
        deadband, width = _DEADBAND_NONE, 0.0
    return _FILTER.pack(
        _FOUR_BYTE,
        0,
        _DATA_CHANGE_FILTER,
        1,
        _FILTER_SIZE,
        _TRIGGERS[trigger],
        deadband,
        width,
    )


def create_monitored_items_body(
    header: bytes, subscription_id: int, items: Sequence[bytes], *, source_timestamp: bool = True
) -> bytes:
    """A CreateMonitoredItemsRequest (Part 4, 5.12.2) of items from ``encode_monitored_item``.

    ``source_timestamp`` False asks for no timestamps: the target refuses them.
    """
    timestamps = _SOURCE_TIMESTAMPS if source_timestamp else _NO_TIMESTAMPS
    return header + _CREATE.pack(subscription_id, timestamps, len(items)) + b"".join(items)


def scan_create_monitored_items_response(body: bytes, expected: int) -> list[tuple[int, int]]:
    """Status and monitored item id of each of the ``expected`` items, in the order of the call.

    Raises:
        ServiceFaultError: the server refused the call as a whole.
        ScanError: the message is damaged or has another number of results.
    """
    with reading():
        walker = Walker(body)
        _, service_result, at = walker.response_header(_CREATE_MONITORED_ITEMS_RESPONSE)
        if not at:
            raise ServiceFaultError(service_result)
        count = walker.count(at, _SMALLEST_RESULT)
        if count != expected:
            raise ScanError(f"The answer has {count} results for {expected} items")
        walker.spend(count)
        at += 4
        results: list[tuple[int, int]] = []
        for _ in range(count):
            results.append(_RESULT_HEAD(body, at))
            at = walker.extension_object(at + _RESULT.size - 3)
        at = walker.diagnostic_infos(at)
        if at != len(body):
            raise ScanError(f"The message has {len(body)} bytes but its fields end at {at}")
        return results


def publish_request_body(header: bytes, acks: Sequence[tuple[int, int]] = ()) -> bytes:
    """A PublishRequest (Part 4, 5.13.5); ``acks`` are subscription ids and sequence numbers."""
    numbers = chain.from_iterable(acks)
    return header + pack(f"<i{2 * len(acks)}I", len(acks), *numbers)


def delete_monitored_items_body(
    header: bytes, subscription_id: int, monitored_item_ids: Sequence[int]
) -> bytes:
    """A DeleteMonitoredItemsRequest (Part 4, 5.12.6)."""
    count = len(monitored_item_ids)
    return (
        header
        + _DELETE.pack(subscription_id, count)
        + Struct(f"<{count}I").pack(*monitored_item_ids)
    )
