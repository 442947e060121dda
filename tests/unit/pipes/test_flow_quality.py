"""The quality contract in a flow: outages of the source, stop, substitute, and the table."""

from __future__ import annotations

from typing import Any

import pytest

from pipes.core.choices import Direction, InitialWrite, ItemKind, Quality, ServerState
from pipes.core.outages import GRACE_SECONDS, LOST, STALE
from pipes.core.quality import SUBSTITUTED, HoldReason
from pipes.core.status_codes import code_of
from pipes.core.values import VariantType
from pipes.opcua.written import TargetInfo
from pipes.silences import MOST_AT_ONCE
from tests.unit.pipes.flows import (
    PlayedFlow,
    PlayedSession,
    double,
    item,
    no_value,
    play_targets,
    settle,
)

BAD = code_of("BadCommunicationError")
UNKNOWN = code_of("BadNodeIdUnknown")
UNCERTAIN = code_of("UncertainSubNormal")
LONG = GRACE_SECONDS + 1.0


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


async def connected(*items, **pipe: Any) -> tuple[PlayedFlow, PlayedSession]:
    played = PlayedFlow(*items, pipe=pipe)
    await played.connect_reader()
    return played, await played.connect_writer()


def wrote(server: PlayedSession) -> list[dict[int, bytes]]:
    """What was written since the last call; everything is accepted."""
    while server.sent:
        server.answer()
    found, server.written = server.written, []
    return found


async def after(played: PlayedFlow, server: PlayedSession, seconds: float) -> list:
    await played.tick(seconds)
    found = wrote(server)
    await played.tick()
    return found + wrote(server)


