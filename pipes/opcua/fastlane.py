# ruff: noqa: SLF001, ASYNC109 - private names: see the docstring; a time-out is per request
"""Raw requests on asyncua's connection: its framing and security, none of its objects.

Every private name of asyncua that the hot path needs is used here or in ``chunks.py``, and listed
in `PRIVATE_NAMES`; a contract test checks them against the pinned version. A request's answer comes
as bytes, synchronously, in the callback of `Calls.send`: no future, no task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_to_binary

from pipes.core.requests import request_header
from pipes.opcua.chunks import frame
from pipes.opcua.errors import RequestTooLarge
from pipes.opcua.guard import GuardedClient, GuardedProtocol, RawReply

log = logging.getLogger(__name__)

#: What a pinned asyncua must have: class and attribute; instance attributes are marked with ``*``.
PRIVATE_NAMES: Final = (
    ("UASocketProtocol", "*_connection"),
    ("UASocketProtocol", "*_callbackmap"),
    ("UASocketProtocol", "*_request_id"),
    ("UASocketProtocol", "*_request_handle"),
    ("UASocketProtocol", "*authentication_token"),
    ("UASocketProtocol", "*_open_secure_channel_exchange"),
    ("UASocketProtocol", "_call_callback"),
    ("UASocketProtocol", "_fail_all_pending"),
    ("UASocketProtocol", "revolve_security_token"),
    ("UaClient", "_make_protocol"),
    ("SecureConnection", "*_sequence_number"),
    ("SecureConnection", "*_limits"),
    ("SecureConnection", "*_incoming_parts"),
    ("SecureConnection", "*_peer_sequence_number"),
    ("SecureConnection", "security_policy"),
    ("SecureConnection", "security_token"),
    ("SecureConnection", "message_to_binary"),
    ("SecureConnection", "receive_from_header_and_body"),
    ("SecureConnection", "set_channel"),
    ("Buffer", "*_data"),
    ("ua_binary", "_create_uatype_array_deserializer"),
    ("ua_binary", "_create_list_deserializer"),
    ("ua_binary", "_create_uatype_deserializer"),
    ("ua_binary", "_create_type_deserializer"),
    ("ua_binary", "_create_dataclass_deserializer"),
    ("ua_binary", "variant_from_binary"),
    ("ua_binary", "extensionobject_from_binary"),
)

SWEEP_SECONDS: Final = 0.5
TIMED_OUT: Final = "no answer in time"
_WINDOWS_EPOCH: Final = 116_444_736_000_000_000

Answer = Callable[[bytes | None, str], None]
"""Gets the answer's body, or None and why there is none."""


class _Reply(RawReply):
    """Stands in asyncua's table of callbacks where it expects a future."""

    __slots__ = ("_answer", "_calls", "deadline")

    def __init__(self, calls: Calls, answer: Answer, deadline: float) -> None:
        self._calls = calls
        self._answer: Answer | None = answer
        self.deadline = deadline

    def done(self) -> bool:
        return self._answer is None

    def cancel(self) -> bool:
        self._finish(None, "cancelled")
        return True

    def set_body(self, body: bytes) -> None:
        self._finish(body, "")

    def set_result(self, body: Buffer) -> None:
        self._finish(bytes(body), "")

    def set_exception(self, error: BaseException) -> None:
        self._finish(None, str(error) or type(error).__name__)

    def expire(self) -> None:
        """A later answer finds this reply done and is passed over."""
        self._finish(None, TIMED_OUT)

    def _finish(self, body: bytes | None, failure: str) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        self._calls.waiting.discard(self)
        try:
            answer(body, failure)
        except Exception:  # a fault of ours must not look like a hostile server
            log.exception("the receiver of an answer failed")


class Calls:
    """Requests of one session, each with its time-out; one sweep timer for all of them."""

    def __init__(self, client: GuardedClient) -> None:
        self._protocol: GuardedProtocol = client.guarded
        self._token = nodeid_to_binary(self._protocol.authentication_token)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.waiting: set[_Reply] = set()

    @property
    def last_heard(self) -> float:
        return self._protocol.last_heard

    @property
    def lost_reason(self) -> str:
        return self._protocol.lost_reason

    @property
    def is_open(self) -> bool:
        transport = self._protocol.transport
        return transport is not None and not transport.is_closing()

    @property
    def max_request_size(self) -> int:
        return self._protocol.max_request_size

    def drop(self, reason: str, *, hostile: bool = False) -> None:
        self._protocol.drop(reason, hostile=hostile)

    def send(
        self,
        type_id: int,
        build: Callable[[bytes], bytes],
        answer: Answer,
        timeout: float | None,
        may_send: Callable[[], bool] | None = None,
    ) -> bool:
        """Send the request that ``build`` makes of its header; ``answer`` is called once.

        ``may_send`` is asked as the last thing before the transport gets the bytes. Without a
        ``timeout`` the answer may take for ever.

        Raises:
            ConnectionError: the session is lost; nothing was sent.
            RequestTooLarge: the server does not take a message of this size; nothing was sent.
        """
        protocol = self._protocol
        transport = protocol.transport
        if transport is None or transport.is_closing():
            raise ConnectionError(protocol.lost_reason or "the connection is closed")
        hint = int(timeout * 1000) if timeout else 0
        now = time.time_ns() // 100 + _WINDOWS_EPOCH
        handle = protocol._request_handle = (protocol._request_handle + 1) & 0xFFFFFFFF
        body = build(request_header(type_id, self._token, now, handle, hint))
        if len(body) > protocol.max_request_size:
            raise RequestTooLarge(len(body), protocol.max_request_size)
        connection = protocol._connection
        protocol.revolve_security_token()
        before = connection._sequence_number
        request_id = protocol._request_id + 1
        message = frame(connection, body, request_id)
        deadline = self._loop.time() + timeout if timeout else float("inf")
        reply = _Reply(self, answer, deadline)
        if timeout:
            self._watch(reply)
        callbacks: dict[int, Any] = protocol._callbackmap
        callbacks[request_id] = reply
        if may_send is not None and not may_send():
            # The peer counts sequence numbers without gaps: what was not sent was not counted.
            connection._sequence_number = before
            self.waiting.discard(reply)
            del callbacks[request_id]
            return False
        transport.write(message)
        protocol._request_id = request_id
        return True

    async def call(self, type_id: int, build: Callable[[bytes], bytes], timeout: float) -> bytes:
        """Send a request and wait for the body of its answer.

        Raises:
            ConnectionError: the session is lost, now or while waiting.
            TimeoutError: no answer came in time.
            RequestTooLarge: as of `send`.
        """
        future: asyncio.Future[bytes] = self._loop.create_future()

        def answered(body: bytes | None, failure: str) -> None:
            if future.done():
                return
            if body is not None:
                future.set_result(body)
            elif failure == TIMED_OUT:
                future.set_exception(TimeoutError(f"no answer within {timeout:g} s"))
            else:
                future.set_exception(ConnectionError(failure))

        self.send(type_id, build, answered, timeout)
        return await future

    # --- time-outs ---

    def _watch(self, reply: _Reply) -> None:
        self.waiting.add(reply)
        if self._timer is None:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        now = self._loop.time()
        for reply in [reply for reply in self.waiting if reply.deadline <= now]:
            reply.expire()
        self._timer = None
        if self.waiting:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep)
