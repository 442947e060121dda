"""Types that are more than a number, between two makers whose namespaces have other indices."""

from __future__ import annotations

import asyncio
import struct
from itertools import count
from pathlib import Path
from threading import Thread

import pytest

from pipes.core.binary import encode_data_value, encode_scalar
from pipes.core.choices import Auth, SecurityMode, SecurityPolicy
from pipes.core.status_codes import code_of
from pipes.core.values import (
    DataValue,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Variant,
    VariantType,
)
from pipes.core.wanted import Server
from pipes.opcua.session import Session
from pipes.pki import Pki
from tests.scenarios.mirrors import Mirror, took
from tests.scenarios.plants import Plant, node_id

pytestmark = pytest.mark.node

T = VariantType
#: As the two makers number them; the first test looks whether it is so.
NAMESPACES = {
    "asyncua": {"urn:test:plant": 2, "urn:test:types": 6},
    "node": {"urn:test:types": 2, "urn:test:plant": 3},
}
MEGABYTE = bytes(range(256)) * 4096
MOST_BYTES = 2 << 20
NO_DATA = code_of("BadNoData")
CODECS = ["splice", "decode"]
_stamps = count(134_117_966_450_000_000, 10_000)


@pytest.fixture(scope="module")
def north(shared_plant):
    return shared_plant(items=4, models=True)


@pytest.fixture(scope="module")
def south(shared_plant):
    return shared_plant("node", items=4, models=True, byte_string=MOST_BYTES)


@pytest.fixture(scope="module")
def shared_station(north, south, shared_station):
    """Started while the plants start."""
    return shared_station


