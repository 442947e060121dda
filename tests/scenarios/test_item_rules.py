"""What an item promises about its values: types, conversion, deadband, quality, initial write."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from pathlib import Path

import pytest

from pipes.core.choices import Auth, SecurityMode, SecurityPolicy
from pipes.core.values import DataValue, VariantType
from pipes.core.wanted import Server
from pipes.opcua.session import Session
from pipes.pki import Pki
from tests.scenarios.mirrors import Mirror, assert_equal_final_state, took
from tests.scenarios.plants import Plant, identity, node_id
from tests.scenarios.waiting import eventually, steadily

TAGS = [f"T{index:06}" for index in range(10)]
BAD = 0x8005_0000
UNCERTAIN = 0x4000_0000
ENCRYPTED = {"security_policy": "Basic256Sha256", "security_mode": "SignAndEncrypt"}
#: What both makers have; QualifiedName, NodeId and the like depend on namespaces.
SCALARS = [
    "Boolean",
    "SByte",
    "Byte",
    "Int16",
    "UInt16",
    "Int32",
    "UInt32",
    "Int64",
    "UInt64",
    "Float",
    "Double",
    "String",
    "DateTime",
    "Guid",
    "ByteString",
    "LocalizedText",
]
ARRAYS = ["Double", "Int32", "String", "Boolean", "Float"]
NAMES = [*(f"Scalar.{name}" for name in SCALARS), *(f"Array.{name}" for name in ARRAYS)]
_numbers = count(1000)


@pytest.fixture(scope="module")
def plant_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plants")
    return {
        maker: identity(folder / maker, uri)
        for maker, uri in (
            ("asyncua", "urn:test:plant:server"),
            ("node", "urn:test:foreign:server"),
        )
    }


@pytest.fixture(scope="module")
def north(shared_plant, plant_files):
    return shared_plant(
        items=20,
        types=True,
        policies="NoSecurity,Basic256Sha256_SignAndEncrypt",
        **plant_files["asyncua"],
    )


@pytest.fixture(scope="module")
def south(shared_plant):
    return shared_plant(items=20, types=True)


@pytest.fixture(scope="module")
def foreign(shared_plant, plant_files):
    return shared_plant("node", items=20, types=True, secure=True, **plant_files["node"])


def data_values(plant: Plant, names: list[str], folder: Path) -> list[DataValue]:
    """What any client reads: timestamps with all their digits."""

    async def read() -> list[DataValue]:
        server = Server("X", plant.url, SecurityPolicy.NONE, SecurityMode.NONE, Auth.ANONYMOUS)
        session = await Session.open(
            server, Pki(folder), application_uri="urn:mirrorsite:test", on_lost=lambda _why: None
        )
        try:
            return await session.read([(session.encode_node(node_id(name)), 13) for name in names])
        finally:
            await session.close()

    return asyncio.run(read())


def facts(value: DataValue) -> tuple:
    """What has to be equal; node-opcua keeps a DateTime as JavaScript does, in milliseconds."""
    variant = value.variant
    if variant is not None and variant.type is VariantType.DATE_TIME:
        return variant.value // 10_000, value.status, value.source_timestamp
    return variant, value.status, value.source_timestamp


def trust(station, *servers):
    """Trust what these servers show, as an admin would."""
    for server in servers:
        shown = eventually(lambda s=server: station.get(f"/servers/{s}/certificate"), within=15)
        if not shown["trusted"]:
            body = {"action": "trust", "thumbprint": shown["thumbprint"]}
            answer = station.api("POST", f"/servers/{server}/certificate", body)
            assert answer.status == 200, answer.raw


@pytest.mark.node
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(
    ("codec", "security"),
    [("splice", {}), ("decode", {}), ("splice", ENCRYPTED), ("decode", ENCRYPTED)],
    ids=["splice", "decode", "splice-encrypted", "decode-encrypted"],
)
def test_every_type_arrives_to_the_last_digit(
    shared_station, north, foreign, tmp_path, codec, security, direction
):
    mirror = Mirror(
        shared_station,
        north,
        foreign,
        [*NAMES, *TAGS],
        pipe={"codec": codec},
        item={"direction": direction},
        servers={"SRC": security, "TGT": security},
    ).apply()
    if security:
        trust(shared_station, "SRC", "TGT")
    source, target = (north, foreign) if direction == "forward" else (foreign, north)
    number = next(_numbers)
    source.set("Scalar.Int64", [0xFFFF_FFFF, number] if source is foreign else -number)
    source.set("Scalar.Double", 0.1 + number)
    source.set("Scalar.String", f"Wörter ✓ {number}")
    source.set("Scalar.ByteString", f"00ff{number:06}")
    source.set("Array.Double", [0.1 * number, -1e300, number])
    source.set("Scalar.Float", float(number), status=UNCERTAIN)
    source.set("T000003", float(number), stamp=1_700_000_000_123_000 + number * 1000)

    def differing():
        names = [*NAMES, *TAGS]
        read = [data_values(plant, names, tmp_path) for plant in (source, target)]
        return [
            (name, there, here)
            for name, there, here in zip(names, *read, strict=True)
            if facts(there) != facts(here)
        ]

    took(
        f"all types {source.maker} to {target.maker}, {codec}",
        lambda: not differing(),
        within=10,
        what=lambda: str(differing()[:3]),
    )
    assert_no_errors(mirror)


def assert_no_errors(mirror):
    for name in mirror.names:
        shown = mirror.item(name)
        assert shown["state"] in ("good", "uncertain"), (name, shown["reason"])


def test_a_matrix_and_odd_types_arrive_between_servers_that_have_them(
    shared_station, north, south, tmp_path
):
    names = ["Matrix.Double", "Scalar.XmlElement", "Scalar.StatusCode", "Enum", "Duration"]
    mirror = Mirror(shared_station, north, south, names).apply()
    north.set("Enum", 3)
    north.set("Duration", 77.5)
    north.set("Matrix.Double", [[1.5, 2.5], [float(next(_numbers)), 4.5]])

    def differing():
        there, here = (data_values(plant, names, tmp_path) for plant in (north, south))
        return [
            row for row in zip(names, there, here, strict=True) if facts(row[1]) != facts(row[2])
        ]

    took("matrix", lambda: not differing(), within=10, what=lambda: str(differing()[:3]))
    assert_no_errors(mirror)


@pytest.mark.node
def test_c04_numbers_are_converted_and_those_that_do_not_fit_are_refused(
    shared_station, foreign, south
):
    names = {
        "T000000": "Scalar.Int16",
        "T000001": "Scalar.String",
        "T000002": "Scalar.Boolean",
        "Scalar.Int32": "T000003",
        "Scalar.Boolean": "T000004",
        "T000005": "Number",
        "T000006": "Anything",
    }
    mirror = Mirror(shared_station, foreign, south, names).apply()
    foreign.set("T000000", 123.0)
    foreign.set("T000001", 1.5)
    foreign.set("T000002", 1.0)
    foreign.set("Scalar.Int32", -7)
    foreign.set("T000005", 5.5)
    foreign.set("T000006", 6.5)
    wanted = {
        "Scalar.Int16": 123,
        "Scalar.String": "1.5",
        "Scalar.Boolean": True,
        "T000003": -7.0,
        "T000004": 1.0,
        "Number": 5.5,
        "Anything": 6.5,
    }
    took(
        "conversion",
        lambda: south.values(list(wanted)) == wanted,
        within=10,
        what=lambda: str(south.values(list(wanted))),
    )
    types = {name: shown["type"] for name, shown in south.read(list(wanted)).items()}
    assert types["Scalar.Int16"] == "Int16"
    assert types["T000003"] == "Double"

    foreign.set("T000000", 40_000.0)
    shown = mirror.wait_for_item("T000000", "error")
    assert "40000" in shown["reason"].replace(",", "").replace(" ", "")
    assert "Int16" in shown["reason"]
    assert south.value("Scalar.Int16") == 123, "the target keeps the last value that fitted"
    foreign.set("T000000", -32_768.0)
    took("fits again", lambda: south.value("Scalar.Int16") == -32_768, within=5)
    mirror.wait_for_item("T000000", "good")


#: Source node, its value, transform, target node, what is written.
TRANSFORMED = [
    ("T000000", 50.0, {"kind": "linear", "gain": 0.1, "offset": -40}, "T000000", -35.0),
    ("T000001", 13_824.0, {"kind": "range", "in_low": 0, "in_high": 27_648, "out_low": 0,
                           "out_high": 100}, "T000001", 50.0),
    ("T000002", 100.0, {"kind": "unit", "from": "°C", "to": "K"}, "T000002", 373.15),
    ("Scalar.Boolean", True, {"kind": "invert"}, "Scalar.Boolean", False),
    ("Scalar.Byte", 2, {"kind": "lookup", "table": {"1": 10, "2": 20}}, "Scalar.Int64",
     20),
    ("Scalar.UInt16", 0x0A50, {"kind": "bits", "first": 4, "count": 4}, "Scalar.UInt32", 5),
    ("Scalar.Int16", 3, {"kind": "pack", "first": 8, "count": 2}, "Scalar.UInt16", 0x300),
    ("Scalar.Float", 2.5, {"kind": "format", "pattern": "{:.2f} bar"}, "Scalar.String",
     "2.50 bar"),
    ("Scalar.String", "90 rpm", {"kind": "parse", "pattern": "{:d} rpm"}, "Scalar.Int32", 90),
    ("Scalar.Double", 300.0, {"kind": "convert", "on_overflow": "saturate"}, "Scalar.Byte", 255),
    ("Array.Double", [1.0, 2.5], {"kind": "linear", "gain": 2, "offset": 0}, "Array.Double",
     [2.0, 5.0]),
]  # fmt: skip


@pytest.mark.node
def test_every_kind_of_transform_writes_what_it_promises(shared_station, foreign, south):
    mirror = Mirror(
        shared_station,
        foreign,
        south,
        {source: target for source, _, _, target, _ in TRANSFORMED},
        items={source: {"transform": spec} for source, _, spec, _, _ in TRANSFORMED},
    ).apply()
    for source, value, *_ in TRANSFORMED:
        foreign.set(source, value)
    wanted = {
        target: pytest.approx(made) if isinstance(made, float) else made
        for *_, target, made in TRANSFORMED
    }
    took(
        "all transforms",
        lambda: south.values(list(wanted)) == wanted,
        within=10,
        what=lambda: str(south.values(list(wanted))),
    )
    assert_no_errors(mirror)


@pytest.mark.node
def test_a_preview_takes_the_present_value_of_the_node_that_an_item_reads(
    shared_station, foreign, south
):
    Mirror(shared_station, foreign, south, {"T000005": "T000004"}).apply()
    foreign.set("T000005", 80.0)
    body = {
        "transform": {"kind": "linear", "gain": 0.1, "offset": -40},
        "direction": "forward",
        "source_node": node_id("T000005"),
    }

    eventually(
        lambda: (
            shared_station.api("POST", "/items/preview", body).json
            == [{"value": 80.0, "written": -32.0, "data_type": "Double", "error": None}]
        ),
        within=10,
        what="the preview of the present value",
    )


#: Source node, transform, target node; value at the source and what is written at the target; value
#: at the target and what is written at the source.
INVERTED = [
    ("T000006", {"kind": "unit", "from": "bar", "to": "mbar"}, "T000006", (1.5, 1500.0),
     (250.0, 0.25)),
    ("T000007", {"kind": "linear", "gain": 2.0, "offset": 10.0}, "T000007", (5.0, 20.0),
     (110.0, 50.0)),
    ("T000008", {"kind": "range", "in_low": 0, "in_high": 27_648, "out_low": 0, "out_high": 100},
     "T000008", (13_824.0, 50.0), (25.0, 6_912.0)),
    ("Scalar.Byte", {"kind": "lookup", "table": {"1": 10, "2": 20}}, "Scalar.Int32", (2, 20),
     (10, 1)),
    ("Scalar.Boolean", {"kind": "invert"}, "Scalar.Boolean", (False, True), (False, True)),
    ("Scalar.Int16", {"kind": "pack", "first": 8, "count": 2}, "Scalar.UInt16", (3, 0x300),
     (0x100, 1)),
    ("Scalar.Float", {"kind": "format", "pattern": "{:.2f} bar"}, "Scalar.String",
     (2.5, "2.50 bar"), ("1.25 bar", 1.25)),
]  # fmt: skip


@pytest.mark.node
def test_the_inverse_of_a_transform_carries_changes_back(shared_station, foreign, south):
    Mirror(
        shared_station,
        foreign,
        south,
        {source: target for source, _, target, _, _ in INVERTED},
        item={"direction": "both"},
        items={source: {"transform": spec} for source, spec, *_ in INVERTED},
    ).apply()

    carried(foreign, south, {name: there for name, _, _, there, _ in INVERTED},
            {name: there for _, _, name, there, _ in INVERTED})  # fmt: skip
    carried(south, foreign, {name: back for _, _, name, _, back in INVERTED},
            {name: back for name, _, _, _, back in INVERTED})  # fmt: skip


def carried(writer, reader, given, taken):
    """Set the first of each pair of ``given``: the second of each of ``taken`` arrives."""
    kept = {name: value for name, (value, _) in given.items()}
    for name, value in kept.items():
        writer.set(name, value)
    wanted = {
        name: pytest.approx(value) if isinstance(value, float) else value
        for name, (_, value) in taken.items()
    }
    took(
        f"what {writer.maker} has, computed for {reader.maker}",
        lambda: reader.values(list(wanted)) == wanted,
        within=10,
        what=lambda: str(reader.values(list(wanted))),
    )
    steadily(lambda: writer.values(list(kept)) == kept, during=1, what="no echo")


@pytest.mark.node
def test_a_deadband_is_applied_and_the_last_step_arrives(shared_station, foreign, south):
    mirror = deadband_from(shared_station, foreign, south)
    foreign.set("T000008", 105.5)
    took("deadband passed", lambda: south.value("T000008") == 105.5, within=5)
    assert mirror.item("T000008")["state"] == "good"


def test_a_value_that_creeps_out_of_the_deadband_unreported_is_found(shared_station, north, south):
    """asyncua's server compares with the last sample instead of the last report."""
    deadband_from(shared_station, north, south)
    north.set("T000008", 107.5)
    took("creeping out of the deadband", lambda: south.value("T000008") == 107.5, within=15)
    assert shared_station.pipe()["healed_items"] >= 1


