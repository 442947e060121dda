"""Services besides the hot path, as bytes (Part 4; encoding ids of Part 6, annex A.3).

The answers are read by the guarded decoder of the core, never by asyncua's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from pipes.core.decoder import DecodeError, Decoder
from pipes.core.skip import ScanError, ServiceFaultError, Walker, reading
from pipes.core.splice import encode_string
from pipes.core.values import DataValue, ExpandedNodeId, LocalizedText, NodeId, QualifiedName
from pipes.opcua.lane import SubscriptionSettings

READ: Final = 631
BROWSE: Final = 527
BROWSE_NEXT: Final = 533
CREATE_SUBSCRIPTION: Final = 787
DELETE_SUBSCRIPTIONS: Final = 847

_READ_RESPONSE: Final = 634
_BROWSE_RESPONSE: Final = 530
_BROWSE_NEXT_RESPONSE: Final = 536
_CREATE_SUBSCRIPTION_RESPONSE: Final = 790

_INT32: Final = Struct("<i")
_UINT32: Final = Struct("<I")
_READ_HEAD: Final = Struct("<dIi")
_SUBSCRIPTION: Final = Struct("<dIIIBB")
_REVISED: Final = Struct("<IdII")
_BROWSE_HEAD: Final = Struct("<2sqIIi")
_BOTH_TIMESTAMPS: Final = 2
_NULL_STRING: Final = b"\xff\xff\xff\xff"
_DEFAULT_ENCODING: Final = b"\0\0" + _NULL_STRING
_ALL_FIELDS: Final = 63
_CLASSES_AND_FIELDS: Final = Struct("<II")
_SMALLEST_REFERENCE: Final = 18

#: Enough for a large start and small enough for one message of ordinary values.
NOTIFICATIONS_PER_PUBLISH: Final = 5000
LONGEST_LIFETIME_SECONDS: Final = 60.0
#: Array elements of no fixed size in one ReadResponse.
MOST_ELEMENTS: Final = 200_000


def read_body(header: bytes, nodes: Sequence[tuple[bytes, int]], *, index_range: str = "") -> bytes:
    """A ReadRequest (Part 4, 5.11.2) of (encoded NodeId, attribute id), not from a cache."""
    parts = [header, _READ_HEAD.pack(0.0, _BOTH_TIMESTAMPS, len(nodes))]
    which = encode_string(index_range)
    for node, attribute in nodes:
        parts += (node, _UINT32.pack(attribute), which, _DEFAULT_ENCODING)
    return b"".join(parts)


def _after_header(body: bytes, expected: int) -> int:
    with reading():
        _, status, at = Walker(body).response_header(expected)
    if not at:
        raise ServiceFaultError(status)
    return at


def read_response(body: bytes, expected: int) -> list[DataValue]:
    """
    Raises:
        ServiceFaultError: the server refused the call as a whole.
        ScanError: damaged, or another number of results.
    """
    at = _after_header(body, _READ_RESPONSE)
    decoder = Decoder(body, at)
    try:
        count = decoder.int32()
        if count != expected:
            raise ScanError(f"The answer has {count} results for {expected} nodes")
        _check_values(body, at + 4, count)
        return [decoder.data_value() for _ in range(count)]
    except DecodeError as error:
        raise ScanError(str(error)) from error


def _check_values(body: bytes, at: int, count: int) -> None:
    """Walk before decoding: a small message must not become millions of objects."""
    with reading():
        walker = Walker(body)
        walker.elements_left = MOST_ELEMENTS
        for _ in range(count):
            at = walker.data_value(at, 0)


def create_subscription_body(header: bytes, settings: SubscriptionSettings) -> bytes:
    """A CreateSubscriptionRequest (Part 4, 5.13.2): keep-alive explicit, lifetime at least 3 of
    them and at most a minute, since a server keeps what a dead client left for that long.
    """
    interval = max(settings.publishing_interval_ms, 1.0)
    keep_alive = max(1, round(settings.keep_alive_seconds * 1000 / interval))
    seconds = min(settings.lifetime_seconds, LONGEST_LIFETIME_SECONDS)
    lifetime = max(3 * keep_alive, round(seconds * 1000 / interval))
    return header + _SUBSCRIPTION.pack(
        settings.publishing_interval_ms, lifetime, keep_alive, NOTIFICATIONS_PER_PUBLISH, 1, 0
    )


def create_subscription_response(body: bytes) -> tuple[int, float, float]:
    """Subscription id, revised publishing interval in milliseconds, keep-alive time in seconds.

    Raises:
        ServiceFaultError: the server refused.
        ScanError: damaged.
    """
    at = _after_header(body, _CREATE_SUBSCRIPTION_RESPONSE)
    with reading():
        subscription_id, interval, _, keep_alive = _REVISED.unpack_from(body, at)
    return subscription_id, interval, keep_alive * interval / 1000


def delete_subscriptions_body(header: bytes, subscription_ids: Sequence[int]) -> bytes:
    count = len(subscription_ids)
    return header + _INT32.pack(count) + Struct(f"<{count}I").pack(*subscription_ids)


# --- browsing (Part 4, 5.9.2 and 5.9.3) ---


@dataclass(frozen=True, slots=True)
class Reference:
    node_id: ExpandedNodeId
    browse_name: QualifiedName
    display_name: LocalizedText
    node_class: int
    type_definition: ExpandedNodeId
    reference_type: NodeId


@dataclass(frozen=True, slots=True)
class BrowsePage:
    status: int
    continuation: bytes
    references: tuple[Reference, ...]


def browse_body(
    header: bytes,
    node: bytes,
    *,
    reference_type: bytes,
    inverse: bool = False,
    node_classes: int = 0,
    most: int = 0,
) -> bytes:
    """A BrowseRequest of one node, subtypes of ``reference_type`` included."""
    return _browse_request(
        header, (node,), reference_type, inverse, node_classes, most, _ALL_FIELDS
    )


def browse_all_body(
    header: bytes, nodes: Sequence[bytes], reference_type: bytes, most: int
) -> bytes:
    """A BrowseRequest of several nodes, ``most`` references of each in the first answer."""
    return _browse_request(header, nodes, reference_type, False, 0, most, _ALL_FIELDS)  # noqa: FBT003


def children_body(header: bytes, nodes: Sequence[bytes], reference_type: bytes) -> bytes:
    """A BrowseRequest that only asks whether each of ``nodes`` refers to something."""
    return _browse_request(header, nodes, reference_type, False, 0, 1, 0)  # noqa: FBT003


def _browse_request(
    header: bytes,
    nodes: Sequence[bytes],
    reference_type: bytes,
    inverse: bool,  # noqa: FBT001
    node_classes: int,
    most: int,
    fields: int,
) -> bytes:
    before = _UINT32.pack(1 if inverse else 0) + reference_type + b"\x01"
    after = _CLASSES_AND_FIELDS.pack(node_classes, fields)
    parts = [header, _BROWSE_HEAD.pack(b"\0\0", 0, 0, most, len(nodes))]  # null ViewDescription
    for node in nodes:
        parts += (node, before, after)
    return b"".join(parts)


def browse_next_body(header: bytes, continuations: Sequence[bytes], *, release: bool) -> bytes:
    """A BrowseNextRequest; with ``release`` the server only forgets the continuation points."""
    parts = [header, b"\x01" if release else b"\0", _INT32.pack(len(continuations))]
    for continuation in continuations:
        parts += (_INT32.pack(len(continuation)), continuation)
    return b"".join(parts)


def browse_response(body: bytes, *, is_next: bool = False) -> BrowsePage:
    """The one result of a Browse or BrowseNext.

    Raises:
        ServiceFaultError: the server refused the call as a whole.
        ScanError: damaged, or not one result.
    """
    return browse_responses(body, 1, is_next=is_next)[0]


def browse_responses(body: bytes, expected: int, *, is_next: bool = False) -> list[BrowsePage]:
    """The results of a Browse or BrowseNext of ``expected`` nodes; fails as `browse_response`."""
    at = _after_header(body, _BROWSE_NEXT_RESPONSE if is_next else _BROWSE_RESPONSE)
    decoder = Decoder(body, at)
    try:
        count = decoder.int32()
        if count != expected:
            raise ScanError(f"The answer has {count} results for {expected} nodes")
        return [_page(decoder) for _ in range(count)]
    except DecodeError as error:
        raise ScanError(str(error)) from error


def _page(decoder: Decoder) -> BrowsePage:
    status = decoder.uint32()
    continuation = decoder.byte_string() or b""
    length = max(decoder.int32(), 0)
    if length * _SMALLEST_REFERENCE > decoder.end - decoder.position:
        raise ScanError(f"{length} references are longer than the message")
    references = tuple(_reference(decoder) for _ in range(length))
    return BrowsePage(status, continuation, references)


def _reference(decoder: Decoder) -> Reference:
    reference_type = decoder.node_id()
    decoder.byte()  # IsForward
    node_id = decoder.expanded_node_id()
    browse_name = decoder.qualified_name()
    display_name = decoder.localized_text()
    node_class = decoder.uint32()
    type_definition = decoder.expanded_node_id()
    return Reference(
        node_id, browse_name, display_name, node_class, type_definition, reference_type
    )
