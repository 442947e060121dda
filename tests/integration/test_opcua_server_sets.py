"""What servers of two makers say of their redundancy, read from the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pipes.opcua.server_sets import (
    Redundancy,
    find_addresses,
    learn_members,
    read_redundancy,
    read_service_level,
)
from pipes.opcua.session import Session
from tests.scenarios.plants import free_port
from tests.servers.clients import server_of, session_on
from tests.servers.harness import ServerProcess, running

KINDS = [pytest.param("plant"), pytest.param("foreign", marks=pytest.mark.node)]
OWN, OTHER, THIRD = "urn:test:own", "urn:test:other", "urn:test:Wörter"
ELSEWHERE = "opc.tcp://10.0.0.9:4840/path"


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with running(request.param, "--items", "1", "--application-uri", OWN) as process:
        yield process


@pytest.fixture
async def session(server: ServerProcess, tmp_path: Path) -> AsyncIterator[Session]:
    async with session_on(server_of(server), tmp_path) as found:
        yield found


async def test_the_service_level_is_read(server: ServerProcess, session: Session) -> None:
    for level in (0, 1, 199, 255):
        server.command("service_level", level=level)
        assert await read_service_level(session) == level


async def test_the_uris_of_the_set_are_read(server: ServerProcess, session: Session) -> None:
    server.command("redundancy", uris=[OWN, OTHER, OTHER, ""])
    assert await read_redundancy(session) == Redundancy(OWN, (OWN, OTHER))


async def test_redundant_servers_are_decoded(server: ServerProcess, session: Session) -> None:
    """RedundantServerDataType (Part 5, 12.5), as the server's own encoder writes it."""
    server.command("redundancy", servers={OWN: 255, THIRD: 1, "": 0})
    assert await read_redundancy(session) == Redundancy(OWN, (OWN, THIRD))


async def test_the_uris_go_before_the_redundant_servers(
    server: ServerProcess, session: Session
) -> None:
    server.command("redundancy", uris=[OWN, OTHER], servers={THIRD: 200})
    assert (await read_redundancy(session)).members == (OWN, OTHER)


async def test_a_server_without_a_set_names_none(server: ServerProcess, session: Session) -> None:
    server.command("redundancy")
    assert await read_redundancy(session) == Redundancy(OWN, ())


async def test_find_servers_knows_the_address_of_another(server: ServerProcess) -> None:
    server.command("redundancy", uris=[OWN, OTHER], addresses={OTHER: ELSEWHERE})
    found = await find_addresses("A", server.url, [OTHER, THIRD])
    assert found == {OTHER: ELSEWHERE}


async def test_a_listed_endpoint_says_whose_it_is(server: ServerProcess, session: Session) -> None:
    """A twin that was configured by hand: here the server itself, under another name."""
    twin = server.url.replace("127.0.0.1", "localhost")
    nobody = f"opc.tcp://127.0.0.1:{free_port()}"
    server.command("redundancy", servers={OTHER: 255, OWN: 255, ELSEWHERE: 255})
    known = {OTHER: "opc.tcp://10.0.0.8:4840"}
    found = await learn_members(session, "A", server.url, known, [nobody, twin])
    assert found == {**known, OWN: server.url, ELSEWHERE: ELSEWHERE}

    server.command("redundancy", servers={THIRD: 255}, addresses={THIRD: ELSEWHERE})
    assert await learn_members(session, "A", server.url, {}, [nobody]) == {THIRD: ELSEWHERE}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_without_the_standards_objects_says_nothing(
    kind: str, tmp_path: Path
) -> None:
    with running(kind, "--items", "1", "--application-uri", OWN, "--no-redundancy") as bare:
        async with session_on(server_of(bare), tmp_path) as session:
            assert await read_service_level(session) is None
            assert await read_redundancy(session) == Redundancy(OWN, ())
