"""Items that ask for more than their newest value: samples in order, events, refresh, dry run."""

from __future__ import annotations

from typing import Any

import pytest

from pipes.core.choices import DeadbandType, Direction, InitialWrite, ItemKind, Overflow, Quality
from pipes.core.losses import Cause
from pipes.core.outages import LOST
from pipes.core.status_codes import code_of
from pipes.core.values import VariantType
from pipes.core.wanted import Deadband, Pipe, kind_of
from pipes.delivery import MOST_NAMED
from pipes.opcua.written import TargetInfo
from tests.unit.pipes.flows import (
    PlayedFlow,
    PlayedSession,
    double,
    item,
    no_value,
    number_in,
    play_targets,
)

BAD = code_of("BadCommunicationError")
BUSY = code_of("BadServerTooBusy")
DENIED = code_of("BadUserAccessDenied")
OUT_OF_RANGE = code_of("BadOutOfRange")
QUEUES = {"overflow": Overflow.QUEUE, "queue_limit": 5, "queue_age_seconds": 30.0}
DRY = {"dry_run": True}
NODE = "nsu=urn:plant;s=T1"


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


async def connected(*items, pipe: dict[str, Any] | None = None):
    played = PlayedFlow(*items, pipe=QUEUES if pipe is None else pipe)
    await played.connect_reader()
    return played, await played.connect_writer()


async def event_flow(**more: Any):
    """A flow with the event item 1, whose present value is known."""
    played, server = await connected(item(1, kind=ItemKind.EVENT), pipe=more or QUEUES)
    played.come(i1=double(0.0))
    assert server.written == []
    return played, server


def come_in_one(played: PlayedFlow, *numbers: float, handle: int = 1) -> None:
    """Several samples of one item in one notification."""
    played.flow.earlier([(handle, double(number)) for number in numbers[:-1]])
    played.come(**{f"i{handle}": double(numbers[-1])})


def accepted(server: PlayedSession) -> list[float]:
    """Accept all writes, one after the other; the numbers of item 1 in their order."""
    start = len(server.written) - len(server.sent)
    while server.sent:
        server.answer()
    return [number_in(batch[1]) for batch in server.written[start:] if 1 in batch]


def lost(played: PlayedFlow, cause: Cause) -> int:
    return played.flow.losses.counts[cause]


@pytest.mark.parametrize(
    ("kind", "direction", "overflow", "expected"),
    [
        ("state", "forward", "latest", "state"),
        ("queue", "forward", "latest", "queue"),
        ("event", "reverse", "latest", "event"),
        (None, "forward", "latest", "state"),
        (None, "forward", "queue", "queue"),
        (None, "reverse", "queue", "queue"),
        (None, "both", "queue", "state"),
        ("state", "forward", "queue", "state"),
        ("event", "forward", "queue", "event"),
    ],
)
def test_a_pipe_with_queues_gives_one_to_items_without_a_kind(kind, direction, overflow, expected):
    given = item(1, kind=kind and ItemKind(kind), direction=Direction(direction))

    assert kind_of(given, Pipe("P", "A", "B", {}, overflow=Overflow(overflow))) == expected


