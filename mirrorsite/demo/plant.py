"""A sample plant: an OPC UA server with areas, reactors and tags that move.

``python -m mirrorsite.demo.plant --name north --port 8030 --items 100 --rate 2``. Beside its own
tags it has a folder with writable nodes of the other plant's tags, for a pipe to write to.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Final

from asyncua import ua
from asyncua.server.server import Server
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from mirrorsite.demo import tags
from mirrorsite.demo.movement import PROFILE_POINTS, SETPOINT, TAGS, Kind, Reactor, Value
from mirrorsite.demo.tags import Tag

log = logging.getLogger(__name__)


def _standard(number: int) -> ua.NodeId:
    """A node of the standard's own namespace."""
    return ua.NodeId(ua.Int32(number))


_READ: Final = ua.AccessLevel.CurrentRead.mask
_WRITE: Final = _READ | ua.AccessLevel.CurrentWrite.mask
_OBJECTS: Final = _standard(ObjectIds.ObjectsFolder)
_SETPOINT_KIND: Final = next(kind for kind in TAGS if kind.name == SETPOINT)
_TYPES: Final = {
    Kind.DOUBLE: ua.VariantType.Double,
    Kind.FLOAT: ua.VariantType.Float,
    Kind.BOOLEAN: ua.VariantType.Boolean,
    Kind.INT32: ua.VariantType.Int32,
    Kind.STRING: ua.VariantType.String,
    Kind.DOUBLES: ua.VariantType.Double,
}
_EMPTY: Final[dict[Kind, Value]] = {
    Kind.DOUBLE: 0.0,
    Kind.FLOAT: 0.0,
    Kind.BOOLEAN: False,
    Kind.INT32: 0,
    Kind.STRING: "",
    Kind.DOUBLES: [0.0] * PROFILE_POINTS,
}


