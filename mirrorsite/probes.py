"""How the launcher sees that a process of the station does its work; each answers in seconds.

A probe never raises: a process that does not answer properly is one that is not ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from redundancy.command import CommandError, CommandUnavailable, call

Probe = Callable[[], Awaitable[bool]]

PROBE_SECONDS: Final = 2.0
#: The jobs worker touches its pulse file every 2 s.
PULSE_SECONDS: Final = 15.0


def command_socket(path: Path) -> Probe:
    """A supervisor or pipe host that answers ``status`` on its unix socket."""

    def ask() -> bool:
        if not path.exists():
            return False
        try:
            call(path, "status", timeout=PROBE_SECONDS)
        except (CommandError, CommandUnavailable):
            return False
        return True

    async def probe() -> bool:
        return await asyncio.to_thread(ask)

    return probe


def redis_socket(path: Path) -> Probe:
    """A Redis that answers PING on its unix socket."""

    async def talk() -> bool:
        reader, writer = await asyncio.open_unix_connection(str(path))
        with contextlib.closing(writer):
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")

    return _in_time(talk)


def http_health(host: str, port: int, *, tls: bool) -> Probe:
    """A web process that answers ``/healthz`` with 200."""
    context = None
    if tls:  # our own process on our own machine: its certificate is made for people's addresses
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound

    async def talk() -> bool:
        reader, writer = await asyncio.open_connection(address, port, ssl=context)
        with contextlib.closing(writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status = (await reader.readline()).split()
            return len(status) > 1 and status[1] == b"200"

    return _in_time(talk)


def pulse(path: Path, clock: Callable[[], float] = time.time) -> Probe:
    """A worker whose pulse file is fresh."""

    def look() -> bool:
        try:
            return abs(clock() - path.stat().st_mtime) < PULSE_SECONDS
        except OSError:
            return False

    async def probe() -> bool:
        return await asyncio.to_thread(look)

    return probe


def _in_time(talk: Probe) -> Probe:
    async def probe() -> bool:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await talk()
        except (OSError, TimeoutError, ValueError):
            return False

    return probe
