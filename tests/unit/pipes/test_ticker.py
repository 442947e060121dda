from __future__ import annotations

import asyncio

import pytest

from pipes.ticker import Ticker


async def test_a_ticker_calls_again_and_again_until_it_is_stopped() -> None:
    turns: list[tuple[float, float]] = []
    three = asyncio.Event()

    def tick(now: float, late: float) -> None:
        turns.append((now, late))
        if len(turns) == 3:
            three.set()

    ticker = Ticker(0.001, tick)
    async with asyncio.timeout(10):
        await three.wait()
    ticker.stop()
    count = len(turns)
    await asyncio.sleep(0.01)

    assert len(turns) == count
    assert all(late >= 0 for _, late in turns)
    assert turns[0][0] < turns[1][0] < turns[2][0]


async def test_what_a_tick_raises_ends_the_ticker_and_is_handed_on() -> None:
    turns: list[float] = []

    def tick(now: float, _late: float) -> None:
        turns.append(now)
        raise RuntimeError("broken")

    ticker = Ticker(0.001, tick)
    with pytest.raises(RuntimeError, match="broken"):
        async with asyncio.timeout(10):
            await ticker.failed
    await asyncio.sleep(0.01)

    assert len(turns) == 1
