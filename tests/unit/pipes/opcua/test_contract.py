"""What this package takes from the inside of the pinned asyncua is there, and is what it was."""

from __future__ import annotations

import ast
import asyncio
from importlib.metadata import version
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.client.ua_client import UaClient, UASocketProtocol
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua import ua_binary

from pipes.opcua.fastlane import PRIVATE_NAMES

PACKAGE = Path(__file__).parents[4] / "pipes" / "opcua"
MAY_BE_PRIVATE = {"chunks.py", "fastlane.py", "guard.py"}


async def made(owner: str) -> object:
    return {
        "UASocketProtocol": UASocketProtocol,
        "UaClient": UaClient,
        "SecureConnection": lambda: SecureConnection(SecurityPolicyNone(), TransportLimits()),
        "Buffer": lambda: Buffer(b""),
        "ua_binary": lambda: ua_binary,
    }[owner]()


def test_asyncua_is_the_version_that_these_names_were_taken_from() -> None:
    assert version("asyncua").startswith("2.1.")


@pytest.mark.parametrize(("owner", "name"), PRIVATE_NAMES)
async def test_a_private_name_that_is_used_exists(owner: str, name: str) -> None:
    thing = await made(owner)
    assert hasattr(thing, name.removeprefix("*"))


async def test_the_table_of_callbacks_takes_anything_that_looks_like_a_future() -> None:
    class Reply:
        result: Buffer | None = None

        def done(self) -> bool:
            return self.result is not None

        def set_result(self, body: Buffer) -> None:
            self.result = body

    protocol = UASocketProtocol()
    reply = Reply()
    protocol._callbackmap[7] = reply

    protocol._call_callback(7, Buffer(b"abc"))

    assert bytes(reply.result) == b"abc"
    assert protocol._callbackmap == {}


async def test_a_message_counts_the_channel_s_sequence_number_by_its_chunks() -> None:
    connection = SecureConnection(SecurityPolicyNone(), TransportLimits())

    message = connection.message_to_binary(bytes(100_000), request_id=5)

    assert message[:4] == b"MSGC"
    assert connection._sequence_number == 2


def test_private_names_are_used_in_three_modules_only() -> None:
    """A name on `self` is our own, even if asyncua has one of the same spelling."""
    known = {name.removeprefix("*") for _, name in PRIVATE_NAMES if name.lstrip("*")[0] == "_"}
    for path in PACKAGE.glob("*.py"):
        if path.name in MAY_BE_PRIVATE:
            continue
        used = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute)
            and not (isinstance(node.value, ast.Name) and node.value.id == "self")
        }
        assert not used & known, path.name


def test_deprecated_policies_have_no_name() -> None:
    from pipes.core.choices import SecurityPolicy

    assert {policy.value for policy in SecurityPolicy} == {
        "None",
        "Basic256Sha256",
        "Aes128Sha256RsaOaep",
        "Aes256Sha256RsaPss",
    }


async def test_a_future_in_the_table_still_works_beside_ours() -> None:
    protocol = UASocketProtocol()
    future: asyncio.Future[Buffer] = asyncio.get_running_loop().create_future()
    protocol._callbackmap[1] = future

    protocol._call_callback(1, Buffer(b"x"))

    assert bytes(await future) == b"x"
    assert isinstance(protocol.authentication_token, ua.NodeId)
