"""The guards by themselves: framing from any split of the bytes, limits, the decoder."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua import ua_binary
from asyncua.ua.uaerrors import UaError

from pipes.opcua.guard import (
    CHUNK,
    MAX_MESSAGE,
    GatedTransport,
    GateShutError,
    GuardedProtocol,
    install_decode_guard,
    send_gate,
    set_socket_options,
)

install_decode_guard()


class FakeTransport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_extra_info(self, name: str) -> Any:
        return None


class Reply:
    def __init__(self) -> None:
        self.body: bytes | None = None
        self.error: BaseException | None = None

    def done(self) -> bool:
        return self.body is not None or self.error is not None

    def set_result(self, body: Any) -> None:
        self.body = bytes(body)

    def set_exception(self, error: BaseException) -> None:
        self.error = error


def opened() -> tuple[GuardedProtocol, FakeTransport]:
    protocol = GuardedProtocol(1.0, SecurityPolicyNone())
    transport = FakeTransport()
    protocol.connection_made(transport)  # type: ignore[arg-type]
    return protocol, transport


def message(body: bytes, request_id: int, sequence: int, final: bytes = b"F") -> bytes:
    size = 24 + len(body)
    return b"MSG" + final + struct.pack("<IIIII", size, 0, 0, sequence, request_id) + body


@pytest.mark.parametrize("step", [1, 3, 7, 24, 25, 4096])
async def test_messages_are_found_in_any_split_of_the_bytes(step: int) -> None:
    protocol, transport = opened()
    replies = [Reply() for _ in range(3)]
    for number, reply in enumerate(replies, 1):
        protocol._callbackmap[number] = reply
    stream = b"".join(message(bytes([number]) * 9, number, number) for number in (1, 2, 3))

    for at in range(0, len(stream), step):
        protocol.data_received(stream[at : at + step])

    assert [reply.body for reply in replies] == [b"\1" * 9, b"\2" * 9, b"\3" * 9]
    assert not transport.aborted


async def test_chunks_of_one_message_are_joined() -> None:
    protocol, _ = opened()
    reply = protocol._callbackmap[1] = Reply()

    protocol.data_received(message(b"abc", 1, 1, b"C") + message(b"def", 1, 2))

    assert reply.body == b"abcdef"


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"MSGF" + struct.pack("<I", 2**31 - 1), id="a chunk of 2 GiB"),
        pytest.param(b"MSGF" + struct.pack("<I", 9), id="a chunk smaller than its header"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(b"MSGX" + struct.pack("<I", 100), id="an unknown chunk type"),
        pytest.param(b"ACKC" + struct.pack("<I", 28), id="an Acknowledge in chunks"),
        pytest.param(b"ACKF" + struct.pack("<6I", 28, 0, CHUNK, CHUNK, 0, 0), id="unasked ACK"),
        pytest.param(message(b"abc", 99, 1), id="an answer that nobody waits for"),
        pytest.param(message(b"a", 1, 1, b"C") + message(b"b", 2, 2), id="mixed up chunks"),
        pytest.param(message(b"a", 1, 1, b"C") + message(b"b", 1, 5), id="a lost chunk"),
    ],
)
async def test_bytes_that_no_honest_server_sends_end_the_connection(stream: bytes) -> None:
    protocol, transport = opened()
    protocol._callbackmap[1] = Reply()

    protocol.data_received(stream)

    assert transport.aborted
    assert protocol.hostile
    assert protocol.lost_reason


async def test_a_message_of_endless_chunks_stops_at_the_limit() -> None:
    protocol, transport = opened()
    protocol._callbackmap[1] = Reply()
    part = bytes(CHUNK - 24)
    tracemalloc.start()

    number = 0
    while not transport.aborted:
        number += 1
        assert number * CHUNK < 2 * MAX_MESSAGE
        protocol.data_received(message(part, 1, number, b"C"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 2 * MAX_MESSAGE


async def test_a_chunk_in_many_small_packets_costs_no_quadratic_time() -> None:
    protocol, _ = opened()
    reply = protocol._callbackmap[1] = Reply()
    whole = message(bytes(CHUNK - 24), 1, 1)
    began = time.process_time()

    for at in range(len(whole)):
        protocol.data_received(whole[at : at + 1])

    assert reply.body is not None
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(
    ("fields", "largest"),
    [
        ((0, CHUNK, CHUNK, 0, 0), MAX_MESSAGE),
        ((0, CHUNK, CHUNK, 100_000, 0), 100_000),
        ((0, 8192, 8192, 0, 3), 3 * (8192 - 1024)),
        ((0, 2**31, 2**31, 2**31, 2**31), MAX_MESSAGE),
    ],
)
async def test_the_server_s_limits_bound_our_requests(
    fields: tuple[int, ...], largest: int
) -> None:
    protocol, _ = opened()
    hello = asyncio.ensure_future(protocol.send_hello("opc.tcp://x:1"))
    await asyncio.sleep(0)

    protocol.data_received(b"ACKF" + struct.pack("<6I", 28, *fields))
    await hello

    assert protocol.max_request_size == largest
    assert protocol._connection._limits.max_send_buffer == min(fields[1], CHUNK)
    assert protocol._connection._limits.max_recv_buffer == CHUNK


@pytest.mark.parametrize(
    "fields", [(0, 16, CHUNK, 0, 0), (0, CHUNK, 0, 0, 0), (0, CHUNK, CHUNK, 5, 0)]
)
async def test_an_acknowledge_below_the_least_buffers_is_hostile(fields: tuple[int, ...]) -> None:
    protocol, transport = opened()
    hello = asyncio.ensure_future(protocol.send_hello("opc.tcp://x:1"))
    await asyncio.sleep(0)

    protocol.data_received(b"ACKF" + struct.pack("<6I", 28, *fields))

    assert transport.aborted
    assert protocol.hostile
    hello.cancel()


async def test_an_error_message_fails_what_waits_and_names_its_reason() -> None:
    protocol, transport = opened()
    reply = protocol._callbackmap[1] = Reply()
    reason = b"go away"
    body = struct.pack("<Ii", 0x80130000, len(reason)) + reason

    protocol.data_received(b"ERRF" + struct.pack("<I", 8 + len(body)) + body)

    assert transport.aborted
    assert not protocol.hostile
    assert isinstance(reply.error, UaError)
    assert "BadSecurityChecksFailed go away" in protocol.lost_reason


async def test_a_token_ages_by_our_clock_not_by_that_of_the_server() -> None:
    """F46: with a server whose clock is a day behind every token would be too old at once."""
    protocol, _ = opened()
    protocol._open_secure_channel_exchange = ua.OpenSecureChannelParameters()
    protocol._callbackmap[1] = Reply()
    answer = ua.OpenSecureChannelResponse()
    answer.Parameters.SecurityToken.ChannelId = 1
    answer.Parameters.SecurityToken.TokenId = 1
    answer.Parameters.SecurityToken.CreatedAt = datetime.now(UTC) - timedelta(days=1)
    security = ua.AsymmetricAlgorithmHeader(SecurityPolicyURI=SecurityPolicyNone.URI)
    body = (
        ua_binary.struct_to_binary(security)
        + struct.pack("<II", 1, 1)
        + ua_binary.struct_to_binary(answer)
    )

    protocol.data_received(b"OPNF" + struct.pack("<II", 12 + len(body), 1) + body)

    token = protocol._connection.security_token
    assert token.TokenId == 1
    assert datetime.now(UTC) - token.CreatedAt < timedelta(seconds=10)


async def test_an_open_channel_that_nobody_asked_for_is_hostile() -> None:
    protocol, transport = opened()
    security = ua.AsymmetricAlgorithmHeader(SecurityPolicyURI=SecurityPolicyNone.URI)
    body = (
        ua_binary.struct_to_binary(security)
        + struct.pack("<II", 1, 1)
        + ua_binary.struct_to_binary(ua.OpenSecureChannelResponse())
    )

    protocol.data_received(b"OPNF" + struct.pack("<II", 12 + len(body), 1) + body)

    assert transport.aborted
    assert protocol.hostile


def test_a_socket_forgets_what_it_has_not_delivered() -> None:
    with socket.socket() as sock:
        set_socket_options(sock)

        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_the_gate_of_a_task_is_asked_when_the_bytes_leave() -> None:
    transport = FakeTransport()
    gated = GatedTransport(transport)
    gated.write(b"open")
    token = send_gate.set(lambda: False)
    try:
        with pytest.raises(GateShutError):
            gated.write(b"shut")
    finally:
        send_gate.reset(token)

    assert transport.sent == [b"open"]
    assert transport.aborted


# --- decoder ---

BOMBS = {
    "an array of Null values": b"\x80\xff\xff\xff\x7f",
    "a negative array": b"\x86" + struct.pack("<i", -5) + bytes(40),
    "an array longer than the message": b"\x86" + struct.pack("<i", 10**9) + bytes(40),
    "an array of Variants longer than the message": b"\x98" + struct.pack("<i", 10**6) + bytes(40),
    "a negative string": b"\x0c" + struct.pack("<i", -7) + bytes(40),
    "a negative ByteString": b"\x0f" + struct.pack("<i", -2) + bytes(40),
    "Variants nested 100,000 deep": b"\x18" * 100_000 + b"\x00",
    "a DataValue in a DataValue ...": b"\x17\x01" * 5000 + b"\x00",
    "4 million empty Variants": b"\x98" + struct.pack("<i", 4_000_000) + bytes(4_000_000),
    "dimensions that multiply up": b"\xc6"
    + struct.pack("<i", 0)
    + struct.pack("<4i", 3, 2**20, 2**20, 2**20),
    "a negative number of dimensions": b"\xc6" + struct.pack("<i", 0) + struct.pack("<i", -9),
    "an ExtensionObject beyond the end": b"\x16\x00\x00\x01" + struct.pack("<i", 10**6),
}


@pytest.mark.parametrize("raw", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_memory_or_time_is_spent(raw: bytes) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises((UaError, RecursionError, struct.error)):
            ua_binary.variant_from_binary(Buffer(raw))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8_000_000
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "variant",
    [
        ua.Variant([1.0, 2.0], ua.VariantType.Double),
        ua.Variant([], ua.VariantType.Int32),
        ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int32),
        ua.Variant(["a", None, "b"], ua.VariantType.String),
        ua.Variant(None, ua.VariantType.Null),
        ua.Variant([ua.Variant(1, ua.VariantType.Int32)] * 5, ua.VariantType.Variant),
        ua.Variant(b"\0" * 100_000, ua.VariantType.ByteString),
    ],
)
def test_honest_values_are_decoded_as_before(variant: ua.Variant) -> None:
    raw = ua_binary.variant_to_binary(variant)

    assert ua_binary.variant_from_binary(Buffer(raw)) == variant


def test_nesting_within_the_limit_is_decoded() -> None:
    raw = b"\x18" * 20 + b"\x01\x01"

    assert ua_binary.variant_from_binary(Buffer(raw)).Value is True


def test_elements_are_counted_for_each_message_anew() -> None:
    raw = b"\x98" + struct.pack("<i", 600_000) + bytes(600_000)

    with pytest.raises(UaError, match="array elements"):
        ua_binary.variant_from_binary(Buffer(b"\x98" + struct.pack("<i", 2) + raw + raw))
    assert (
        len(ua_binary.variant_from_binary(Buffer(b"\x98" + struct.pack("<i", 9) + bytes(9))).Value)
        == 9
    )
