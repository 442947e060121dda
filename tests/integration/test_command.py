from __future__ import annotations

import asyncio
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from redundancy import command
from redundancy.command import CommandError, CommandServer, CommandUnavailable, call


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ms-") as folder:  # short: socket paths end at 107
        yield Path(folder)


async def _echo(params: dict[str, Any]) -> Any:
    return params


async def _refuse(params: dict[str, Any]) -> Any:
    raise CommandError("not_now", "the station drains")


async def _break(params: dict[str, Any]) -> Any:
    raise KeyError("nothing")


async def _stall(params: dict[str, Any]) -> Any:
    await asyncio.Event().wait()


async def _big(params: dict[str, Any]) -> Any:
    return "x" * int(params["size"])


@pytest.fixture
async def server(run_dir: Path) -> AsyncIterator[CommandServer]:
    server = CommandServer(
        run_dir / "supervisor.sock",
        {"echo": _echo, "refuse": _refuse, "break": _break, "stall": _stall, "big": _big},
    )
    await server.start()
    yield server
    await server.stop()


async def _call(path: Path, method: str, params: Any = None, timeout: float = 5.0) -> Any:
    return await asyncio.to_thread(call, path, method, params, timeout)


async def test_a_question_gets_its_answer(server: CommandServer) -> None:
    assert await _call(server.path, "echo", {"a": [1, "ü", None]}) == {"a": [1, "ü", None]}


async def test_the_socket_is_private(server: CommandServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


async def test_a_refusal_carries_code_and_message(server: CommandServer) -> None:
    with pytest.raises(CommandError) as refusal:
        await _call(server.path, "refuse")

    assert (refusal.value.code, refusal.value.message) == ("not_now", "the station drains")


async def test_a_broken_handler_is_an_answer(server: CommandServer) -> None:
    with pytest.raises(CommandError, match=r"internal: break: KeyError"):
        await _call(server.path, "break")


async def test_an_unknown_method_names_the_known_ones(server: CommandServer) -> None:
    with pytest.raises(
        CommandError, match="unknown_method: 'ecko' is not one of: big, break, echo"
    ):
        await _call(server.path, "ecko")


async def test_nobody_there_is_unavailable(run_dir: Path) -> None:
    with pytest.raises(CommandUnavailable, match="echo at"):
        await _call(run_dir / "nobody.sock", "echo")


async def test_a_silent_handler_ends_at_the_callers_deadline(server: CommandServer) -> None:
    with pytest.raises(CommandUnavailable):
        await _call(server.path, "stall", timeout=0.1)


async def test_a_stuck_handler_ends_at_the_servers_limit(
    server: CommandServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "HANDLER_SECONDS", 0.05)

    with pytest.raises(CommandError, match=r"timeout: stall took longer than 0.05 s"):
        await _call(server.path, "stall")


async def test_an_answer_of_megabytes_arrives_whole(server: CommandServer) -> None:
    assert len(await _call(server.path, "big", {"size": 8_000_000})) == 8_000_000


async def test_an_answer_past_the_limit_says_so(
    server: CommandServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAX_MESSAGE", 1000)

    with pytest.raises(CommandError, match="too_large: the answer has 1013 bytes"):
        await _call(server.path, "big", {"size": 1000})


async def test_a_request_past_the_limit_is_not_sent(
    server: CommandServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAX_MESSAGE", 1000)

    with pytest.raises(CommandError, match="too_large: a request ends at 1000 bytes"):
        await _call(server.path, "echo", {"a": "x" * 1000})


async def test_a_request_line_without_end_is_cut_off(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAX_MESSAGE", 1000)
    server = CommandServer(run_dir / "s", {"echo": _echo})
    await server.start()
    try:
        reader, writer = await asyncio.open_unix_connection(server.path)
        writer.write(b"x" * 5000)

        assert b'"too_large"' in await reader.readline()
        writer.close()
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "line", [b"nonsense\n", b"[]\n", b'{"method": 5}\n', b'{"method": "\xff"}\n', b"{}\n"]
)
async def test_what_is_no_request_is_answered_and_the_connection_lives(
    server: CommandServer, line: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(line)
    assert b'"invalid"' in await reader.readline()

    writer.write(b'{"method": "echo", "params": {"a": 1}}\n')
    assert await reader.readline() == b'{"result":{"a":1}}\n'
    writer.close()


async def test_a_client_that_does_not_read_loses_its_connection_and_nobody_else_waits(
    server: CommandServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SEND_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(server.path))
        lazy.sendall(b'{"method": "big", "params": {"size": 4000000}}\n')

        assert await _call(server.path, "echo", {"a": 1}, 1.0) == {"a": 1}
        async with asyncio.timeout(5):
            while server.connections:
                await asyncio.sleep(0.01)


async def test_an_idle_client_loses_its_connection(
    server: CommandServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "IDLE_SECONDS", 0.05)
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"half": ')

    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_client_that_vanishes_in_the_middle_leaves_nothing(server: CommandServer) -> None:
    _, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"method": "echo"')
    writer.transport.abort()

    async with asyncio.timeout(5):
        await _call(server.path, "echo")
        while server.connections:
            await asyncio.sleep(0.01)


async def test_too_many_connections_are_answered_busy_and_counted(
    server: CommandServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "MAX_CONNECTIONS", 1)
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"method": "echo"}\n')
    await reader.readline()

    with pytest.raises(CommandError, match="busy: more than 1 connections"):
        await _call(server.path, "echo")

    assert server.refused == 1
    writer.close()


async def test_a_stale_socket_file_is_replaced(run_dir: Path) -> None:
    path = run_dir / "pipes-1.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = CommandServer(path, {"echo": _echo})

    await server.start()

    assert await _call(path, "echo", {"a": 1}) == {"a": 1}
    await server.stop()
    assert list(run_dir.iterdir()) == []


async def test_a_socket_that_somebody_serves_is_not_taken_over(server: CommandServer) -> None:
    second = CommandServer(server.path, {})

    with pytest.raises(OSError, match="another process serves"):
        await second.start()

    assert await _call(server.path, "echo", {"a": 1}) == {"a": 1}


async def test_a_path_too_long_for_a_socket_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="set MIRRORSITE_RUN_DIR shorter"):
        await CommandServer(tmp_path / ("x" * 120), {}).start()


async def test_stopping_ends_open_connections_and_may_be_repeated(server: CommandServer) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b'{"method": "stall"}\n')
    async with asyncio.timeout(5):
        while not server.connections:
            await asyncio.sleep(0.01)

    await server.stop()
    await server.stop()

    assert await reader.read() == b""
    assert not server.path.exists()
    writer.close()


async def test_the_file_of_a_successor_is_left_alone(server: CommandServer) -> None:
    server.path.unlink()
    successor = CommandServer(server.path, {"echo": _echo})
    await successor.start()

    await server.stop()

    assert await _call(successor.path, "echo", {"a": 1}) == {"a": 1}
    await successor.stop()


async def test_a_socket_file_that_is_taken_away_comes_back(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.01)
    server = CommandServer(run_dir / "pipes-1.sock", {"echo": _echo})
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        for _ in range(3):
            while not server.path.exists():
                await asyncio.sleep(0.005)
            assert await _call(server.path, "echo", {"a": 1}) == {"a": 1}
            server.path.unlink()

    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert list(run_dir.iterdir()) == []
