"""What two makers' servers tell of their types: layouts, built-in types, dimensions, parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pipes.core.node_ids import encode
from pipes.core.structures import MOST_TYPES, FieldLayout, Layout, StructureKind
from pipes.core.values import NodeId, VariantType
from pipes.opcua.index_ranges import ignores_index_range
from pipes.opcua.session import Session
from pipes.opcua.structures import learn_structure
from pipes.opcua.written import read_targets
from tests.servers.clients import PLANT, server_of, session_on
from tests.servers.harness import ServerProcess, running

KINDS = [pytest.param("plant"), pytest.param("foreign", marks=pytest.mark.node)]
T = VariantType


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with running(request.param, "--items", "1", "--models") as process:
        yield process


@pytest.fixture
async def session(server: ServerProcess, tmp_path: Path) -> AsyncIterator[Session]:
    async with session_on(server_of(server), tmp_path) as opened:
        yield opened


def vendor(session: Session, number: int) -> NodeId:
    return NodeId(session.namespaces.index("urn:test:types"), number)


async def test_a_structure_is_learned_with_all_that_it_nests(session: Session) -> None:
    await learn_structure(session, vendor(session, 5004))

    batch, step = vendor(session, 3004), vendor(session, 3003)
    assert session.structures.types == {vendor(session, 5004): batch}
    assert session.structures.layouts == {
        batch: Layout(
            StructureKind.STRUCTURE,
            (
                FieldLayout("Title", T.LOCALIZED_TEXT),
                FieldLayout("Product", T.QUALIFIED_NAME),
                FieldLayout("Mode", T.INT32),
                FieldLayout("Amounts", T.DOUBLE, 1),
                FieldLayout("Steps", T.EXTENSION_OBJECT, 1, structure=step),
                FieldLayout("Node", T.NODE_ID),
            ),
        ),
        step: Layout(
            StructureKind.STRUCTURE,
            (FieldLayout("Name", T.STRING), FieldLayout("Target", T.NODE_ID)),
        ),
    }
    assert not session.structures.is_free(batch)


async def test_unions_and_optional_fields_are_told_apart(session: Session) -> None:
    for number in (5005, 5006, 5007):
        await learn_structure(session, vendor(session, number))
    layouts = session.structures.layouts
    assert layouts[vendor(session, 3005)].kind is StructureKind.UNION
    note = layouts[vendor(session, 3006)]
    assert note.kind is StructureKind.OPTIONAL_FIELDS
    assert [field.is_optional for field in note.fields] == [False, True, True]
    assert note.fields[2].type is T.DOUBLE, "a subtype of Double"
    assert session.structures.is_free(vendor(session, 3007))


@pytest.mark.parametrize(
    ("type_id", "why"),
    [
        (NodeId(0, 2253), "does not show which DataType"),
        (NodeId(0, 4_000_000_000), "does not show which DataType"),
        (NodeId(0, 14846), "DataTypeDefinition|type of its field"),
    ],
    ids=["no encoding", "no node", "no definition"],
)
async def test_a_type_that_cannot_be_found_out_is_remembered_with_the_reason(
    session: Session, type_id: NodeId, why: str
) -> None:
    await learn_structure(session, type_id)
    reason = session.structures.types[type_id]
    assert isinstance(reason, str)
    assert any(part in reason for part in why.split("|")), reason
    assert session.structures.layouts == {}


async def test_a_full_memory_begins_anew(session: Session) -> None:
    known = session.structures
    known.types.update((NodeId(99, number), "unknown") for number in range(MOST_TYPES))
    await learn_structure(session, vendor(session, 5007))
    assert list(known.types) == [vendor(session, 5007)]


async def test_targets_tell_built_in_type_rank_and_dimensions(session: Session) -> None:
    names = ["Mode", "Percent", "Batch", "Choice", "Matrix", "Nodes"]
    nodes = [session.encode_node(f"{PLANT}Model.{name}") for name in names]
    infos = dict(zip(names, await read_targets(session, nodes, values=True), strict=True))
    assert infos["Mode"].type is T.INT32
    assert infos["Percent"].type is T.DOUBLE
    assert infos["Batch"].type is infos["Choice"].type is T.EXTENSION_OBJECT
    assert infos["Matrix"].value_rank == 2
    assert infos["Nodes"].type is T.NODE_ID


async def test_a_type_that_leads_nowhere_is_that_of_the_present_value(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_session: Session, _data_type: NodeId) -> None:
        return None

    monkeypatch.setattr("pipes.opcua.written.built_in", nothing)
    nodes = [session.encode_node(f"{PLANT}Model.{name}") for name in ("Percent", "Array")]
    shown = await read_targets(session, nodes, values=True)
    hidden = await read_targets(session, nodes, values=False)
    assert [info.type for info in shown] == [T.DOUBLE, T.DOUBLE]
    assert [info.type for info in hidden] == [T.VARIANT, T.VARIANT]


async def test_a_server_shows_whether_it_cuts_arrays(
    server: ServerProcess, session: Session
) -> None:
    ignores = server.kind == "plant"  # asyncua gives all elements
    assert await ignores_index_range(session) is ignores
    assert session.ignores_index_range is ignores
    assert await ignores_index_range(session) is ignores


@pytest.mark.node
async def test_the_dimensions_of_a_limited_array_are_read(tmp_path: Path) -> None:
    with running("foreign", "--items", "1", "--models", "--byte-string", "5000") as foreign:
        async with session_on(server_of(foreign), tmp_path) as session:
            node = session.encode_node(f"{PLANT}Model.Limited")
            missing = encode(NodeId(0, 4_000_000_000))
            limited, gone = await read_targets(session, [node, missing], values=True)
            assert limited.dimensions == (3,)
            assert gone.status >> 31
            assert session.value_limits.byte_string == 5000
            assert session.value_limits.message > 8192
