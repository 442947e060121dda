"""Browsing and reading as engineers do, on two implementations of a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipes.core.node_ids import NodeIdError
from pipes.opcua.browse import browse, read_nodes
from pipes.opcua.errors import RequestFailed
from tests.servers.clients import PLANT, server_of, session_on
from tests.servers.harness import ServerProcess, running

KINDS = [pytest.param("plant"), pytest.param("foreign", marks=pytest.mark.node)]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with running(request.param, "--items", "1200", "--types") as process:
        yield process


async def test_the_objects_folder_is_where_browsing_begins(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        answer = await browse(session)

    rows = {row["display_name"]: row for row in answer["results"]}
    assert answer["node"] == "i=85"
    assert answer["continuation"] is None
    assert {"Server", "Area00", "Area01", "Area02", "Scalars"} <= rows.keys()
    area = rows["Area00"]
    assert area["node_id"] == f"{PLANT}Area00"
    assert (area["node_class"], area["has_children"], area["data_type"]) == ("Object", True, None)
    assert rows["Server"]["node_id"] == "i=2253"


async def test_variables_are_shown_with_type_access_and_value(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        scalars = await browse(session, f"{PLANT}Scalars")
        arrays = await browse(session, f"{PLANT}Arrays")
        odd = await browse(session, f"{PLANT}Odd")

    rows = {row["display_name"]: row for row in scalars["results"] + arrays["results"]}
    double = rows["Scalar.Double"]
    assert (double["data_type"], double["value_rank"]) == ("Double", -1)
    assert (double["access"], double["value"]) == ("rw", 2.718281828459045)
    assert double["node_id"] == f"{PLANT}Scalar.Double"
    assert double["has_children"] is False
    assert rows["Array.Int32"]["value"] == [1, -2, 3]
    strange = {row["display_name"]: row for row in odd["results"]}
    assert strange["ReadOnly"]["access"] == "r"
    assert strange["Enum"]["data_type"] == "ServerState"
    assert strange["Duration"]["data_type"] == "Duration"


async def test_pages_join_without_a_hole(server: ServerProcess, tmp_path: Path) -> None:
    names: list[str] = []
    continuation = None
    pages = 0
    async with session_on(server_of(server), tmp_path) as session:
        while True:
            page = await browse(session, f"{PLANT}Area01", limit=150, continuation=continuation)
            pages += 1
            names += [row["display_name"] for row in page["results"]]
            continuation = page["continuation"]
            if continuation is None:
                break

    assert pages == 4
    assert sorted(names) == [f"T{index:06}" for index in range(500, 1000)]


async def test_search_looks_through_the_levels_below(server: ServerProcess, tmp_path: Path) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        deep = await browse(session, depth=2, search="t00112")
        shallow = await browse(session, depth=1, search="t00112")

    assert sorted(row["display_name"] for row in deep["results"]) == [
        f"T{index:06}" for index in range(1120, 1130)
    ]
    assert shallow["results"] == []


async def test_an_unknown_node_is_named_as_what_it_is(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        with pytest.raises(RequestFailed, match="BadNodeId"):
            await browse(session, f"{PLANT}Nowhere")
        with pytest.raises(NodeIdError):
            await browse(session, "nsu=urn:not:here;s=X")
        with pytest.raises(NodeIdError):
            await browse(session, "this is no node id")
        with pytest.raises(RequestFailed, match="continuation"):
            await browse(session, continuation="-1; drop table")


async def test_present_values_are_read_in_their_order(
    server: ServerProcess, tmp_path: Path
) -> None:
    nodes = [f"{PLANT}T000005", f"{PLANT}Nowhere", "i=2259", f"{PLANT}Scalar.String"]
    async with session_on(server_of(server), tmp_path) as session:
        values = await read_nodes(session, nodes)

    assert [value["node"] for value in values] == nodes
    assert (values[0]["value"], values[0]["status"]) == (5.0, "Good")
    assert values[0]["source_timestamp"].startswith("2026-01-02T03:04:05.678")
    assert values[1]["status"] == "BadNodeIdUnknown"
    assert values[2]["value"] == 0
    assert values[3]["value"] == "Wörter ✓"