def deadband_from(station, source, target):
    """A pipe with a deadband of 5, whose source has made some smaller steps."""
    source.set("T000008", 100.0)
    mirror = Mirror(
        station,
        source,
        target,
        ["T000008"],
        item={"deadband": {"type": "absolute", "value": 5.0}},
    ).apply()
    assert_equal_final_state(mirror, within=10)
    for step in (101.0, 103.0, 104.9):
        source.set("T000008", step)
        steadily(lambda: target.value("T000008") == 100.0, during=0.4, what="within the deadband")
    return mirror


@pytest.mark.node
def test_quality_is_passed_on_or_held_and_reported_after_the_time(shared_station, north, foreign):
    """The target is node-opcua's, since asyncua's server shows no value beside a Bad status."""
    north.set_many({"T000000": 1.0, "T000001": 1.0})
    mirror = Mirror(
        shared_station,
        north,
        foreign,
        ["T000000", "T000001"],
        pipe={"hold_seconds": 2.0},
        items={"T000001": {"quality": "hold"}},
    ).apply()
    assert_equal_final_state(mirror, within=10)
    for outage in (1, 2):
        north.set_many({"T000000": 5.0, "T000001": 5.0}, status=BAD)
        took(
            "Bad passed on",
            lambda: foreign.read(["T000000"])["T000000"]["status"] == BAD,
            within=5,
        )
        held = foreign.read(["T000001"])["T000001"]
        assert (held["value"], held["status"]) == (float(outage), 0), f"outage {outage} is held"
        assert "the target holds" in mirror.wait_for_item("T000001", "bad")["reason"]
        took(
            f"held for 2 s, outage {outage}",
            lambda: foreign.read(["T000001"])["T000001"]["status"] == BAD,
            within=5,
        )
        assert foreign.value("T000001") == float(outage), "the last good value, as not Good"
        north.set_many({"T000000": outage + 1.0, "T000001": outage + 1.0})
        assert_equal_final_state(mirror, within=5, fault="Good again")