class TestLostSource:
    async def test_propagate_tells_the_target_after_the_grace_and_once(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(2.0))
        played.come(i1=double(3.0))
        wrote(server)

        played.lose_reader()
        assert await after(played, server, GRACE_SECONDS - 0.5) == []
        assert await after(played, server, 1.0) == [
            {1: double(3.0, status=LOST), 2: double(2.0, status=LOST)}
        ]
        assert await after(played, server, 60.0) == []

        await played.connect_reader()
        played.come(i1=double(3.0), i2=double(2.0))
        assert wrote(server) == [{1: double(3.0), 2: double(2.0)}]
        assert not played.flow.outages.current

    async def test_a_short_reconnection_is_kept_from_the_target(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        wrote(server)

        played.lose_reader()
        await played.tick(GRACE_SECONDS / 2)
        await played.connect_reader()
        played.come(i1=double(1.0))

        assert await after(played, server, 60.0) == []

    async def test_a_source_that_is_back_before_its_loss_was_written_has_the_last_word(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        wrote(server)
        played.lose_reader()
        await played.tick(LONG)
        await played.connect_reader()
        played.come(i1=double(1.0))

        assert wrote(server) == [{1: double(1.0, status=LOST)}, {1: double(1.0)}]

    async def test_a_first_attempt_over_a_long_line_is_no_loss(self):
        played = PlayedFlow(item(1))
        server = await played.connect_writer()
        assert await after(played, server, 10 * GRACE_SECONDS) == []

        await played.connect_reader()
        await played.tick(GRACE_SECONDS / 2)
        played.come(i1=double(1.0))

        assert wrote(server) == [{1: double(1.0)}]
        assert await after(played, server, 60.0) == []

    async def test_a_first_attempt_in_vain_is_told_after_the_grace(self):
        played = PlayedFlow(item(1, quality=Quality.SUBSTITUTE, substitute=7))
        server = await played.connect_writer()
        await played.tick(10 * GRACE_SECONDS)

        played.reader.state = ServerState.DISCONNECTED  # nobody is told of this edge
        assert await after(played, server, 0.1) == []
        assert await after(played, server, GRACE_SECONDS - 0.2) == []
        assert await after(played, server, 0.2) == [
            {1: double(7.0, status=SUBSTITUTED, stamp=None)}
        ]

    async def test_hold_keeps_the_value_and_tells_when_the_time_is_over(self):
        played, server = await connected(item(1), quality=Quality.HOLD, hold_seconds=10.0)
        played.come(i1=double(1.0))
        wrote(server)
        played.lose_reader()

        assert await after(played, server, LONG) == []
        assert played.flow.held_back[1] == HoldReason.POLICY
        assert await after(played, server, 9.0) == []
        assert await after(played, server, 2.0) == [{1: double(1.0, status=LOST)}]

    async def test_substitute_is_written_for_an_item_that_never_had_a_value(self):
        played, server = await connected(item(1, quality=Quality.SUBSTITUTE, substitute=7))
        played.lose_reader()

        assert await after(played, server, LONG) == [
            {1: double(7.0, status=SUBSTITUTED, stamp=None)}
        ]

    async def test_stop_writes_nothing_and_reports_both_edges(self):
        played, server = await connected(item(1), quality=Quality.STOP)
        played.come(i1=double(1.0))
        wrote(server)
        played.lose_reader()

        assert await after(played, server, LONG) == []
        assert played.flow.held_back[1] == HoldReason.STOPPED
        (stopped,) = played.flow.stops.reports(played.now)
        await played.connect_reader()
        played.come(i1=double(2.0, status=UNCERTAIN))
        assert wrote(server) == [], "better is not Good"
        played.come(i1=double(3.0))

        assert wrote(server) == [{1: double(3.0)}]
        (went_on,) = played.flow.stops.reports(played.now + 10)
        assert (stopped.is_stop, went_on.is_stop) == (True, False)
        assert stopped.items == went_on.items == (1,)

    async def test_the_value_that_the_target_holds_serves_where_none_came(self):
        played = PlayedFlow(item(1), item(2))
        server = PlayedSession()
        infos = TargetInfo(0, VariantType.DOUBLE, -1, value=double(9.0))
        server.infos[server.encode_node("nsu=urn:plant;s=T1")] = infos
        played.writer.session = server  # type: ignore[assignment]
        played.flow.connected(played.writer)
        await settle()
        played.lose_reader()

        assert await after(played, server, LONG) == [{1: double(9.0, status=LOST)}]
        assert played.flow.held_back[2] == HoldReason.NO_VALUE

    async def test_never_means_never_for_an_item_without_a_first_value(self):
        played, server = await connected(
            item(1, quality=Quality.SUBSTITUTE, substitute=7), initial_write=InitialWrite.NEVER
        )
        played.lose_reader()
        assert await after(played, server, LONG) == []

    async def test_a_target_that_comes_back_meanwhile_is_told_what_holds_now(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        wrote(server)
        played.lose_reader()
        await after(played, server, LONG)

        played.lose_writer()
        server = await played.connect_writer()

        assert wrote(server) == [{1: double(1.0, status=LOST)}]

    async def test_thousands_are_told_in_parts_so_that_the_loop_goes_on(self):
        count = MOST_AT_ONCE + 10
        played, server = await connected(*(item(handle) for handle in range(1, count + 1)))
        played.come(**{f"i{handle}": double(1.0) for handle in range(1, count + 1)})
        wrote(server)
        played.lose_reader()

        await played.tick(LONG)
        assert len(wrote(server)[0]) == MOST_AT_ONCE
        await played.tick()
        assert len(wrote(server)[0]) == 10

    async def test_the_side_that_an_item_of_both_directions_writes_is_no_source_to_miss(self):
        played = PlayedFlow(item(1, direction=Direction.BOTH), is_reverse=True)
        played.lose_reader()
        played.flow.outages.over([1])
        played.lose_reader()
        assert not played.flow.outages.current

    async def test_an_item_that_is_removed_meanwhile_is_forgotten(self):
        played, server = await connected(item(1), quality=Quality.STOP)
        played.come(i1=double(1.0))
        wrote(server)
        played.lose_reader()
        await after(played, server, LONG)
        played.flow.remove([1])
        assert not played.flow.outages.current
        assert not played.flow.stops.current

    async def test_a_queue_gets_the_loss_as_its_next_sample_and_an_event_gets_none(self):
        played, server = await connected(item(1, kind=ItemKind.QUEUE), item(2, kind=ItemKind.EVENT))
        played.come(i1=double(1.0), i2=double(1.0))
        wrote(server)
        played.lose_reader()

        assert await after(played, server, LONG) == [{1: double(1.0, status=LOST)}]
        played.lose_writer()
        server = await played.connect_writer()
        assert wrote(server) == [{1: double(1.0, status=LOST)}]


class TestSilentItems:
    async def test_a_refused_node_is_not_good_until_it_is_watched_again(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(1.0))
        wrote(server)
        for _ in range(4):
            played.flow.watch_refused(1, UNKNOWN, "")
            await played.tick(1.5)

        assert wrote(server) == [{1: double(1.0, status=UNKNOWN)}]
        assert "BadNodeIdUnknown" in played.fault(1), "what was written is not the cure"
        played.flow.subscribing([1])
        played.come(i1=double(1.0))
        assert wrote(server) == [{1: double(1.0)}]
        assert not played.fault(1)

    async def test_a_stale_item_is_uncertain_if_asking_anew_does_not_help(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        wrote(server)

        played.flow.silences.stale(1)
        assert await after(played, server, LONG) == [{1: double(1.0, status=STALE)}]
        played.come(i1=double(2.0))
        assert wrote(server) == [{1: double(2.0)}]

    async def test_a_stale_item_that_is_healed_at_once_is_not_told(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        wrote(server)
        played.flow.silences.stale(1)
        played.flow.subscribing([1])
        played.come(i1=double(2.0))
        assert wrote(server) == [{1: double(2.0)}]
        assert await after(played, server, LONG) == []


class TestSubstitute:
    async def test_it_is_written_once_and_ends_with_the_next_good_value(self):
        played, server = await connected(item(1, quality=Quality.SUBSTITUTE, substitute=7.5))
        played.come(i1=double(1.0))
        wrote(server)
        for status in (UNCERTAIN, BAD, BAD):
            played.come(i1=double(2.0, status=status))
        assert wrote(server) == [{1: double(7.5, status=SUBSTITUTED)}]
        assert played.flow.held_back[1] == HoldReason.SUBSTITUTED
        played.come(i1=double(1.0))
        assert wrote(server) == [{1: double(1.0)}]

    async def test_a_target_without_status_gets_the_value_alone(self):
        played, server = await connected(item(1, quality=Quality.SUBSTITUTE, substitute=7.5))
        played.come(i1=double(2.0, status=BAD))
        server.answer(code_of("BadWriteNotSupported"))
        server.answer(code_of("BadWriteNotSupported"))
        assert played.writer.writes_status is False
        assert wrote(server)[-1] == {1: double(7.5)}

    async def test_one_that_was_refused_is_tried_again(self):
        played, server = await connected(item(1, quality=Quality.SUBSTITUTE, substitute=7.5))
        played.come(i1=double(2.0, status=BAD))
        server.answer(BAD)
        server.written.clear()
        assert await after(played, server, 1.1) == [{1: double(7.5, status=SUBSTITUTED)}]

    async def test_without_one_the_item_says_what_is_missing(self):
        played, server = await connected(item(1), quality=Quality.SUBSTITUTE)
        played.come(i1=double(2.0, status=BAD))
        assert wrote(server) == []
        assert "set substitute" in played.flow.held_back[1]


class TestTable:
    async def test_rows_change_only_what_they_name(self):
        table = {"BadCommunicationError": "hold", "Uncertain": "Good"}
        played, server = await connected(item(1), item(2), item(3), quality_table=table)
        played.come(
            i1=double(1.0, status=UNCERTAIN),
            i2=double(2.0, status=BAD),
            i3=double(3.0, status=UNKNOWN),
        )
        assert wrote(server) == [{1: double(1.0), 3: double(3.0, status=UNKNOWN)}]
        assert played.flow.held_back[2] == HoldReason.POLICY

    async def test_an_item_without_a_rule_beside_one_with_a_rule_passes_its_status(self):
        played, server = await connected(item(1), item(2, quality=Quality.STOP))
        played.come(i1=double(1.0), i2=double(1.0))
        wrote(server)
        played.come(i1=double(2.0, status=BAD), i2=double(2.0, status=BAD))
        assert wrote(server) == [{1: double(2.0, status=BAD)}]

    async def test_a_status_without_a_value_is_looked_up_too(self):
        played, server = await connected(item(1), quality_table={"Bad": "UncertainInitialValue"})
        played.come(i1=double(1.0))
        wrote(server)
        played.come(i1=no_value(BAD))
        assert wrote(server) == [{1: double(1.0, status=code_of("UncertainInitialValue"))}]
