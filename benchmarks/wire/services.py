"""The services of a load (Part 4, 5): just enough for a client to connect, subscribe and write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from struct import Struct, pack
from typing import Final

from benchmarks.names import NAMESPACE
from benchmarks.wire.channel import POLICY_NONE, Reply
from benchmarks.wire.fields import (
    NULL,
    Reader,
    array_of,
    byte_string,
    now_ticks,
    number_node_id,
    response,
    string,
)
from benchmarks.wire.store import Store, data_value
from benchmarks.wire.subscriptions import Asked, Changes, Session, Subscription
from benchmarks.wire.writes import Writes

PUBLISH: Final = 826
WRITE: Final = 673
READ: Final = 631
FAULT: Final = 397
BAD_SERVICE_UNSUPPORTED: Final = 0x800B_0000
BAD_SESSION_INVALID: Final = 0x8025_0000
BAD_NODE_UNKNOWN: Final = 0x8034_0000
BAD_ATTRIBUTE_INVALID: Final = 0x8035_0000
BAD_MONITORED_ITEM_INVALID: Final = 0x8042_0000
BAD_SUBSCRIPTION_INVALID: Final = 0x8028_0000
SESSION_MS: Final = 60_000.0
VALUE: Final = 13
READ_AND_WRITE: Final = 3
_TRANSPORT: Final = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
_URI: Final = "urn:mirrorsite:bench:wire"
_STANDARD: Final = "http://opcfoundation.org/UA/"
_CREATED: Final = Struct("<IIdI3x")
_STRING, _UINT32, _INT32, _BYTE, _TIME, _NODE_ID = 12, 7, 6, 3, 13, 17


class Services:
    """Answers the requests of all sessions of one server."""

    def __init__(
        self,
        url: str,
        nodes: Sequence[bytes],
        store: Store,
        changes: Changes,
        *,
        notifications: int,
        operations: int,
        may_publish: Callable[[], bool],
        delayed: Callable[[int, Reply], Reply],
    ) -> None:
        self._endpoints = array_of([_endpoint(url)])
        self._indices = {node: index for index, node in enumerate(nodes)}
        self.store = store
        self.writes = Writes(nodes)
        self.sessions: dict[bytes, Session] = {}
        self.publishes = 0
        self.created_from: float | None = None  # monotonic, of the first and the last call
        self.created_until: float | None = None
        self._changes = changes
        self._most_notifications = notifications
        self._may_publish = may_publish
        self._delayed = delayed
        self._next_session = self._next_subscription = 1
        self._started = now_ticks()
        self._standard = self._standard_nodes(operations)
        self._attributes: dict[tuple[int, int], bytes] = {}
        self._known: dict[int, Callable[[Reader, bytes, int], bytes]] = {
            428: self._get_endpoints,
            461: self._create_session,
            467: self._activate_session,
            473: self._close_session,
            READ: self._read,
            787: self._create_subscription,
            847: self._delete_subscriptions,
            751: self._create_monitored_items,
            781: self._delete_monitored_items,
        }

    def restarted(self) -> None:
        """All sessions are gone, and the server says when it began."""
        self.disconnected(list(self.sessions))
        self._started = now_ticks()

    def disconnected(self, tokens: Sequence[bytes]) -> None:
        """A connection is gone, and its sessions with it: none is taken up again here."""
        for token in tokens:
            session = self.sessions.pop(token, None)
            if session is not None:
                session.close()

    def handle(self, body: bytes, reply: Reply) -> bytes | None:
        """Answer one request; the token of a session that it made."""
        reader = Reader(body)
        type_id = int.from_bytes(reader.node_id()[2:4], "little")
        token, handle = reader.request_header()
        if type_id == PUBLISH:
            self._publish(reader, token, handle, reply)
        elif type_id == WRITE:
            count, results = self.writes.take(body, reader.at)
            answer = response(676, handle) + pack("<i", count)
            self._delayed(count, reply)(answer + (results or bytes(4 * count)) + NULL)
        elif type_id in self._known:
            before = self._next_session
            reply(self._known[type_id](reader, token, handle))
            return session_token(before) if before != self._next_session else None
        else:
            reply(response(FAULT, handle, BAD_SERVICE_UNSUPPORTED))
        return None

    # -- sessions -------------------------------------------------------------------------------

    def _get_endpoints(self, _reader: Reader, _token: bytes, handle: int) -> bytes:
        return response(431, handle) + self._endpoints

    def _create_session(self, _reader: Reader, _token: bytes, handle: int) -> bytes:
        token = session_token(self._next_session)
        self._next_session += 1
        self.sessions[token] = Session(token, self.store, self._changes, self._may_publish)
        return (
            response(464, handle)
            + token  # the SessionId, too
            + token
            + pack("<d", SESSION_MS)
            + byte_string(os.urandom(32))
            + NULL
            + self._endpoints
            + NULL
            + NULL * 2
            + pack("<I", 0)
        )

    def _activate_session(self, _reader: Reader, token: bytes, handle: int) -> bytes:
        if token not in self.sessions:
            return response(FAULT, handle, BAD_SESSION_INVALID)
        return response(470, handle) + byte_string(os.urandom(32)) + NULL + NULL

    def _close_session(self, _reader: Reader, token: bytes, handle: int) -> bytes:
        self.disconnected([token])
        return response(476, handle)

    # -- reading --------------------------------------------------------------------------------

    def _standard_nodes(self, operations: int) -> dict[bytes, Callable[[], bytes]]:
        limit = pack("<BI", _UINT32, operations)
        uris = array_of([string(_STANDARD), string(_URI), string(NAMESPACE)])
        fixed = {
            2255: bytes((_STRING | 0x80,)) + uris,
            2254: bytes((_STRING | 0x80,)) + array_of([string(_URI)]),
            2259: pack("<Bi", _INT32, 0),
            2261: bytes((_STRING,)) + string("Mirrorsite wire load"),
            2264: bytes((_STRING,)) + string("1"),
            2267: pack("<BB", _BYTE, 255),
            **dict.fromkeys((11705, 11707, 11714), limit),
            11710: pack("<BI", _UINT32, 0),
        }
        made: dict[bytes, Callable[[], bytes]] = {
            number_node_id(number): lambda variant=variant: variant  # type: ignore[misc]
            for number, variant in fixed.items()
        }
        made[number_node_id(2258)] = lambda: pack("<Bq", _TIME, now_ticks())
        made[number_node_id(2257)] = lambda: pack("<Bq", _TIME, self._started)
        return made

    def _read(self, reader: Reader, _token: bytes, handle: int) -> bytes:
        reader.double()
        timestamps = reader.uint32()
        count = max(0, reader.int32())
        parts = [response(634, handle), pack("<i", count)]
        for _ in range(count):
            node, attribute = reader.node_id(), reader.uint32()
            reader.string()
            reader.at += 2
            reader.string()
            parts.append(self._attribute(node, attribute, timestamps))
        parts.append(NULL)
        return b"".join(parts)

    def _attribute(self, node: bytes, attribute: int, timestamps: int) -> bytes:
        index = self._indices.get(node)
        if index is None:
            return self._standard_attribute(node, attribute, timestamps)
        if attribute == VALUE:
            written = self.writes.last.get(index)
            return written or self.store.data_value(index, timestamps)
        kind = self.store.kind(index)
        key = (kind.data_type, attribute)
        if key not in self._attributes:
            self._attributes[key] = _attribute(kind.data_type, kind.value_rank, attribute)
        return self._attributes[key]

    def _standard_attribute(self, node: bytes, attribute: int, timestamps: int) -> bytes:
        if node[0] == 0:
            node = number_node_id(node[1])
        if node not in self._standard or attribute != VALUE:
            return pack("<BI", 2, BAD_NODE_UNKNOWN)
        return data_value(self._standard[node](), 0, now_ticks(), timestamps)

    # -- subscriptions --------------------------------------------------------------------------

    def _create_subscription(self, reader: Reader, token: bytes, handle: int) -> bytes:
        session = self.sessions.get(token)
        if session is None:
            return response(FAULT, handle, BAD_SESSION_INVALID)
        interval, lifetime, keep_alive = reader.double(), reader.uint32(), reader.uint32()
        limit = min(reader.uint32() or self._most_notifications, self._most_notifications)
        number = self._next_subscription
        self._next_subscription += 1
        made = Subscription(number, session, interval, keep_alive, limit)
        session.subscriptions[number] = made
        revised = (number, made.interval_ms, lifetime, made.keep_alive_count)
        return response(790, handle) + pack("<IdII", *revised)

    def _delete_subscriptions(self, reader: Reader, token: bytes, handle: int) -> bytes:
        session = self.sessions.get(token)
        results = []
        for number in reader.uint32s():
            found = session.subscriptions.pop(number, None) if session is not None else None
            results.append(0 if found is not None else BAD_SUBSCRIPTION_INVALID)
            if found is not None:
                found.close()
        return _results(850, handle, results)

    def _create_monitored_items(self, reader: Reader, token: bytes, handle: int) -> bytes:
        subscription = self._subscription(token, reader.uint32())
        if subscription is None:
            return response(FAULT, handle, BAD_SUBSCRIPTION_INVALID)
        timestamps = reader.uint32()
        self.created_from = self.created_from or time.monotonic()
        asked = [self._asked_item(reader) for _ in range(max(0, reader.int32()))]
        items = [(index, client) for index, client, _ in asked if index is not None]
        numbers = iter(subscription.add(items, timestamps))
        interval = subscription.interval_ms
        parts = [
            _CREATED.pack(BAD_NODE_UNKNOWN, 0, 0.0, 0)
            if index is None
            else _CREATED.pack(0, next(numbers), sampling if sampling >= 0 else interval, 1)
            for index, _, sampling in asked
        ]
        self.created_until = time.monotonic()
        return response(754, handle) + array_of(parts) + NULL

    def _asked_item(self, reader: Reader) -> tuple[int | None, int, float]:
        """Which item, under which client handle, how often sampled."""
        node, attribute = reader.node_id(), reader.uint32()
        reader.string()
        reader.at += 2
        reader.string()
        reader.uint32()
        client, sampling = reader.uint32(), reader.double()
        reader.skip_extension_object()
        reader.at += 5
        return self._indices.get(node) if attribute == VALUE else None, client, sampling

    def _delete_monitored_items(self, reader: Reader, token: bytes, handle: int) -> bytes:
        subscription = self._subscription(token, reader.uint32())
        if subscription is None:
            return response(FAULT, handle, BAD_SUBSCRIPTION_INVALID)
        known = subscription.remove(reader.uint32s())
        return _results(784, handle, [0 if each else BAD_MONITORED_ITEM_INVALID for each in known])

    def _subscription(self, token: bytes, number: int) -> Subscription | None:
        session = self.sessions.get(token)
        return None if session is None else session.subscriptions.get(number)

    def _publish(self, reader: Reader, token: bytes, handle: int, reply: Reply) -> None:
        session = self.sessions.get(token)
        if session is None:
            reply(response(FAULT, handle, BAD_SESSION_INVALID))
            return
        self.publishes += 1
        session.ask(Asked(handle, max(0, reader.int32()), reply))


def session_token(number: int) -> bytes:
    """In the shortest form there is: some clients send it back so, however they got it."""
    return pack("<BBH", 1, 1, number & 0xFFFF)


def _results(type_id: int, handle: int, results: Sequence[int]) -> bytes:
    return response(type_id, handle) + pack(f"<i{len(results)}I", len(results), *results) + NULL


def _attribute(data_type: int, value_rank: int, attribute: int) -> bytes:
    """The attributes that a client looks at before it writes (Part 3, 5.6.2)."""
    if attribute == 14:
        return bytes((1, _NODE_ID)) + number_node_id(data_type)
    if attribute == 15:
        return pack("<BBi", 1, _INT32, value_rank)
    if attribute in (17, 18):
        return pack("<BBB", 1, _BYTE, READ_AND_WRITE)
    if attribute == 2:
        return pack("<BBi", 1, _INT32, 2)
    return pack("<BI", 2, BAD_ATTRIBUTE_INVALID)


def _endpoint(url: str) -> bytes:
    """An EndpointDescription of policy None for anonymous users (Part 4, 7.14)."""
    name = b"\x02" + string("wire load")
    server = string(_URI) + string(_URI) + name + pack("<I", 0) + NULL + NULL
    token = string("anonymous") + pack("<I", 0) + NULL * 3
    return (
        string(url)
        + server
        + array_of([string(url)])
        + NULL
        + pack("<I", 1)
        + string(POLICY_NONE)
        + array_of([token])
        + string(_TRANSPORT)
        + b"\0"
    )