@pytest.mark.node
@pytest.mark.parametrize(
    ("policy", "first"), [("if_different", True), ("always", True), ("never", False)]
)
def test_c11_the_first_value_is_written_as_the_pipe_says(
    shared_station, foreign, south, policy, first
):
    Mirror(shared_station, foreign, south, []).apply()  # nothing is mirrored meanwhile
    same, other = TAGS[:5], TAGS[5:]
    values = {tag: float(next(_numbers)) for tag in TAGS}
    stamp = 1_700_000_000_000_000
    foreign.set_many(values, stamp=stamp)
    south.set_many({tag: values[tag] for tag in same}, stamp=stamp)
    south.set_many(dict.fromkeys(other, -1.0), stamp=stamp)
    south.ask("attempts", nodes=TAGS)
    before = south.ask("attempts", nodes=TAGS)
    mirror = Mirror(shared_station, foreign, south, TAGS, pipe={"initial_write": policy}).apply()
    eventually(lambda: shared_station.pipe()["good"] == len(TAGS), within=10)

    def tries(names):
        after = south.ask("attempts", nodes=TAGS)
        return {after[name]["count"] - before[name]["count"] for name in names}

    if first:
        assert_equal_final_state(mirror, within=5)
        assert tries(other) == {1}
    else:
        steadily(lambda: tries(other) == {0}, during=1, what="never means never")
    assert tries(same) == ({1} if policy == "always" else {0})

    foreign.set_many({tag: float(next(_numbers)) for tag in TAGS})
    assert_equal_final_state(mirror, within=5, fault=f"initial_write {policy}, changes")


