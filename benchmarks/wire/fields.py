"""Fields of requests and answers in OPC UA's binary form (Part 6, 5.2), as far as a load needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from struct import Struct, pack
from typing import Final

NULL: Final = b"\xff\xff\xff\xff"
GOOD: Final = 0
WINDOWS_EPOCH: Final = 116_444_736_000_000_000
_UINT32: Final = Struct("<I")
_INT32: Final = Struct("<i")
_DOUBLE: Final = Struct("<d")
_RESPONSE: Final = Struct("<BBHqIIBiHB")
_REQUEST: Final = Struct("<qII")
#: Bytes of a NodeId by its encoding byte; strings and byte strings have their length besides.
_NODE_IDS: Final = {0: 2, 1: 4, 2: 7, 3: 7, 4: 19, 5: 7}
_WITH_LENGTH: Final = (3, 5)


def now_ticks() -> int:
    """The present instant in 100 ns since 1601, in whole microseconds.

    Clients in Python keep no more.
    """
    return time.time_ns() // 1000 * 10 + WINDOWS_EPOCH


def string(text: str | None) -> bytes:
    if text is None:
        return NULL
    data = text.encode()
    return _INT32.pack(len(data)) + data


def byte_string(data: bytes) -> bytes:
    return _INT32.pack(len(data)) + data


def array_of(parts: Sequence[bytes]) -> bytes:
    return _INT32.pack(len(parts)) + b"".join(parts)


def string_node_id(namespace: int, text: str) -> bytes:
    return pack("<BH", 3, namespace) + string(text)


def number_node_id(number: int) -> bytes:
    """Of namespace 0, in the form that takes any number of 16 bits."""
    return pack("<BBH", 1, 0, number)


def response(type_id: int, handle: int, result: int = GOOD) -> bytes:
    """The type of an answer and its ResponseHeader."""
    return _RESPONSE.pack(1, 0, type_id, now_ticks(), handle, result, 0, -1, 0, 0)


class Reader:
    """Reads a request field by field; whoever sends nonsense here gets an exception."""

    __slots__ = ("at", "body")

    def __init__(self, body: bytes, at: int = 0) -> None:
        self.body = body
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.body[self.at - 1]

    def uint32(self) -> int:
        self.at += 4
        return int(_UINT32.unpack_from(self.body, self.at - 4)[0])

    def int32(self) -> int:
        self.at += 4
        return int(_INT32.unpack_from(self.body, self.at - 4)[0])

    def double(self) -> float:
        self.at += 8
        return float(_DOUBLE.unpack_from(self.body, self.at - 8)[0])

    def string(self) -> bytes:
        """A String or ByteString; null is empty here."""
        length = max(0, self.int32())
        self.at += length
        return self.body[self.at - length : self.at]

    def node_id(self) -> bytes:
        """A NodeId as it is encoded."""
        start = self.at
        kind = self.body[start] & 0x3F
        self.at += _NODE_IDS[kind]
        if kind in _WITH_LENGTH:
            self.at += max(0, int(_INT32.unpack_from(self.body, self.at - 4)[0]))
        return self.body[start : self.at]

    def uint32s(self) -> list[int]:
        return [self.uint32() for _ in range(max(0, self.int32()))]

    def skip_extension_object(self) -> None:
        self.node_id()
        if self.byte():
            self.string()

    def request_header(self) -> tuple[bytes, int]:
        """The AuthenticationToken and the RequestHandle (Part 4, 7.32)."""
        token = self.node_id()
        _, handle, _ = _REQUEST.unpack_from(self.body, self.at)
        self.at += _REQUEST.size
        self.string()
        self.uint32()
        self.skip_extension_object()
        return token, int(handle)
