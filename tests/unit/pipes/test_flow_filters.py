"""Filters that the source's server does not do, or only says that it does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipes import ranges
from pipes.core.choices import DeadbandType, Trigger
from pipes.core.ranges import Range
from pipes.core.status_codes import code_of
from pipes.core.wanted import Deadband
from pipes.feed import FeedItem
from pipes.staleness import Staleness
from tests.unit.pipes.flows import PlayedFlow, PlayedSession, double, item, play_targets

UNSUPPORTED = code_of("BadMonitoredItemFilterUnsupported")
PERCENT = Deadband(DeadbandType.PERCENT, 5.0)


@pytest.fixture
def found(monkeypatch) -> dict[str, Range | Exception | None]:
    """What the source answers about the EURange of a node."""
    answers: dict[str, Any] = {}

    async def read(_session: Any, nodes: Any) -> list[Range | None]:
        by_node = {PlayedSession().encode_node(node): answer for node, answer in answers.items()}
        failures = [answer for answer in by_node.values() if isinstance(answer, Exception)]
        if failures:
            raise failures[0]
        return [by_node.get(node) for node in nodes]

    monkeypatch.setattr(ranges, "read_ranges", read)
    play_targets(monkeypatch)
    return answers


async def connected(*items, **pipe: Any) -> tuple[PlayedFlow, PlayedSession, PlayedSession]:
    played = PlayedFlow(*items, pipe=pipe)
    reader = await played.connect_reader()
    server = await played.connect_writer()
    await played.tick()
    return played, server, reader


def wrote(server: PlayedSession) -> list[bytes]:
    while server.sent:
        server.answer()
    found, server.written = server.written, []
    return [value for batch in found for value in batch.values()]


class TestPercentDeadband:
    async def test_the_server_is_asked_and_the_flow_filters_all_the_same(self, found):
        found["nsu=urn:plant;s=T1"] = Range(0.0, 200.0)
        played, server, reader = await connected(item(1, deadband=PERCENT))
        assert [spec.percent_deadband for spec in reader.monitored] == [5.0]
        written = []
        for number in (100.0, 104.0, 109.0, 111.0, 102.0):
            played.come(i1=double(number))
            written += wrote(server)
        assert written == [double(100.0), double(111.0)]
        assert not played.flow.notes

    async def test_a_node_without_range_says_what_would_help_and_goes_on(self, found):
        found["nsu=urn:plant;s=T1"] = None
        played, server, _ = await connected(item(1, deadband=PERCENT))
        for number in (100.0, 100.1):
            played.come(i1=double(number))
            wrote(server)
        played.come(i1=double(100.2))
        assert wrote(server) == [double(100.2)]
        assert "no EURange at SRC; use an absolute deadband" in played.flow.notes[1]

    async def test_a_range_without_width_is_shown(self, found):
        found["nsu=urn:plant;s=T1"] = Range(5.0, 5.0)
        played, _, _ = await connected(item(1, deadband=PERCENT))
        assert "the EURange 5 to 5" in played.flow.notes[1]

    async def test_it_is_read_again_after_a_failure_and_in_each_session(self, found):
        found["nsu=urn:plant;s=T1"] = TimeoutError("no answer")
        played, _, _ = await connected(item(1, deadband=PERCENT), item(2))
        assert played.flow.ranges.unknown == {1}
        found["nsu=urn:plant;s=T1"] = None
        await played.tick(1.0)
        assert 1 not in played.flow.notes, "not asked again yet"
        await played.tick(ranges.RETRY_SECONDS)
        assert 1 in played.flow.notes

        found["nsu=urn:plant;s=T1"] = Range(0.0, 100.0)
        played.lose_reader()
        await played.connect_reader()
        await played.tick()
        assert not played.flow.notes
        assert played.flow.feed.widths == {1: 5.0}
        played.flow.remove([1])
        assert not played.flow.feed.widths

    async def test_one_that_is_taken_out_meanwhile_is_not_told(self, found):
        found["nsu=urn:plant;s=T1"] = None
        played = PlayedFlow(item(1, deadband=PERCENT))
        played.flow.ranges._nodes[1] = "nsu=urn:elsewhere;s=T1"
        await played.connect_reader()
        await played.tick()
        assert 1 in played.flow.notes
        played.flow.remove([1])
        played.flow.ranges._found(1, None)
        assert not played.flow.notes


class TestRefusedFilters:
    async def test_a_deadband_is_left_out_and_done_here(self, found):
        played = PlayedFlow(item(1, deadband=Deadband(DeadbandType.ABSOLUTE, 5.0)))
        server = await played.connect_writer()
        reader = PlayedSession()
        reader.refused_items[1] = UNSUPPORTED
        played.reader.session = reader  # type: ignore[assignment]
        played.flow.connected(played.reader)
        await played.tick()
        assert [spec.absolute_deadband for spec in reader.monitored] == [5.0, None]
        reader.refused_items.clear()
        for number in (1.0, 3.0, 7.0):
            played.come(i1=double(number))
            last = wrote(server)
        assert last == [double(7.0)]

    async def test_a_trigger_is_left_out_and_the_one_that_cannot_be_done_here_says_so(self, found):
        played = PlayedFlow(
            item(1, trigger=Trigger.STATUS), item(2, trigger=Trigger.STATUS_VALUE_TIMESTAMP)
        )
        server = await played.connect_writer()
        reader = PlayedSession()
        reader.refused_items.update({1: UNSUPPORTED, 2: UNSUPPORTED})
        played.reader.session = reader  # type: ignore[assignment]
        played.flow.connected(played.reader)
        await played.tick()
        assert [spec.trigger for spec in reader.monitored][-2:] == [Trigger.STATUS_VALUE] * 2
        for number in (1.0, 2.0):
            played.come(i1=double(number))
        assert wrote(server) == [double(1.0)]
        assert 1 not in played.flow.notes
        assert "a new timestamp alone is not reported" in played.flow.notes[2]


def test_a_difference_below_a_percent_deadband_is_not_stale():
    watched = FeedItem(1, "ns=2;s=T", -1.0, Trigger.STATUS_VALUE, None, "", percent_deadband=5.0)
    feed = SimpleNamespace(wanted={1: watched}, widths={})
    staleness = Staleness(feed, {}, lambda _handle: None, lambda: 0.0)  # type: ignore[arg-type]
    assert staleness._deadband(1) == float("inf")
    feed.widths[1] = 10.0
    assert staleness._deadband(1) == 10.0
    assert staleness._deadband(2) == 0.0
