# ruff: noqa: SLF001 - see the docstring
"""What keeps a hostile or broken server from hurting this process (asyncua 2.1.0).

Three guards, each at one place:

* `GuardedProtocol` reads the size in a chunk's header before it takes the chunk, joins the parts
  of a chunk once, bounds messages and chunk counts, and does not believe the server's ACK.
* `install_decode_guard` bounds what asyncua's decoder makes of the bytes: no array longer than
  what is left of the message, no negative length, no nesting beyond `MAX_NESTING`.
* `set_socket_options` makes a socket forget what it has not delivered (`SO_LINGER`), and give up
  on a path that swallows packets (`TCP_USER_TIMEOUT`).

Besides ``fastlane.py`` and ``chunks.py`` only this module uses private names of asyncua:
``UaClient._make_protocol``, ``UASocketProtocol._connection``, ``_callbackmap``, ``_call_callback``,
``_fail_all_pending``, ``_open_secure_channel_exchange``, ``SecureConnection._limits``,
``Buffer._data`` and four private functions of ``ua_binary``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, cast

from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from pipes.core.splice import encode_string
from pipes.core.status_codes import code_of, name_of
from pipes.opcua.chunks import unframe
from pipes.opcua.errors import HostileServer

MAX_MESSAGE: Final = 16 * 1024 * 1024
CHUNK: Final = 65536
#: Part 6, 7.1.2.3: no buffer is smaller than this, so no honest message has more chunks.
LEAST_BUFFER: Final = 8192
REQUEST_TOO_LARGE: Final = code_of("BadRequestTooLarge")
MAX_CHUNKS: Final = MAX_MESSAGE // LEAST_BUFFER
MAX_NESTING: Final = 32
MAX_ELEMENTS: Final = 1_000_000
USER_TIMEOUT_MS: Final = 5000

_CHUNK_HEADER: Final = struct.Struct("<3scI")
_HELLO: Final = struct.Struct("<5I")
_ACKNOWLEDGE: Final = _HELLO
_HEADER_SIZES: Final = {b"MSG": 24, b"OPN": 24, b"CLO": 24, b"ACK": 28, b"ERR": 16}
_UNCHUNKED: Final = frozenset({b"ACK", b"ERR"})


def set_socket_options(sock: socket.socket, user_timeout_ms: int = USER_TIMEOUT_MS) -> None:
    """Bytes that were not delivered when the socket closes, or for ``user_timeout_ms``, are lost.

    Without this a write that had timed out reached its target 13 s later, also from a process
    that was dead by then.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (
        ("TCP_USER_TIMEOUT", user_timeout_ms),
        ("TCP_KEEPIDLE", 5),
        ("TCP_KEEPINTVL", 2),
        ("TCP_KEEPCNT", 3),
    ):
        option = getattr(socket, name, None)  # not on every system
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


#: Asked before a write of the running task leaves; for senders that cannot ask it themselves.
send_gate: ContextVar[Callable[[], bool] | None] = ContextVar("send_gate", default=None)


class GateShutError(ConnectionError):
    """The gate closed while a write was on its way to the socket; the connection was dropped."""


class GatedTransport:
    """A transport that asks the running task's `send_gate` as the last thing before it sends."""

    def __init__(self, transport: Any) -> None:
        self._send = transport.write
        self._transport = transport
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self.close = transport.close
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        may_send = send_gate.get()
        if may_send is not None and not may_send():
            # The channel counted this message already, so it cannot go on without it.
            self._transport.abort()
            raise GateShutError("the gate is shut")
        self._send(data)


class RawReply:
    """What stands in asyncua's table of callbacks, and takes an answer without its `Buffer`."""

    __slots__ = ()

    def set_body(self, body: bytes) -> None:
        raise NotImplementedError


