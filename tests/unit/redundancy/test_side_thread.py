from __future__ import annotations

import asyncio
import threading

import pytest

from redundancy.side_thread import SideThread


async def test_a_blocking_call_answers_from_its_own_thread() -> None:
    side = SideThread("disk")

    assert await side.call(lambda: threading.current_thread().name, 5) == "disk"
    assert await side.call(lambda: 2, 5) == 2
    side.close()


async def test_what_it_raises_is_raised_here() -> None:
    side = SideThread("disk")

    with pytest.raises(FileNotFoundError, match="nothing"):
        await side.call(_missing, 5)
    side.close()


def _missing() -> None:
    raise FileNotFoundError("nothing")


async def test_a_call_that_hangs_costs_its_time_out_and_further_ones_nothing() -> None:
    side, release = SideThread("disk"), threading.Event()

    with pytest.raises(TimeoutError, match=r"no answer within 0.05 s"):
        await side.call(release.wait, 0.05)
    with pytest.raises(TimeoutError, match="disk is still busy"):
        await side.call(lambda: 1, 5)

    release.set()
    async with asyncio.timeout(5):
        while side.is_busy:
            await asyncio.sleep(0.005)
    assert await side.call(lambda: 1, 5) == 1
    side.close()


def test_an_answer_for_a_closed_loop_is_dropped() -> None:
    side, release = SideThread("disk"), threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await side.call(release.wait, 0.01)

    asyncio.run(give_up())
    release.set()

    async def again() -> int:
        async with asyncio.timeout(5):
            while side.is_busy:
                await asyncio.sleep(0.005)
        return await side.call(lambda: 3, 5)

    assert asyncio.run(again()) == 3
    side.close()
