"""The wire load speaks OPC UA as asyncua's codec and client understand it."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import (
    nodeid_from_binary,
    nodeid_to_binary,
    struct_from_binary,
    struct_to_binary,
    variant_to_binary,
)

from benchmarks.names import NAMESPACE, NAMESPACE_INDEX, node_name
from benchmarks.rig import free_port
from benchmarks.wire.fields import Reader, now_ticks, string_node_id
from benchmarks.wire.server import Shape, WireServer
from benchmarks.wire.store import BOTH, MIXED, NEITHER, SERVER, SOURCE, STORES, Store
from benchmarks.wire.subscriptions import Changes
from benchmarks.wire.writes import BAD_NODE_ID_UNKNOWN, Writes

ITEMS = 25
UNCERTAIN = 0x4090_0000


def node(index: int) -> ua.NodeId:
    return ua.NodeId(node_name(index), NAMESPACE_INDEX)


def node_bytes(items: int = ITEMS) -> list[bytes]:
    return [string_node_id(NAMESPACE_INDEX, node_name(index)) for index in range(items)]


def is_set(value: Any) -> bool:
    return value is not None


def seen(store: Store, index: int) -> tuple[str, int, int]:
    """What asyncua reads out of a DataValue, in the form of `Store.state`."""
    got = struct_from_binary(ua.DataValue, Buffer(store.data_value(index, SOURCE)))
    stamp = ua.datetime_to_win_epoch(got.SourceTimestamp)
    return variant_to_binary(got.Value).hex(), got.StatusCode.value, stamp


def test_node_ids_are_those_that_a_client_asks_for() -> None:
    for index, data in enumerate(node_bytes()):
        assert nodeid_from_binary(Buffer(data)) == node(index)
        assert Reader(nodeid_to_binary(node(index)) + b"rest").node_id() == data


@pytest.mark.parametrize("kind", STORES)
def test_a_value_is_the_number_of_its_change(kind: str) -> None:
    store = STORES[kind](ITEMS)
    before = now_ticks()

    store.change(5, 20, 1005)

    assert [seen(store, index) for index in range(ITEMS)] == list(map(store.state, range(ITEMS)))
    assert store.state(5)[2] >= before > store.state(4)[2] - 1
    assert store.state(10)[0] == store.kind(10).encode(1010.0).hex()


def test_numbers_are_of_the_types_that_they_are_said_to_be() -> None:
    store = STORES["int16s"](3)
    store.change(0, 3, 3 * 32_768 - 1)

    assert [store.state(index)[0] for index in range(3)] == [
        variant_to_binary(ua.Variant(value, ua.VariantType.Int16)).hex() for value in (32767, 0, 1)
    ]
    assert STORES["floats"](1).state(0)[0] == (
        variant_to_binary(ua.Variant(-1.0, ua.VariantType.Float)).hex()
    )
    assert STORES["doubles"](1).state(0)[0] == variant_to_binary(ua.Variant(-1.0)).hex()


def test_every_hundredth_change_of_mixed_items_is_uncertain() -> None:
    store = STORES["mixed"](200)

    store.change(0, 200, 1000)

    assert {index for index in range(200) if store.state(index)[1] == UNCERTAIN} == {0, 100}


def test_mixed_items_are_of_the_types_that_they_are_said_to_be() -> None:
    made = [struct_from_binary(ua.DataValue, Buffer(b"\x01" + each.encode(7.0))) for each in MIXED]

    assert [value.Value.VariantType.value for value in made] == [each.data_type for each in MIXED]
    assert [value.Value.is_array for value in made] == [each.value_rank == 1 for each in MIXED]


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("timestamps", [SOURCE, SERVER, BOTH, NEITHER])
def test_notifications_carry_handles_values_and_the_times_that_were_asked_for(
    kind: str, timestamps: int
) -> None:
    store = STORES[kind](ITEMS)
    store.change(0, ITEMS, 3000)
    template = store.template(array("I", range(500, 500 + ITEMS)), timestamps)

    block = Buffer(store.notifications(template, 0, 3, 17, timestamps))

    got = [struct_from_binary(ua.MonitoredItemNotification, block) for _ in range(14)]
    assert len(block) == 0
    assert [each.ClientHandle for each in got] == list(range(503, 517))
    assert [variant_to_binary(each.Value.Value).hex() for each in got] == [
        store.state(index)[0] for index in range(3, 17)
    ]
    assert {is_set(each.Value.SourceTimestamp) for each in got} == {timestamps in (SOURCE, BOTH)}
    assert {is_set(each.Value.ServerTimestamp) for each in got} == {timestamps in (SERVER, BOTH)}


@pytest.mark.parametrize(
    ("start", "stop", "ranges"),
    [(0, 4, [(0, 4)]), (8, 13, [(8, 10), (0, 3)]), (20, 30, [(0, 10)]), (7, 7, [])],
)
def test_changes_go_round_the_items(start: int, stop: int, ranges: list[tuple[int, int]]) -> None:
    assert list(Changes(10).ranges(start, stop)) == ranges


# -- writes -----------------------------------------------------------------------------------


def write_request(values: Iterable[tuple[ua.NodeId, ua.DataValue]]) -> tuple[bytes, int]:
    """A WriteRequest by asyncua, and where its NodesToWrite begin."""
    request = ua.WriteRequest()
    request.Parameters.NodesToWrite = [
        ua.WriteValue(each, ua.AttributeIds.Value, Value=value) for each, value in values
    ]
    body = struct_to_binary(request)
    reader = Reader(body)
    reader.node_id()
    reader.request_header()
    return body, reader.at


def double(value: float, status: int | None = None) -> ua.DataValue:
    return ua.DataValue(
        ua.Variant(value, ua.VariantType.Double),
        None if status is None else ua.StatusCode(status),
        datetime.now(UTC),
    )


def test_doubles_are_taken_by_their_prefixes() -> None:
    writes = Writes(node_bytes())

    count, results = writes.take(*write_request((node(i), double(i / 2)) for i in range(ITEMS)))

    assert (count, results) == (ITEMS, None)
    assert writes.missing == 0
    assert writes.synced_at is not None
    assert len(writes.latencies()) == 2
    last = struct_from_binary(ua.DataValue, Buffer(writes.last[9]))
    assert last.Value.Value == 4.5


@pytest.mark.parametrize("kind", STORES)
def test_what_is_written_is_told_as_the_source_tells_it(kind: str) -> None:
    server = WireServer(Shape(ITEMS, kind), 1)
    store = server.services.store
    store.change(0, ITEMS, 990)
    values = [
        struct_from_binary(ua.DataValue, Buffer(store.data_value(index, SOURCE)))
        for index in range(ITEMS)
    ]

    server.services.writes.take(*write_request(zip(map(node, range(ITEMS)), values, strict=True)))

    assert len(server.services.writes.last) == ITEMS
    assert [server.state(index) for index in range(ITEMS)] == [
        store.state(index) for index in range(ITEMS)
    ]


def test_values_with_and_without_a_status_in_one_request_are_told_apart() -> None:
    writes = Writes(node_bytes())

    writes.take(*write_request([(node(0), double(1.0, UNCERTAIN)), (node(1), double(2.0))]))

    assert {index: value[0] for index, value in writes.last.items()} == {0: 7, 1: 5}


def test_a_node_that_is_not_known_is_refused_alone() -> None:
    writes = Writes(node_bytes())
    strange = ua.NodeId("Area99.Unit99.T999999.PV", NAMESPACE_INDEX)

    count, results = writes.take(*write_request([(strange, double(1.0)), (node(1), double(2.0))]))

    assert count == 2
    assert results == BAD_NODE_ID_UNKNOWN.to_bytes(4, "little") + bytes(4)
    assert (list(writes.last), writes.refused) == ([1], 1)


# -- a whole server ---------------------------------------------------------------------------


@asynccontextmanager
async def served(
    kind: str = "doubles", items: int = ITEMS
) -> AsyncIterator[tuple[WireServer, str]]:
    port = free_port()
    server = WireServer(Shape(items, kind, notifications=7), port)
    await server.listen()
    try:
        yield server, f"opc.tcp://127.0.0.1:{port}/load/"
    finally:
        await server.stop()


class Newest:
    def __init__(self) -> None:
        self.values: dict[Any, ua.DataValue] = {}

    def datachange_notification(self, node: Any, _value: Any, data: Any) -> None:
        self.values[node.nodeid] = data.monitored_item.Value


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", STORES)
async def test_a_client_copies_what_changes(kind: str) -> None:
    async with served(kind) as (server, url), Client(url) as client:
        assert await client.get_namespace_index(NAMESPACE) == NAMESPACE_INDEX
        newest = Newest()
        subscription = await client.create_subscription(10, newest)
        nodes = [client.get_node(node(index)) for index in range(ITEMS)]
        numbers = await subscription.subscribe_data_change(nodes)
        await until(lambda: len(newest.values) == ITEMS)

        server.change(ITEMS + 11)
        await until(lambda: newest.values[node(10)].Value.Value == 35)
        copies = [
            ua.DataValue(value.Value, value.StatusCode, value.SourceTimestamp)
            for value in map(newest.values.__getitem__, map(node, range(ITEMS)))
        ]
        await client.write_values(nodes, copies)

        store = server.services.store
        assert [server.state(i) for i in range(ITEMS)] == [store.state(i) for i in range(ITEMS)]
        await subscription.unsubscribe(numbers[:20])
        await subscription.delete()
        assert len(server.services.sessions) == 1
    assert not server.services.sessions


async def test_a_read_of_many_values_comes_in_chunks() -> None:
    async with served(items=4000) as (server, url), Client(url) as client:
        server.change(4000)

        values = await client.read_values([client.get_node(node(index)) for index in range(4000)])

        assert values == [float(index) for index in range(4000)]


async def test_a_server_that_stalls_answers_later() -> None:
    async with served() as (server, url), Client(url) as client:
        stalled = asyncio.create_task(server.stall(0.3))
        await asyncio.sleep(0)

        assert await client.get_node(node(0)).read_value() == -1.0
        assert stalled.done()


async def test_a_server_that_restarts_forgets_its_sessions_only() -> None:
    async with served() as (server, url):
        server.change(ITEMS)
        client = Client(url)
        await client.connect()

        await server.restart(0.0)

        await until(lambda: not server.services.sessions)
        async with Client(url) as again:
            assert await again.get_node(node(3)).read_value() == 3.0
        await client.disconnect()


async def test_a_slow_server_takes_its_time_for_each_value() -> None:
    async with served() as (server, url), Client(url) as client:
        server.slow(0.01)
        began = asyncio.get_running_loop().time()

        await client.write_values(
            [client.get_node(node(index)) for index in range(ITEMS)], [double(1.0)] * ITEMS
        )

        assert asyncio.get_running_loop().time() - began >= ITEMS * 0.01