class TestQueue:
    async def test_every_sample_of_one_notification_is_written_in_order(self):
        played, server = await connected(item(1))

        come_in_one(played, 1.0, 2.0, 3.0)
        played.come(i1=double(4.0))

        assert len(server.sent) == 1, "one write of an item at a time"
        assert accepted(server) == [1.0, 2.0, 3.0, 4.0]
        assert played.flow.received == 4
        assert len(played.flow.writer.pending) == 0

    async def test_the_server_is_asked_for_a_queue_and_all_samples(self):
        played, _ = await connected(item(1), item(2, sampling_interval_ms=500))
        wanted = played.flow.feed.wanted

        assert (wanted[1].queue_size, wanted[1].sampling_interval_ms) == (5, 0.0)
        assert (wanted[2].queue_size, wanted[2].sampling_interval_ms) == (5, 500.0)

    @pytest.mark.parametrize(
        ("own", "pipe"),
        [
            pytest.param((ItemKind.QUEUE, None), {}, id="a queue on a pipe of states"),
            pytest.param((None, ItemKind.STATE), QUEUES, id="a state on a pipe with queues"),
        ],
    )
    async def test_items_of_other_kinds_on_the_pipe_go_their_own_ways(self, own, pipe):
        first, second = own
        played, server = await connected(item(1, kind=first), item(2, kind=second), pipe=pipe)
        for number in (1.0, 2.0, 3.0):
            played.come(i1=double(number), i2=double(number))

        assert played.flow.queued(1) == 3
        assert len(played.flow.writer.pending) == 3, "two samples and the newest value"
        assert accepted(server) == [1.0, 2.0, 3.0]
        values = [number_in(batch[2]) for batch in server.written if 2 in batch]
        assert values == [1.0, 3.0], "the newest value wins"
        assert played.flow.writer.pending.conflated == 1
        assert played.flow.feed.wanted[2].queue_size == 1

    async def test_samples_leave_room_for_the_newest_values_of_others(self):
        queues = [item(handle, kind=ItemKind.QUEUE) for handle in range(1, 9)]
        played = PlayedFlow(*queues, item(21), item(22), pipe={})
        await played.connect_reader()
        played.gate.is_open = False
        server = await played.connect_writer(write_limit=4)
        played.come(**{f"i{one}": double(1.0) for one in (*range(1, 9), 21, 22)})
        played.gate.is_open = True
        played.flow.writer.flush()

        assert set(server.written[0]) == {1, 2, 21, 22}

    async def test_samples_wait_for_a_lost_target_and_go_on_where_they_stopped(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0, 3.0)
        server.answer()  # 1.0 is there; 2.0 is on its way

        played.lose_writer()
        server.answer(failure="connection lost")
        played.come(i1=double(4.0))
        await played.tick(1.0)
        assert len(played.flow.writer.pending) == 3
        server = await played.connect_writer()

        assert accepted(server) == [2.0, 3.0, 4.0], "what nobody knows of is written again"
        assert played.flow.losses.total == 0

    async def test_an_answer_that_comes_after_the_loss_lets_the_sample_go_again(self):
        played, old = await connected(item(1))
        come_in_one(played, 1.0, 2.0)

        played.lose_writer()
        server = await played.connect_writer()
        assert server.written == [], "the old write may still land"
        old.answer(failure="connection lost")

        assert accepted(server) == [1.0, 2.0]

    async def test_samples_are_converted_to_what_the_node_is_after_its_return(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0)
        played.lose_writer()
        server.answer(failure="connection lost")

        server = PlayedSession()
        server.infos[server.encode_node(NODE)] = TargetInfo(0, VariantType.INT32, -1)
        played.writer.session = server  # type: ignore[assignment]
        played.flow.connected(played.writer)
        await played.tick()

        assert server.written[0][1][1] == VariantType.INT32

    async def test_the_oldest_samples_are_lost_and_named_when_the_queue_is_full(self):
        played, server = await connected(item(1))
        played.come(i1=double(0.0))
        played.lose_writer()
        server.answer(failure="connection lost")
        for number in range(1, 9):
            played.come(i1=double(number))

        (report,) = played.flow.losses.reports(played.now)
        assert (report.cause, report.count, report.handle) == (Cause.COUNT, 4, 1)
        assert number_in(report.value) == 0.0, "the oldest"
        assert played.flow.queued(1) == 5
        server = await played.connect_writer()
        assert accepted(server) == [4.0, 5.0, 6.0, 7.0, 8.0]
        assert played.flow.losses.total == 4

    async def test_samples_that_waited_too_long_are_lost_but_the_newest_value_is_not(self):
        played, server = await connected(item(1))
        played.come(i1=double(0.0))
        accepted(server)
        played.lose_writer()
        played.come(i1=double(1.0))
        await played.tick(20.0)
        played.come(i1=double(2.0))

        await played.tick(20.0)
        assert (lost(played, Cause.AGE), played.flow.queued(1)) == (1, 1)
        await played.tick(20.0)
        assert (lost(played, Cause.AGE), played.flow.queued(1)) == (2, 0)
        server = await played.connect_writer()

        assert accepted(server) == [2.0]

    async def test_a_target_that_lost_the_newest_value_gets_it_again(self):
        played, server = await connected(item(1))
        played.come(i1=double(5.0))
        accepted(server)
        for held, written in ((double(5.0), []), (double(1.0), [5.0])):
            played.lose_writer()
            server = PlayedSession()
            info = TargetInfo(0, VariantType.DOUBLE, -1, value=held)
            server.infos[server.encode_node(NODE)] = info
            played.writer.session = server  # type: ignore[assignment]
            played.flow.connected(played.writer)
            await played.tick()
            assert accepted(server) == written

    async def test_a_sample_that_a_busy_server_refuses_is_tried_again_in_its_place(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0)
        server.answer(BUSY)
        assert server.sent == [], "an item in error has to wait"

        await played.tick(1.1)

        assert accepted(server) == [1.0, 2.0]
        assert not played.fault(1)

    async def test_a_sample_that_can_never_be_written_makes_way_for_the_next(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0)
        server.answer(OUT_OF_RANGE)

        await played.tick(1.1)

        assert accepted(server) == [2.0]
        assert lost(played, Cause.REFUSED) == 1
        assert not played.fault(1)

    async def test_a_sample_that_cannot_be_converted_holds_no_other_up(self):
        played = PlayedFlow(item(1), pipe=QUEUES)
        await played.connect_reader()
        server = PlayedSession()
        server.infos[server.encode_node(NODE)] = TargetInfo(0, VariantType.BYTE, -1)
        played.writer.session = server  # type: ignore[assignment]
        played.flow.connected(played.writer)
        await played.tick()

        come_in_one(played, 1.0, 1000.0, 2.0)
        while server.sent:
            server.answer()

        assert [batch[1][2] for batch in server.written] == [1, 2]
        assert lost(played, Cause.REFUSED) == 1

    async def test_a_target_that_takes_no_timestamps_gets_every_sample_without(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0)
        server.answer(code_of("BadWriteNotSupported"))

        assert server.written[-1] == {1: double(1.0, stamp=None)}
        assert accepted(server) == [1.0, 2.0]

    async def test_a_node_of_another_type_is_read_again_before_the_same_sample(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0)
        server.infos[server.encode_node(NODE)] = TargetInfo(0, VariantType.INT32, -1)
        server.answer(code_of("BadTypeMismatch"))
        await played.tick()

        assert server.written[-1][1][1:6] == b"\x06\x01\0\0\0"
        server.answer()
        assert server.written[-1][1][1:6] == b"\x06\x02\0\0\0"

    async def test_halves_of_a_request_that_was_too_large_lose_nothing(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(1.0))
        server.answer(service_result=code_of("BadTooManyOperations"))

        while server.sent:
            server.answer()

        assert [set(batch) for batch in server.written] == [{1, 2}, {1}, {2}]

    async def test_a_sample_that_was_not_answered_passes_our_deadband_again(self):
        played, server = await connected(item(1, deadband=Deadband(DeadbandType.ABSOLUTE, 5.0)))
        played.flow.filter_refused(1)
        come_in_one(played, 10.0, 12.0, 20.0)
        server.answer()
        assert number_in(server.written[-1][1]) == 20.0, "12 is within the deadband"

        server.answer(service_result=code_of("BadTooManyOperations"))

        assert [number_in(batch[1]) for batch in server.written] == [10.0, 20.0]
        assert "BadTooManyOperations" in played.fault(1)
        await played.tick(1.1)
        assert lost(played, Cause.REFUSED) + len(server.sent) == 1

    async def test_bad_quality_is_passed_on_in_its_place(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0)
        played.come(i1=no_value(BAD))
        played.come(i1=double(3.0))
        while server.sent:
            server.answer()

        assert [batch[1] for batch in server.written] == [
            double(1.0), double(2.0), double(2.0, status=BAD), double(3.0),
        ]  # fmt: skip

    async def test_bad_quality_is_held_and_reported_after_its_time(self):
        hold = {**QUEUES, "quality": Quality.HOLD, "hold_seconds": 10.0}
        played, server = await connected(item(1), pipe=hold)
        come_in_one(played, 1.0, 2.0)
        accepted(server)
        played.come(i1=double(9.0, status=BAD))
        await played.tick(9.0)
        assert server.sent == []

        await played.tick(2.0)

        assert server.written[-1] == {1: double(2.0, status=BAD)}

    async def test_samples_wait_while_the_gate_is_shut(self):
        played, server = await connected(item(1))
        played.gate.is_open = False
        for number in range(8):
            played.come(i1=double(number))
        assert lost(played, Cause.COUNT) == 3
        assert list(played.flow.losses.reports(played.now)) == [], "the other station writes them"

        played.gate.is_open = True
        await played.tick()

        assert accepted(server) == [3.0, 4.0, 5.0, 6.0, 7.0]

    async def test_losses_at_the_source_are_counted_for_items_with_queues_only(self):
        played, _ = await connected(item(1, kind=ItemKind.QUEUE), item(2), pipe={})

        played.flow.overflowed(frozenset({1, 2, 3}))

        (report,) = played.flow.losses.reports(played.now)
        assert (report.cause, report.handle, report.items) == (Cause.SOURCE, 1, 1)
        assert played.flow.losses.total == 0

    async def test_a_plain_pipe_has_no_queues_and_hears_nothing_of_them(self):
        played, server = await connected(item(1), pipe={})

        come_in_one(played, 1.0, 2.0)
        played.flow.overflowed(frozenset({1}))

        assert played.flow.delivery is None
        assert accepted(server) == [2.0]
        assert played.flow.losses.counts.total() == 0

    async def test_an_item_taken_out_names_what_it_had(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0, 3.0)

        played.flow.remove([1])
        server.answer()

        assert server.sent == []
        assert lost(played, Cause.ENDED) == 2

    async def test_an_item_that_gets_a_queue_waits_for_its_write_as_a_state(self):
        played, server = await connected(item(1), pipe={})
        played.come(i1=double(1.0))
        played.flow.remove([1])
        played.flow.add([item(1, kind=ItemKind.QUEUE)])
        played.flow.subscribing([1])
        await played.tick()
        come_in_one(played, 2.0, 3.0)
        assert len(server.sent) == 1

        server.answer()
        await played.tick()

        assert accepted(server)[-2:] == [2.0, 3.0]

    async def test_a_pipe_that_ends_writes_what_it_can_and_names_the_rest(self):
        played, server = await connected(item(1))
        come_in_one(played, 1.0, 2.0, 3.0)
        played.flow.delivery.stop()
        server.answer()

        assert server.sent == []
        played.flow.close()
        assert lost(played, Cause.ENDED) == 2


