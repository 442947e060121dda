from __future__ import annotations

import asyncio
import threading

import pytest

from redundancy.loop_thread import LoopStopped, LoopThread


async def _forever() -> None:
    await asyncio.Event().wait()


async def _double(value: int) -> int:
    return 2 * value


def test_coroutines_run_beside_the_main_one_on_its_thread() -> None:
    loop = LoopThread("host")
    loop.start(_forever)

    assert loop.run(_double(4)).result(5) == 8
    assert loop.run(_name()).result(5) == "host"
    assert loop.stop()
    assert not loop.is_running


async def _name() -> str:
    return threading.current_thread().name


def test_stopping_cancels_the_main_coroutine_and_waits_for_its_end() -> None:
    ended: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("in order")

    loop = LoopThread("host")
    loop.start(main)

    assert loop.stop()
    assert ended == ["in order"]


def test_stopping_twice_or_never_started_is_no_error() -> None:
    loop = LoopThread("host")
    assert loop.stop()

    loop.start(_forever)
    assert loop.stop()
    assert loop.stop()


def test_a_loop_that_ended_refuses_and_closes_what_it_is_given() -> None:
    loop = LoopThread("host")
    loop.start(_forever)
    loop.stop()
    late = _double(1)

    with pytest.raises(LoopStopped, match="loop host does not run"):
        loop.run(late)

    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        late.send(None)


def test_a_main_that_breaks_is_logged_and_ends_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> None:
        raise ValueError("no configuration")

    loop = LoopThread("host")
    loop.start(breaks)

    assert loop.join(5)
    assert "loop host ended" in caplog.text
    with pytest.raises(LoopStopped):
        loop.run(_double(1))


def test_it_can_be_started_again_but_not_twice() -> None:
    loop = LoopThread("host")
    loop.start(_forever)
    with pytest.raises(RuntimeError, match="runs already"):
        loop.start(_forever)
    loop.stop()

    loop.start(_forever)
    assert loop.run(_double(2)).result(5) == 4
    loop.stop()


def test_a_main_that_does_not_end_is_told() -> None:
    release = threading.Event()

    async def stubborn() -> None:
        release.wait()

    loop = LoopThread("host")
    loop.start(stubborn)

    assert not loop.stop(0.05)
    release.set()
    assert loop.join(5)
