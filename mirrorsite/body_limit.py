"""Request bodies end at 10 MiB, at 64 MiB where whole configurations travel.

This stands before Django, which would first write the whole body to a file. A body that is too
large is refused by its Content-Length, or at the byte that is too much. What the client still
sends is read and thrown away for a while, since most clients look at an answer only after they
have sent everything; after that the connection is closed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MIB: Final = 1024 * 1024
USUAL: Final = 10 * MIB
LARGE: Final = 64 * MIB
MOST_DISCARDED: Final = 256 * MIB
DISCARD_SECONDS: Final = 20.0
_LARGE_PATHS: Final = re.compile(r"/api/v1/(items/import|configuration|restore)/?")


class BodyTooLarge(Exception):  # noqa: N818 - of the request, not of the station
    """More bytes came than the path takes."""


class BodyLimit:
    """The ASGI application ``app`` behind limits on its request bodies."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = limit_for(scope["path"])
        headers = {key.lower(): value for key, value in scope["headers"]}
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > limit:
            if b"expect" not in headers:
                await _discard(receive)
            await _refuse(send, scope["path"], limit)
            return
        counted = _Counted(receive, limit)
        try:
            await self.app(scope, counted.receive, send)
        except BodyTooLarge:
            await _discard(receive)
            await _refuse(send, scope["path"], limit)


class _Counted:
    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise BodyTooLarge
        return message


def limit_for(path: str) -> int:
    """The most bytes that a body for ``path`` may have."""
    return LARGE if _LARGE_PATHS.fullmatch(path) else USUAL


async def _discard(receive: Receive) -> None:
    deadline = time.monotonic() + DISCARD_SECONDS
    seen = 0
    while seen <= MOST_DISCARDED and time.monotonic() < deadline:
        message = await receive()
        seen += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


async def _refuse(send: Send, path: str, limit: int) -> None:
    detail = f"The body of this request may have at most {limit // MIB} MiB; send it in parts"
    body = json.dumps(
        {
            "type": "about:blank",
            "title": "Too large",
            "status": 413,
            "code": "too_large",
            "detail": detail,
            "instance": path,
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