class GuardedProtocol(UASocketProtocol):
    """asyncua's transport with limits that hold before memory is spent.

    ``lost_reason`` says why the connection ended, ``hostile`` whether the peer is to be
    quarantined, ``last_heard`` is the loop's time of the last bytes received.
    """

    def __init__(self, timeout: float, security_policy: Any) -> None:
        limits = TransportLimits(CHUNK, CHUNK, MAX_CHUNKS, MAX_MESSAGE)
        super().__init__(timeout, security_policy, limits)
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._have = 0
        self._need = _CHUNK_HEADER.size
        self.last_heard = self._loop.time()
        self.lost_reason = ""
        self.hostile = False
        self.max_request_size = MAX_MESSAGE

    # --- transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            set_socket_options(sock)
        super().connection_made(cast("asyncio.Transport", GatedTransport(transport)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_reason = self.lost_reason or (str(exc) if exc else "the server closed it")
        self._parts.clear()
        super().connection_lost(exc or ConnectionError(self.lost_reason))

    def drop(self, reason: str, *, hostile: bool = False) -> None:
        """End the connection at once; what was not delivered is forgotten."""
        self.lost_reason = self.lost_reason or reason
        self.hostile = self.hostile or hostile
        if self.transport is not None:
            self.transport.abort()

    # --- receiving ---

    def data_received(self, data: bytes) -> None:
        self.last_heard = self._loop.time()
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return
        stream = data if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        try:
            rest = self._take_chunks(stream)
        except UaStatusCodeError as error:
            # asyncua says so itself when a message goes beyond the limits of the Hello; a server
            # that means ours answers BadTcpMessageTooLarge (Part 6, 7.1.5).
            if error.code == REQUEST_TOO_LARGE:
                self.drop("a message of the server has no end", hostile=True)
            else:
                self.drop(f"the server answered {error}")
        except HostileServer as error:
            self.drop(str(error), hostile=True)
        except Exception as error:  # noqa: BLE001  asyncua raises what it likes on bad bytes
            self.drop(f"a message of the server cannot be read: {error!r}", hostile=True)
        else:
            self._have = len(rest)
            if rest:
                self._parts.append(rest)

    def _take_chunks(self, stream: bytes) -> bytes:
        """Use up the complete chunks of ``stream``; what is left waits for ``_need`` bytes."""
        position = 0
        while True:
            left = len(stream) - position
            size = _CHUNK_HEADER.size
            if left >= size:
                size = self._chunk_size(stream, position)
            if left < size:
                self._need = size
                return stream[position:]
            self._take_chunk(stream[position : position + size])
            if self.transport is None or self.transport.is_closing():
                self._need = _CHUNK_HEADER.size
                return b""
            position += size

    def _chunk_size(self, stream: bytes, position: int) -> int:
        kind, chunk_type, size = _CHUNK_HEADER.unpack_from(stream, position)
        least = _HEADER_SIZES.get(kind)
        if least is None or chunk_type not in (b"F", b"C", b"A"):
            raise HostileServer(f"{kind + chunk_type!r} does not begin an OPC UA chunk")
        if kind in _UNCHUNKED and chunk_type != b"F":
            raise HostileServer(f"a {kind.decode()} message came in chunks")
        if not least <= size <= CHUNK:
            raise HostileServer(f"a chunk of {size} bytes; {least} to {CHUNK} are allowed")
        return cast("int", size)

    def _take_chunk(self, chunk: bytes) -> None:
        if chunk[:3] == b"ACK":
            self._call_callback(0, self._acknowledged(chunk))
            return
        ordinary = unframe(self._connection, chunk)
        if ordinary is not None:
            self._answered(*ordinary)
            return
        buffer = Buffer(chunk)
        header = ua_binary.header_from_binary(buffer)
        message = self._connection.receive_from_header_and_body(header, buffer)
        if message is None:
            return
        if isinstance(message, ua.ErrorMessage):
            self._refused(message)
            return
        if chunk[:3] == b"OPN":
            self._channel_opened(message)
        self._call_callback(message.request_id(), message.body())

    def _answered(self, request_id: int, body: bytes) -> None:
        if isinstance(self._callbackmap.get(request_id), RawReply):
            reply = cast("RawReply", self._callbackmap.pop(request_id))
            reply.set_body(body)
        else:
            self._call_callback(request_id, Buffer(body))

    def _acknowledged(self, chunk: bytes) -> ua.Acknowledge:
        """The server's limits, each brought into what Part 6, 7.1.2.4 allows."""
        if 0 not in self._callbackmap or len(chunk) != 28:
            raise HostileServer("an Acknowledge that nobody asked for")
        fields = _ACKNOWLEDGE.unpack_from(chunk, 8)
        version, receive, send, max_message, max_chunks = fields
        if receive < LEAST_BUFFER or send < LEAST_BUFFER or 0 < max_message < LEAST_BUFFER:
            raise HostileServer(
                f"its Acknowledge offers buffers of {receive} and {send} bytes and messages of"
                f" {max_message}; {LEAST_BUFFER} is the least"
            )
        self._connection._limits = TransportLimits(
            CHUNK, min(receive, CHUNK), MAX_CHUNKS, MAX_MESSAGE
        )
        sizes = [MAX_MESSAGE, max_message or MAX_MESSAGE]
        if max_chunks:
            sizes.append(max_chunks * (min(receive, CHUNK) - 1024))
        self.max_request_size = min(sizes)
        return ua.Acknowledge(version, receive, send, max_message, max_chunks)

    def _refused(self, message: ua.ErrorMessage) -> None:
        code = int(message.Error.value)
        reason = f"{name_of(code)} {message.Reason or ''}".strip()
        self.drop(f"the server refused: {reason}")
        self._fail_all_pending(_status_error(code))

    def _channel_opened(self, message: Any) -> None:
        asked = self._open_secure_channel_exchange
        if not isinstance(asked, ua.OpenSecureChannelParameters):
            raise HostileServer("an OpenSecureChannel answer that nobody asked for")
        self.check_answer(message.body(), "OpenSecureChannel")
        answer = ua_binary.struct_from_binary(ua.OpenSecureChannelResponse, message.body())
        answer.ResponseHeader.ServiceResult.check()
        # Its age is judged by our clock later; the server's may be a day off.
        answer.Parameters.SecurityToken.CreatedAt = datetime.now(UTC)
        self._open_secure_channel_exchange = answer
        self._connection.set_channel(answer.Parameters, asked.RequestType, asked.ClientNonce)

    # --- sending ---

    async def send_hello(
        self, url: str, max_messagesize: int = MAX_MESSAGE, max_chunkcount: int = MAX_CHUNKS
    ) -> ua.Acknowledge:
        """Part 6, 7.1.2.3, with our real limits instead of 'anything'."""
        if self.transport is None:
            raise ConnectionError("connection is not open")
        answer: asyncio.Future[ua.Acknowledge] = self._loop.create_future()
        self._callbackmap[0] = answer
        body = _HELLO.pack(0, CHUNK, CHUNK, max_messagesize, max_chunkcount) + encode_string(url)
        self.transport.write(_CHUNK_HEADER.pack(b"HEL", b"F", 8 + len(body)) + body)
        return await asyncio.wait_for(answer, self.timeout)


class GuardedClient(UaClient):
    """asyncua's transport client, on a `GuardedProtocol`."""

    def __init__(self, timeout: float, on_lost: Callable[[], None]) -> None:
        super().__init__(timeout)
        self._call_timeout = timeout
        self._on_lost = on_lost

    def _make_protocol(self) -> UASocketProtocol:
        protocol = GuardedProtocol(self._call_timeout, self.security_policy)
        protocol.on_connection_lost = self._transport_lost
        protocol.is_session_closing = lambda: True  # late answers are no news here
        self.protocol = protocol
        return protocol

    def _transport_lost(self, exc: Exception | None) -> None:
        del exc  # the protocol keeps the reason
        self.notify_transport_lost()
        self._on_lost()

    @property
    def guarded(self) -> GuardedProtocol:
        """The open connection.

        Raises:
            ConnectionError: there is none.
        """
        if not isinstance(self.protocol, GuardedProtocol) or self.protocol.transport is None:
            raise ConnectionError("connection is not open")
        return self.protocol

    def abort(self) -> None:
        """Close the socket now; the peer gets a reset and nothing more of what was queued."""
        if self.protocol is not None and self.protocol.transport is not None:
            self.protocol.transport.abort()


def _status_error(code: int) -> Exception:
    make: Any = UaStatusCodeError
    error: Exception = make(code)
    return error


# --- decoder ---

_decoding = threading.local()
_installed = False


class DecodeGuardError(UaError):
    """A message says of itself what cannot be true."""


def install_decode_guard() -> None:
    """Put the limits into asyncua's decoder, once per process. Client and server profit alike."""
    global _installed  # noqa: PLW0603  one decoder per process
    if _installed:
        return
    _installed = True
    _guard_buffer()
    _guard_arrays()
    _guard_nesting()


def _guard_buffer() -> None:
    """A negative length moved asyncua's read position backwards: refuse it."""
    plain_read, plain_skip, plain_copy = Buffer.read, Buffer.skip, Buffer.copy

    def read(self: Buffer, size: int) -> bytes:
        if size < 0:
            raise DecodeGuardError(f"a length of {size}")
        return plain_read(self, size)

    def skip(self: Buffer, size: int) -> None:
        if size < 0:
            raise DecodeGuardError(f"a length of {size}")
        plain_skip(self, size)

    def copy(self: Buffer, size: int = -1) -> Buffer:
        if size > len(self):
            raise DecodeGuardError(f"a body of {size} bytes, {len(self)} are left")
        return plain_copy(self, size)

    Buffer.read, Buffer.skip, Buffer.copy = read, skip, copy  # type: ignore[method-assign]


def _check_array(data: Any, *, element_is_empty: bool) -> None:
    """The length at the read position; every element takes at least one byte of what is left."""
    if not isinstance(data, Buffer):
        return
    length = int.from_bytes(data.copy().read(4), "little", signed=True)
    if length < -1:
        raise DecodeGuardError(f"an array of {length} elements")
    if element_is_empty and length > 0:
        raise DecodeGuardError(f"an array of {length} Null values")
    if length > len(data):
        raise DecodeGuardError(f"an array of {length} elements in {len(data)} bytes")
    _count_elements(data, max(length, 0))


def _count_elements(data: Buffer, length: int) -> None:
    """All arrays of one message together; copies of a buffer share the message's bytes."""
    if getattr(_decoding, "message", None) is not data._data:
        _decoding.message = data._data
        _decoding.elements = 0
    _decoding.elements += length
    if _decoding.elements > MAX_ELEMENTS:
        raise DecodeGuardError(f"more than {MAX_ELEMENTS} array elements in one message")


def _guard_arrays() -> None:
    plain_array = ua_binary._create_uatype_array_deserializer
    plain_list = ua_binary._create_list_deserializer

    def array_deserializer(vtype: ua.VariantType) -> Callable[[Any], Any]:
        decode = plain_array(vtype)
        is_empty = vtype == ua.VariantType.Null

        def guarded(data: Any) -> Any:
            _check_array(data, element_is_empty=is_empty)
            return decode(data)

        return guarded

    def list_deserializer(uatype: Any) -> Callable[[Any], Any]:
        decode = plain_list(uatype)

        def guarded(data: Any) -> Any:
            _check_array(data, element_is_empty=False)
            return decode(data)

        return guarded

    ua_binary._create_uatype_array_deserializer = array_deserializer  # type: ignore[assignment]
    ua_binary._create_list_deserializer = list_deserializer  # type: ignore[assignment]
    _forget_decoders()


def _guard_nesting() -> None:
    for name in ("variant_from_binary", "extensionobject_from_binary"):
        setattr(ua_binary, name, _bounded(getattr(ua_binary, name)))
    _forget_decoders()


def _bounded(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def guarded(data: Any) -> Any:
        depth = getattr(_decoding, "depth", 0)
        if depth >= MAX_NESTING:
            raise DecodeGuardError(f"values nested deeper than {MAX_NESTING}")
        _decoding.depth = depth + 1
        try:
            return decode(data)
        finally:
            _decoding.depth = depth

    return guarded


def _forget_decoders() -> None:
    """Decoders that were made before hold the unguarded parts."""
    for name in (
        "_create_uatype_deserializer",
        "_create_type_deserializer",
        "_create_dataclass_deserializer",
    ):
        getattr(ua_binary, name).cache_clear()
