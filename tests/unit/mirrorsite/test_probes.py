"""Probes against small servers of the test's own; a probe answers and never raises."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from pathlib import Path

import pytest

from mirrorsite import probes
from redundancy.command import CommandServer


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path that fits into a unix socket's 107 bytes, however long this test's name is."""
    return tmp_path_factory.mktemp("p") / "s"


async def test_a_host_that_answers_status_is_ready(short: Path) -> None:
    async def status(params: dict[str, object]) -> dict[str, object]:
        return {}

    probe = probes.command_socket(short)
    assert not await probe()
    server = CommandServer(short, {"status": status})
    await server.start()

    assert await probe()

    await server.stop()
    assert not await probe()


async def test_redis_is_ready_when_it_answers_ping(short: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"+PONG\r\n")
        await writer.drain()
        writer.close()

    probe = probes.redis_socket(short)
    assert not await probe()

    async with await asyncio.start_unix_server(serve, str(short)):
        assert await probe()


@pytest.mark.parametrize(
    ("answer", "is_ready"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", True, id="well"),
        pytest.param(b"HTTP/1.1 500 Oops\r\n\r\n", False, id="an error"),
        pytest.param(b"", False, id="nothing"),
    ],
)
async def test_web_is_ready_when_healthz_answers_200(answer: bytes, is_ready: bool) -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        assert await probes.http_health("0.0.0.0", port, tls=False)() is is_ready

    assert asked == [b"GET /healthz HTTP/1.1\r\n"]


async def test_a_server_that_accepts_and_is_silent_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "PROBE_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        assert not await probes.http_health("127.0.0.1", port, tls=False)()


async def test_a_pulse_is_good_while_it_is_fresh(tmp_path: Path) -> None:
    pulse = tmp_path / "jobs.pulse"
    probe = probes.pulse(pulse)
    assert not await probe()

    pulse.touch()
    assert await probe()

    old = time.time() - 2 * probes.PULSE_SECONDS
    os.utime(pulse, (old, old))
    assert not await probe()
