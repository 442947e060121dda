"""Both lanes against two foreign implementations of a server: the same behaviour everywhere."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipes.core.binary import decode_data_value
from pipes.core.choices import CodecName, Trigger
from pipes.core.splice import encode_prefix
from pipes.core.status_codes import code_of
from pipes.core.values import VariantType
from pipes.opcua.lane import MonitoredItemSpec
from pipes.opcua.session import Session
from pipes.pki import Pki
from tests.servers.clients import (
    PLANT,
    RecordingSink,
    double,
    prefixes,
    server_of,
    session_on,
    specs,
    statuses,
    subscribe,
    write,
)
from tests.servers.harness import ServerProcess, running, until

KINDS = [pytest.param("plant"), pytest.param("foreign", marks=pytest.mark.node)]
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
STAMP = 134_117_966_450_000_000


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with running(request.param, "--items", "1500", "--types") as process:
        yield process


@pytest.fixture(params=[CodecName.SPLICE, CodecName.DECODE])
def codec(request: pytest.FixtureRequest) -> CodecName:
    return request.param


async def test_session_tells_what_the_server_is(server: ServerProcess, tmp_path: Path) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        status = await session.read_status()

        assert "urn:test:plant" in session.namespaces
        assert session.product
        assert session.session_timeout_ms == 30_000
        assert status.state == 0
        assert status.current_time > status.start_time > 0
        assert session.start_time == status.start_time


async def test_a_socket_forgets_undelivered_writes_from_its_first_byte_on(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        transport = session.calls._protocol.transport
        assert transport is not None
        sock = transport.get_extra_info("socket")

        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000


async def test_values_of_every_type_arrive_with_their_timestamps(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    names = [f"Scalar.{kind}" for kind in SCALARS] + [f"Array.{kind}" for kind in ARRAYS]
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        results = await subscription.add(specs(session, names))
        await until(lambda: len(sink.latest) == len(names), "all values are here")

        assert statuses(results) == [0] * len(names)
        for handle, kind in enumerate(SCALARS + ARRAYS):
            value = sink.decoded(handle)
            assert value is not None
            assert value.variant is not None
            assert value.variant.type.name.replace("_", "") == kind.upper()
            assert value.status == 0
            assert value.source_timestamp is not None
            assert value.source_timestamp // 10_000 == 13_411_796_645_678
            assert value.server_timestamp is None
        assert sink.plain(SCALARS.index("Int64")) == -(2**62)
        assert sink.plain(SCALARS.index("UInt64")) == 2**63 + 5
        assert sink.plain(SCALARS.index("String")) == "Wörter ✓"
        assert sink.plain(len(SCALARS)) == (1.0, 2.0, 3.0)
        assert not sink.special


async def test_bytes_that_came_can_be_written_as_they_are(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    names = [f"Scalar.{kind}" for kind in SCALARS] + [f"Array.{kind}" for kind in ARRAYS]
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, names))
        await until(lambda: len(sink.latest) == len(names), "all values are here")
        before = server.read(*names)

        outcome = await write(session, codec, prefixes(session, names), sink.latest)

        assert outcome.failure == ""
        assert outcome.results is None
        assert server.read(*names) == before


async def test_changes_arrive_in_order_and_the_newest_is_last(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        server.set("T000001", 0.0)
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000001"]))
        await until(lambda: sink.latest, "the first value is here")

        for value in range(100, 120):
            server.set("T000001", float(value))
            await asyncio.sleep(0)
        await until(lambda: sink.plain(0) == 119.0, "the newest value is here")

        arrived = [decode_data_value(value) for value in sink.history[0][1:]]
        numbers = [value.variant.value for value in arrived if value.variant is not None]
        assert numbers == sorted(numbers)
        assert numbers[-1] == 119.0
        assert sink.gaps == []
        assert sink.lost_reasons == []


async def test_every_sample_of_a_queue_arrives_in_order(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        server.set("T000001", 0.0)
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000001"], queue_size=100))
        await until(lambda: sink.latest, "the first value is here")

        for value in range(100, 150):
            server.set("T000001", float(value))
        await until(lambda: sink.plain(0) == 149.0, "the newest value is here")

        arrived = [decode_data_value(value) for value in sink.history[0][1:]]
        numbers = [value.variant.value for value in arrived if value.variant is not None]
        assert numbers == [float(value) for value in range(100, 150)]
        assert sink.overflows == []


async def test_a_queue_that_was_too_short_says_so(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    if server.kind != "foreign":
        pytest.skip("asyncua's server does not tell of an overflow")
    async with session_on(server_of(server), tmp_path) as session:
        server.set("T000001", 0.0)
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000001"], queue_size=2))
        await until(lambda: sink.latest, "the first value is here")

        server.command("set_burst", node="T000001", values=[float(n) for n in range(1, 21)])
        await until(lambda: sink.plain(0) == 20.0, "the newest value is here")

        assert sink.overflows == [0]
        assert len(sink.history[0]) <= 1 + 2


async def test_status_of_a_value_arrives_without_its_info_bits(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    uncertain = code_of("UncertainLastUsableValue")
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000002"]))
        await until(lambda: sink.latest, "the first value is here")
        server.set("T000002", 5.0, status=uncertain)
        await until(lambda: sink.plain(0) == 5.0, "the uncertain value is here")

        value = sink.decoded(0)
        assert value is not None
        assert value.status == uncertain
        server.set("T000002", 6.0)
        await until(lambda: sink.plain(0) == 6.0, "it is good again")


async def test_a_write_sends_status_and_source_timestamp_to_the_last_digit(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    ticks = STAMP + 1_234_560  # a whole microsecond: all that the decoding lane keeps
    if codec is CodecName.SPLICE:
        ticks += 7
    async with session_on(server_of(server), tmp_path) as session:
        outcome = await write(
            session, codec, prefixes(session, ["T000003"]), {0: double(42.5, ticks)}
        )
        node = session.encode_node(f"{PLANT}T000003")
        [value] = await session.read([(node, 13)])

    assert outcome.results is None
    assert value.variant is not None
    assert value.variant.value == 42.5
    assert value.source_timestamp is not None
    # asyncua's own server keeps microseconds, so the last digit cannot come back from it
    exact = server.kind == "foreign"
    assert value.source_timestamp // (1 if exact else 10) == ticks // (1 if exact else 10)


async def test_each_item_of_a_write_has_its_own_result(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    names = ["T000004", "NoSuchNode", "ReadOnly", "Scalar.Int32", "T000005"]
    async with session_on(server_of(server), tmp_path) as session:
        batch = {handle: double(7.0 + handle, STAMP) for handle in range(len(names))}
        outcome = await write(session, codec, prefixes(session, names), batch)

    assert outcome.results is not None
    assert [status >> 31 for status in outcome.results] == [0, 1, 1, 1, 0]
    after = server.read("T000004", "T000005", "Scalar.Int32")
    assert (after["T000004"]["value"], after["T000005"]["value"]) == (7.0, 11.0)
    assert after["Scalar.Int32"]["value"] == -123456


async def test_a_batch_larger_than_a_message_goes_in_parts(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    names = [f"T{index:06}" for index in range(100, 500)] + ["NoSuchNode"]
    first = 1000.0 if codec is CodecName.SPLICE else 2000.0
    async with session_on(server_of(server), tmp_path) as session:
        session.calls._protocol.max_request_size = 8192  # as if the server had said so
        batch = {handle: double(first + handle, STAMP) for handle in range(len(names))}
        outcome = await write(session, codec, prefixes(session, names), batch)
        huge = await write(
            session,
            codec,
            prefixes(session, ["Scalar.String"]),
            {0: b"\x01\x0c" + struct.pack("<i", 9000) + b"x" * 9000},
        )

    assert outcome.results is not None
    assert [status >> 31 for status in outcome.results] == [0] * 400 + [1]
    after = server.read("T000100", "T000499")
    assert [after["T000100"]["value"], after["T000499"]["value"]] == [first, first + 399]
    assert huge.results == [code_of("BadEncodingLimitsExceeded")]


async def test_nothing_is_sent_while_the_gate_is_shut(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    called: list[object] = []
    async with session_on(server_of(server), tmp_path) as session:
        server.set("T000006", 1.0)
        known = prefixes(session, ["T000006"])
        lane = session.lane(codec)

        assert not lane.write(known, {0: double(1e6)}, lambda: False, called.append)
        outcome = await write(session, codec, known, {0: double(5.0, STAMP)})

        # The channel goes on: what was refused was not counted as sent.
        assert outcome.results is None
        assert outcome.failure == ""
        assert server.read("T000006")["T000006"]["value"] == 5.0
        assert called == []


async def test_c02_a_bad_node_does_not_spoil_the_others(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        results = await subscription.add(specs(session, ["T000007", "NoSuchNode", "T000008"]))
        await until(lambda: len(sink.latest) == 2, "the two good ones are here")

    assert statuses(results) == [0, code_of("BadNodeIdUnknown"), 0]
    assert [result.handle for result in results] == [0, 1, 2]


async def test_a_node_that_appears_later_can_be_added_then(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    name = f"Late.{codec.value}"
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        first = await subscription.add(specs(session, [name]))
        server.command("add_node", node=name, value=3.5)
        second = await subscription.add(specs(session, [name]))
        await until(lambda: sink.plain(0) == 3.5, "the late node delivers")

    assert statuses(first) == [code_of("BadNodeIdUnknown")]
    assert statuses(second) == [0]


async def test_removed_items_deliver_no_more(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        results = await subscription.add(specs(session, ["T000009", "T000010"]))
        await until(lambda: len(sink.latest) == 2, "both are here")

        await subscription.remove([results[0].monitored_item_id, 999_999])
        before = sink.plain(0)
        server.set("T000009", before + 1.0)
        server.set("T000010", before + 2.0)
        await until(lambda: sink.plain(1) == before + 2.0, "the other goes on")

        assert sink.plain(0) == before


async def test_an_idle_subscription_keeps_alive(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink, keep_alive_seconds=0.2)
        await subscription.add(specs(session, ["T000011"]))
        await until(lambda: sink.keep_alives >= 3, "three keep-alives")

        assert sink.gaps == []
        assert subscription.publishing_interval_ms > 0


async def test_deadband_and_trigger_reach_the_server(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        server.set("T000012", 10.0)
        server.set("T000013", 10.0)
        items = [
            MonitoredItemSpec(
                0, session.encode_node(f"{PLANT}T000012"), 0.0, absolute_deadband=5.0
            ),
            MonitoredItemSpec(
                1,
                session.encode_node(f"{PLANT}T000013"),
                0.0,
                trigger=Trigger.STATUS_VALUE_TIMESTAMP,
            ),
        ]
        assert statuses(await subscription.add(items)) == [0, 0]
        await until(lambda: len(sink.latest) == 2, "both are here")
        stamp = sink.latest[1]

        server.set("T000012", 12.0)
        server.set("T000013", 10.0)  # the same value, a new timestamp
        await until(lambda: sink.latest[1] != stamp, "the timestamp alone triggers")
        assert sink.plain(0) == 10.0
        server.set("T000012", 30.0)
        await until(lambda: sink.plain(0) == 30.0, "beyond the deadband")


async def test_a_source_without_timestamps_can_be_asked_for(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000014"], source_timestamp=False))
        await until(lambda: sink.latest, "the value is here")

        value = sink.decoded(0)
        assert value is not None
        if server.kind == "foreign":  # asyncua's server sends them all the same
            assert value.source_timestamp is None


async def test_fifteen_hundred_items_come_in_batches(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    names = [f"T{index:06}" for index in range(1500)]
    async with session_on(server_of(server), tmp_path) as session:
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        results = await subscription.add(specs(session, names))
        await until(lambda: len(sink.latest) == 1500, "all values are here", 20)

        assert statuses(results) == [0] * 1500
        assert len({result.monitored_item_id for result in results}) == 1500
        await subscription.delete()
        await until(lambda: server.counts()["subscriptions"] == 0, "nothing is left")


async def test_two_lanes_of_one_session_do_not_take_each_others_values(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        sinks = {codec: RecordingSink() for codec in CodecName}
        for codec, sink in sinks.items():
            subscription = await subscribe(session, codec, sink)
            await subscription.add(specs(session, ["T000015"]))
        await until(lambda: all(sink.latest for sink in sinks.values()), "both have it")
        for value in range(20):
            server.set("T000015", 1000.0 + value)
        await until(
            lambda: all(sink.plain(0) == 1019.0 for sink in sinks.values()), "both have the last"
        )

        assert all(not sink.gaps and not sink.lost_reasons for sink in sinks.values())


async def test_a_closed_session_leaves_nothing_on_the_server(
    server: ServerProcess, codec: CodecName, tmp_path: Path
) -> None:
    async with session_on(server_of(server), tmp_path) as session:
        subscription = await subscribe(session, codec, RecordingSink())
        await subscription.add(specs(session, ["T000016"]))
        assert server.counts()["subscriptions"] == 1
    await until(lambda: server.counts()["subscriptions"] == 0, "no subscription is left")


async def test_ending_of_the_server_is_told_once(codec: CodecName, tmp_path: Path) -> None:
    reasons: list[str] = []
    with running("plant", "--items", "3") as process:
        session = await Session.open(
            server_of(process),
            Pki(tmp_path),
            application_uri="urn:mirrorsite:TEST",
            on_lost=reasons.append,
        )
        sink = RecordingSink()
        subscription = await subscribe(session, codec, sink)
        await subscription.add(specs(session, ["T000001"]))
        outcomes: list[str] = []
        process.kill()
        await until(lambda: reasons, "the loss is told")
        with pytest.raises(ConnectionError):
            session.lane(codec).write(
                {0: encode_prefix(b"\0\1")},
                {0: double(1.0)},
                lambda: True,
                lambda outcome: outcomes.append(outcome.failure),
            )
        with pytest.raises(ConnectionError):
            await session.read_status()
        session.abort()
    assert len(reasons) == 1
    assert outcomes == []


@pytest.mark.parametrize("kind", KINDS)
async def test_small_operation_limits_are_found_and_kept(
    kind: str, codec: CodecName, tmp_path: Path
) -> None:
    names = [f"T{index:06}" for index in range(300)]
    with running(kind, "--items", "300", "--max-operations", "50") as process:
        async with session_on(server_of(process), tmp_path) as session:
            sink = RecordingSink()
            subscription = await subscribe(session, codec, sink)
            results = await subscription.add(specs(session, names))
            await until(lambda: len(sink.latest) == 300, "all values are here", 20)
            values = await session.read([(spec.node_id, 13) for spec in specs(session, names)])

            assert statuses(results) == [0] * 300
            assert session.items_size.items <= 50
            assert [value.variant.value for value in values if value.variant] == [
                float(index) for index in range(300)
            ]


async def test_c01_a_silently_dropped_subscription_is_noticed(
    codec: CodecName, tmp_path: Path
) -> None:
    with running("foreign", "--items", "3") as process:
        async with session_on(server_of(process), tmp_path) as session:
            sink = RecordingSink()
            subscription = await subscribe(session, codec, sink, keep_alive_seconds=0.5)
            await subscription.add(specs(session, ["T000001"]))
            await until(lambda: sink.latest, "the value is here")

            assert process.command("delete_subscriptions") == 1
            await until(lambda: sink.lost_reasons, "the loss is told", 10)

            fresh = RecordingSink()
            again = await subscribe(session, codec, fresh)
            await again.add(specs(session, ["T000001"]))
            await until(lambda: fresh.latest, "a new one delivers")
    assert len(sink.lost_reasons) == 1


async def test_permuted_namespaces_are_resolved_by_their_uri(tmp_path: Path) -> None:
    with running("plant", "--items", "2", "--namespace-order", "2013") as process:
        async with session_on(server_of(process), tmp_path) as session:
            assert session.namespaces[2:5] == (
                "urn:test:second",
                "urn:test:plant",
                "urn:test:first",
            )
            [value] = await session.read([(session.encode_node(f"{PLANT}T000001"), 13)])

    assert value.variant is not None
    assert value.variant.type is VariantType.DOUBLE


async def test_a_server_that_takes_values_only_says_so(codec: CodecName, tmp_path: Path) -> None:
    with running("plant", "--items", "2", "--value-only") as process:
        async with session_on(server_of(process), tmp_path) as session:
            known = prefixes(session, ["T000001"])
            refused = await write(session, codec, known, {0: double(5.0, STAMP)})
            taken = await write(session, codec, known, {0: double(6.0)})

            assert refused.results == [code_of("BadWriteNotSupported")]
            assert taken.results is None
            assert process.read("T000001")["T000001"]["value"] == 6.0
