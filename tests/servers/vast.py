"""A raw-socket server with an address space of any size that costs it no memory.

``python -m tests.servers.vast --nodes 10000`` prints ``{"ready": true, "port": …}`` and serves
until stdin ends. Folders ``F0``… below Objects hold ``--per-folder`` variables each; every folder
also holds the next folder and the Objects folder, and every tenth variable has a property. It has
``--points`` continuation points for a session, and forgets every ``--forget``-th of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from tests.servers import hostile

OBJECTS = ua.NodeId(85)
ORGANIZES, HAS_COMPONENT, HAS_PROPERTY = ua.NodeId(35), ua.NodeId(47), ua.NodeId(46)
FOLDER, VARIABLE, PROPERTY = ua.NodeId(61), ua.NodeId(63), ua.NodeId(68)
Child = tuple[ua.NodeId, ua.NodeId, ua.NodeClass, ua.NodeId]
STARTED = datetime.now(UTC)


class Connection(hostile.Connection):
    def __init__(self, options: argparse.Namespace, reader: Any, writer: Any) -> None:
        options.how = "honest"
        super().__init__(options, reader, writer)
        self.options = options
        self.open: dict[bytes, tuple[ua.NodeId, int, int]] = {}
        self.given = 0
        self.asked = 0

    async def request(self, request_id: int, buffer: Any) -> None:
        if self.options.delay_ms:
            await asyncio.sleep(self.options.delay_ms / 1000)
        await super().request(request_id, buffer)

    # --- the address space ---

    @property
    def folders(self) -> int:
        return -(-self.options.nodes // self.options.per_folder)

    def children(self, node: ua.NodeId, start: int, most: int) -> list[Child] | None:
        """``most`` of what lies below a node, from ``start`` on; None if there is no such node."""
        if node == OBJECTS:
            numbers = range(self.folders)[start : start + most]
            return [self.folder(number) for number in numbers]
        name = str(node.Identifier)
        if not name.startswith("F"):
            return None
        folder, _, variable = name.removeprefix("F").partition(".V")
        if not variable:
            return self.inside(int(folder), start, most)
        if int(variable) % 10 or ".P" in name:
            return []
        return [self.child(f"{name}.P", ua.NodeClass.Variable, HAS_PROPERTY, PROPERTY)][start:]

    def inside(self, folder: int, start: int, most: int) -> list[Child]:
        first = folder * self.options.per_folder
        count = min(self.options.per_folder, self.options.nodes - first)
        found = [
            self.child(f"F{folder}.V{number}", ua.NodeClass.Variable, HAS_COMPONENT, VARIABLE)
            for number in range(count)[start : start + most]
        ]
        loops = [self.folder((folder + 1) % self.folders)]
        loops.append((OBJECTS, ORGANIZES, ua.NodeClass.Object, FOLDER))
        left = most - len(found)
        return found + loops[max(0, start - count) :][: max(0, left)]

    def folder(self, number: int) -> Child:
        return self.child(f"F{number}", ua.NodeClass.Object, ORGANIZES, FOLDER)

    def child(
        self, name: str, node_class: ua.NodeClass, reference: ua.NodeId, kind: ua.NodeId
    ) -> Child:
        return (ua.NodeId(name, 2), reference, node_class, kind)

    # --- services ---

    def browse(self, request_id: int, request: Any) -> None:
        most = request.Parameters.RequestedMaxReferencesPerNode or 1_000_000
        answer = ua.BrowseResponse()
        answer.Results = [
            self.page_at(one.NodeId, 0, most) for one in request.Parameters.NodesToBrowse
        ]
        self.answer(request_id, answer)

    def browse_next(self, request_id: int, request: Any) -> None:
        answer = ua.BrowseNextResponse()
        results = []
        for point in request.Parameters.ContinuationPoints:
            self.asked += 1
            found = self.open.pop(point, None)
            if request.Parameters.ReleaseContinuationPoints:
                continue
            is_forgotten = self.options.forget and self.asked % self.options.forget == 0
            if found is None or is_forgotten:
                results.append(self.refusal(ua.StatusCodes.BadContinuationPointInvalid))
            else:
                results.append(self.page_at(*found))
        answer.Parameters.Results = results
        self.answer(request_id, answer)

    def page_at(self, node: ua.NodeId, start: int, most: int) -> ua.BrowseResult:
        found = self.children(node, start, most)
        if found is None:
            return self.refusal(ua.StatusCodes.BadNodeIdUnknown)
        result = ua.BrowseResult()
        result.StatusCode = ua.StatusCode()
        if len(found) == most and self.children(node, start + most, 1):
            if len(self.open) >= self.options.points:
                return self.refusal(ua.StatusCodes.BadNoContinuationPoints)
            self.given += 1
            result.ContinuationPoint = struct.pack("<I", self.given)
            self.open[result.ContinuationPoint] = (node, start + most, most)
        result.References = [described(*one) for one in found]
        return result

    def refusal(self, status: int) -> ua.BrowseResult:
        result = ua.BrowseResult()
        result.StatusCode = ua.StatusCode(status)
        return result

    async def read(self, request_id: int, request: Any) -> None:
        answer = ua.ReadResponse()
        answer.Results = [
            self.attribute(one.NodeId, one.AttributeId) for one in request.Parameters.NodesToRead
        ]
        self.answer(request_id, answer)

    def attribute(self, node: ua.NodeId, attribute: int) -> ua.DataValue:
        if not node.NamespaceIndex:
            if node.Identifier == 2735:
                return ua.DataValue(ua.Variant(self.options.points, ua.VariantType.UInt16))
            if node.Identifier == 2257:
                return ua.DataValue(ua.Variant(STARTED, ua.VariantType.DateTime))
            if node.Identifier == 2258:
                return ua.DataValue(ua.Variant(datetime.now(UTC), ua.VariantType.DateTime))
            return self.value(node)
        return ua.DataValue(
            {
                14: ua.Variant(ua.NodeId(11), ua.VariantType.NodeId),
                15: ua.Variant(-1, ua.VariantType.Int32),
                18: ua.Variant(3, ua.VariantType.Byte),
            }.get(attribute, ua.Variant(1.5, ua.VariantType.Double))
        )


def described(
    node: ua.NodeId, reference: ua.NodeId, node_class: ua.NodeClass, kind: ua.NodeId
) -> ua.ReferenceDescription:
    found = ua.ReferenceDescription()
    found.ReferenceTypeId = reference
    found.NodeId = ua.ExpandedNodeId(node.Identifier, node.NamespaceIndex)
    name = "Objects" if node == OBJECTS else str(node.Identifier).rpartition(".")[2]
    found.BrowseName = ua.QualifiedName(name, node.NamespaceIndex)
    found.DisplayName = ua.LocalizedText(name)
    found.NodeClass = node_class
    found.TypeDefinition = ua.ExpandedNodeId(kind.Identifier)
    return found


async def serve(options: argparse.Namespace) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(options, reader, writer).serve()

    server = await asyncio.start_server(accept, "127.0.0.1", options.port)
    options.port = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"ready": True, "port": options.port}) + "\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()  # until the test closes it


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--per-folder", type=int, default=500)
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--forget", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