@pytest.mark.node
def test_trigger_status_ignores_values_and_trigger_timestamp_takes_all(
    shared_station, foreign, south
):
    names = ["T000000", "T000001"]
    foreign.set_many(dict.fromkeys(names, 1.0))
    mirror = Mirror(
        shared_station,
        foreign,
        south,
        names,
        items={
            "T000000": {"trigger": "status"},
            "T000001": {"trigger": "status_value_timestamp"},
        },
    ).apply()
    assert_equal_final_state(mirror, within=10)

    foreign.set_many(dict.fromkeys(names, 1.0))  # nothing but the timestamp is new
    took(
        "a new timestamp alone",
        lambda: south.read(names[1:])["T000001"]["stamp"] == foreign.read()["T000001"]["stamp"],
        within=5,
    )
    foreign.set("T000000", 2.0)
    steadily(lambda: south.value("T000000") == 1.0, during=1, what="only the status counts")
    foreign.set("T000000", 3.0, status=UNCERTAIN)
    took("a new status", lambda: south.value("T000000") == 3.0, within=5)


@pytest.mark.node
@pytest.mark.parametrize("timestamps", ["source", "none"])
def test_source_timestamps_go_along_or_not_as_the_pipe_says(
    shared_station, north, foreign, timestamps
):
    """A server that is told none puts its own, the instant of the write."""
    name, stamp = "T000010", 1_700_000_000_123_000
    mirror = Mirror(shared_station, north, foreign, [name], pipe={"timestamps": timestamps})
    mirror.apply()
    number = float(next(_numbers))
    before = time.time() * 1e6
    north.set(name, number, stamp=stamp)
    took("written", lambda: foreign.value(name) == number, within=10)

    told = foreign.read([name])[name]["stamp"]
    if timestamps == "source":
        assert told == stamp
    else:
        assert before - 1e6 < told < time.time() * 1e6 + 1e6
