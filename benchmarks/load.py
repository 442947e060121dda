"""A server under load as a process of its own, driven by JSON lines on stdin: source or sink.

``python -m benchmarks.load --items 10000`` prints ``{"ready": true, "port": …}`` when it serves.
Each command line gets one answer line:

* ``run {"rate"}``: change values round robin, so many a second, until ``halt``;
* ``halt``: change no more; answers ``changes`` and the ``seconds`` they took;
* ``reset {"value"}``: give every item this value; from now on first writes and latency are counted;
* ``counts``: answers ``writes`` taken from clients since ``reset``, ``missing`` items that none of
  them wrote, and the monotonic seconds ``first_at`` of the first write and ``synced_at`` of the one
  that left nothing missing;
* ``latencies``: milliseconds from SourceTimestamp to write, of a sample of writes since last asked;
* ``state``: value, status and SourceTimestamp of every item;
* ``stop``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from asyncua import ua
from asyncua.common.callback import CallbackType
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.monitored_item_service import MonitoredItemValues
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from benchmarks.names import NAMESPACE, node_name
from pipes.pki import Pki

TICK: Final = 0.02
#: A source that fell behind makes up for so much time at once; the rest is never changed.
MOST_BEHIND: Final = 0.2
ITEMS_PER_FOLDER: Final = 500
LATENCY_EVERY: Final = 16
LATENCIES: Final = 50_000
START_VALUE: Final = -1.0
READ_AND_WRITE: Final = ua.AccessLevel.CurrentRead.mask | ua.AccessLevel.CurrentWrite.mask


class Own(NamedTuple):
    """A server's certificate: its folder, and the name that is part of its URI."""

    folder: Path
    name: str


class Everybody(UserManager):
    """Lets anybody write without a look at the AccessLevel, which would cost two reads a value."""

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002 - asyncua's signature
        username: str | None = None,  # noqa: ARG002
        password: str | None = None,  # noqa: ARG002
        certificate: Any = None,  # noqa: ARG002
    ) -> User | None:
        return User(role=UserRole.Admin)


def keep_values_by_reference() -> None:
    """Save asyncua's deep copy of each sampled value: a third of what a change costs the source.

    No DataValue is ever altered here, so that nobody sees a difference.
    """

    def set_current(self: MonitoredItemValues, value: ua.DataValue) -> None:
        self.old_dvalue, self.current_dvalue = self.current_dvalue, value

    MonitoredItemValues.set_current_datavalue = set_current  # type: ignore[method-assign, assignment]