class TestEvent:
    async def test_a_change_is_written_once(self):
        played, server = await event_flow()

        come_in_one(played, 1.0, 0.0)

        assert accepted(server) == [1.0, 0.0]

    @pytest.mark.parametrize("policy", InitialWrite)
    async def test_the_value_of_a_new_subscription_is_no_event(self, policy):
        played, server = await event_flow(initial_write=policy)
        played.come(i1=double(1.0))
        accepted(server)

        played.flow.subscribing([1])
        come_in_one(played, 2.0, 3.0)

        assert accepted(server) == [3.0], "the first sample is the present value"

    async def test_the_value_that_is_good_again_is_no_event(self):
        played, server = await event_flow()
        played.come(i1=no_value(BAD))
        played.come(i1=double(1.0))
        assert server.written == []

        played.come(i1=double(2.0))

        assert accepted(server) == [2.0]

    async def test_an_event_that_nobody_knows_of_is_named_and_not_repeated(self):
        played, server = await event_flow()
        come_in_one(played, 1.0, 2.0)
        server.answer(failure="no answer in time")

        played.lose_writer()
        server = await played.connect_writer()
        await played.tick(5.0)

        assert server.written == []
        assert played.flow.unknown_events() == [(1, double(1.0))]
        assert played.flow.unknown_events() == []
        assert (lost(played, Cause.UNKNOWN), lost(played, Cause.AWAY)) == (1, 1)

    async def test_an_answer_after_the_loss_makes_it_no_better(self):
        played, old = await event_flow()
        played.come(i1=double(1.0))
        played.lose_writer()
        server = await played.connect_writer()

        old.answer()

        assert server.written == []
        assert lost(played, Cause.UNKNOWN) == 1

    async def test_an_event_while_the_target_is_away_is_lost_and_named(self):
        played, _ = await event_flow()
        played.lose_writer()
        played.come(i1=double(1.0))

        (report,) = played.flow.losses.reports(played.now)
        server = await played.connect_writer()
        await played.tick(5.0)

        assert (report.cause, number_in(report.value)) == (Cause.AWAY, 1.0)
        assert server.written == []

    async def test_an_event_while_this_station_may_not_write_is_the_other_ones(self):
        played, server = await event_flow()
        played.gate.is_open = False
        played.come(i1=double(1.0))
        played.gate.is_open = True
        await played.tick(5.0)

        assert server.written == []
        assert list(played.flow.losses.reports(played.now)) == []

    @pytest.mark.parametrize("status", [BUSY, DENIED, OUT_OF_RANGE])
    async def test_a_refused_event_is_named_and_the_next_one_goes_at_once(self, status):
        played, server = await event_flow()
        come_in_one(played, 1.0, 2.0)
        server.answer(status)
        assert played.fault(1)
        await played.tick(1.1)

        assert accepted(server) == [2.0]
        assert lost(played, Cause.REFUSED) == 1
        assert not played.fault(1)

    async def test_an_event_refused_for_its_timestamp_was_not_executed_and_goes_without(self):
        played, server = await event_flow()
        played.come(i1=double(1.0))

        server.answer(code_of("BadWriteNotSupported"))

        assert server.written[-1] == {1: double(1.0, stamp=None)}

    async def test_a_call_refused_for_its_size_was_not_executed(self):
        played, server = await event_flow()
        played.flow.add([item(2, kind=ItemKind.EVENT)])
        await played.tick()
        played.come(i2=double(0.0))
        played.come(i1=double(1.0), i2=double(1.0))

        server.answer(service_result=code_of("BadTooManyOperations"))

        assert [set(batch) for batch in server.written] == [{1, 2}, {1}, {2}]

    async def test_a_call_that_failed_in_an_unclear_way_is_not_repeated(self):
        played, server = await event_flow()
        played.flow.add([item(2, kind=ItemKind.EVENT)])
        await played.tick()
        played.come(i2=double(0.0))
        played.come(i1=double(1.0), i2=double(1.0))

        server.answer(service_result=code_of("BadInternalError"))
        await played.tick(10.0)

        assert len(server.written) == 1
        assert lost(played, Cause.UNKNOWN) == 2

    async def test_more_unknown_events_than_can_be_named_are_counted(self):
        many = [item(handle, kind=ItemKind.EVENT) for handle in range(1, MOST_NAMED + 11)]
        played, server = await connected(*many)
        for number in (0.0, 1.0):
            played.come(**{f"i{one.id}": double(number) for one in many})
        server.answer(failure="no answer in time")

        assert len(played.flow.unknown_events()) == MOST_NAMED
        (report,) = played.flow.losses.reports(played.now)
        assert (report.cause, report.count) == (Cause.UNKNOWN, 10)


