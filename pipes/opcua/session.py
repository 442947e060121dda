# ruff: noqa: ASYNC109 - each call has a time-out of its own, which the server is told
"""One session on one server. It is made new for every attempt and never reconnects inside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from pipes.core.choices import CodecName
from pipes.core.conversion import TargetType
from pipes.core.node_ids import encode, resolve
from pipes.core.sizes import ValueLimits
from pipes.core.structures import Structures
from pipes.core.values import DataValue, NodeId, Value
from pipes.core.wanted import Server
from pipes.opcua import wire
from pipes.opcua.batching import BatchSize, in_batches
from pipes.opcua.connecting import Connection, connect
from pipes.opcua.decodelane import DecodeLane, decode_publish_response
from pipes.opcua.errors import ConnectFailed, FailureKind, RequestFailed
from pipes.opcua.fastlane import Calls
from pipes.opcua.lane import Lane, Sink, Subscription, SubscriptionSettings
from pipes.opcua.publishing import PublishPump
from pipes.opcua.splicelane import SpliceLane, read_answer
from pipes.pki import Pki

__all__ = [
    "ConnectFailed",
    "FailureKind",
    "OperationLimits",
    "RequestFailed",
    "ServerStatus",
    "Session",
]

VALUE: Final = 13
CLOSE_TIMEOUT: Final = 2.0
RENEW_AT: Final = 0.75

_NAMESPACES: Final = 2255
_START_TIME, _CURRENT_TIME, _STATE = 2257, 2258, 2259
_SERVICE_LEVEL = 2267
_PRODUCT, _VERSION = 2261, 2264
_MAX_READ, _MAX_WRITE, _MAX_BROWSE, _MAX_ITEMS = 11705, 11707, 11710, 11714
_MAX_ARRAY, _MAX_STRING, _MAX_BYTE_STRING = 11702, 11703, 12911
_REQUEST_OVERHEAD: Final = 512  # header and node of a request that writes one value


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """What the server takes in one call (Part 5, 6.3.11); 0 means that it does not say."""

    read: int = 0
    write: int = 0
    monitored_items: int = 0
    browse: int = 0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """State 0 is Running (Part 5, 12.6); times are 100 ns ticks since 1601, 0 if not known.

    ``service_level`` (Part 5, 6.3.1) is None where the server has none.
    """

    state: int
    current_time: int
    start_time: int
    service_level: int | None = None


_Reopen = Callable[[Callable[[str], None]], Awaitable["Session"]]


@cache
def _standard_node(identifier: int) -> bytes:
    return encode(NodeId(0, identifier))


class Session:
    """An activated session; see `open`. ``last_heard`` is the loop's time of the last bytes."""

    def __init__(self, connection: Connection, herald: _Herald, reopen: _Reopen) -> None:
        self._connection = connection
        self._herald = herald
        self._reopen = reopen
        self.calls = Calls(connection.transport)
        self.pump = PublishPump(self.calls, decode_publish_response)
        self.namespaces: tuple[str, ...] = ()
        self.limits = OperationLimits()
        self.value_limits = ValueLimits()
        self.product = ""
        self.version = ""
        self.start_time = 0
        self.session_timeout_ms = float(connection.client.session_timeout)
        self.read_size = BatchSize()
        self.items_size = BatchSize()
        # The built-in type by an encoded DataType, as read; None if it cannot be found out.
        self.types: dict[bytes, TargetType | None] = {}
        self.structures = Structures()
        self.ignores_index_range: bool | None = None  # `index_ranges` finds out
        self.type_names: dict[NodeId, str] = {}  # of DataTypes, for people
        self._lanes: dict[CodecName, Lane] = {}
        self._publishes: CodecName | None = None
        self._companions: dict[CodecName, Session] = {}
        self._companion_lock = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        server: Server,
        pki: Pki,
        *,
        application_uri: str,
        on_lost: Callable[[str], None],
        timeout: float = 5.0,
    ) -> Session:
        """Connect to ``server``, log in, and read what it says of itself.

        ``on_lost`` is called once, from the loop, when the session ends by itself; not after
        `close` or `abort`. ``timeout`` is the time in seconds for each step.

        Raises:
            ConnectFailed: with its kind, and a message that names cause and remedy.
        """
        herald = _Herald(on_lost)
        connection = await connect(server, pki, application_uri, herald.lost, timeout)

        async def reopen(companion_lost: Callable[[str], None]) -> Session:
            return await cls.open(
                server,
                pki,
                application_uri=application_uri,
                on_lost=companion_lost,
                timeout=timeout,
            )

        try:
            session = cls(connection, herald, reopen)
            await session._introduce(timeout)
        except (ConnectionError, TimeoutError) as error:
            connection.abort()
            raise _not_introduced(server, connection, error) from error
        except BaseException:
            connection.abort()
            raise
        herald.is_muted = False
        session._renewing = asyncio.create_task(session._renew(), name=f"channel {server.name}")
        return session

    # --- what the server is ---

    async def _introduce(self, timeout: float) -> None:
        nodes = (
            _NAMESPACES,
            _START_TIME,
            _PRODUCT,
            _VERSION,
            _MAX_READ,
            _MAX_WRITE,
            _MAX_ITEMS,
            _MAX_BROWSE,
            _MAX_ARRAY,
            _MAX_STRING,
            _MAX_BYTE_STRING,
        )
        values = await self.read([(_standard_node(n), VALUE) for n in nodes], timeout)
        table, start, product, version, *limits = (_plain(value) for value in values)
        if not isinstance(table, tuple) or not table:
            raise ConnectionError("it has no NamespaceArray")
        self.namespaces = tuple(str(uri or "") for uri in table)
        self.start_time = start if isinstance(start, int) else 0
        self.product = product if isinstance(product, str) else ""
        self.version = version if isinstance(version, str) else ""
        numbers = [n if isinstance(n, int) else 0 for n in limits]
        self.limits = OperationLimits(*numbers[:4])
        message = max(_REQUEST_OVERHEAD, self.calls.max_request_size - _REQUEST_OVERHEAD)
        array, string, byte_string = numbers[4:]
        self.value_limits = ValueLimits(array, string, byte_string, message)
        self.read_size = BatchSize(self.limits.read)
        self.items_size = BatchSize(self.limits.monitored_items)

    @property
    def is_hostile(self) -> bool:
        """The server has broken a limit or the protocol; the session is lost by that."""
        return self._connection.is_hostile

    @property
    def last_heard(self) -> float:
        return self.calls.last_heard

    def encode_node(self, text: str) -> bytes:
        """The NodeId of ``text`` (``nsu=`` or ``ns=`` form) in this server's binary form.

        Raises:
            NodeIdError: not a NodeId, or of a namespace that the server does not have now.
        """
        return encode(resolve(text, self.namespaces))

    async def read(
        self, nodes: Sequence[tuple[bytes, int]], timeout: float = 5.0
    ) -> list[DataValue]:
        """Read (encoded NodeId, attribute id) pairs, batched, several calls in flight.

        A batch that the server refuses as a whole gives each of its nodes that status.

        Raises:
            ConnectionError: the session is lost.
            TimeoutError: a call was not answered within ``timeout`` seconds.
        """

        async def call(batch: Sequence[tuple[bytes, int]]) -> list[DataValue]:
            body = await self.calls.call(
                wire.READ, lambda header: wire.read_body(header, batch), timeout
            )
            return read_answer(self.calls, lambda: wire.read_response(body, len(batch)))

        return await in_batches(nodes, self.read_size, call, _not_read)

    async def read_status(self) -> ServerStatus:
        """The server's state, clock and ServiceLevel; what a watchdog asks for.

        Raises:
            ConnectionError, TimeoutError: as of `read`.
        """
        numbers = (_STATE, _CURRENT_TIME, _START_TIME, _SERVICE_LEVEL)
        values = await self.read([(_standard_node(number), VALUE) for number in numbers])
        state, current, start, level = (_plain(value) for value in values)
        return ServerStatus(
            state if isinstance(state, int) else 0,
            current if isinstance(current, int) else 0,
            start if isinstance(start, int) else 0,
            level if isinstance(level, int) else None,
        )

    async def request(
        self, type_id: int, build: Callable[[bytes], bytes], timeout: float = 5.0
    ) -> bytes:
        """One raw service call; the body of its answer, unread.

        Raises:
            ConnectionError, TimeoutError: as of `read`.
        """
        return await self.calls.call(type_id, build, timeout)

    # --- lanes ---

    def lane(self, codec: CodecName) -> Lane:
        """The lane of this codec; all pipes of a session that use the codec share it."""
        if codec not in self._lanes:
            self._lanes[codec] = _SessionLane(self, codec, self._own_lane(codec))
        return self._lanes[codec]

    def _own_lane(self, codec: CodecName) -> Lane:
        if codec is CodecName.SPLICE:
            return SpliceLane(self.calls, self.pump, self.items_size)
        return DecodeLane(self._connection.transport, self.items_size)

    async def publisher(self, codec: CodecName) -> Session:
        """The session whose PublishRequests are those of this codec's lane.

        A server answers any PublishRequest with any subscription of the session, so the two
        lanes cannot subscribe on one: the second kind gets a companion session.

        Raises:
            ConnectionError: the companion cannot be opened.
        """
        async with self._companion_lock:
            if self._publishes in (None, codec):
                self._publishes = codec
                return self
            if codec not in self._companions:
                self._companions[codec] = await self._open_companion(codec)
            return self._companions[codec]

    async def _open_companion(self, codec: CodecName) -> Session:
        try:
            companion = await self._reopen(self._companion_lost)
        except ConnectFailed as failure:
            raise ConnectionError(failure.message) from failure
        if companion.namespaces != self.namespaces:
            companion.abort()
            self.calls.drop("the server has restarted with other namespaces")
            raise ConnectionError("the server has restarted with other namespaces")
        await companion.publisher(codec)
        return companion

    def _companion_lost(self, reason: str) -> None:
        self.calls.drop(f"its second session was lost: {reason}")

    # --- the end ---

    async def renew_channel(self) -> None:
        """Get new keys for the secure channel now (Part 4, 5.5.2)."""
        await self._connection.client.open_secure_channel(renew=True)
        self._connection.transport.revolve_security_token()

    async def _renew(self) -> None:
        """Renew the channel at 75 % of its life (Part 4, 5.5.2.1)."""
        while True:
            lifetime = self._connection.client.secure_channel_timeout / 1000
            await asyncio.sleep(lifetime * RENEW_AT)
            try:
                await self.renew_channel()
            except Exception as error:  # noqa: BLE001  whatever it is, the channel will run out
                self.calls.drop(f"the secure channel was not renewed: {error!r}")
                return

    async def close(self) -> None:
        """End the session on the server, with its subscriptions; never fails, never hangs."""
        self._herald.is_muted = True
        self.pump.stop()
        for companion in self._companions.values():
            await companion.close()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._connection.transport.close_session(delete_subscriptions=True)
                await self._connection.transport.close_secure_channel()
        self.abort()

    def abort(self) -> None:
        """Drop the connection now: nothing that is queued or on its way is delivered any more."""
        self._herald.is_muted = True
        if self._renewing is not None:
            self._renewing.cancel()
        for companion in self._companions.values():
            companion.abort()
        self._connection.abort()
        if self._publishes is CodecName.DECODE:
            self._connection.forget_session()


