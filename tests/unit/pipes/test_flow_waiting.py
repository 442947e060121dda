"""Items that wait: for their condition, or for the end of their minimum interval."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from pipes.core.binary import encode_data_value
from pipes.core.choices import ItemKind, Quality, Trigger
from pipes.core.condition import FIRST_HANDLE
from pipes.core.outages import LOST
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue, Variant, VariantType
from pipes.throttle import Throttle
from tests.unit.pipes.flows import (
    PlayedFlow,
    PlayedSession,
    double,
    item,
    play_targets,
)

BAD = code_of("BadCommunicationError")
RUN = {"node": "nsu=urn:plant;s=Run", "equals": True}
STOP = {"node": "nsu=urn:plant;s=Run", "equals": False}
NODE = FIRST_HANDLE


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


async def connected(*items, **pipe: Any) -> tuple[PlayedFlow, PlayedSession, PlayedSession]:
    played = PlayedFlow(*items, pipe=pipe)
    reader = await played.connect_reader()
    return played, await played.connect_writer(), reader


def wrote(server: PlayedSession) -> list[dict[int, bytes]]:
    while server.sent:
        server.answer()
    found, server.written = server.written, []
    return found


def flag(value: bool, status: int = 0) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.BOOLEAN, value), status))


def report(reader: PlayedSession, values: dict[int, bytes]) -> None:
    """A notification of the source's subscription."""
    reader.sink.values(values, frozenset())