class Load:
    """One server with ``items`` Doubles; what changes them, and what counts their writes."""

    def __init__(self, items: int, port: int, own: Own | None = None) -> None:
        self._items = items
        self._own = own
        self._port = port
        self._server = Server(user_manager=Everybody())
        self._ids: list[ua.NodeId] = []
        self._changing: asyncio.Task[None] | None = None
        self._changes = 0
        self._started = 0.0
        self._serial = 0
        self._missing: set[ua.NodeId] = set()
        self._writes = 0
        self._first_at: float | None = None
        self._synced_at: float | None = None
        self._latencies: deque[float] = deque(maxlen=LATENCIES)

    async def start(self) -> None:
        server = self._server
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self._port}/load/")
        await self._secure(server)
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        namespace = await server.register_namespace(NAMESPACE)
        self._ids = [ua.NodeId(node_name(index), namespace) for index in range(self._items)]
        for start in range(0, self._items, ITEMS_PER_FOLDER):
            await self._add_folder(namespace, start)
        await self.reset(START_VALUE)
        server.subscribe_server_callback(CallbackType.PostWrite, self._written)
        await server.start()

    async def _secure(self, server: Server) -> None:
        policies = [ua.SecurityPolicyType.NoSecurity]
        if self._own is not None:
            uri = f"urn:mirrorsite:bench:{self._own.name}"
            Pki(self._own.folder).own(uri, ["127.0.0.1"])
            await server.set_application_uri(uri)
            await server.load_certificate(self._own.folder / "own" / "cert.der")
            await server.load_private_key(self._own.folder / "own" / "key.pem")
            policies.append(ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
        server.set_security_policy(policies)

    async def _add_folder(self, namespace: int, start: int) -> None:
        name = f"Folder{start // ITEMS_PER_FOLDER:03}"
        folder = await self._server.nodes.objects.add_folder(ua.NodeId(name, namespace), name)
        wanted = [
            _variable(folder.nodeid, node) for node in self._ids[start : start + ITEMS_PER_FOLDER]
        ]
        for result in await self._server.iserver.isession.add_nodes(wanted):
            result.StatusCode.check()

    # -- the source -----------------------------------------------------------------------------

    async def run(self, rate: float) -> None:
        self._changes, self._started = 0, time.monotonic()
        self._changing = asyncio.create_task(self._change(rate))

    async def _change(self, rate: float) -> None:
        last = time.monotonic()
        due = 0.0
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            due = min(due + (now - last) * rate, MOST_BEHIND * rate)
            last = now
            await self._change_some(int(due))
            due -= int(due)

    async def _change_some(self, count: int) -> None:
        write = self._server.iserver.aspace.write_attribute_value
        now = datetime.now(UTC)
        for serial in range(self._serial, self._serial + count):
            await write(
                self._ids[serial % self._items], AttributeIds.Value, _value(float(serial), now)
            )
        self._serial += count
        self._changes += count

    async def halt(self) -> dict[str, float]:
        if self._changing is not None:
            self._changing.cancel()
            await asyncio.gather(self._changing, return_exceptions=True)
            self._changing = None
        return {"changes": self._changes, "seconds": time.monotonic() - self._started}

    # -- the sink -------------------------------------------------------------------------------

    async def reset(self, value: float) -> None:
        now = datetime.now(UTC)
        for node in self._ids:
            await self._server.write_attribute_value(node, _value(value, now))
        self._missing = set(self._ids)
        self._first_at = self._synced_at = None
        self._writes = 0
        self._latencies.clear()

    def _written(self, event: Any, _service: Any) -> None:
        """Count the values that a client wrote well."""
        now = datetime.now(UTC)
        if not event.is_external:
            return
        pairs = zip(event.request_params.NodesToWrite, event.response_params, strict=True)
        done = [written for written, status in pairs if status.is_good()]
        self._writes += len(done)
        for written in done[::LATENCY_EVERY]:
            stamp = written.Value.SourceTimestamp
            if stamp is not None:
                self._latencies.append((now - stamp).total_seconds() * 1000)
        if self._missing and done:
            self._first_at = self._first_at or time.monotonic()
            self._missing.difference_update(written.NodeId for written in done)
            if not self._missing:
                self._synced_at = time.monotonic()

    async def counts(self) -> dict[str, Any]:
        return {
            "writes": self._writes,
            "missing": len(self._missing),
            "first_at": self._first_at,
            "synced_at": self._synced_at,
        }

    async def latencies(self) -> list[float]:
        found = [round(each, 3) for each in self._latencies]
        self._latencies.clear()
        return found

    # -- both -----------------------------------------------------------------------------------

    async def state(self) -> list[list[Any]]:
        read = self._server.iserver.aspace.read_attribute_value
        return [_shown(read(node, AttributeIds.Value)) for node in self._ids]

    async def stop(self) -> None:
        await self.halt()
        await self._server.stop()

    async def answer(self, command: dict[str, Any]) -> Any:
        known: dict[str, Callable[..., Any]] = {
            "run": self.run,
            "halt": self.halt,
            "reset": self.reset,
            "counts": self.counts,
            "latencies": self.latencies,
            "state": self.state,
        }
        return await known[command.pop("cmd")](**command)


def _variable(parent: ua.NodeId, node: ua.NodeId) -> ua.AddNodesItem:
    name = str(node.Identifier)
    attributes = ua.VariableAttributes()
    attributes.DisplayName = ua.LocalizedText(name)
    attributes.Value = ua.Variant(START_VALUE, ua.VariantType.Double)
    attributes.DataType = ua.NodeId(ObjectIds.Double)
    attributes.ValueRank = ua.ValueRank.Scalar
    attributes.ArrayDimensions = None  # type: ignore[assignment]
    attributes.AccessLevel = attributes.UserAccessLevel = READ_AND_WRITE
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = node
    item.BrowseName = ua.QualifiedName(name, node.NamespaceIndex)
    item.NodeClass = ua.NodeClass.Variable
    item.ParentNodeId = parent
    item.ReferenceTypeId = ua.NodeId(ObjectIds.HasComponent)
    item.TypeDefinition = ua.NodeId(ObjectIds.BaseDataVariableType)
    item.NodeAttributes = attributes
    return item


def _value(value: float, now: datetime) -> ua.DataValue:
    """As asyncua's own server makes them: both timestamps and a status."""
    return ua.DataValue(
        ua.Variant(value, ua.VariantType.Double), SourceTimestamp=now, ServerTimestamp=now
    )


def _shown(value: ua.DataValue) -> list[Any]:
    stamp = value.SourceTimestamp
    return [
        None if value.Value is None else value.Value.Value,
        0 if value.StatusCode is None else value.StatusCode.value,
        None if stamp is None else ua.datetime_to_win_epoch(stamp),
    ]


async def serve(items: int, port: int, own: Own | None) -> None:
    load = Load(items, port, own)
    await load.start()
    _say({"ready": True, "port": port})
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        if command["cmd"] == "stop":
            break
        _say({"result": await load.answer(command)})
    await load.stop()


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pki", help="folder of a certificate; offers SignAndEncrypt too")
    parser.add_argument("--name", default="load", help="part of the certificate's URI")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    keep_values_by_reference()
    own = Own(Path(options.pki), options.name) if options.pki else None
    asyncio.run(serve(options.items, options.port, own))


if __name__ == "__main__":
    main()
