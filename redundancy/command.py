"""Questions and commands between the processes of one station: JSON lines over a unix socket.

A request is one line ``{"method": …, "params": {…}}``; the answer is one line with ``result`` or
``error`` (``code``, ``message``). The supervisor and every pipe host serve one socket each, so that
a switchover or a look at a pipe works with Redis, database and web away.

The rules that keep a bad client from harming the loop it talks to:

* one request per connection is worked on at a time; the next is not read before it is answered;
* a message ends at ``MAX_MESSAGE`` bytes, a connection at ``IDLE_SECONDS`` without a whole request;
* an answer that is not taken within ``SEND_SECONDS`` ends the connection;
* at most ``MAX_CONNECTIONS``; the overflow is answered ``busy`` and counted in ``refused``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[Any]]

MAX_MESSAGE: Final = 16 * 1024 * 1024
MAX_CONNECTIONS: Final = 64
MAX_PATH: Final = 107  # bytes, sun_path of Linux without the final zero
IDLE_SECONDS: Final = 60.0
SEND_SECONDS: Final = 5.0
HANDLER_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 2.0
RECEIVE_BYTES: Final = 256 * 1024


class CommandError(Exception):
    """The other process refused: ``code`` for programs, ``message`` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class CommandUnavailable(Exception):  # noqa: N818 - a state of the other side, not a fault
    """Nobody answered in time; trying again later may help."""


class _Fault(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Request(msgspec.Struct, frozen=True):
    method: str
    params: dict[str, Any] = {}


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    result: Any = None
    error: _Fault | None = None


_decode_request: Final = msgspec.json.Decoder(_Request).decode
_decode_answer: Final = msgspec.json.Decoder(_Answer).decode
_encode: Final = msgspec.json.Encoder().encode


class CommandServer:
    """Serves ``handlers`` at a unix socket (0600) of this process's running loop.

    A handler gets the request's ``params`` and returns what JSON can hold; it refuses by raising
    `CommandError`. Handlers run on the loop: they await or return at once.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self.path = path
        self.handlers = dict(handlers)
        self.refused = 0
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        """Bind the socket in one step: it appears with mode 0600 and already listening.

        A socket file that nobody serves any more is replaced.

        Raises:
            OSError: the path is too long, or a living process serves it.

        """
        sock = _listen(self.path)
        self._inode = self.path.stat().st_ino
        self._server = await asyncio.start_unix_server(
            self._connected, sock=sock, limit=MAX_MESSAGE
        )

    async def serve(self) -> None:
        """Serve until cancelled, whatever becomes of the file.

        Waits while another process serves the path, as a predecessor may for a moment; binds anew
        when the file was taken away, as a cleaner of old files does.
        """
        told = False
        try:
            while True:
                try:
                    await self.start()
                except OSError as error:
                    if not told:
                        log.warning("the command socket cannot be served yet: %s", error)
                    told = True
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                told = False
                await self._taken_away()
                await self.stop()
        finally:
            await self.stop()

    async def _taken_away(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._is_in_place():
                return

    def _is_in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    async def stop(self) -> None:
        """Close the socket and every connection; the file goes if it is still ours."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if self._is_in_place():
            self.path.unlink(missing_ok=True)
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        if connection is None:  # pragma: no cover - asyncio always runs this in a task
            return
        self._connections.add(connection)
        writer.transport.set_write_buffer_limits(high=0)  # drain then means: the client has it
        try:
            if self._server is None:
                return  # accepted in the same turn of the loop as `stop`
            if len(self._connections) > MAX_CONNECTIONS:
                self.refused += 1
                await _send(writer, _fault("busy", f"more than {MAX_CONNECTIONS} connections"))
            else:
                await self._serve(reader, writer)
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # a client that went away or does not read; or `stop`
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    line = await reader.readline()
            except ValueError:
                await _send(writer, _fault("too_large", f"a request ends at {MAX_MESSAGE} bytes"))
                return
            if not line.endswith(b"\n"):
                return
            await _send(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = _decode_request(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _fault("invalid", f"not a request: {error}")
        handler = self.handlers.get(request.method)
        if handler is None:
            known = ", ".join(sorted(self.handlers))
            return _fault("unknown_method", f"{request.method!r} is not one of: {known}")
        limit = asyncio.timeout(HANDLER_SECONDS)
        try:
            async with limit:
                result = await handler(request.params)
            answer = _encode(_Answer(result=result))
        except CommandError as refusal:
            return _fault(refusal.code, refusal.message)
        except TimeoutError as error:
            taken = f"{request.method} took longer than {HANDLER_SECONDS:g} s"
            return _fault("timeout", taken if limit.expired() else f"{request.method}: {error}")
        except Exception as error:  # a fault of one handler must not cost the connection
            log.exception("command %s failed", request.method)
            return _fault("internal", f"{request.method}: {type(error).__name__}: {error}")
        if len(answer) >= MAX_MESSAGE:
            return _fault("too_large", f"the answer has {len(answer)} bytes; ask for less at once")
        return answer


def call(
    path: Path | str, method: str, params: Mapping[str, Any] | None = None, timeout: float = 2.0
) -> Any:
    """Ask the process that serves ``path``; blocks for at most ``timeout`` seconds in all.

    Raises:
        CommandUnavailable: nobody serves the socket, or no whole answer came in time.
        CommandError: the other side refused.

    """
    deadline = time.monotonic() + timeout
    request = _encode({"method": method, "params": dict(params or {})}) + b"\n"
    if len(request) > MAX_MESSAGE:
        raise CommandError("too_large", f"a request ends at {MAX_MESSAGE} bytes; send less at once")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(str(path))
            sock.settimeout(_left(deadline))
            with contextlib.suppress(BrokenPipeError):  # refused unread: the answer says why
                sock.sendall(request)
            line = _receive_line(sock, deadline)
        answer = _decode_answer(line)
    except (OSError, msgspec.MsgspecError) as error:
        reason = str(error) or type(error).__name__
        raise CommandUnavailable(f"{method} at {path}: {reason}") from error
    if answer.error is not None:
        raise CommandError(answer.error.code, answer.error.message)
    return answer.result


def _receive_line(sock: socket.socket, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        sock.settimeout(_left(deadline))
        part = sock.recv(RECEIVE_BYTES)
        if not part:
            raise ConnectionError("closed without an answer")
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
        if size > MAX_MESSAGE:
            raise ConnectionError(f"the answer is longer than {MAX_MESSAGE} bytes")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH - 4:
        raise OSError(
            errno.ENAMETOOLONG, f"{path} is too long for a socket; set MIRRORSITE_RUN_DIR shorter"
        )
    if _is_served(path):
        raise OSError(errno.EADDRINUSE, f"another process serves {path}")
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(fresh))
        fresh.chmod(0o600)  # before listen: until then a connection is refused to everybody
        sock.listen(MAX_CONNECTIONS)
        sock.settimeout(0)
        fresh.replace(path)
    except OSError:
        sock.close()
        raise
    return sock


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # somebody listens, with a full backlog
        except OSError:
            return False
        return True


def _fault(code: str, message: str) -> bytes:
    return _encode(_Answer(error=_Fault(code, message)))


async def _send(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer + b"\n")
    async with asyncio.timeout(SEND_SECONDS):
        await writer.drain()