class TestCondition:
    async def test_nothing_goes_before_the_condition_is_known(self):
        played, server, reader = await connected(item(1, condition=RUN), item(2))
        report(reader, {1: double(1.0), 2: double(2.0)})
        assert wrote(server) == [{2: double(2.0)}]
        assert "has not reported a value yet" in played.flow.held_back[1]

        report(reader, {NODE: flag(True)})

        assert wrote(server) == [{1: double(1.0)}]
        assert 1 not in played.flow.held_back

    async def test_while_it_fails_nothing_goes_and_then_the_newest_value_does(self):
        played, server, reader = await connected(item(1, condition=RUN), item(2, condition=STOP))
        report(reader, {NODE: flag(True), 1: double(1.0), 2: double(1.0)})
        report(reader, {1: double(2.0), 2: double(2.0)})
        assert wrote(server)[-1] == {1: double(2.0)}

        report(reader, {NODE: flag(False)})
        assert wrote(server) == [{2: double(2.0)}]
        report(reader, {1: double(3.0)})
        report(reader, {1: double(4.0)})
        assert wrote(server) == []
        assert "is false, not true" in played.flow.held_back[1]
        report(reader, {NODE: flag(True)})
        assert wrote(server) == [{1: double(4.0)}]

    async def test_the_newest_value_goes_when_it_is_met_again_whether_it_changed_or_not(self):
        _, server, reader = await connected(item(1, condition=RUN))
        report(reader, {NODE: flag(True), 1: double(1.0)})
        report(reader, {NODE: flag(False)})
        wrote(server)
        report(reader, {NODE: flag(True)})
        assert wrote(server) == [{1: double(1.0)}]

    async def test_with_trigger_status_a_condition_is_a_transfer_on_request(self):
        one_shot = item(1, condition=RUN, trigger=Trigger.STATUS)
        _, server, reader = await connected(one_shot)
        asked = {spec.handle: spec.trigger for spec in reader.monitored}
        assert asked[1] is Trigger.STATUS_VALUE, "with status alone the newest would not be known"
        for number in (1.0, 2.0):
            report(reader, {NODE: flag(False), 1: double(number)})
            report(reader, {NODE: flag(True)})
            report(reader, {1: double(number + 0.5)})
            assert wrote(server) == [{1: double(number)}]

    async def test_a_value_that_comes_with_the_end_of_its_condition_does_not_go(self):
        _, server, reader = await connected(item(1, condition=RUN))
        report(reader, {NODE: flag(True), 1: double(1.0)})
        wrote(server)
        report(reader, {1: double(-1.0), NODE: flag(False)})
        assert wrote(server) == []

    async def test_a_value_from_before_the_condition_does_not_go_ahead_of_the_one_with_it(self):
        _, server, reader = await connected(item(1, condition=RUN))
        report(reader, {NODE: flag(False), 1: double(-1.0)})
        report(reader, {NODE: flag(True), 1: double(5.0)})
        assert wrote(server) == [{1: double(5.0)}]

    async def test_what_waits_behind_a_write_does_not_go_when_the_condition_ends(self):
        played, server, reader = await connected(item(1, condition=RUN))
        report(reader, {NODE: flag(True), 1: double(1.0)})
        report(reader, {1: double(2.0)})  # the first is on its way
        report(reader, {NODE: flag(False)})
        assert wrote(server) == [{1: double(1.0)}]
        report(reader, {NODE: flag(True)})
        assert wrote(server) == [{1: double(2.0)}]
        assert not played.flow.faults.current

    async def test_an_item_that_needs_nothing_passes_without_a_look_while_it_is_met(self):
        played, server, reader = await connected(item(1, condition=RUN))
        report(reader, {NODE: flag(True), 1: double(1.0)})
        assert played.flow.passing.unseen
        report(reader, {NODE: flag(False)})
        assert not played.flow.passing.unseen
        assert wrote(server) == [{1: double(1.0)}]

    async def test_a_node_that_is_not_good_or_refused_closes_and_says_so(self):
        played, server, reader = await connected(item(1, condition=RUN))
        report(reader, {NODE: flag(True), 1: double(1.0)})
        wrote(server)
        report(reader, {NODE: flag(True, BAD), 1: double(2.0)})
        assert wrote(server) == []
        assert "BadCommunicationError" in played.flow.held_back[1]
        played.flow.feed.receiver.watch_refused(NODE, code_of("BadNodeIdUnknown"), "")
        report(reader, {1: double(3.0)})
        assert "at SRC: BadNodeIdUnknown" in played.flow.held_back[1]

    async def test_a_lost_source_is_told_if_the_condition_was_met_and_a_new_session_looks_anew(
        self,
    ):
        played, server, reader = await connected(item(1, condition=RUN), item(2, condition=STOP))
        report(reader, {NODE: flag(True), 1: double(1.0), 2: double(1.0)})
        wrote(server)
        played.lose_reader()
        await played.tick(4.0)
        assert wrote(server) == [{1: double(1.0, status=LOST)}]

        reader = await played.connect_reader()
        report(reader, {1: double(2.0)})
        assert wrote(server) == [], "not known in this session yet"
        report(reader, {NODE: flag(True)})
        assert wrote(server) == [{1: double(2.0)}]

    async def test_a_removed_item_lets_its_node_go(self):
        played, _, reader = await connected(item(1, condition=RUN), item(2))
        played.flow.remove([2])
        assert NODE in played.flow.feed.wanted
        played.flow.remove([1])
        assert not played.flow.feed.wanted
        report(reader, {NODE: flag(True)})

    async def test_what_others_say_of_items_goes_on_to_the_flow(self):
        played, server, reader = await connected(
            item(1, kind=ItemKind.QUEUE, condition=RUN), item(2)
        )
        receiver = played.flow.feed.receiver
        assert receiver is played.flow.conditions
        report(reader, {NODE: flag(True)})
        receiver.earlier([(1, double(1.0)), (NODE, flag(False))])
        receiver.overflowed([1, NODE])
        report(reader, {1: double(2.0)})
        assert wrote(server) == [{1: double(1.0)}, {1: double(2.0)}]
        receiver.filter_refused(NODE)
        receiver.filter_refused(2)
        receiver.watch_refused(2, BAD, "")
        assert "BadCommunicationError" in played.fault(2)
        receiver.healed("a test")
        assert played.flow.healed_subscriptions == 1
        receiver.earlier([(NODE, flag(True))])

    async def test_samples_of_a_queue_are_left_out_while_it_fails(self):
        _, server, reader = await connected(item(1, kind=ItemKind.QUEUE, condition=RUN))
        for number in (1.0, 2.0):
            report(reader, {NODE: flag(False), 1: double(number)})
        report(reader, {NODE: flag(True)})
        report(reader, {1: double(3.0)})
        assert [number for batch in wrote(server) for number in batch.values()] == [
            double(2.0), double(3.0),
        ]  # fmt: skip