class TestRefresh:
    async def test_the_newest_value_is_written_again_when_nothing_else_was(self):
        played, server = await connected(item(1, refresh_seconds=10.0), item(2), pipe={})
        played.come(i1=double(1.0), i2=double(1.0))
        server.answer()
        await played.tick(9.0)
        assert server.sent == []

        await played.tick(1.0)

        assert server.written[-1] == {1: double(1.0)}
        server.answer()
        await played.tick(9.0)
        played.come(i1=double(2.0))
        server.answer()
        await played.tick(9.0)
        assert server.sent == [], "a change is as good as a refresh"

    async def test_a_value_within_our_deadband_is_refreshed(self):
        deadband = Deadband(DeadbandType.ABSOLUTE, 5.0)
        played, server = await connected(item(1, refresh_seconds=10.0, deadband=deadband), pipe={})
        played.flow.filter_refused(1)
        played.come(i1=double(1.0))
        server.answer()
        played.come(i1=double(2.0))

        await played.tick(10.0)

        assert server.written[-1] == {1: double(2.0)}

    async def test_what_the_quality_contract_holds_back_is_not_refreshed(self):
        hold = {"quality": Quality.HOLD}
        played, server = await connected(item(1, refresh_seconds=10.0), pipe=hold)
        played.come(i1=double(1.0))
        server.answer()
        played.come(i1=double(2.0, status=BAD))

        await played.tick(30.0)

        assert server.sent == []

    async def test_nothing_is_refreshed_while_the_source_is_away(self):
        played, server = await connected(item(1, refresh_seconds=10.0), pipe={})
        played.come(i1=double(1.0))
        server.answer()
        played.reader.session = None
        played.flow.disconnected(played.reader)
        await played.tick(30.0)
        assert server.written[1:] == [{1: double(1.0, status=LOST)}], "the loss is no refresh"
        server.answer()

        await played.tick(60.0)

        assert server.sent == []

    async def test_the_gate_holds_a_refresh_back_too(self):
        played, server = await connected(item(1, refresh_seconds=10.0), pipe={})
        played.come(i1=double(1.0))
        server.answer()
        played.gate.is_open = False
        await played.tick(60.0)
        assert server.sent == []
        played.come(i1=double(2.0))
        played.gate.is_open = True

        await played.tick()

        assert server.written[-1] == {1: double(2.0)}, "never an older value after a newer one"

    async def test_a_value_that_was_never_written_is_not_refreshed(self):
        never = {"initial_write": InitialWrite.NEVER}
        played, server = await connected(item(1, refresh_seconds=10.0), pipe=never)
        played.come(i1=double(1.0))

        await played.tick(30.0)

        assert server.written == []

    async def test_the_newest_sample_of_a_queue_is_refreshed(self):
        played, server = await connected(item(1, refresh_seconds=10.0))
        come_in_one(played, 1.0, 2.0)
        accepted(server)

        await played.tick(10.0)

        assert accepted(server) == [2.0]