class _SessionLane:
    """A codec's lane; what it subscribes goes to the session that publishes for the codec."""

    def __init__(self, session: Session, codec: CodecName, lane: Lane) -> None:
        self._session = session
        self._codec = codec
        self.write = lane.write  # the hot path, without a further call
        self._subscribe = lane.subscribe

    async def subscribe(self, settings: SubscriptionSettings, sink: Sink) -> Subscription:
        owner = await self._session.publisher(self._codec)
        if owner is self._session:
            return await self._subscribe(settings, sink)
        return await owner.lane(self._codec).subscribe(settings, sink)


class _Herald:
    """Tells the owner of a session once that it is lost, if that was not the owner's own wish."""

    def __init__(self, on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost
        self.is_muted = True

    def lost(self, reason: str) -> None:
        if not self.is_muted:
            self.is_muted = True
            self._on_lost(reason)


def _not_introduced(server: Server, connection: Connection, error: Exception) -> ConnectFailed:
    if connection.is_hostile:
        kind, why = FailureKind.QUARANTINE, connection.lost_reason
    else:
        kind, why = FailureKind.PROTOCOL, str(error) or "no answer in time"
    return ConnectFailed(kind, f"{server.name} did not tell about itself after the login: {why}")


def _plain(value: DataValue) -> Value:
    return None if value.variant is None else value.variant.value


def _not_read(node: tuple[bytes, int], status: int) -> DataValue:
    del node
    return DataValue(status=status)