class Eyes:
    """What any client reads at a plant: one session, kept open on a loop of its own."""

    def __init__(self, plant: Plant, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        server = Server("X", plant.url, SecurityPolicy.NONE, SecurityMode.NONE, Auth.ANONYMOUS)
        opened = Session.open(
            server, Pki(folder), application_uri="urn:mirrorsite:test", on_lost=lambda _why: None
        )
        self.session = self._wait(opened)

    def _wait(self, asked):
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result(20)

    def held(self, names: list[str]) -> dict[str, Variant | None]:
        nodes = [(self.session.encode_node(node_id(name)), 13) for name in names]
        found = self._wait(self.session.read(nodes))
        return {name: value.variant for name, value in zip(names, found, strict=True)}

    def status(self, name: str) -> int:
        (found,) = self._wait(self.session.read([(self.session.encode_node(node_id(name)), 13)]))
        return found.status

    def close(self) -> None:
        self._wait(self.session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def eyes(north, south, tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    both = {plant: Eyes(plant, folder / plant.maker) for plant in (north, south)}
    yield both
    for each in both.values():
        each.close()


def put(plant: Plant, name: str, variant: Variant) -> None:
    """Let a plant have a value, as the bytes of the wire."""
    value = DataValue(variant, source_timestamp=next(_stamps))
    plant.ask("set_raw", node=name, raw=encode_data_value(value).hex())


def wait_for(eyes: Eyes, wanted: dict[str, Variant], what: str) -> None:
    def differing() -> list[tuple[str, Variant | None]]:
        found = eyes.held(list(wanted))
        return [(name, found[name]) for name in wanted if found[name] != wanted[name]]

    took(what, lambda: not differing(), within=10, what=lambda: str(differing())[:600])


def structure(types: int, encoding: int, *fields: bytes) -> Variant:
    body = b"".join(fields)
    return Variant(T.EXTENSION_OBJECT, ExtensionObject(NodeId(types, encoding), body, 1))


def argument() -> Variant:
    """A standard structure that names a DataType; asyncua gives no definition of it."""
    return structure(
        0,
        298,
        encode_scalar(T.STRING, "Speed"),
        encode_scalar(T.NODE_ID, NodeId(6, 3002)),
        struct.pack("<ii", -1, -1),
        encode_scalar(T.LOCALIZED_TEXT, LocalizedText("rpm")),
    )


def families(maker: str, number: int) -> dict[str, Variant]:
    """One value of each family, in the terms of a maker's server."""
    types, plant = (NAMESPACES[maker][uri] for uri in ("urn:test:types", "urn:test:plant"))
    node = NodeId(plant, f"Model.Batch {number}")
    encoded = encode_scalar(T.NODE_ID, node)
    step = encode_scalar(T.STRING, "Füllen") + encode_scalar(T.NODE_ID, NodeId(types, 70_000))
    return {
        "Model.Mode": Variant(T.INT32, number % 3),
        "Model.Percent": Variant(T.DOUBLE, 0.1 + number),
        "Model.Text": Variant(T.LOCALIZED_TEXT, LocalizedText(f"Grün {number}", "de")),
        "Model.Name": Variant(T.QUALIFIED_NAME, QualifiedName(types, f"N{number}")),
        "Model.Node": Variant(T.NODE_ID, node),
        "Model.Expanded": Variant(T.EXPANDED_NODE_ID, ExpandedNodeId(NodeId(types, number))),
        "Model.Nodes": Variant(T.NODE_ID, (node, NodeId(types, 3004), NodeId(0, 85))),
        "Model.Matrix": Variant(T.DOUBLE, (1.5, 2.5, float(number), 4.5), (2, 2)),
        "Model.Bytes": Variant(T.BYTE_STRING, MEGABYTE + bytes([number % 256])),
        "Model.Batch": structure(
            types,
            5004,
            encode_scalar(T.LOCALIZED_TEXT, LocalizedText("Ansatz", "de")),
            encode_scalar(T.QUALIFIED_NAME, QualifiedName(types, "Product")),
            struct.pack("<iidd", 2, 2, 0.5, number),
            struct.pack("<i", 2) + step * 2,
            encoded,
        ),
        "Model.Choice": structure(types, 5005, struct.pack("<I", 2), encoded),
        "Model.Note": structure(
            types,
            5006,
            struct.pack("<I", 3),
            encode_scalar(T.STRING, "Notiz"),
            encoded,
            struct.pack("<d", number),
        ),
        "Model.Point": structure(types, 5007, struct.pack("<dd", 1.5, number)),
    }


_numbers = count(1)


def test_the_two_servers_number_their_namespaces_differently(eyes):
    for plant, seen in eyes.items():
        table = seen.session.namespaces
        known = {uri: table.index(uri) for uri in NAMESPACES[plant.maker]}
        assert known == NAMESPACES[plant.maker]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_every_family_of_types_arrives_in_the_targets_terms(
    shared_station, north, south, eyes, codec, direction
):
    source, target = (north, south) if direction == "forward" else (south, north)
    names = list(families("node", 0))
    item = {"direction": direction}
    mirror = Mirror(shared_station, north, south, names, pipe={"codec": codec}, item=item).apply()
    for what in ("first values", "changes"):
        number = next(_numbers)
        for name, variant in families(source.maker, number).items():
            put(source, name, variant)
        wanted = families(target.maker, number)
        wait_for(eyes[target], wanted, f"{what} of all families, {codec} {direction}")
    for name in names:
        shown = mirror.item(name)
        assert shown["state"] == "good", (name, shown["reason"])


@pytest.mark.parametrize("codec", CODECS)
def test_null_and_empty_are_two_things_and_a_null_variant_is_no_data(
    shared_station, north, south, eyes, codec
):
    names = ["Model.String", "Model.Bytes", "Model.Nodes", "Model.Percent"]
    Mirror(shared_station, south, north, names, pipe={"codec": codec}).apply()
    for text, data, nodes in ((None, None, None), ("", b"", ()), ("x", b"x", (NodeId(0, 85),))):
        wanted = {
            "Model.String": Variant(T.STRING, text),
            "Model.Bytes": Variant(T.BYTE_STRING, data),
            "Model.Percent": Variant(T.DOUBLE, float(next(_numbers))),
        }
        if nodes is not None:  # node-opcua cannot hold a null array
            wanted["Model.Nodes"] = Variant(T.NODE_ID, nodes)
        for name, variant in wanted.items():
            put(south, name, variant)
        wait_for(eyes[north], wanted, f"nulls {codec} {text!r}")
    put(south, "Model.Percent", Variant(T.NULL))
    took("no data", lambda: eyes[north].status("Model.Percent") == NO_DATA, within=10)
    number = Variant(T.DOUBLE, float(next(_numbers)))
    put(south, "Model.Percent", number)
    wait_for(eyes[north], {"Model.Percent": number}, "data again")


@pytest.mark.parametrize("codec", CODECS)
def test_c04_what_the_target_cannot_understand_is_refused_and_harms_no_other(
    shared_station, north, south, eyes, codec
):
    """A namespace that it lacks, a structure of which nothing is known, an array too long."""
    names = {
        "Model.Node": "Model.Node",
        "Model.Batch": "Model.Any",
        "Model.Array": "Model.Limited",
        "Model.Percent": "Model.Percent",
    }
    mirror = Mirror(shared_station, north, south, names, pipe={"codec": codec}).apply()
    number = float(next(_numbers))
    put(north, "Model.Node", Variant(T.NODE_ID, NodeId(1, "at home")))
    put(north, "Model.Batch", argument())
    put(north, "Model.Array", Variant(T.DOUBLE, (1.0, 2.0, 3.0, number)))
    put(north, "Model.Percent", Variant(T.DOUBLE, number))

    assert "urn:test:plant:server" in mirror.wait_for_item("Model.Node", "error")["reason"]
    reason = mirror.wait_for_item("Model.Batch", "error")["reason"]
    assert "i=298" in reason
    assert "DataTypeDefinition" in reason
    assert "same namespaces" in reason
    reason = mirror.wait_for_item("Model.Array", "error")["reason"]
    assert "4 elements does not fit a target of at most 3" in reason
    wait_for(eyes[south], {"Model.Percent": Variant(T.DOUBLE, number)}, "the item beside")

    node = {maker: NodeId(NAMESPACES[maker]["urn:test:plant"], "T000000") for maker in NAMESPACES}
    put(north, "Model.Node", Variant(T.NODE_ID, node["asyncua"]))
    put(north, "Model.Array", Variant(T.DOUBLE, (1.0, number)))
    wanted = {
        "Model.Node": Variant(T.NODE_ID, node["node"]),
        "Model.Limited": Variant(T.DOUBLE, (1.0, number)),
    }
    wait_for(eyes[south], wanted, "understood again")
    mirror.wait_for_item("Model.Node", "good")
    mirror.wait_for_item("Model.Array", "good")


@pytest.mark.parametrize("codec", CODECS)
def test_a_value_too_large_for_the_target_is_refused_alone_with_both_sizes(
    shared_station, north, south, eyes, codec
):
    names = ["Model.Bytes", "Model.Percent"]
    mirror = Mirror(shared_station, north, south, names, pipe={"codec": codec}).apply()
    since = mirror.wait_for_server("TGT", "connected")["since"]
    number = float(next(_numbers))
    put(north, "Model.Bytes", Variant(T.BYTE_STRING, bytes(MOST_BYTES + 1)))
    put(north, "Model.Percent", Variant(T.DOUBLE, number))

    reason = mirror.wait_for_item("Model.Bytes", "error")["reason"]
    assert f"a ByteString of {MOST_BYTES + 1} bytes; the server takes {MOST_BYTES}" in reason
    wait_for(eyes[south], {"Model.Percent": Variant(T.DOUBLE, number)}, "the item beside")
    assert mirror.server("TGT")["since"] == since, "the connection lives on"

    fits = Variant(T.BYTE_STRING, bytes(MOST_BYTES - 1) + bytes([int(number) % 256]))
    put(north, "Model.Bytes", fits)
    wait_for(eyes[south], {"Model.Bytes": fits}, "the largest that fits")
    mirror.wait_for_item("Model.Bytes", "good")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("maker", ["asyncua", "node"])
def test_a_part_of_an_array_arrives_whether_or_not_the_server_can_cut(
    shared_station, north, south, eyes, codec, maker
):
    """asyncua gives whole arrays, node-opcua the part."""
    source, target = (north, south) if maker == "asyncua" else (south, north)
    names = {"Model.Array": "Model.Element", "Model.Matrix": "Model.Matrix"}
    items = {"Model.Array": {"index_range": "2"}, "Model.Matrix": {"index_range": "0:1,1"}}
    Mirror(shared_station, source, target, names, pipe={"codec": codec}, items=items).apply()
    for _ in range(2):
        number = float(next(_numbers))
        put(source, "Model.Array", Variant(T.DOUBLE, (0.0, 1.0, number, 3.0)))
        put(source, "Model.Matrix", Variant(T.DOUBLE, (1.0, number, 3.0, 4.0), (2, 2)))
        wanted = {
            "Model.Element": Variant(T.DOUBLE, number),
            "Model.Matrix": Variant(T.DOUBLE, (number, 4.0), (2, 1)),
        }
        wait_for(eyes[target], wanted, f"parts from {maker}, {codec}")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("direction", ["reverse", "both"])
def test_one_element_of_an_array_is_written_and_the_others_stay(
    shared_station, north, south, eyes, codec, direction
):
    mirror = Mirror(
        shared_station,
        south,
        north,
        {"Model.Array": "Model.Element"},
        pipe={"codec": codec},
        item={"direction": direction, "index_range": "3"},
    ).apply()
    number = float(next(_numbers))
    put(south, "Model.Array", Variant(T.DOUBLE, (0.0, 1.0, 2.0, number, 4.0)))
    if direction == "both":
        wait_for(eyes[north], {"Model.Element": Variant(T.DOUBLE, number)}, "forward")
    number = float(next(_numbers))
    put(north, "Model.Element", Variant(T.DOUBLE, number))
    wanted = {"Model.Array": Variant(T.DOUBLE, (0.0, 1.0, 2.0, number, 4.0))}
    wait_for(eyes[south], wanted, f"one element, {codec} {direction}")
    mirror.wait_for_item("Model.Array", "good")


def test_a_server_that_would_lose_the_other_elements_is_not_written(
    shared_station, north, south, eyes
):
    put(north, "Model.Array", Variant(T.DOUBLE, (0.0, 1.0, 2.0)))
    mirror = Mirror(
        shared_station,
        north,
        south,
        {"Model.Array": "Model.Element"},
        item={"direction": "reverse", "index_range": "1"},
    ).apply()
    put(south, "Model.Element", Variant(T.DOUBLE, 9.0))
    reason = mirror.wait_for_item("Model.Array", "error")["reason"]
    assert "would replace the whole array" in reason
    assert eyes[north].held(["Model.Array"]) == {"Model.Array": Variant(T.DOUBLE, (0.0, 1.0, 2.0))}
