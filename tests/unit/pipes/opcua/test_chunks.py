"""What is framed here asyncua reads, and the other way round, under every kind of security."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from struct import pack_into
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256, SecurityPolicyNone
from asyncua.crypto.uacrypto import InvalidSignature
from asyncua.ua.ua_binary import header_from_binary
from cryptography.hazmat.primitives.asymmetric import rsa

from pipes.opcua.chunks import frame, unframe
from pipes.pki import Pki

MODES = ["None", "Sign", "SignAndEncrypt"]
BODY = bytes(range(256)) * 20
NONCES = b"a" * 32, b"b" * 32


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, rsa.RSAPrivateKey]:
    made = Pki(tmp_path_factory.mktemp("pki")).own("urn:test:chunks")
    return made.certificate, made.key


Make = Callable[..., SecureConnection]


@pytest.fixture
def connect(own: tuple[Any, rsa.RSAPrivateKey]) -> Make:
    """One side of a channel; both have the same keys if their nonces are crossed."""

    def make(mode: str, ours: bytes, theirs: bytes) -> SecureConnection:
        policy = SecurityPolicyNone()
        if mode != "None":
            policy = SecurityPolicyBasic256Sha256(
                own[0], own[0], own[1], ua.MessageSecurityMode[mode]
            )
        connection = SecureConnection(policy, TransportLimits(65536, 65536, 0, 0))
        connection.security_token = ua.ChannelSecurityToken(
            ChannelId=7, TokenId=3, CreatedAt=datetime.now(UTC), RevisedLifetime=60_000
        )
        connection.local_nonce, connection.remote_nonce = ours, theirs
        if mode != "None":
            policy.make_local_symmetric_key(theirs, ours)
            policy.make_remote_symmetric_key(ours, theirs, 60_000)
        connection._peer_sequence_number = 0
        return connection

    return make


@pytest.fixture
def pair(connect: Make) -> Callable[[str], tuple[SecureConnection, SecureConnection]]:
    return lambda mode: (connect(mode, *NONCES), connect(mode, *reversed(NONCES)))


def read_by_asyncua(connection: SecureConnection, chunk: bytes) -> tuple[int, bytes]:
    buffer = Buffer(chunk)
    message = connection.receive_from_header_and_body(header_from_binary(buffer), buffer)
    return message.request_id(), bytes(message.body())


Pair = Callable[[str], tuple[SecureConnection, SecureConnection]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 5000])
def test_asyncua_reads_what_is_framed_here(pair: Pair, mode: str, size: int) -> None:
    here, there = pair(mode)

    for request_id in (11, 12):
        chunk = frame(here, BODY[:size] + b"!", request_id)
        assert read_by_asyncua(there, chunk) == (request_id, BODY[:size] + b"!")


@pytest.mark.parametrize("mode", MODES)
def test_what_is_framed_here_is_what_asyncua_would_have_sent(pair: Pair, mode: str) -> None:
    here, _ = pair(mode)
    other, _ = pair(mode)

    assert frame(here, BODY, 9) == other.message_to_binary(BODY, request_id=9)
    assert here._sequence_number == other._sequence_number == 1


@pytest.mark.parametrize("mode", MODES)
def test_what_asyncua_framed_is_read_here(pair: Pair, mode: str) -> None:
    here, there = pair(mode)

    for request_id in (11, 12):
        chunk = there.message_to_binary(BODY, request_id=request_id)
        assert unframe(here, chunk) == (request_id, BODY)
    assert here._peer_sequence_number == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_large_message_is_left_to_asyncua(pair: Pair, mode: str) -> None:
    here, there = pair(mode)

    message = frame(here, bytes(100_000), 5)

    assert message[:4] == b"MSGC"
    assert here._sequence_number == 2
    assert unframe(there, message[:65536]) is None
    assert there._peer_sequence_number == 0


def test_sequence_numbers_are_wrapped_by_asyncua(pair: Pair) -> None:
    here, _ = pair("None")
    here._sequence_number = (1 << 32) - 2

    frame(here, BODY, 1)
    assert here._sequence_number == (1 << 32) - 1
    frame(here, BODY, 2)
    assert here._sequence_number == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x4F4C43), (8, 8), (12, 4)], ids=["CLO", "channel", "token"]
)
def test_another_channel_token_or_kind_is_left_to_asyncua(
    pair: Pair, mode: str, at: int, value: int
) -> None:
    here, there = pair(mode)
    chunk = bytearray(there.message_to_binary(BODY, request_id=1))
    pack_into("<I", chunk, at, value)

    assert unframe(here, bytes(chunk)) is None
    assert here._peer_sequence_number == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_number_that_is_not_due_is_left_to_asyncua(pair: Pair, mode: str) -> None:
    here, there = pair(mode)
    there.message_to_binary(BODY, request_id=1)
    chunk = there.message_to_binary(BODY, request_id=2)

    assert unframe(here, chunk) is None
    with pytest.raises(ua.UaError, match="wrong sequence"):
        read_by_asyncua(here, chunk)


def test_the_last_chunk_of_several_is_left_to_asyncua(pair: Pair) -> None:
    here, there = pair("None")
    message = there.message_to_binary(bytes(70_000), request_id=1)
    first = int.from_bytes(message[4:8], "little")
    buffer = Buffer(message[:first])

    assert here.receive_from_header_and_body(header_from_binary(buffer), buffer) is None
    assert unframe(here, message[first:]) is None
    assert read_by_asyncua(here, message[first:]) == (1, bytes(70_000))


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_message_that_was_changed_on_its_way_is_not_read(pair: Pair, mode: str) -> None:
    here, there = pair(mode)
    chunk = bytearray(there.message_to_binary(BODY, request_id=1))
    chunk[100] ^= 1

    assert unframe(here, bytes(chunk)) is None
    with pytest.raises(InvalidSignature):
        read_by_asyncua(here, bytes(chunk))


@pytest.mark.parametrize("mode", MODES[1:])
def test_the_keys_of_before_are_left_to_asyncua(pair: Pair, mode: str) -> None:
    here, there = pair(mode)
    before = there.message_to_binary(BODY, request_id=1)
    here.security_policy.make_remote_symmetric_key(b"c" * 32, b"d" * 32, 60_000)

    assert unframe(here, before) is None
    assert read_by_asyncua(here, before) == (1, BODY)
