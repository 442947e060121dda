"""A raw-socket OPC UA server that does one thing wrong, as a process of its own.

``python -m tests.servers.hostile --how bomb`` prints ``{"ready": true, "port": …}`` and serves with
policy None until stdin ends; ``--port`` chooses the port. Until its fault comes it is an honest,
tiny server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

#: What can go wrong, and when.
HOW = {
    "honest": "nothing",
    "silent": "accepts and never answers",
    "garbage": "answers the Hello with noise",
    "huge_chunk": "a chunk header of 2 GiB in answer to OpenSecureChannel",
    "tiny_buffers": "an Acknowledge of 16 byte buffers",
    "endless_chunks": "intermediate chunks without an end in answer to a Read",
    "bomb": "a 5 byte Variant: an array of two thousand million Null values",
    "huge_array": "an Int32 array of a thousand million elements",
    "negative": "an array of -5 elements",
    "nested": "Variants nested a hundred thousand deep",
    "null_variants": "an array of four million empty Variants",
    "repeating_point": "BrowseNext gives the same page again and again",
    "endless_pages": "BrowseNext gives ever new pages",
    "too_many_sessions": "no session is created",
    "refuses_login": "no session is activated",
    "drops_subscription": "Publish is answered with BadNoSubscription",
    "one_publish": "more than one Publish is refused",
    "gap": "skips three sequence numbers",
    "cut_publish": "a PublishResponse that ends early",
    "publish_bomb": "a notification whose Variant is the bomb",
    "redirect": "the endpoints name another host",
    "other_certificate": "another certificate in the session than in the endpoints",
    "mute_after_login": "answers nothing after ActivateSession",
    "late_write": "answers a Write after 7 s",
    "storm": "20,000 values a second of all items but the last, which counts the seconds",
}
STORM_EVERY = 0.005
STORM_VALUES = 100

NAMESPACES = ["http://opcfoundation.org/UA/", "urn:test:hostile", "urn:test:plant"]
VALUES: dict[int, ua.Variant] = {
    2255: ua.Variant(NAMESPACES, ua.VariantType.String),
    2261: ua.Variant("hostile", ua.VariantType.String),
    2264: ua.Variant("1", ua.VariantType.String),
    2259: ua.Variant(0, ua.VariantType.Int32),
}
BOMBS: dict[str, bytes] = {
    "bomb": b"\x80\xff\xff\xff\x7f",
    "huge_array": b"\x86" + struct.pack("<i", 10**9) + bytes(40),
    "negative": b"\x86" + struct.pack("<i", -5) + bytes(40),
    "nested": b"\x18" * 100_000 + b"\x00",
    "null_variants": b"\x98" + struct.pack("<i", 4_000_000) + bytes(4_000_000),
    "publish_bomb": b"\x80\xff\xff\xff\x7f",
}
CHUNK = 65536


class Connection:
    def __init__(
        self,
        options: argparse.Namespace,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.how: str = options.how
        self.port: int = options.port
        self.reader = reader
        self.writer = writer
        self.sequence = 0
        self.publishes: list[tuple[int, int]] = []
        self.notified = 0
        self.is_due = False
        self.items: list[int] = []
        self.page = 0
        self.subscriptions = 0
        self.is_logged_in = False
        self.storm: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        try:
            while True:
                head = await self.reader.readexactly(8)
                kind, size = head[:3], struct.unpack("<I", head[4:])[0]
                await self.message(kind, await self.reader.readexactly(size - 8))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if self.storm is not None:
                self.storm.cancel()
            self.writer.close()

    async def message(self, kind: bytes, body: bytes) -> None:
        if self.how == "silent":
            return
        if kind == b"HEL":
            self.acknowledge()
        elif kind == b"OPN":
            self.open_channel(body)
        elif kind == b"MSG":
            request_id = struct.unpack_from("<I", body, 12)[0]
            await self.request(request_id, Buffer(body[16:]))
        await self.writer.drain()

    def acknowledge(self) -> None:
        if self.how == "garbage":
            self.writer.write(os.urandom(4096))
            return
        size = 16 if self.how == "tiny_buffers" else CHUNK
        self.writer.write(b"ACKF" + struct.pack("<6I", 28, 0, size, size, 0, 0))

    def open_channel(self, body: bytes) -> None:
        if self.how == "huge_chunk":
            self.writer.write(b"OPNF" + struct.pack("<II", 2**31 - 1, 1) + bytes(100))
            return
        buffer = Buffer(body[4:])
        ua_binary.struct_from_binary(ua.AsymmetricAlgorithmHeader, buffer)
        sequence = ua_binary.struct_from_binary(ua.SequenceHeader, buffer)
        answer = ua.OpenSecureChannelResponse()
        answer.Parameters.SecurityToken.ChannelId = 1
        answer.Parameters.SecurityToken.TokenId = 1
        answer.Parameters.SecurityToken.RevisedLifetime = 3_600_000
        header = ua.AsymmetricAlgorithmHeader()
        header.SecurityPolicyURI = "http://opcfoundation.org/UA/SecurityPolicy#None"
        self.send(
            b"OPN",
            ua_binary.struct_to_binary(header),
            sequence.RequestId,
            ua_binary.struct_to_binary(answer),
        )

    # --- framing ---

    def send(self, kind: bytes, security: bytes, request_id: int, body: bytes) -> None:
        room = CHUNK - 64
        parts = [body[at : at + room] for at in range(0, len(body), room)] or [b""]
        for index, part in enumerate(parts):
            self.chunk(kind, b"F" if index == len(parts) - 1 else b"C", security, request_id, part)

    def chunk(
        self, kind: bytes, final: bytes, security: bytes, request_id: int, part: bytes
    ) -> None:
        self.sequence += 1
        size = 12 + len(security) + 8 + len(part)
        self.writer.write(
            kind
            + final
            + struct.pack("<II", size, 1)
            + security
            + struct.pack("<II", self.sequence, request_id)
            + part
        )

    def answer(self, request_id: int, body: Any) -> None:
        raw = body if isinstance(body, bytes) else ua_binary.struct_to_binary(body)
        self.send(b"MSG", struct.pack("<I", 1), request_id, raw)

    def fault(self, request_id: int, handle: int, status: int) -> None:
        answer = ua.ServiceFault()
        answer.ResponseHeader.RequestHandle = handle
        answer.ResponseHeader.ServiceResult = ua.StatusCode(status)
        self.answer(request_id, answer)

    # --- services ---

    async def request(self, request_id: int, buffer: Buffer) -> None:
        if self.how == "mute_after_login" and self.is_logged_in:
            return
        kind = ua_binary.nodeid_from_binary(buffer).Identifier
        name = ua.object_ids.ObjectIdNames[kind].removesuffix("_Encoding_DefaultBinary")
        request = ua_binary.struct_from_binary(
            getattr(ua, name),
            Buffer(ua_binary.nodeid_to_binary(ua.FourByteNodeId(kind)) + bytes(buffer)),
        )
        handlers: dict[str, Callable[[int, Any], Any]] = {
            "GetEndpointsRequest": self.get_endpoints,
            "CreateSessionRequest": self.create_session,
            "ActivateSessionRequest": self.activate_session,
            "CloseSessionRequest": self.close_session,
            "ReadRequest": self.read,
            "WriteRequest": self.write,
            "BrowseRequest": self.browse,
            "BrowseNextRequest": self.browse_next,
            "CreateSubscriptionRequest": self.create_subscription,
            "CreateMonitoredItemsRequest": self.create_items,
            "DeleteSubscriptionsRequest": self.delete_subscriptions,
            "PublishRequest": self.publish,
        }
        result = handlers[name](request_id, request)
        if asyncio.iscoroutine(result):
            await result

    def endpoint(self) -> ua.EndpointDescription:
        endpoint = ua.EndpointDescription()
        host = "198.51.100.7" if self.how == "redirect" else "127.0.0.1"
        endpoint.EndpointUrl = f"opc.tcp://{host}:{self.port}/hostile"
        endpoint.Server.ApplicationUri = "urn:test:hostile"
        endpoint.SecurityMode = ua.MessageSecurityMode.None_
        endpoint.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
        anonymous = ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)
        password = ua.UserTokenPolicy(PolicyId="password", TokenType=ua.UserTokenType.UserName)
        endpoint.UserIdentityTokens = [anonymous, password]
        endpoint.TransportProfileUri = (
            "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
        )
        if self.how == "other_certificate":
            endpoint.ServerCertificate = b"\x30\x03abc"
        return endpoint

    def get_endpoints(self, request_id: int, request: Any) -> None:
        answer = ua.GetEndpointsResponse()
        answer.Endpoints = [self.endpoint()]
        self.answer(request_id, answer)

    def create_session(self, request_id: int, request: Any) -> None:
        if self.how == "too_many_sessions":
            code = ua.StatusCodes.BadTooManySessions
            self.fault(request_id, request.RequestHeader.RequestHandle, code)
            return
        answer = ua.CreateSessionResponse()
        answer.Parameters.SessionId = ua.NodeId(1, 1)
        answer.Parameters.AuthenticationToken = ua.NodeId(7, 1)
        answer.Parameters.RevisedSessionTimeout = 30_000
        answer.Parameters.ServerEndpoints = [self.endpoint()]
        if self.how == "other_certificate":
            answer.Parameters.ServerCertificate = b"\x30\x03xyz"
        self.answer(request_id, answer)

    def activate_session(self, request_id: int, request: Any) -> None:
        if self.how == "refuses_login":
            code = ua.StatusCodes.BadIdentityTokenRejected
            self.fault(request_id, request.RequestHeader.RequestHandle, code)
            return
        self.is_logged_in = True
        self.answer(request_id, ua.ActivateSessionResponse())

    def close_session(self, request_id: int, request: Any) -> None:
        self.answer(request_id, ua.CloseSessionResponse())

    async def read(self, request_id: int, request: Any) -> None:
        nodes = request.Parameters.NodesToRead
        if any(node.NodeId.NamespaceIndex for node in nodes):
            if self.how == "endless_chunks":
                await self.endless_chunks(request_id)
                return
            if self.how in BOMBS:
                self.answer(request_id, self.bombed(BOMBS[self.how], len(nodes)))
                return
        answer = ua.ReadResponse()
        answer.Results = [self.value(node.NodeId) for node in nodes]
        self.answer(request_id, answer)

    def value(self, node: ua.NodeId) -> ua.DataValue:
        found = VALUES.get(node.Identifier) if not node.NamespaceIndex else None
        if found is None:
            return ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
        return ua.DataValue(found)

    def bombed(self, variant: bytes, count: int) -> bytes:
        """As many values as were asked for, each of them the bomb until it has gone off."""
        answer = ua_binary.struct_to_binary(ua.ReadResponse())
        head = answer[:-8]  # without the two empty arrays
        harmless = b"\x01\x00" * (count - 1)
        return (
            head + struct.pack("<i", count) + b"\x01" + variant + harmless + struct.pack("<i", -1)
        )

    async def endless_chunks(self, request_id: int) -> None:
        while True:
            self.chunk(b"MSG", b"C", struct.pack("<I", 1), request_id, bytes(CHUNK - 64))
            await self.writer.drain()

    def write(self, request_id: int, request: Any) -> Any:
        answer = ua.WriteResponse()
        answer.Results = [ua.StatusCode() for _ in request.Parameters.NodesToWrite]
        if self.how == "late_write":
            asyncio.get_running_loop().call_later(7, self.answer, request_id, answer)
            return
        self.answer(request_id, answer)

    def page_of(self, number: int) -> ua.BrowseResult:
        result = ua.BrowseResult()
        result.StatusCode = ua.StatusCode()
        reference = ua.ReferenceDescription()
        reference.ReferenceTypeId = ua.NodeId(35)
        reference.NodeId = ua.ExpandedNodeId(f"N{number}", 2)
        reference.BrowseName = ua.QualifiedName(f"N{number}", 2)
        reference.DisplayName = ua.LocalizedText(f"N{number}")
        reference.NodeClass = ua.NodeClass.Object
        reference.TypeDefinition = ua.ExpandedNodeId(61)
        result.References = [reference]
        if self.how == "repeating_point":
            result.ContinuationPoint = b"again"
        elif self.how == "endless_pages":
            result.ContinuationPoint = struct.pack("<I", number)
        return result

    def browse(self, request_id: int, request: Any) -> None:
        answer = ua.BrowseResponse()
        answer.Results = [self.page_of(0) for _ in request.Parameters.NodesToBrowse]
        self.answer(request_id, answer)

    def browse_next(self, request_id: int, request: Any) -> None:
        answer = ua.BrowseNextResponse()
        if not request.Parameters.ReleaseContinuationPoints:
            self.page += 1
            number = 0 if self.how == "repeating_point" else self.page
            answer.Parameters.Results = [self.page_of(number)]
        self.answer(request_id, answer)

    def create_subscription(self, request_id: int, request: Any) -> None:
        self.subscriptions += 1
        answer = ua.CreateSubscriptionResponse()
        answer.Parameters.SubscriptionId = self.subscriptions
        answer.Parameters.RevisedPublishingInterval = 100
        answer.Parameters.RevisedMaxKeepAliveCount = 10
        answer.Parameters.RevisedLifetimeCount = 300
        self.answer(request_id, answer)

    def delete_subscriptions(self, request_id: int, request: Any) -> None:
        answer = ua.DeleteSubscriptionsResponse()
        answer.Results = [ua.StatusCode() for _ in request.Parameters.SubscriptionIds]
        self.answer(request_id, answer)

    def create_items(self, request_id: int, request: Any) -> None:
        answer = ua.CreateMonitoredItemsResponse()
        for item in request.Parameters.ItemsToCreate:
            result = ua.MonitoredItemCreateResult()
            result.MonitoredItemId = len(self.items) + 1
            self.items.append(item.RequestedParameters.ClientHandle)
            answer.Results.append(result)
        self.answer(request_id, answer)
        self.notify()
        if self.how == "storm" and self.storm is None:
            self.storm = asyncio.create_task(self.send_storm())

    async def send_storm(self) -> None:
        """As many values as fit, in answer to every Publish; the last item counts the seconds."""
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        while True:
            due += STORM_EVERY
            await asyncio.sleep(max(0.0, due - loop.time()))
            if self.publishes:
                request_id, _ = self.publishes.pop(0)
                self.notified += 1
                self.answer(request_id, self.gust(int(loop.time() - began)))
                await self.writer.drain()

    def gust(self, seconds: int) -> bytes:
        fast, slow = self.items[:-1] or self.items, self.items[-1]
        stamp = time.time_ns() // 100 + 116_444_736_000_000_000
        values = [
            struct.pack("<IBBdq", fast[i % len(fast)], 5, 11, self.notified * 1000.0 + i, stamp)
            for i in range(STORM_VALUES)
        ]
        values.append(struct.pack("<IBBdq", slow, 5, 11, float(seconds), stamp))
        body = struct.pack("<i", len(values)) + b"".join(values) + struct.pack("<i", -1)
        answer = ua.PublishResponse()
        answer.Parameters.SubscriptionId = 1
        answer.Parameters.NotificationMessage.SequenceNumber = self.notified
        raw = ua_binary.struct_to_binary(answer)
        data = b"\x01\x00\x2b\x03\x01" + struct.pack("<i", len(body)) + body  # i=811, binary
        return raw[:-12] + struct.pack("<i", 1) + data + raw[-8:]

    def publish(self, request_id: int, request: Any) -> None:
        handle = request.RequestHeader.RequestHandle
        if self.how == "drops_subscription" and self.items:
            self.fault(request_id, handle, ua.StatusCodes.BadNoSubscription)
            return
        if self.how == "one_publish" and self.publishes:
            self.fault(request_id, handle, ua.StatusCodes.BadTooManyPublishRequests)
            return
        self.publishes.append((request_id, handle))
        if self.is_due:
            self.notify()

    def notify(self) -> None:
        """One notification for every outstanding Publish, or for the first that comes."""
        self.is_due = not self.publishes
        if self.how == "drops_subscription":
            for request_id, handle in self.publishes:
                self.fault(request_id, handle, ua.StatusCodes.BadNoSubscription)
            self.publishes.clear()
        waiting, self.publishes = self.publishes, []
        for request_id, _ in waiting:
            self.notified += 1
            self.answer(request_id, self.notification())

    def notification(self) -> bytes:
        number = self.notified + (3 if self.how == "gap" and self.notified > 1 else 0)
        value = ua.DataValue(ua.Variant(float(self.notified), ua.VariantType.Double))
        item = ua.MonitoredItemNotification(ClientHandle=self.items[0], Value=value)
        answer = ua.PublishResponse()
        answer.Parameters.SubscriptionId = 1
        answer.Parameters.NotificationMessage.SequenceNumber = number
        answer.Parameters.NotificationMessage.NotificationData = [
            ua.DataChangeNotification(MonitoredItems=[item])
        ]
        raw = ua_binary.struct_to_binary(answer)
        if self.how == "cut_publish":
            return raw[:-20]
        if self.how == "publish_bomb":
            plain = ua_binary.variant_to_binary(value.Value)
            return raw.replace(plain, BOMBS["publish_bomb"] + bytes(len(plain) - 5))
        return raw


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
    parser.add_argument("--how", choices=sorted(HOW), default="honest")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
