"""Servers of a load in a process of their own, driven by JSON lines on stdin.

``python -m benchmarks.wire --items 10000 --ports 4840,4841`` prints ``{"ready": true}`` when it
serves. Each command line gets one answer line; ``server`` picks one of the servers, else all:

* ``run {"rate"}``: each server changes values round robin, so many a second, until ``halt``;
* ``halt``: change no more; answers ``changes`` and the ``seconds`` they took;
* ``reset {"value"}``: give every item this value; from now on writes and latency are counted;
* ``counts``: answers ``writes`` taken from clients since ``reset``, ``missing`` items that none of
  them wrote, the monotonic seconds ``first_at`` of the first write and ``synced_at`` of the one
  that left nothing missing, ``created_from`` and ``created_until`` of monitored items made,
  ``requests``, ``refused`` values, ``sessions`` and ``publishes``;
* ``latencies``: milliseconds from SourceTimestamp to write, of a sample of writes since last asked;
* ``state``: variant, status and SourceTimestamp of every item, server by server;
* ``slow {"seconds"}``: each written value takes so long;
* ``stall {"seconds"}``: answer nothing for a while;
* ``restart {"seconds"}``: drop all connections and be away for a while;
* ``stop``.

``stall`` and ``restart`` are answered at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from benchmarks.wire.server import Shape, WireServer
from benchmarks.wire.store import STORES, State

COMMAND_LIMIT: Final = 1 << 20


class Load:
    """All servers of the process."""

    def __init__(self, servers: list[WireServer]) -> None:
        self._all = servers
        self._started = 0.0
        self._doing: set[asyncio.Task[None]] = set()

    def answer(self, command: dict[str, Any]) -> Any:
        known: dict[str, Callable[..., Any]] = {
            "run": self._run,
            "halt": self._halt,
            "reset": _reset,
            "counts": _counts,
            "latencies": _latencies,
            "state": _state,
            "slow": _slow,
            "stall": lambda some, seconds: self._begin(each.stall(seconds) for each in some),
            "restart": lambda some, seconds: self._begin(each.restart(seconds) for each in some),
        }
        name, server = command.pop("cmd"), command.pop("server", None)
        some = self._all if server is None else [self._all[server]]
        return known[name](some, **command)

    def _run(self, some: list[WireServer], rate: float) -> None:
        self._started = time.monotonic()
        for server in some:
            server.run(rate)

    def _halt(self, some: list[WireServer]) -> dict[str, float]:
        for server in some:
            server.halt()
        seconds = time.monotonic() - self._started
        return {"changes": sum(server.made for server in some), "seconds": seconds}

    def _begin(self, doings: Iterable[Coroutine[Any, Any, None]]) -> None:
        for doing in doings:
            task = asyncio.create_task(doing)
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)


def _reset(some: list[WireServer], value: float) -> None:
    for server in some:
        server.reset(value)


def _slow(some: list[WireServer], seconds: float) -> None:
    for server in some:
        server.slow(seconds)


def _state(some: list[WireServer]) -> list[State]:
    return [server.state(index) for server in some for index in range(server.changes.items)]


def _counts(some: list[WireServer]) -> dict[str, Any]:
    writes = [server.services.writes for server in some]
    firsts = [each.first_at for each in writes if each.first_at is not None]
    services = [server.services for server in some]
    begun = [each.created_from for each in services if each.created_from is not None]
    ended = [each.created_until for each in services if each.created_until is not None]
    synced = [each.synced_at for each in writes if each.synced_at is not None]
    return {
        "writes": sum(each.count for each in writes),
        "missing": sum(each.missing for each in writes),
        "first_at": min(firsts, default=None),
        "synced_at": max(synced) if len(synced) == len(writes) else None,
        "created_from": min(begun, default=None),
        "created_until": max(ended, default=None),
        "requests": sum(each.requests for each in writes),
        "refused": sum(each.refused for each in writes),
        "sessions": sum(len(server.services.sessions) for server in some),
        "publishes": sum(server.services.publishes for server in some),
    }


def _latencies(some: list[WireServer]) -> list[float]:
    return [round(each, 3) for server in some for each in server.services.writes.latencies()]


async def serve(servers: list[WireServer]) -> None:
    for server in servers:
        await server.listen()
    _say({"ready": True})
    gc.freeze()
    load = Load(servers)
    reader = asyncio.StreamReader(limit=COMMAND_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        if command["cmd"] == "stop":
            break
        _say({"result": load.answer(command)})
    for server in servers:
        await server.stop()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="servers of a load")
    parser.add_argument("--items", type=int, required=True, help="of each server")
    parser.add_argument("--ports", required=True, help="one for each server, with commas")
    parser.add_argument("--kind", choices=sorted(STORES), default="doubles")
    parser.add_argument("--notifications", type=int, default=1000)
    parser.add_argument("--operations", type=int, default=1000)
    chosen = parser.parse_args()
    shape = Shape(chosen.items, chosen.kind, chosen.notifications, chosen.operations)
    asyncio.run(serve([WireServer(shape, int(port)) for port in chosen.ports.split(",")]))


if __name__ == "__main__":
    main()