class TestDryRun:
    @pytest.mark.parametrize("kind", [ItemKind.STATE, ItemKind.QUEUE])
    async def test_nothing_is_sent_and_what_would_be_is_shown(self, kind):
        linear = {"kind": "linear", "gain": 2.0, "offset": 1.0}
        played, server = await connected(item(1, kind=kind, transform=linear), pipe=DRY)
        played.come(i1=double(5.0))
        await played.tick()
        played.come(i1=double(6.0))
        await played.tick()

        writer = played.flow.writer
        assert server.written == []
        assert (writer.writes, writer.would_write, writer.written.counts[1]) == (0, 2, 2)
        assert number_in(writer.written.held[1]) == 13.0

    async def test_nothing_is_learned_from_a_write_that_was_not_made(self):
        played, _ = await connected(item(1), pipe=DRY)
        played.come(i1=double(5.0))
        await played.tick()
        await played.tick()

        assert played.writer.writes_timestamps is None
        assert played.flow.writer.latency.percentile_ms(0.5) is None

    async def test_it_waits_for_the_gate_as_a_real_pipe_does(self):
        played, _ = await connected(item(1), pipe=DRY)
        played.gate.is_open = False
        played.come(i1=double(5.0))
        await played.tick()

        assert played.flow.writer.would_write == 0
        assert played.flow.writer.gate_was_shut
