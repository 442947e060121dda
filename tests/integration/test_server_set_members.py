"""A redundant server whose members are real servers: who is used, and what makes it another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from asyncua import Server as AsyncuaServer
from asyncua import ua

from pipes import connections
from pipes.connections import ServerConnection
from pipes.core.choices import Failover, SecurityMode, SecurityPolicy, ServerSetMode, ServerState
from pipes.core.server_set import Rules
from pipes.core.wanted import Server, ServerSet
from pipes.members import Members, Pace
from pipes.pki import Pki
from tests.scenarios.plants import free_port
from tests.servers.harness import ServerProcess, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = Pace(ask_every=0.05, visit_every=0.1, learn_every=0.2)
SHORT = Rules(hold_seconds=0.5, rest_seconds=60)


class Users:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def connected(self, _connection: ServerConnection) -> None:
        self.seen.append("connected")

    def disconnected(self, _connection: ServerConnection) -> None:
        self.seen.append("disconnected")

    def failed(self, error: Exception) -> None:
        raise error


class Member:
    """An asyncua server in this process, which serves all tests of the module."""

    def __init__(self, name: str) -> None:
        self.uri = f"urn:test:{name}"
        self.url = f"opc.tcp://127.0.0.1:{free_port()}/{name}"
        self.server = AsyncuaServer()
        self.is_up = True

    async def create(self) -> None:
        await self.server.init()
        self.server.set_endpoint(self.url)
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await self.server.set_application_uri(self.uri)
        await self.server.start()

    async def go_down(self) -> None:
        """Its port is closed and its connections are cut, as when its process dies."""
        if self.is_up:
            self.is_up = False
            await self.server.bserver.stop()

    async def come_up(self) -> None:
        if not self.is_up:
            self.is_up = True
            await self.server.bserver.start()

    async def be_as_new(self) -> None:
        await self.come_up()
        await self.set_level(255)
        await self.name_set()
        known = self.server.iserver._known_servers
        for uri in [uri for uri in known if uri != self.uri]:
            del known[uri]

    async def set_level(self, level: int) -> None:
        node = self.server.get_node(ua.ObjectIds.Server_ServiceLevel)
        await node.write_value(ua.Variant(level, ua.VariantType.Byte))

    async def name_set(self, *uris: str) -> None:
        node = self.server.get_node(ua.ObjectIds.Server_ServerRedundancy_ServerUriArray)
        await node.write_value(ua.Variant(list(uris), ua.VariantType.String, is_array=True))

    @property
    def sessions(self) -> int:
        return len(self.server.bserver.clients)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers():
    found = [Member("a"), Member("b")]
    for member in found:
        await member.create()
    yield found
    for member in found:
        await member.server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def pair(servers):
    for member in servers:
        await member.be_as_new()
    return servers


@pytest.fixture
def told(monkeypatch):
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(connections, "emit", lambda *event: found.append((event[1], event[4])))
    return found


@asynccontextmanager
async def connected(monkeypatch, tmp_path, server_set: ServerSet, first: Member):
    monkeypatch.setattr(connections, "Members", partial(Members, rules=SHORT, pace=QUICK))
    server = Server(
        "PLC",
        first.url,
        security_policy=SecurityPolicy.NONE,
        security_mode=SecurityMode.NONE,
        server_set=server_set,
    )
    connection = ServerConnection(server, Pki(Path(tmp_path)), "urn:test:station")
    users = Users()
    connection.add_listener(users)
    connection.start()
    try:
        await until(lambda: connection.state is ServerState.CONNECTED)
        yield connection, users
    finally:
        await connection.stop()


async def until(look, within: float = 30.0) -> None:
    async with asyncio.timeout(within):
        while not look():
            await asyncio.sleep(0.02)


async def steadily(look, during: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + during
    while loop.time() < deadline:
        assert look()
        await asyncio.sleep(0.02)


def uses(connection: ServerConnection, member: Member | ServerProcess) -> bool:
    return connection.state is ServerState.CONNECTED and f"uses {member.url}," in connection.reason


def manual(other: Member | ServerProcess, failover: Failover = Failover.WARM) -> ServerSet:
    return ServerSet(ServerSetMode.MANUAL, (other.url,), failover)


@pytest.mark.parametrize("failover", list(Failover))
async def test_a_member_without_data_is_left_at_once(pair, told, monkeypatch, tmp_path, failover):
    a, b = pair
    async with connected(monkeypatch, tmp_path, manual(b, failover), a) as (connection, users):
        assert uses(connection, a)
        await until(lambda: connection._members._set.is_reachable(b.url))
        await a.set_level(1)
        await until(lambda: uses(connection, b))

        assert users.seen == ["connected", "disconnected", "connected"]
        assert "ServiceLevel 1 (no data)" in connection.reason
        assert f"moves to {b.url}" in connection.last_error
    (moved,) = [message for code, message in told if code == "SERVER_MOVED"]
    assert f"PLC is used at {b.url} now instead of {a.url}: " in moved
    assert "SERVER_LOST" not in dict(told)


async def test_a_better_member_is_moved_to_only_after_a_while(pair, monkeypatch, tmp_path):
    a, b = pair
    await a.set_level(150)
    async with connected(monkeypatch, tmp_path, manual(b), a) as (connection, users):
        assert uses(connection, a)
        began = asyncio.get_running_loop().time()
        await until(lambda: uses(connection, b))

        assert asyncio.get_running_loop().time() - began >= SHORT.hold_seconds
        assert len(users.seen) == 3


async def test_a_dead_member_is_left_and_does_not_come_back_by_itself(
    pair, told, monkeypatch, tmp_path
):
    a, b = pair
    async with connected(monkeypatch, tmp_path, manual(b), a) as (connection, users):
        await until(lambda: connection._members._set.is_reachable(b.url))
        await a.go_down()
        await until(lambda: uses(connection, b))
        assert f"before: {a.url}: " in connection.reason
        await until(lambda: connection.members[0].state == "dead" and connection.members[0].reason)
        await a.come_up()
        await until(lambda: f"member {a.url} has ServiceLevel 255 (healthy) again" in str(told))
        await steadily(lambda: uses(connection, b), 2 * SHORT.hold_seconds)

        assert users.seen == ["connected", "disconnected", "connected"]


async def test_a_small_change_of_the_service_level_moves_nothing(pair, monkeypatch, tmp_path):
    a, b = pair
    async with connected(monkeypatch, tmp_path, manual(b), a) as (connection, users):
        await until(lambda: connection._members._set.is_reachable(b.url))
        await a.set_level(255 - SHORT.margin + 1)
        await until(lambda: connection.members[0].service_level == 255 - SHORT.margin + 1)
        await steadily(lambda: uses(connection, a), 2 * SHORT.hold_seconds)

        assert users.seen == ["connected"]
        assert f"{b.url} has ServiceLevel 255 (healthy)" in connection.explain()
        assert [member.in_use for member in connection.members] == [True, False]


async def test_a_hot_set_hands_over_the_session_that_it_kept(pair, monkeypatch, tmp_path):
    a, b = pair
    async with connected(monkeypatch, tmp_path, manual(b, Failover.HOT), a) as (connection, _):
        members = connection._members
        await until(lambda: b.url in members._spares._standing and members._set.is_reachable(b.url))
        kept = members._spares._standing[b.url].session
        await a.set_level(0)
        await until(lambda: uses(connection, b))

        assert connection.session is kept
        await b.go_down()  # its loss is that of the connection now
        await until(lambda: connection.session is not kept)


@pytest.mark.node
async def test_a_hot_set_hands_over_the_session_on_a_server_of_another_maker(
    pair, monkeypatch, tmp_path
):
    a, _ = pair
    with running("foreign", "--items", "1") as b:
        async with connected(monkeypatch, tmp_path, manual(b, Failover.HOT), a) as (connection, _):
            members = connection._members
            await until(lambda: b.url in members._spares._standing)
            await until(lambda: members._set.is_reachable(b.url))
            kept = members._spares._standing[b.url].session
            await a.go_down()
            await until(lambda: uses(connection, b))

            assert connection.session is kept
            assert b.counts()["sessions"] == 1
            await a.come_up()
            await until(lambda: a.url in members._spares._standing)
            b.command("service_level", level=1)
            await until(lambda: uses(connection, a))


async def test_a_warm_set_keeps_no_session_on_the_others(pair, monkeypatch, tmp_path):
    a, b = pair
    async with connected(monkeypatch, tmp_path, manual(b), a) as (connection, _):
        await until(lambda: connection._members._set.is_reachable(b.url))
        await until(lambda: b.sessions == 0)
        assert a.sessions == 1
    await until(lambda: a.sessions == 0)


async def test_a_set_whose_first_member_is_dead_begins_with_the_other(pair, monkeypatch, tmp_path):
    a, b = pair
    await a.go_down()
    async with connected(monkeypatch, tmp_path, manual(b), a) as (connection, _):
        assert uses(connection, b)


async def test_every_member_is_named_when_none_can_be_used(pair, monkeypatch, tmp_path):
    a, b = pair
    async with connected(monkeypatch, tmp_path, manual(b), a) as (connection, _):
        await a.go_down()
        await b.go_down()
        await until(lambda: "has no member that can be used" in connection.reason)

        assert connection.state is ServerState.DISCONNECTED
        assert a.url in connection.reason
        assert b.url in connection.reason


async def test_the_others_are_learned_from_the_server(pair, monkeypatch, tmp_path):
    a, b = pair
    await a.name_set(a.uri, b.uri)
    await b.name_set(a.uri, b.uri)
    await b.server.register_to_discovery(a.url, period=0)
    learned = ServerSet(ServerSetMode.AUTO)
    async with connected(monkeypatch, tmp_path, learned, a) as (connection, _):
        await until(lambda: connection._members._set.endpoints == (a.url, b.url))
        await until(lambda: connection._members._set.is_reachable(b.url))
        await a.set_level(0)
        await until(lambda: uses(connection, b))
        await until(lambda: b.uri in connection._members._uris)

        assert connection._members._set.endpoints == (a.url, b.url), "none is learned twice"


async def test_addresses_in_the_uri_array_are_taken_as_they_are(pair, monkeypatch, tmp_path):
    a, b = pair
    await a.name_set(a.url, b.url)
    async with connected(monkeypatch, tmp_path, ServerSet(ServerSetMode.AUTO), a) as (one, _):
        await until(lambda: one._members._set.endpoints == (a.url, b.url))


async def test_a_member_that_is_listed_says_itself_who_it_is(pair, told, monkeypatch, tmp_path):
    """FindServers of ``a`` does not know ``b``; the list does."""
    a, b = pair
    await a.name_set(a.uri, b.uri)
    both = ServerSet(ServerSetMode.AUTO, (b.url,))
    async with connected(monkeypatch, tmp_path, both, a) as (connection, _):
        await until(lambda: b.uri in connection._members._uris)
        assert connection._members._uris == {a.uri: a.url, b.uri: b.url}
        assert connection._members._set.endpoints == (a.url, b.url)
    assert "no address" not in str(told)


async def test_a_member_without_an_address_is_named_and_asked_for_again(
    pair, told, monkeypatch, tmp_path
):
    a, b = pair
    await a.name_set(a.uri, b.uri)
    async with connected(monkeypatch, tmp_path, ServerSet(ServerSetMode.AUTO), a) as (one, _):
        lost = f"PLC: member {b.uri} has no address: FindServers does not know it"
        await until(lambda: ("SERVER_MEMBER", lost) in told)
        await b.server.register_to_discovery(a.url, period=0)
        await until(lambda: one._members._set.endpoints == (a.url, b.url))

    found = f"PLC: member {b.uri} has the address {b.url} now"
    assert [message for code, message in told if b.uri in message] == [lost, found]


async def test_a_server_that_names_no_set_is_used_alone(pair, told, monkeypatch, tmp_path):
    a, _ = pair
    async with connected(monkeypatch, tmp_path, ServerSet(ServerSetMode.AUTO), a) as (one, _):
        named = f"PLC: {a.url} names no redundant servers (ServerUriArray)"
        await until(lambda: ("SERVER_MEMBER", named) in told)
        assert uses(one, a)
