# ruff: noqa: ASYNC109 - the time-out is that of each step
"""What a server says of its redundancy (Part 5, 6.3.7 and 12.5; Part 4, 6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from pipes.core.endpoints import endpoint
from pipes.core.node_ids import encode
from pipes.core.problems import WrongError
from pipes.core.values import DataValue, ExtensionObject, NodeId
from pipes.opcua.connecting import fetch_endpoints, sessionless
from pipes.opcua.errors import ConnectFailed
from pipes.opcua.session import VALUE, Session

_SERVICE_LEVEL: Final = (encode(NodeId(0, 2267)), VALUE)
_SERVER_ARRAY: Final = (encode(NodeId(0, 2254)), VALUE)
_SERVER_URI_ARRAY: Final = (encode(NodeId(0, 11314)), VALUE)
_REDUNDANT_SERVER_ARRAY: Final = (encode(NodeId(0, 11313)), VALUE)
#: The binary encoding of RedundantServerDataType (Part 5, 12.5; Part 6, 5.2.2.15).
_REDUNDANT_SERVER: Final = NodeId(0, 855)
_LENGTH: Final = Struct("<i")
_HIGHEST_LEVEL: Final = 255
LEVEL_TIMEOUT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Redundancy:
    """``own`` is the URI of the server that was asked, "" if it does not say; ``members`` are
    the URIs (with some servers: the addresses) of its whole set.
    """

    own: str
    members: tuple[str, ...]


async def read_service_level(session: Session, timeout: float = LEVEL_TIMEOUT) -> int | None:
    """The server's ServiceLevel; None if it has none that can be read.

    Raises:
        ConnectionError, TimeoutError: as of `Session.read`.
    """
    (value,) = await session.read([_SERVICE_LEVEL], timeout)
    level = _plain(value)
    is_level = isinstance(level, int) and not isinstance(level, bool)
    return level if is_level and 0 <= level <= _HIGHEST_LEVEL else None


async def read_redundancy(session: Session) -> Redundancy:
    """
    Raises:
        ConnectionError, TimeoutError: as of `Session.read`.
    """
    own, uris, servers = await session.read(
        [_SERVER_ARRAY, _SERVER_URI_ARRAY, _REDUNDANT_SERVER_ARRAY]
    )
    members = _texts(_plain(uris)) or tuple(_server_ids(_plain(servers)))
    return Redundancy(next(iter(_texts(_plain(own))), ""), tuple(dict.fromkeys(members)))


async def learn_members(
    session: Session, name: str, url: str, known: Mapping[str, str], listed: Iterable[str]
) -> Mapping[str, str]:
    """The address of each member that the server at ``url`` names, by ApplicationUri, "" where
    it is not to be found: from what is ``known``, from the ``listed`` endpoints, which say
    themselves who they are, from the name if it is an address itself, or by FindServers.

    Raises:
        ConnectFailed: FindServers cannot be asked.
        ConnectionError, TimeoutError: as of `Session.read`.
    """
    found = await read_redundancy(session)
    addresses = {found.own: url, **known}
    for each in listed:
        if each not in addresses.values() and (uri := await _own_uri(name, each)):
            addresses.setdefault(uri, each)
    addresses.update((uri, uri) for uri in found.members if is_address(uri))
    missing = [uri for uri in found.members if uri not in addresses]
    if missing:
        addresses.update(await find_addresses(name, url, missing))
    return {uri: addresses.get(uri, "") for uri in found.members}


async def _own_uri(name: str, url: str, timeout: float = LEVEL_TIMEOUT) -> str:
    """The ApplicationUri that the endpoints at ``url`` carry; "" if nobody answers there."""
    try:
        async with sessionless(name, url, timeout) as connection:
            endpoints = await fetch_endpoints(connection)
    except ConnectFailed:
        return ""
    return next((each.Server.ApplicationUri or "" for each in endpoints), "")


async def find_addresses(
    name: str, url: str, uris: Sequence[str], timeout: float = 5.0
) -> Mapping[str, str]:
    """The address of each of ``uris`` that the server at ``url`` has one for (FindServers).

    Raises:
        ConnectFailed: it cannot be asked.
    """
    async with sessionless(name, url, timeout) as connection:
        servers = await connection.step("find servers", connection.client.find_servers(list(uris)))
    found = {}
    for server in servers or []:
        usable = [each for each in server.DiscoveryUrls or [] if is_address(each)]
        if server.ApplicationUri in uris and usable:
            found[server.ApplicationUri] = usable[0]
    return found


def is_address(text: str | None) -> bool:
    """Whether this station may connect to what a server names as an address."""
    try:
        endpoint(text)
    except WrongError:
        return False
    return True


def _plain(value: DataValue) -> Any:
    return None if value.variant is None else value.variant.value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, tuple):
        return ()
    return tuple(each for each in value if isinstance(each, str) and each)


def _server_ids(value: object) -> Iterator[str]:
    """The ServerId of each RedundantServerDataType (Part 5, 12.5): its first field."""
    for each in value if isinstance(value, tuple) else ():
        if isinstance(each, ExtensionObject) and each.type_id == _REDUNDANT_SERVER and each.body:
            server_id = _first_text(each.body)
            if server_id:
                yield server_id


def _first_text(body: bytes) -> str:
    """The String at the beginning of ``body``; "" if it is null or does not fit into it."""
    if len(body) < _LENGTH.size:
        return ""
    (length,) = _LENGTH.unpack_from(body)
    end = _LENGTH.size + length
    return (
        "" if length < 0 or end > len(body) else body[_LENGTH.size : end].decode(errors="replace")
    )
