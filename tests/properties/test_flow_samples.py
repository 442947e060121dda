"""Whatever servers do: each sample arrives, in order, and no event arrives twice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from hypothesis import given, note, settings
from hypothesis import strategies as st

from pipes import targets
from pipes.core.choices import InitialWrite, ItemKind
from pipes.core.losses import Cause
from tests.properties.test_flow_final_state import REFUSALS, WHOLE, Plant
from tests.unit.pipes.flows import PlayedFlow, double, item, number_in, read_played_targets, settle

QUEUE, EVENT, STATE = 1, 2, 3
PIPE = {
    "queue_limit": 1000,
    "queue_age_seconds": 0.0,
    "initial_write": InitialWrite.IF_DIFFERENT,
}

steps = st.one_of(
    st.tuples(st.just("samples"), st.integers(1, 4)),
    st.tuples(st.just("accept")),
    st.tuples(st.just("refuse"), st.sampled_from((QUEUE, EVENT)), st.sampled_from(REFUSALS)),
    st.tuples(st.just("refuse_all"), st.sampled_from(WHOLE)),
    st.tuples(st.just("vanish"), st.booleans()),
    st.tuples(st.just("go")),
    st.tuples(st.just("return"), st.just(False)),
    st.tuples(st.just("shut"), st.booleans()),
    st.tuples(st.just("tick"), st.sampled_from((0.05, 0.6, 1.1, 6.0))),
)


class Executed(dict[int, bytes]):
    """What a target holds, and everything that it ever took."""

    def __init__(self, values: Mapping[int, bytes]) -> None:
        super().__init__(values)
        self.all: dict[int, list[float]] = {QUEUE: [], EVENT: [], STATE: []}

    def update(self, values: Mapping[int, bytes]) -> None:  # type: ignore[override]
        for handle, value in values.items():
            self.all[handle].append(number_in(value))
            self[handle] = value


class Counter(Plant):
    """The source counts; the first number is the present value of its subscription."""

    def __init__(self, played: PlayedFlow) -> None:
        super().__init__(played)
        self.values = Executed(self.values)
        self.count = 0

    def samples(self, number: int) -> None:
        """So many samples of each item in one notification."""
        numbers = range(self.count, self.count + number)
        self.count += number
        self.played.flow.earlier(
            [(handle, double(one)) for one in numbers[:-1] for handle in (QUEUE, EVENT)]
        )
        newest = double(numbers[-1])
        self.played.come(i1=newest, i2=newest, i3=newest)


async def outcome(script: list[tuple[Any, ...]]) -> tuple[dict[int, list[float]], Counter]:
    played = PlayedFlow(
        item(QUEUE, kind=ItemKind.QUEUE), item(EVENT, kind=ItemKind.EVENT), item(STATE), pipe=PIPE
    )
    plant = Counter(played)
    await played.connect_reader()
    await plant.come_back(with_start_values=False)
    for step in script:
        await plant.step(*step)
    await plant.quiesce()
    played.reader.session = played.writer.session = None
    played.flow.close()
    await settle()
    assert isinstance(plant.values, Executed)
    return plant.values.all, plant


@given(st.lists(steps, max_size=40))
@settings(max_examples=150, deadline=None)
def test_samples_arrive_in_order_and_events_at_most_once(script):
    note(str(script))
    with patch.object(targets, "read_targets", read_played_targets):
        executed, plant = asyncio.run(outcome(script))
    losses = plant.played.flow.losses.counts

    assert executed[EVENT] == sorted(set(executed[EVENT])), "an event was repeated"
    assert 0.0 not in executed[EVENT], "the present value is no event"

    arrived = executed[QUEUE]
    firsts = sorted(set(arrived))
    assert [n for i, n in enumerate(arrived) if n not in arrived[:i]] == firsts, "out of order"
    assert all(n >= arrived[i - 1] for i, n in enumerate(arrived) if i), "back to an older one"
    assert len(firsts) + losses[Cause.REFUSED] >= plant.count, "lost without a word"
    assert losses[Cause.COUNT] == losses[Cause.AGE] == 0