class Plant:
    """The server, its reactors and the nodes that show them."""

    def __init__(self, name: str, port: int, items: int, rate: float) -> None:
        self.name = name
        self.port = port
        self.seconds = 1.0 / rate
        self.tags = list(tags.tags(tags.share(name, items)))
        self.mirrored = list(tags.tags(tags.share(tags.other(name), items)))
        chance = Random(name)  # noqa: S311 - each plant moves in its own way, the same each time
        self._reactors = [
            Reactor(chance) for _ in range(max((tag.reactor for tag in self.tags), default=-1) + 1)
        ]
        self._shown: dict[Tag, Value] = {}
        self._server = Server()
        self._index = 0

    async def build(self, cache: Path | None) -> None:
        """Make the address space; ``cache`` is a folder that keeps the standard part of it."""
        await _load_standard_nodes(self._server, cache)
        self._server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        self._server.set_server_name(f"Mirrorsite sample plant {self.name}")
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        self._server.set_identity_tokens([ua.AnonymousIdentityToken])
        uri = tags.namespace(self.name)
        await self._server.set_application_uri(f"{uri}:server")  # namespace 1, not ours
        self._index = await self._server.register_namespace(uri)
        nodes = list(self._nodes())
        for added in await self._server.iserver.isession.add_nodes(nodes):
            added.StatusCode.check()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve, and move at the given rate, until ``stop``."""
        async with self._server:
            log.info("plant %s serves opc.tcp://127.0.0.1:%s", self.name, self.port)
            due = time.monotonic()
            while not stop.is_set():
                await self.move()
                due = max(due + self.seconds, time.monotonic())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), due - time.monotonic())

    async def move(self) -> None:
        """One step of every reactor; what changed is written to its node."""
        now = ua.DateTime.now(UTC)
        for number, reactor in enumerate(self._reactors):
            setpoint = self._read(Tag(number, _SETPOINT_KIND)) if self._shown else None
            if isinstance(setpoint, float):
                reactor.setpoint = setpoint  # an operator, here or in the other plant, changed it
            reactor.step(self.seconds)
        values = [reactor.values() for reactor in self._reactors]
        for tag in self.tags:
            value = values[tag.reactor][tag.kind.name]
            if self._shown.get(tag) != value:
                self._shown[tag] = value
                await self._write(tag, value, now)

    def _read(self, tag: Tag) -> object:
        node = self._node(tag.path)
        found = self._server.iserver.aspace.read_attribute_value(node, AttributeIds.Value)
        return found.Value.Value if found.Value is not None else None

    async def _write(self, tag: Tag, value: Value, now: ua.DateTime) -> None:
        data = ua.DataValue(
            ua.Variant(value, _TYPES[tag.kind.kind]),
            StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.Good)),
            SourceTimestamp=now,
            ServerTimestamp=now,
        )
        await self._server.write_attribute_value(self._node(tag.path), data)

    def _node(self, path: str) -> ua.NodeId:
        return ua.NodeId(ua.String(path), ua.Int16(self._index))

    def _nodes(self) -> Iterator[ua.AddNodesItem]:
        """Parents before their children."""
        folder = tags.mirror_folder(tags.other(self.name))
        yield self._folder(folder, folder, _OBJECTS)
        made: set[str] = set()
        mirrored = ((tag, f"{folder}.") for tag in self.mirrored)
        for tag, prefix in [*((tag, "") for tag in self.tags), *mirrored]:
            parent = self._node(folder) if prefix else _OBJECTS
            path = prefix
            for name in tag.folders:
                path = f"{path}{name}"
                if path not in made:
                    made.add(path)
                    yield self._folder(path, name, parent)
                parent = self._node(path)
                path += "."
            yield from self._variable(f"{prefix}{tag.path}", tag, parent, is_mirrored=bool(prefix))

    def _folder(self, path: str, name: str, parent: ua.NodeId) -> ua.AddNodesItem:
        attributes = ua.ObjectAttributes(DisplayName=ua.LocalizedText(name))
        return self._item(path, name, parent, ua.NodeClass.Object, ObjectIds.FolderType, attributes)

    def _variable(
        self, path: str, tag: Tag, parent: ua.NodeId, *, is_mirrored: bool
    ) -> Iterator[ua.AddNodesItem]:
        kind = tag.kind
        access = _WRITE if is_mirrored or kind.name == SETPOINT else _READ
        type_id = ObjectIds.BaseDataVariableType
        if kind.unit is not None and kind.kind is not Kind.DOUBLES:
            type_id = ObjectIds.AnalogItemType
        is_list = kind.kind is Kind.DOUBLES
        attributes = ua.VariableAttributes(
            DisplayName=ua.LocalizedText(kind.name),
            Description=ua.LocalizedText(kind.text),
            Value=ua.Variant(_EMPTY[kind.kind], _TYPES[kind.kind]),
            DataType=_standard(_TYPES[kind.kind].value),
            ValueRank=ua.ValueRank.OneDimension if is_list else ua.ValueRank.Scalar,
            ArrayDimensions=[PROFILE_POINTS] if is_list else [],
            AccessLevel=access,
            UserAccessLevel=access,
        )
        yield self._item(path, kind.name, parent, ua.NodeClass.Variable, type_id, attributes)
        if kind.unit is not None:
            node = self._node(path)
            unit = ua.EUInformation(
                NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
                UnitId=int.from_bytes(kind.unit.code.encode("ascii"), "big"),  # Part 8, 5.6.3.3
                DisplayName=ua.LocalizedText(kind.unit.symbol),
                Description=ua.LocalizedText(kind.unit.name),
            )
            span = ua.Range(Low=kind.low, High=kind.high)
            yield self._property(path, "EURange", node, span, ObjectIds.Range)
            yield self._property(path, "EngineeringUnits", node, unit, ObjectIds.EUInformation)

    def _property(
        self, path: str, name: str, parent: ua.NodeId, value: object, type_id: int
    ) -> ua.AddNodesItem:
        attributes = ua.VariableAttributes(
            DisplayName=ua.LocalizedText(name),
            Value=ua.Variant(value, ua.VariantType.ExtensionObject),
            DataType=_standard(type_id),
            ValueRank=ua.ValueRank.Scalar,
            AccessLevel=_READ,
            UserAccessLevel=_READ,
        )
        item = self._item(
            f"{path}.{name}",
            name,
            parent,
            ua.NodeClass.Variable,
            ObjectIds.PropertyType,
            attributes,
        )
        item.ReferenceTypeId = _standard(ObjectIds.HasProperty)
        item.BrowseName = ua.QualifiedName(name, 0)
        return item

    def _item(
        self,
        path: str,
        name: str,
        parent: ua.NodeId,
        node_class: ua.NodeClass,
        type_id: int,
        attributes: ua.ObjectAttributes | ua.VariableAttributes,
    ) -> ua.AddNodesItem:
        is_variable = node_class is ua.NodeClass.Variable
        reference = ObjectIds.HasComponent if is_variable else ObjectIds.Organizes
        return ua.AddNodesItem(
            RequestedNewNodeId=self._node(path),
            BrowseName=ua.QualifiedName(name, self._index),
            NodeClass=node_class,
            ParentNodeId=parent,
            ReferenceTypeId=_standard(reference),
            TypeDefinition=_standard(type_id),
            NodeAttributes=attributes,
        )


async def _load_standard_nodes(server: Server, cache: Path | None) -> None:
    """Load the standard address space, which costs 2.5 s of CPU unless it is cached (0.1 s).

    The cache is written to a folder of its own and then renamed: a start that is interrupted, or
    two at once, leave a whole cache or none.
    """
    if cache is None:
        await server.init()
        return
    versions = f"{version('asyncua')}-{platform.python_version()}"
    folder = cache / f"nodes-{versions}"
    if folder.is_dir():
        await server.init(folder / "nodes")
        return
    draft = cache / f".nodes-{os.getpid()}"
    draft.mkdir(parents=True)
    try:
        await server.init(draft / "nodes")
        # asyncua looks for this very name; Python's plain database keeps its data beside it.
        if not (draft / "nodes.db").exists():
            (draft / "nodes").touch()
        draft.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # else another plant was first, and its cache is as good
            log.info("the standard nodes were not cached, which costs time only: %s", error)
        shutil.rmtree(draft, ignore_errors=True)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A sample plant of the demo.")
    parser.add_argument("--name", choices=[tags.NORTH, tags.SOUTH], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--items", type=int, default=200, help="of the whole demo")
    parser.add_argument("--rate", type=float, default=2.0, help="steps per second")
    parser.add_argument("--cache", type=Path, help="a folder that makes the next start faster")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    plant = Plant(options.name, options.port, options.items, options.rate)
    await plant.build(options.cache)
    await plant.run(stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    log.setLevel(logging.INFO)
    # Said once per server and true: these plants serve loopback without security.
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    asyncio.run(serve(_options(sys.argv[1:])))
