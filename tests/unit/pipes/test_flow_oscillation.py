"""A flow whose values come back by a way that nobody sees: suspended alone, and released."""

from __future__ import annotations

import pytest

from pipes import runner
from pipes.core.choices import ItemKind
from pipes.core.oscillation import ARRIVALS, LOOKS
from pipes.oscillations import WITHHELD
from pipes.runner import PipeRunner
from tests.unit.pipes.flows import PlayedFlow, double, item, number_in, play_targets


@pytest.fixture(autouse=True)
def _played(monkeypatch: pytest.MonkeyPatch) -> None:
    play_targets(monkeypatch)


class Loop:
    """Item 1 is written, and the plant answers with the opposite value; item 2 stands beside it."""

    def __init__(self, played: PlayedFlow) -> None:
        self.played = played
        self.flow = played.flow
        self.value = 0.0
        self.stamp = 0

    async def connect(self) -> Loop:
        await self.played.connect_reader()
        self.session = await self.played.connect_writer()
        await self.played.tick()
        self.flow.subscribing([1, 2])
        return self

    def arrive(self) -> None:
        self.stamp += 1
        self.played.come(i1=double(self.value, stamp=self.stamp))

    def answer(self) -> bool:
        """Answer what was sent; whether item 1 was in it, so that it comes back."""
        was_written = False
        while self.session.sent:
            was_written |= 1 in self.session.sent[0][0]
            self.session.answer()
        return was_written

    async def run(self, seconds: float) -> int:
        """Let the loop go round every 0.2 s; returns how often item 1 was written."""
        writes = 0
        for _ in range(round(seconds / 0.2)):
            if self.answer():
                writes += 1
                self.value = 1.0 - self.value
                self.arrive()
            await self.played.tick(0.2)
        return writes


async def looping(**more: object) -> Loop:
    loop = await Loop(PlayedFlow(item(1, **more), item(2))).connect()
    loop.arrive()
    loop.played.come(i2=double(5))
    return loop


async def test_a_loop_is_suspended_and_says_why() -> None:
    loop = await looping()
    await loop.run(15)
    assert loop.flow.oscillations.suspended
    why = loop.played.fault(1)
    assert why.startswith("suspended for 10 s, because it oscillates: what is written to TGT")
    assert loop.flow.held_back[1] == why
    assert not loop.session.sent
    assert loop.flow.oscillations.news.current == {1}


async def test_other_items_go_on_and_go_unseen() -> None:
    loop = await looping()
    await loop.run(15)
    loop.played.come(i2=double(6))
    batch, _ = loop.session.sent[-1]
    assert number_in(batch[2]) == 6
    assert 2 in loop.flow.passing.unseen
    assert 1 not in loop.flow.passing.unseen
    assert loop.flow.held_back.keys() == {1}


async def test_a_reconnect_does_not_end_the_suspension() -> None:
    loop = await looping()
    await loop.run(15)
    loop.played.lose_writer()
    loop.session = await loop.played.connect_writer()
    await loop.played.tick(0.2)
    await loop.played.tick(0.2)
    assert loop.played.fault(1).startswith("suspended")
    assert not any(1 in batch for batch in loop.session.written)


async def test_the_newest_value_is_written_when_the_pause_is_over() -> None:
    loop = await looping()
    await loop.run(15)
    written = len(loop.session.written)
    loop.value = 7.0
    loop.arrive()
    assert not loop.session.sent
    for _ in range(60):
        await loop.played.tick(0.2)
    batches = loop.session.written[written:]
    assert [number_in(batch[1]) for batch in batches] == [7.0]
    loop.answer()
    assert loop.played.fault(1) == ""
    for _ in range(310):
        await loop.played.tick(0.2)
    assert not loop.flow.oscillations.seen
    assert 1 not in loop.flow.held_back
    assert not loop.flow.oscillations.news.current


async def test_a_source_that_toggles_by_itself_goes_on() -> None:
    loop = await looping()
    texts = set()
    for _ in range(100):
        loop.answer()
        loop.value = 1.0 - loop.value
        loop.arrive()
        texts.add(loop.flow.held_back.get(1, ""))
        await loop.played.tick(0.2)
    assert texts == {"", WITHHELD}
    assert loop.flow.writer.written.counts[1] > 90
    assert 1 in loop.flow.passing.unseen
    assert not loop.flow.held_back
    assert not loop.flow.faults.last


async def test_an_item_taken_out_is_forgotten() -> None:
    loop = await looping()
    await loop.run(15)
    loop.flow.remove([1])
    assert not loop.flow.oscillations.seen
    assert not loop.flow.oscillations.news.current
    await loop.played.tick(20)


async def test_samples_of_a_queue_are_not_withheld() -> None:
    """To withhold them would lose what the kind promises."""
    loop = await looping(kind=ItemKind.QUEUE)
    assert await loop.run(15) > 2 * (LOOKS + ARRIVALS)
    assert not loop.flow.oscillations.suspended


async def test_a_dry_run_is_not_guarded() -> None:
    loop = await Loop(PlayedFlow(item(1), item(2), pipe={"dry_run": True})).connect()
    for _ in range(60):
        loop.value = 1.0 - loop.value
        loop.arrive()
        await loop.played.tick(0.2)
    assert not loop.flow.oscillations.seen


async def test_a_fault_that_is_not_the_guards_stays_when_it_acquits() -> None:
    loop = await looping()
    loop.flow.faults.record(1, 0, "something else", retries=True)
    loop.flow.held_back[1] = "the target holds"
    loop.flow.waiting.acquit(1, WITHHELD)
    assert loop.played.fault(1) == "something else"
    assert loop.flow.held_back[1] == "the target holds"


async def test_a_pipe_tells_once_which_items_oscillate_and_when_they_are_calm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        runner, "emit", lambda _kind, code, _severity, _source, text: told.append((code, text))
    )
    loop = await looping()
    pipe = object.__new__(PipeRunner)
    pipe.pipe, pipe.forward = loop.flow.pipe, loop.flow
    pipe.reverse = PlayedFlow().flow
    await loop.run(15)
    pipe._report_stops(1000.0)
    pipe._report_stops(1000.2)
    ((code, sentence),) = told
    assert code == "ITEMS_OSCILLATE"
    assert sentence.startswith("1 items of P1 are suspended, because they oscillate")
    assert sentence.endswith("to SRC by a way that is not ours: 1")
    for _ in range(400):
        await loop.played.tick(0.2)
        loop.answer()
    pipe._report_stops(2000.0)
    assert [code for code, _ in told] == ["ITEMS_OSCILLATE", "ITEMS_CALM"]
