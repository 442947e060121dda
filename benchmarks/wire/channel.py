"""Chunks, Hello and a secure channel of policy None (Part 6, 7.1 and 6.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from struct import Struct, pack
from typing import Final, cast

from benchmarks.wire.fields import NULL, Reader, now_ticks, response, string

BUFFER: Final = 65_536
BIGGEST_MESSAGE: Final = 16 * 1024 * 1024
MOST_CHUNKS: Final = 2_048
POLICY_NONE: Final = "http://opcfoundation.org/UA/SecurityPolicy#None"
OPEN_CHANNEL_RESPONSE: Final = 449
_HEADER: Final = Struct("<3scI")
_MESSAGE: Final = Struct("<3scIIIII")
_UINT32: Final = Struct("<I")
_FIVE: Final = Struct("<5I")

Reply = Callable[[bytes], None]
"""Sends the body of an answer."""


class Channel(asyncio.Protocol):
    """One connection. ``handle`` gets each request's body and what sends the answer."""

    def __init__(
        self,
        channel_id: int,
        handle: Callable[[Channel, bytes, Reply], None],
        opened: Callable[[Channel], None],
        closed: Callable[[Channel], None],
    ) -> None:
        self._id = channel_id
        self._handle = handle
        self._opened = opened
        self._closed = closed
        self._unread = bytearray()
        self._parts: list[bytes] = []
        self._sequence = 0
        self._token = 0
        self._their_buffer = BUFFER
        self.transport: asyncio.Transport | None = None

    # -- transport ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._opened(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.transport = None
        self._closed(self)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        unread = self._unread
        at = 0
        while len(unread) - at >= _HEADER.size:
            kind, final, size = _HEADER.unpack_from(unread, at)
            if len(unread) - at < size:
                break
            self._chunk(kind, final, bytes(unread[at : at + size]))
            at += size
        del unread[:at]

    # -- chunks ---------------------------------------------------------------------------------

    def _chunk(self, kind: bytes, final: bytes, chunk: bytes) -> None:
        if kind == b"MSG":
            self._message(final, chunk)
        elif kind == b"OPN":
            self._open(chunk)
        elif kind == b"HEL":
            self._their_buffer = min(BUFFER, _FIVE.unpack_from(chunk, 8)[1])
            limits = (0, BUFFER, BUFFER, BIGGEST_MESSAGE, MOST_CHUNKS)
            self._write(_HEADER.pack(b"ACK", b"F", 28) + _FIVE.pack(*limits))
        elif self.transport is not None:  # CLO, or what nobody should send
            self.transport.close()

    def _message(self, final: bytes, chunk: bytes) -> None:
        body = chunk[24:]
        request_id = _UINT32.unpack_from(chunk, 20)[0]
        if final != b"F" or self._parts:
            self._parts.append(body)
            if final == b"C":
                return
            body = b"".join(self._parts)
            self._parts.clear()
            if final == b"A":
                return
        self._handle(self, body, partial(self._send, request_id))

    def _send(self, request_id: int, body: bytes) -> None:
        room = self._their_buffer - _MESSAGE.size
        for start in range(0, len(body), room):
            part = body[start : start + room]
            final = b"F" if start + room >= len(body) else b"C"
            size = _MESSAGE.size + len(part)
            numbers = (self._id, self._token, self._next(), request_id)
            self._write(_MESSAGE.pack(b"MSG", final, size, *numbers) + part)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    # -- the secure channel ---------------------------------------------------------------------

    def _open(self, chunk: bytes) -> None:
        """Issue or renew the channel (Part 4, 5.5.2); nothing is signed in policy None."""
        reader = Reader(chunk, 12)
        for _ in range(3):  # policy, certificate, thumbprint
            reader.string()
        reader.uint32()
        request_id = reader.uint32()
        reader.node_id()
        _, handle = reader.request_header()
        for _ in range(3):  # protocol version, request type, security mode
            reader.uint32()
        reader.string()
        lifetime = reader.uint32()
        self._token += 1
        body = (
            response(OPEN_CHANNEL_RESPONSE, handle)
            + pack("<IIIqI", 0, self._id, self._token, now_ticks(), lifetime)
            + NULL
        )
        rest = string(POLICY_NONE) + NULL + NULL + pack("<II", self._next(), request_id) + body
        self._write(_HEADER.pack(b"OPN", b"F", 12 + len(rest)) + pack("<I", self._id) + rest)