class TestConditionOfAReverseFlow:
    async def test_it_is_watched_at_the_source_that_the_flow_writes(self):
        played = PlayedFlow(is_reverse=True)
        reader, server = await played.connect_reader(), await played.connect_writer()
        played.flow.add([item(1, condition=RUN)])
        await played.tick()
        assert [spec.handle for spec in server.monitored] == [NODE]
        report(reader, {1: double(1.0)})
        assert wrote(server) == []

        report(server, {NODE: flag(True)})
        assert wrote(server) == [{1: double(1.0)}]
        await played.tick(1.0)
        played.lose_writer()
        server = await played.connect_writer()
        report(reader, {1: double(2.0)})
        assert wrote(server) == [], "the new session has not said it yet"
        report(server, {NODE: flag(True)})
        assert wrote(server) == [{1: double(2.0)}]
        await played.flow.unsubscribe()


class TestMinimumInterval:
    async def test_the_newest_value_of_an_interval_goes_at_its_end(self):
        played, server, _ = await connected(item(1, minimum_interval_ms=1000), item(2))
        played.come(i1=double(1.0))
        for number in (2.0, 3.0, 4.0):
            played.now += 0.2
            played.come(i1=double(number), i2=double(number))
        written = wrote(server)
        assert [batch for batch in written if 1 in batch] == [{1: double(1.0)}]

        await played.tick(0.4)
        assert wrote(server) == [{1: double(4.0)}]
        await played.tick(5.0)
        assert wrote(server) == []

    async def test_its_interval_begins_with_a_value_that_goes(self):
        played, server, _ = await connected(item(1, minimum_interval_ms=1000))
        times = []
        for step in range(1, 41):  # four seconds, ten values a second
            played.come(i1=double(step))
            if wrote(server):
                times.append(played.now)
            await played.tick(0.1)
            if wrote(server):
                times.append(played.now)
        assert 4 <= len(times) <= 5
        assert all(later - before > 0.99 for before, later in pairwise(times))

    async def test_a_value_that_ends_where_it_began_is_not_lost(self):
        played, server, _ = await connected(item(1, minimum_interval_ms=1000))
        for number in (1.0, 2.0, 1.0):
            played.come(i1=double(number))
        await played.tick(1.1)
        assert wrote(server)[-1] == {1: double(1.0)}

    async def test_the_quality_contract_is_asked_about_the_value_that_goes(self):
        played, server, _ = await connected(item(1, minimum_interval_ms=1000), quality=Quality.STOP)
        played.come(i1=double(1.0))
        played.come(i1=double(2.0))
        played.come(i1=double(3.0, status=BAD))
        await played.tick(1.1)
        assert wrote(server) == [{1: double(1.0)}]

    async def test_a_removed_item_is_not_due(self):
        played, server, _ = await connected(item(1, minimum_interval_ms=1000))
        played.come(i1=double(1.0))
        played.come(i1=double(2.0))
        wrote(server)
        played.flow.remove([1])
        await played.tick(5.0)
        assert wrote(server) == []
        played.flow.close()

    async def test_a_queue_has_no_interval(self):
        played, server, _ = await connected(item(1, minimum_interval_ms=1000, kind=ItemKind.QUEUE))
        for number in (1.0, 2.0):
            played.come(i1=double(number))
        assert len(wrote(server)) == 2


async def test_a_timer_rings_at_the_end_of_the_interval_and_not_without_need():
    due: list[int] = []
    rang = asyncio.Event()

    def take(handles: list[int]) -> None:
        due.extend(handles)
        rang.set()

    throttle = Throttle(take, asyncio.get_running_loop().time)
    throttle.add(1, 20)
    throttle.add(2, 5)
    assert not throttle.holds(1)
    throttle.went(1)
    assert throttle.holds(1)
    throttle.went(2)
    assert throttle.holds(2), "an earlier end takes the timer over"
    while len(due) < 2:
        rang.clear()
        await asyncio.wait_for(rang.wait(), 5)
    assert due == [2, 1]
    assert throttle._timer is None
    assert not throttle.holds(3)
    throttle.close()
