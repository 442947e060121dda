"""An asyncua server as a process of its own, driven by JSON lines on stdin.

``python -m tests.servers.plant --port 0 --items 100`` prints ``{"ready": true, "port": …}`` when it
serves; each command line gets one answer line. Commands: ``set``, ``set_raw``, ``set_many``,
``read``, ``add_node``, ``delete_node``, ``delete_subscriptions``, ``refuse``, ``attempts``,
``mute``, ``die_of``, ``move``, ``traffic``, ``service_level``, ``redundancy``, ``counts``,
``stop``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import socket
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.server.user_managers import UserManager
from asyncua.ua.ua_binary import struct_from_binary

from tests.servers.journal import Journal
from tests.servers.misbehaviour import Misbehaviour
from tests.servers.redundancy import forget_redundancy, name_set, set_service_level
from tests.servers.traffic import Traffic

NAMESPACE = "urn:test:plant"
TYPES = "urn:test:types"
MODELS = Path(__file__).with_name("types.xml")
OTHERS = ("urn:test:first", "urn:test:second", "urn:test:third")
ITEMS_PER_FOLDER = 500
STAMP = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

#: A start value of every scalar type; the node ids are ``s=Scalar.<type>``.
SCALARS: dict[str, Any] = {
    "Boolean": True,
    "SByte": -5,
    "Byte": 5,
    "Int16": -1234,
    "UInt16": 1234,
    "Int32": -123456,
    "UInt32": 123456,
    "Int64": -(2**62),
    "UInt64": 2**63 + 5,
    "Float": 1.5,
    "Double": 2.718281828459045,
    "String": "Wörter ✓",
    "DateTime": STAMP,
    "Guid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "ByteString": b"\x00\x01\xff",
    "XmlElement": ua.XmlElement("<a/>"),
    "StatusCode": ua.StatusCode(0x80340000),
    "LocalizedText": ua.LocalizedText("Hallo", "de"),
    "QualifiedName": ua.QualifiedName("Name", 2),
    "NodeId": ua.NodeId("X", 2),
}
ARRAYS: dict[str, Any] = {
    "Double": [1.0, 2.0, 3.0],
    "Int32": [1, -2, 3],
    "String": ["a", "", "ccc"],
    "Boolean": [True, False],
    "Float": [0.5] * 10,
}


class Users(UserManager):
    def __init__(self, name: str, password: str) -> None:
        self._name = name
        self._password = password

    def get_user(
        self,
        iserver: Any,
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,
    ) -> User | None:
        if certificate is not None and username is None and not self._name:
            return User(role=UserRole.User)
        if not self._name or (username == self._name and password == self._password):
            return User(role=UserRole.User)
        return None


class Plant:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        manager = Users(options.user, options.password)
        self.server = Server(user_manager=manager)
        self.nodes: dict[str, Any] = {}
        self.types: dict[str, ua.VariantType] = {}
        self.misbehaviour = Misbehaviour(self.server, self.nodes)
        self.traffic = Traffic(self.server, self._write)

    async def build(self) -> None:
        options, server = self.options, self.server
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/plant/")
        await server.set_application_uri(options.application_uri)
        await self._secure()
        order = [NAMESPACE, *OTHERS]
        if options.namespace_order:
            order = [order[int(digit)] for digit in options.namespace_order]
        for uri in order:
            await server.register_namespace(uri)
        self.namespace = await server.get_namespace_index(NAMESPACE)
        await self._make_nodes()
        self._limit_calls()
        if options.value_only:
            self._refuse_timestamps_and_status()
        if options.no_redundancy:
            await forget_redundancy(server)
        if options.decoys:
            await self._make_decoys()
        if options.journal:
            self.journal = Journal(server, self.nodes, options.journal)

    async def _secure(self) -> None:
        policies = [ua.SecurityPolicyType[name] for name in self.options.policies.split(",")]
        rules = SimpleRoleRuleset()
        if self.options.certificate:
            await self.server.load_certificate(self.options.certificate)
            await self.server.load_private_key(self.options.key)
        self.server.set_security_policy(policies, permission_ruleset=rules)
        login = ua.UserNameIdentityToken if self.options.user else ua.AnonymousIdentityToken
        tokens = [login]
        if self.options.certificate:
            tokens.append(ua.X509IdentityToken)
        self.server.set_identity_tokens(tokens)

    async def _make_nodes(self) -> None:
        objects = self.server.nodes.objects
        folder = None
        for index in range(self.options.items):
            if index % ITEMS_PER_FOLDER == 0:
                name = f"Area{index // ITEMS_PER_FOLDER:02}"
                folder = await objects.add_folder(ua.NodeId(name, self.namespace), name)
            await self._add(folder, f"T{index:06}", ua.Variant(float(index), ua.VariantType.Double))
        if self.options.types:
            scalars = await objects.add_folder(ua.NodeId("Scalars", self.namespace), "Scalars")
            for name, value in SCALARS.items():
                await self._add(scalars, f"Scalar.{name}", _variant(name, value))
            arrays = await objects.add_folder(ua.NodeId("Arrays", self.namespace), "Arrays")
            for name, value in ARRAYS.items():
                await self._add(arrays, f"Array.{name}", _variant(name, value))
            matrix = ua.Variant([[1.0, 2.0], [3.0, 4.0]], ua.VariantType.Double)
            await self._add(arrays, "Matrix.Double", matrix)
            await self._add_odd_types(objects)
        if self.options.models:
            await self._add_models(objects)

    async def _add_models(self, objects: Any) -> None:
        """One node of each family of types that is more than a scalar."""
        await self.server.import_xml(MODELS)
        types = await self.server.get_namespace_index(TYPES)
        folder = await objects.add_folder(ua.NodeId("Models", self.namespace), "Models")
        kinds = ua.VariantType
        for name, variant, data_type in (
            ("Mode", ua.Variant(0, kinds.Int32), 3001),
            ("Percent", ua.Variant(0.0, kinds.Double), 3002),
            ("Text", ua.Variant(ua.LocalizedText(), kinds.LocalizedText), None),
            ("Name", ua.Variant(ua.QualifiedName(""), kinds.QualifiedName), None),
            ("Node", ua.Variant(folder.nodeid, kinds.NodeId), None),
            ("Expanded", ua.Variant(ua.ExpandedNodeId(5, 1), kinds.ExpandedNodeId), None),
            ("String", ua.Variant("start", kinds.String), None),
            ("Bytes", ua.Variant(b"\0", kinds.ByteString), None),
            ("Element", ua.Variant(0.0, kinds.Double), None),
            ("Array", ua.Variant([0.0, 1.0, 2.0, 3.0, 4.0], kinds.Double), None),
            ("Nodes", ua.Variant([], kinds.NodeId, is_array=True), None),
            ("Matrix", ua.Variant([[1.0, 2.0], [3.0, 4.0]], kinds.Double), None),
        ):
            found = None if data_type is None else ua.NodeId(data_type, types)
            await self._add(folder, f"Model.{name}", variant, found)
        for name, data_type in (("Batch", 3004), ("Choice", 3005), ("Note", 3006), ("Point", 3007)):
            null = ua.Variant(None, kinds.ExtensionObject)
            await self._add(folder, f"Model.{name}", null, ua.NodeId(data_type, types))

    async def _make_decoys(self) -> None:
        """Nodes of the same names in the other namespaces; a wrong index would hit one of them."""
        for uri in OTHERS:
            index = await self.server.get_namespace_index(uri)
            for number in range(self.options.items):
                name = f"T{number:06}"
                node = await self.server.nodes.objects.add_variable(
                    ua.NodeId(name, index), ua.QualifiedName(name, index), -1.0
                )
                await node.set_writable()
                self.nodes[f"{uri}:{name}"] = node

    async def _add_odd_types(self, objects: Any) -> None:
        """An enumeration, an abstract type, and a node that nobody may write."""
        odd = await objects.add_folder(ua.NodeId("Odd", self.namespace), "Odd")
        enumeration = ua.Variant(1, ua.VariantType.Int32)
        await self._add(odd, "Enum", enumeration, ua.NodeId(ua.ObjectIds.ServerState))
        number = ua.Variant(1.5, ua.VariantType.Double)
        await self._add(odd, "Number", number, ua.NodeId(ua.ObjectIds.Number))
        await self._add(odd, "Anything", number, ua.NodeId(ua.ObjectIds.BaseDataType))
        duration = ua.Variant(5.0, ua.VariantType.Double)
        await self._add(odd, "Duration", duration, ua.NodeId(ua.ObjectIds.Duration))
        await self._add(odd, "ReadOnly", number, writable=False)
        await self._add(odd, "Analog", ua.Variant(100.0, ua.VariantType.Double))
        await self.nodes["Analog"].add_property(
            ua.NodeId("Analog.EURange", self.namespace),
            ua.QualifiedName("EURange", 0),
            ua.Range(0.0, 200.0),
        )

    async def _add(
        self,
        parent: Any,
        name: str,
        variant: ua.Variant,
        data_type: ua.NodeId | None = None,
        *,
        writable: bool = True,
    ) -> None:
        node = await parent.add_variable(
            ua.NodeId(name, self.namespace),
            ua.QualifiedName(name, self.namespace),
            variant,
            datatype=data_type,
        )
        if writable:
            await node.set_writable()
        self.nodes[name] = node
        self.types[name] = variant.VariantType
        await self._write(name, ua.DataValue(variant, SourceTimestamp=STAMP))

    async def _write(self, name: str, value: ua.DataValue) -> None:
        await self.server.write_attribute_value(self.nodes[name].nodeid, value)

    # --- what some servers refuse ---

    def _limit_calls(self) -> None:
        """More than ``--max-operations`` in one call are refused, as small controllers do."""
        most = self.options.max_operations
        if not most:
            return
        service = self.server.iserver.isession.__class__
        for name, count in (
            ("read", lambda p: len(p.NodesToRead)),
            ("write", lambda p: len(p.NodesToWrite)),
            ("create_monitored_items", lambda p: len(p.ItemsToCreate)),
        ):
            setattr(service, name, _limited(getattr(service, name), count, most))

    def _refuse_timestamps_and_status(self) -> None:
        service = self.server.iserver.isession.__class__
        plain = service.write

        async def write(session: Any, parameters: ua.WriteParameters, *more: Any) -> Any:
            if not session.external:
                return await plain(session, parameters, *more)
            refused = []
            for item in parameters.NodesToWrite:
                value = item.Value
                bad = value.StatusCode is not None and value.StatusCode.value != 0
                refused.append(bad or value.SourceTimestamp is not None)
            results = await plain(session, parameters, *more) if not all(refused) else None
            if not any(refused):
                return results
            code = ua.StatusCode(ua.StatusCodes.BadWriteNotSupported)
            if results is None:
                return [code] * len(refused)
            return [code if no else result for no, result in zip(refused, results, strict=True)]

        service.write = write

    # --- commands ---

    async def answer(self, command: dict[str, Any]) -> Any:
        handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "set": self.set,
            "set_raw": self.set_raw,
            "set_many": self.set_many,
            "read": self.read,
            "add_node": self.add_node,
            "delete_node": self.delete_node,
            "delete_subscriptions": self.delete_subscriptions,
            "refuse": self.refuse,
            "attempts": self.attempts,
            "mute": self.mute,
            "die_of": self.die_of,
            "move": self.move,
            "traffic": self.look,
            "service_level": self.service_level,
            "redundancy": self.redundancy,
            "counts": self.counts,
        }
        return await handlers[command["cmd"]](command)

    async def set(self, command: dict[str, Any]) -> Any:
        """``node``, ``value``; also ``status`` and ``stamp`` (microseconds since 1970)."""
        name = command["node"]
        if command.get("type"):
            self._take_any_type(name)
        await self._write(name, _data_value(command, self.types[name]))

    def _take_any_type(self, name: str) -> None:
        """asyncua refuses a value of another type than the present one; some servers do not."""
        node = self.server.iserver.aspace._nodes[self.nodes[name].nodeid]
        node.attributes[ua.AttributeIds.Value].value = None

    async def set_raw(self, command: dict[str, Any]) -> Any:
        """``raw``: a whole DataValue as hex, as it goes over the wire."""
        value = struct_from_binary(ua.DataValue, Buffer(bytes.fromhex(command["raw"])))
        self._take_any_type(command["node"])
        await self._write(command["node"], value)

    async def set_many(self, command: dict[str, Any]) -> Any:
        """``values`` by node; all of them get one timestamp."""
        for name, value in command["values"].items():
            await self.set({**command, "node": name, "value": value})
        return len(command["values"])

    async def read(self, command: dict[str, Any]) -> Any:
        """Value, type, status and timestamp of ``nodes``, or of every node."""
        names = command.get("nodes") or list(self.nodes)
        answer = {}
        for name in names:
            value = await self.nodes[name].read_data_value(raise_on_bad_status=False)
            answer[name] = _shown(value)
        return answer

    async def add_node(self, command: dict[str, Any]) -> Any:
        kind = command.get("type", "Double")
        await self._add(
            self.server.nodes.objects, command["node"], _variant(kind, command["value"])
        )

    async def delete_node(self, command: dict[str, Any]) -> Any:
        await self.server.delete_nodes([self.nodes.pop(command["node"])])

    async def delete_subscriptions(self, command: dict[str, Any]) -> Any:
        """Forget all subscriptions without a word to their clients."""
        service = self.server.iserver.subscription_service
        ids = list(service.subscriptions)
        await service.delete_subscriptions(ids)
        return len(ids)

    async def refuse(self, command: dict[str, Any]) -> Any:
        """``statuses``: name of a StatusCode by node."""
        self.misbehaviour.refuse(command["statuses"])

    async def attempts(self, command: dict[str, Any]) -> Any:
        return self.misbehaviour.attempts(command["nodes"])

    async def mute(self, command: dict[str, Any]) -> Any:
        return self.misbehaviour.mute(command["nodes"])

    async def die_of(self, command: dict[str, Any]) -> Any:
        """Be killed by the next write of one of ``nodes``; it needs ``--journal``."""
        self.journal.die_of(command["nodes"])

    async def move(self, command: dict[str, Any]) -> Any:
        """``nodes`` get a new value every ``seconds`` from now on."""
        self.traffic.move(command["nodes"], command.get("seconds", 0.2))

    async def look(self, command: dict[str, Any]) -> Any:
        return self.traffic.look(command.get("since", 0.0))

    async def service_level(self, command: dict[str, Any]) -> Any:
        await set_service_level(self.server, command["level"])

    async def redundancy(self, command: dict[str, Any]) -> Any:
        await name_set(
            self.server,
            command.get("uris", ()),
            command.get("servers", {}),
            command.get("addresses", {}),
        )

    async def counts(self, command: dict[str, Any]) -> Any:
        subscriptions = self.server.iserver.subscription_service.subscriptions
        items = sum(len(one.monitored_item_srv._monitored_items) for one in subscriptions.values())
        return {
            "subscriptions": len(subscriptions),
            "items": items,
            "connections": len(self.server.bserver.clients),
        }


def _limited(plain: Any, count: Callable[[Any], int], most: int) -> Any:
    async def call(session: Any, parameters: Any, *more: Any) -> Any:
        if count(parameters) > most:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return await plain(session, parameters, *more)

    return call


def _variant(kind: str, value: Any) -> ua.Variant:
    return ua.Variant(value, ua.VariantType[kind])


def _data_value(command: dict[str, Any], usual: ua.VariantType) -> ua.DataValue:
    kind = command.get("type")
    variant_type = ua.VariantType[kind] if kind else usual
    value = command.get("value")
    if variant_type is ua.VariantType.ByteString and isinstance(value, str):
        value = bytes.fromhex(value)
    stamp = command.get("stamp")
    when = datetime.fromtimestamp(stamp / 1e6, UTC) if stamp is not None else datetime.now(UTC)
    return ua.DataValue(
        ua.Variant(value, variant_type),
        ua.StatusCode(command.get("status", 0)),
        SourceTimestamp=when,
    )


def _shown(value: ua.DataValue) -> dict[str, Any]:
    plain: Any = value.Value.Value if value.Value is not None else None
    if not isinstance(plain, (bool, int, float, str, list, type(None))):
        plain = repr(plain)
    stamp = value.SourceTimestamp
    return {
        "value": plain,
        "type": value.Value.VariantType.name if value.Value is not None else None,
        "status": value.StatusCode.value if value.StatusCode is not None else 0,
        "stamp": None if stamp is None else round(stamp.replace(tzinfo=UTC).timestamp() * 1e6),
    }


async def serve(options: argparse.Namespace) -> None:
    plant = Plant(options)
    await plant.build()
    async with plant.server:
        _say({"ready": True, "port": options.port})
        reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await reader.readline():
            command = json.loads(line)
            if command["cmd"] == "stop":
                break
            try:
                _say({"ok": True, "result": await plant.answer(command)})
            except Exception as error:
                _say({"ok": False, "error": repr(error)})


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--items", type=int, default=10)
    parser.add_argument("--types", action="store_true", help="one node of every type")
    parser.add_argument("--models", action="store_true", help="structures and other large types")
    parser.add_argument("--namespace-order", default="", help="such as 2013: a permutation")
    parser.add_argument("--policies", default="NoSecurity", help="names of SecurityPolicyType")
    parser.add_argument("--application-uri", default="urn:test:plant:server")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--value-only", action="store_true")
    parser.add_argument(
        "--no-redundancy", action="store_true", help="neither ServiceLevel nor ServerRedundancy"
    )
    parser.add_argument("--decoys", action="store_true", help="the same names in other namespaces")
    parser.add_argument("--max-operations", type=int, default=0)
    parser.add_argument("--journal", type=Path, help="a file for what clients write")
    parser.add_argument("--log", default="ERROR")
    options = parser.parse_args()
    options.port = options.port or _free_port()
    logging.basicConfig(level=options.log, stream=sys.stderr)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
