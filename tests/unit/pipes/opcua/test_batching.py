"""Batches: the size that a server bears is found, and every item gets a result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from pipes.core.skip import ServiceFaultError
from pipes.core.status_codes import code_of
from pipes.opcua.batching import BatchSize, in_batches
from pipes.opcua.errors import RequestTooLarge

TOO_MANY = code_of("BadTooManyOperations")
STUMBLED = code_of("BadInternalError")
DENIED = code_of("BadUserAccessDenied")


def refused(item: int, status: int) -> int:
    return -status - item


class FakeServer:
    def __init__(self, most: int = 10**9, status: int = TOO_MANY) -> None:
        self.most = most
        self.status = status
        self.sizes: list[int] = []
        self.now = 0
        self.peak = 0

    async def __call__(self, batch: Sequence[int]) -> list[int]:
        self.sizes.append(len(batch))
        self.now += 1
        self.peak = max(self.peak, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if len(batch) > self.most:
            raise ServiceFaultError(self.status)
        return [item * 2 for item in batch]


async def test_results_stand_in_the_order_of_the_items() -> None:
    server = FakeServer()

    assert await in_batches(range(3500), BatchSize(), server, refused) == [
        item * 2 for item in range(3500)
    ]
    assert sorted(server.sizes) == [500, 1000, 1000, 1000]
    assert server.peak == 4


async def test_nothing_to_do_calls_nobody() -> None:
    server = FakeServer()

    assert await in_batches([], BatchSize(), server, refused) == []
    assert server.sizes == []


@pytest.mark.parametrize("name", ["BadTooManyOperations", "BadEncodingLimitsExceeded"])
async def test_batches_halve_until_the_server_takes_them(name: str) -> None:
    size = BatchSize()
    server = FakeServer(60, code_of(name))

    assert await in_batches(range(1000), size, server, refused) == [
        item * 2 for item in range(1000)
    ]
    assert size.items <= 60
    before = len(server.sizes)
    await in_batches(range(600), size, server, refused)
    assert max(server.sizes[before:]) <= 60


async def test_a_single_item_that_is_too_large_is_refused() -> None:
    async def call(batch: Sequence[int]) -> list[int]:
        if 7 in batch:
            raise RequestTooLarge(10**9, 8192)
        return list(batch)

    results = await in_batches(range(20), BatchSize(), call, refused)

    assert [item for item, result in enumerate(results) if result < 0] == [7]
    assert results[7] == refused(7, code_of("BadRequestTooLarge"))


async def test_the_item_over_which_a_server_stumbles_is_found() -> None:
    async def call(batch: Sequence[int]) -> list[int]:
        if 77 in batch:
            raise ServiceFaultError(STUMBLED)
        return list(batch)

    size = BatchSize()
    results = await in_batches(range(200), size, call, refused)

    assert [item for item, result in enumerate(results) if result < 0] == [77]
    assert size.items == 1000


async def test_a_server_that_always_stumbles_is_not_asked_for_ever() -> None:
    server = FakeServer(0, STUMBLED)

    results = await in_batches(range(2000), BatchSize(), server, refused)

    assert all(result < 0 for result in results)
    assert len(server.sizes) < 200


async def test_another_refusal_is_the_status_of_each_item() -> None:
    server = FakeServer(0, DENIED)

    results = await in_batches(range(3), BatchSize(), server, refused)

    assert results == [refused(item, DENIED) for item in range(3)]
    assert server.sizes == [3]


async def test_a_time_out_halves_and_ends() -> None:
    async def call(batch: Sequence[int]) -> list[int]:
        raise TimeoutError

    size = BatchSize()
    with pytest.raises(TimeoutError):
        await in_batches(range(1000), size, call, refused)
    assert size.items == 500


async def test_a_lost_session_cancels_the_other_calls() -> None:
    cancelled: list[bool] = []

    async def call(batch: Sequence[int]) -> list[int]:
        if batch[0] == 0:
            raise ConnectionError("lost")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return []

    with pytest.raises(ConnectionError):
        await in_batches(range(3000), BatchSize(), call, refused)
    assert cancelled == [True, True]


def test_a_slow_call_makes_the_next_ones_smaller_and_lonely() -> None:
    size = BatchSize(400)
    size.took(400, 0.5)
    assert (size.items, size.in_flight) == (400, 4)

    size.took(400, 1.5)

    assert (size.items, size.in_flight) == (200, 1)
