"""What the linter reads of nodes, from two implementations of a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipes.core.node_facts import NodeFacts
from pipes.core.status_codes import code_of
from pipes.opcua.node_facts import read_facts
from tests.servers.clients import PLANT, server_of, session_on
from tests.servers.harness import ServerProcess, running

KINDS = [pytest.param("plant"), pytest.param("foreign", marks=pytest.mark.node)]
UNKNOWN = code_of("BadNodeIdUnknown")


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with running(request.param, "--items", "10", "--types") as process:
        yield process


async def facts_of(server: ServerProcess, folder: Path, *names: str) -> list[NodeFacts]:
    nodes = [name if "=" in name else f"{PLANT}{name}" for name in names]
    async with session_on(server_of(server), folder) as session:
        return await read_facts(session, nodes, {nodes[-1]})


async def test_type_rank_and_rights_are_read(server: ServerProcess, tmp_path: Path) -> None:
    double, array, read_only, number, duration = await facts_of(
        server, tmp_path, "T000001", "Array.Int32", "ReadOnly", "Number", "Duration"
    )
    assert (double.type, double.rank, double.access & 3) == ("Double", -1, 3)
    assert array.type == "Int32"
    assert array.rank in (0, 1)  # asyncua says OneOrMoreDimensions
    assert read_only.access & 3 == 1
    assert number.type == "Number"
    assert duration.type == "Double"


async def test_nodes_and_namespaces_that_are_not_there_are_missing(
    server: ServerProcess, tmp_path: Path
) -> None:
    there, nowhere, no_space = await facts_of(
        server, tmp_path, "T000001", "Nothing", "nsu=urn:nowhere;s=X"
    )
    assert not there.is_missing
    assert [nowhere.status, no_space.status] == [UNKNOWN, UNKNOWN]


async def test_whether_there_is_a_range_is_read_where_it_matters(
    server: ServerProcess, tmp_path: Path
) -> None:
    """The last node alone is asked for its EURange."""
    analog, plain = await facts_of(server, tmp_path, "Analog", "T000001")
    assert (analog.has_range, plain.has_range) == (None, False)
    _, analog = await facts_of(server, tmp_path, "T000001", "Analog")
    assert analog.has_range is True


async def test_a_node_that_samples_at_most_so_often_says_so(
    server: ServerProcess, tmp_path: Path
) -> None:
    """CurrentTime: servers say how often they renew it, or that they do not know."""
    (clock,) = await facts_of(server, tmp_path, "i=2258")
    assert clock.type == "DateTime"
    assert clock.minimum_sampling_ms is None or clock.minimum_sampling_ms > 0
