"""A flow when servers are lost, refuse, or say nonsense."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipes import feed, targets
from pipes.core.binary import encode_data_value
from pipes.core.choices import DeadbandType, Quality
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue, Variant, VariantType
from pipes.core.wanted import Deadband
from pipes.opcua.written import TargetInfo
from tests.unit.pipes.flows import (
    PlayedFlow,
    PlayedSession,
    PlayedSubscription,
    double,
    item,
    no_value,
    number_in,
    play_targets,
    settle,
)

BAD = code_of("BadCommunicationError")
NOT_SUPPORTED = code_of("BadWriteNotSupported")
HOLD = {"quality": Quality.HOLD, "hold_seconds": 10.0}


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


async def connected(*items, **more):
    played = PlayedFlow(*items, **more)
    await played.connect_reader()
    return played, await played.connect_writer()


def numbers(batch):
    return {handle: number_in(value) for handle, value in batch.items()}


async def test_a_value_is_written_and_its_answer_counted():
    played, server = await connected(item(1))

    played.come(i1=double(5.0))
    server.answer()

    assert [numbers(batch) for batch in server.written] == [{1: 5.0}]
    assert played.flow.writer.writes == 1


class TestLosingTheTarget:
    async def test_what_was_due_is_decided_anew_for_the_new_session(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(5.0), i2=double(6.0))
        played.come(i1=double(7.0))  # waits: item 1 is on its way

        played.lose_writer()
        server.answer(failure="connection lost")
        played.come(i2=double(8.0))
        server = await played.connect_writer()

        assert [numbers(batch) for batch in server.written] == [{1: 7.0, 2: 8.0}]
        assert played.given_up == []

    async def test_an_answer_that_comes_after_the_loss_says_nothing_about_the_new_session(self):
        played, old = await connected(item(1))
        played.come(i1=double(5.0))

        played.lose_writer()
        server = await played.connect_writer()
        old.answer(failure="connection lost")

        assert played.given_up == [], "the new session has done nothing wrong"
        assert [numbers(batch) for batch in server.written] == [{1: 5.0}]
        server.answer()
        assert played.flow.writer.window.in_flight == 0

    async def test_nothing_is_on_its_way_any_more(self):
        played, _ = await connected(item(1))
        played.come(i1=double(5.0))

        played.lose_writer()

        assert played.flow.writer.window.in_flight == 0
        await played.flow.writer.idle()

    async def test_a_value_within_the_deadband_is_written_to_a_target_that_lost_it(self):
        played, server = await connected(item(1, deadband=Deadband(DeadbandType.ABSOLUTE, 10.0)))
        played.flow.filter_refused(1)  # the source's server does not filter
        played.come(i1=double(50.0))
        server.answer()

        played.lose_writer()
        played.come(i1=double(51.0))
        server = await played.connect_writer()

        assert [numbers(batch) for batch in server.written] == [{1: 51.0}]


class TestRefusals:
    async def test_a_denied_item_says_so_and_leaves_the_others_alone(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(5.0), i2=double(6.0))
        server.answer(code_of("BadUserAccessDenied"), 0)

        assert "BadUserAccessDenied" in played.fault(1)
        assert "give it the right" in played.fault(1)
        assert not played.fault(2)

    async def test_an_item_in_error_is_tried_once_a_second(self):
        played, server = await connected(item(1))
        tries = 0
        for step in range(40):  # four seconds, ten values a second
            played.come(i1=double(step))
            while server.sent:
                tries += 1
                server.answer(code_of("BadUserAccessDenied"))
            await played.tick(0.1)

        assert 3 <= tries <= 5
        assert number_in(server.written[-1][1]) >= 30, "the newest value is tried"

    async def test_the_newest_value_is_written_when_the_refusals_end(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        server.answer(BAD)
        played.come(i1=double(2.0))
        assert server.sent == []

        await played.tick(1.1)
        server.answer()

        assert numbers(server.written[-1]) == {1: 2.0}
        assert not played.fault(1)

    async def test_a_node_that_is_gone_is_read_again_until_it_is_back(self):
        played, server = await connected(item(1))
        node = server.encode_node("nsu=urn:plant;s=T1")
        played.come(i1=double(1.0))
        unknown = code_of("BadNodeIdUnknown")
        server.infos[node] = TargetInfo(unknown)
        server.answer(unknown)
        await played.tick(5.0)
        assert "BadNodeIdUnknown" in played.fault(1)
        played.come(i1=double(2.0))
        assert server.sent == []

        server.infos[node] = TargetInfo(0, VariantType.FLOAT, -1)  # it is back, and another
        await played.tick(5.0)
        await played.tick()

        assert server.written[-1][1][1] == VariantType.FLOAT
        server.answer()
        assert not played.fault(1)

    async def test_a_type_that_does_not_match_is_read_again_and_converted_once(self):
        played, server = await connected(item(1))
        node = server.encode_node("nsu=urn:plant;s=T1")
        mismatch = code_of("BadTypeMismatch")
        played.come(i1=double(1.0))
        server.infos[node] = TargetInfo(0, VariantType.INT32, -1)
        server.answer(mismatch)
        await played.tick()
        assert server.written[-1][1][1] == VariantType.INT32

        server.answer(mismatch)

        assert "BadTypeMismatch" in played.fault(1)
        await played.tick()
        assert len(server.written) == 2

    async def test_a_whole_request_that_is_denied_is_the_error_of_each_item(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(2.0))

        server.answer(service_result=code_of("BadUserAccessDenied"))

        assert "BadUserAccessDenied" in played.fault(1)
        assert "BadUserAccessDenied" in played.fault(2)
        assert server.sent == []

    async def test_a_busy_server_is_left_alone_longer_and_longer(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(2.0))
        tries = 0
        for _ in range(100):  # ten seconds
            while server.sent:
                tries += 1
                server.answer(service_result=code_of("BadServerTooBusy"))
            await played.tick(0.1)
        assert 4 <= tries <= 6

        await played.tick(5.0)
        server.answer()
        assert played.flow.writer.writes == 2

    async def test_halves_are_sent_until_the_server_takes_them(self):
        played, server = await connected(*(item(handle) for handle in range(1, 9)))
        played.come(**{f"i{handle}": double(handle) for handle in range(1, 9)})
        while server.sent:
            batch, _ = server.sent[0]
            too_many = len(batch) > 2
            server.answer(service_result=code_of("BadTooManyOperations") if too_many else 0)

        assert played.flow.writer.writes == 8
        assert not played.flow.faults.current

    async def test_an_answer_for_an_item_that_was_removed_changes_nothing(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        played.flow.remove([1])

        server.answer(code_of("BadUserAccessDenied"))

        assert not played.flow.faults.current


class TestLearning:
    async def test_what_one_refusal_taught_is_not_learned_again_from_the_same_request(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(2.0, status=0x40000000))

        server.answer(NOT_SUPPORTED, NOT_SUPPORTED)

        assert played.writer.writes_timestamps is False
        assert played.writer.writes_status is None, "nothing has shown that"
        while server.sent:
            server.answer()
        assert not played.flow.faults.current

    async def test_a_server_that_takes_values_alone_gets_them_after_one_refusal(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        server.answer(NOT_SUPPORTED)
        assert server.written[-1] == {1: double(1.0, stamp=None)}
        server.answer()

        played.come(i1=double(2.0))

        assert server.written[-1] == {1: double(2.0, stamp=None)}
        assert len(server.written) == 3
        assert played.writer.writes_timestamps is False

    async def test_the_first_value_may_be_bad_without_teaching_nonsense_about_timestamps(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0, status=BAD))
        server.answer(NOT_SUPPORTED)  # it does not take the status, but we cannot know
        server.answer(NOT_SUPPORTED)
        assert played.writer.writes_status is False

        played.come(i1=double(2.0))
        server.answer()
        await played.tick()

        assert server.written[-1] == {1: double(2.0)}
        assert played.writer.writes_timestamps is True


class TestQuality:
    async def test_a_second_outage_is_held_as_long_as_the_first(self):
        played, server = await connected(item(1), pipe=HOLD)
        played.come(i1=double(1.0))
        server.answer()
        for outage in (1, 2):
            played.come(i1=double(0.0, status=BAD))
            await played.tick(9.0)
            assert server.sent == [], f"outage {outage} is still held"
            await played.tick(2.0)
            assert server.written[-1] == {1: double(outage, status=BAD)}
            server.answer()
            played.come(i1=double(outage + 1.0))
            assert server.written[-1] == {1: double(outage + 1.0)}
            server.answer()
            await played.tick(100.0)

    async def test_the_last_good_value_is_the_newest_one_however_it_went_through(self):
        played, server = await connected(item(1), pipe=HOLD)
        for number in (1.0, 2.0, 3.0):
            played.come(i1=double(number))
            server.answer()
        played.come(i1=no_value(BAD))
        await played.tick(11.0)

        assert server.written[-1] == {1: double(3.0, status=BAD)}

    async def test_a_source_without_value_puts_its_status_on_what_the_target_holds(self):
        played, server = await connected(item(1))
        for value in (double(1.0), double(2.0), double(3.0, status=0x40000000)):
            played.come(i1=value)
            server.answer()

        played.come(i1=no_value(BAD))

        assert server.written[-1] == {1: double(3.0, status=BAD)}

    async def test_a_good_value_within_the_deadband_ends_the_bad_status_of_the_target(self):
        played, server = await connected(
            item(1, deadband=Deadband(DeadbandType.ABSOLUTE, 10.0)), pipe=HOLD
        )
        played.flow.filter_refused(1)
        played.come(i1=double(50.0))
        server.answer()
        played.come(i1=double(50.0, status=BAD))
        await played.tick(11.0)
        server.answer()

        played.come(i1=double(51.0))

        assert server.written[-1] == {1: double(51.0)}


class TestNonsense:
    async def test_a_value_that_cannot_be_converted_is_the_fault_of_its_item(self):
        played, server = await connected(item(1), item(2))
        text = b"\x01\x0c\x03\x00\x00\x00abc"

        played.come(i1=text, i2=double(2.0))

        assert numbers(server.written[0]) == {2: 2.0}
        assert played.fault(1)

    async def test_a_source_that_changes_its_type_while_it_runs_is_converted_again(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        server.answer()
        played.come(i1=double(2.0))
        server.answer()

        played.come(i1=b"\x01\x06\x07\x00\x00\x00")  # an Int32
        assert numbers(server.written[-1]) == {1: 7.0}
        server.answer()
        played.come(i1=b"\x01\x0c\x03\x00\x00\x00abc")

        assert "Double" in played.fault(1)
        assert server.sent == [], "a lenient server would have taken the text"

    async def test_a_value_that_has_nothing_in_it_holds_up_no_other(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(1.0), i2=double(2.0))
        server.answer()

        played.come(i1=b"\x00", i2=double(3.0))

        assert server.written[-1][2] == double(3.0)

    async def test_a_rejected_value_is_forgotten_when_the_source_returns_to_the_written_one(self):
        played, server = await connected(item(1, deadband=Deadband(DeadbandType.ABSOLUTE, 1.0)))
        played.flow.filter_refused(1)
        played.come(i1=double(5.0))
        server.answer()
        played.come(i1=b"\x01\x0c\x03\x00\x00\x00abc")
        assert played.fault(1)

        played.come(i1=double(5.0))
        await played.tick(1.1)

        assert not played.fault(1)

    async def test_a_value_that_breaks_our_own_code_is_the_fault_of_its_item(self, monkeypatch):
        def broken(*_):
            raise ZeroDivisionError

        played, server = await connected(item(1), item(2))
        rule = played.flow._known.rules[1]
        transform = type("Broken", (), {"is_identity": False, "apply": broken})()
        played.flow._known.rules[1] = replace(rule, transform=transform)

        played.come(i1=double(1.0), i2=double(2.0))

        assert numbers(server.written[0]) == {2: 2.0}
        assert "internal error" in played.fault(1)

    async def test_an_item_that_the_source_refuses_is_not_cured_by_an_old_value(self):
        played, server = await connected(item(1))
        played.come(i1=double(1.0))
        server.answer()

        played.flow.watch_refused(1, code_of("BadNodeIdUnknown"), "")
        for _ in range(10):
            await played.tick(1.0)
            while server.sent:
                server.answer()

        assert "at SRC: BadNodeIdUnknown" in played.fault(1)
        unknown = double(1.0, status=code_of("BadNodeIdUnknown"))
        assert server.written[1:] == [{1: unknown}], "the target learns it, once"


async def test_values_of_a_monitored_item_that_could_not_be_removed_are_not_taken(monkeypatch):
    played = PlayedFlow(item(1))
    writer, reader = await played.connect_writer(), await played.connect_reader()
    old = reader.sink
    monkeypatch.setattr(PlayedSubscription, "remove", time_out)

    played.flow.remove([1])
    played.flow.add([replace(item(1), source_node="nsu=urn:plant;s=OTHER")])
    await played.tick(0.1)
    old.values({1: double(777.0)}, frozenset())
    await played.tick(0.1)

    assert writer.written == []
    assert played.flow.healed_subscriptions == 1


@pytest.mark.parametrize("times", [1, 2], ids=["once", "for ever"])
async def test_a_subscription_that_is_gone_is_made_anew_before_its_items_are_called_refused(
    monkeypatch, times
):
    gone, tries = code_of("BadSubscriptionIdInvalid"), []

    async def add(subscription, specs):
        tries.append(1)
        server.refused_items = {1: gone} if len(tries) <= times else {}
        return await usual(subscription, specs)

    usual = PlayedSubscription.add
    played = PlayedFlow(item(1))
    server = await played.connect_reader()
    monkeypatch.setattr(feed, "FIRST_RETRY", 0.0)
    monkeypatch.setattr(feed, "LONGEST_RETRY", 0.0)
    monkeypatch.setattr(PlayedSubscription, "add", add)

    played.flow.feed.again(1)
    for _ in range(3):
        await settle()

    assert played.flow.feed.is_subscribed(1)
    assert len(server.subscribed) == 1 + times
    assert played.flow.faults.counts[1] == times - 1, "the second in a row is the server's refusal"


async def time_out(*_: object) -> None:
    raise TimeoutError("no answer in time")


async def test_a_target_whose_answer_nobody_foresaw_is_an_item_in_error(monkeypatch):
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(targets, "read_targets", fail)
    played = PlayedFlow(item(1))
    await played.connect_writer()

    await played.tick(0.1)

    assert "attributes cannot be read" in played.fault(1)


async def test_a_failure_in_a_call_of_a_connection_is_raised_by_the_next_tick():
    played = PlayedFlow(item(1))
    played.flow.failed(ZeroDivisionError("of ours"))

    with pytest.raises(ZeroDivisionError, match="of ours"):
        played.flow.tick(played.now)


class TestKeepAlive:
    async def test_a_server_that_publishes_slowly_is_asked_for_keep_alives_as_often(self):
        played = PlayedFlow(item(1))

        server = await played.connect_reader(least_interval_ms=1000.0)

        assert server.subscribed == [100.0, 1000.0]
        assert server.keep_alive_count * 1.0 <= 3.0

    async def test_a_server_that_publishes_as_asked_is_asked_once(self):
        played = PlayedFlow(item(1))

        server = await played.connect_reader()

        assert server.subscribed == [100.0]


@pytest.mark.parametrize(
    ("seconds", "subscriptions"), [(0.1, 1), (5.0, 2)], ids=["quick server", "slow server"]
)
async def test_a_quick_server_gets_all_items_in_one_subscription(
    monkeypatch, seconds, subscriptions
):
    played = PlayedFlow(*(item(number) for number in range(1, 7_001)))
    add = PlayedSubscription.add

    async def take_time(subscription, specs):
        played.now += seconds
        return await add(subscription, specs)

    monkeypatch.setattr(PlayedSubscription, "add", take_time)

    await played.connect_reader()

    assert len(played.flow.feed._streams) == subscriptions
    assert len(played.flow.feed.subscribed_handles()) == 7_000


async def test_numbers_are_scaled_in_bulk_and_a_bad_one_puts_its_status_on_the_last_result():
    scaling = item(1, transform={"kind": "linear", "gain": 2.0, "offset": 1.0})
    played, server = await connected(scaling, item(2))
    for number in (5.0, 6.0, 7.0):
        played.come(i1=double(number), i2=double(number))
        server.answer()
    held = played.flow.writer.written.held
    assert (number_in(held[1]), number_in(held[2])) == (15.0, 7.0)
    played.come(i1=no_value(0x80000000), i2=double(8.0))
    server.answer()
    assert played.flow.writer.written.held[1] == double(15.0, status=0x80000000)


async def test_numbers_are_converted_in_bulk_and_one_that_does_not_fit_is_an_error_of_its_item():
    played = PlayedFlow(item(1), item(2))
    await played.connect_reader()
    server = PlayedSession()
    for one in (item(1), item(2)):
        server.infos[server.encode_node(one.target_node)] = TargetInfo(0, VariantType.INT16, -1)
    played.writer.session = server  # type: ignore[assignment]
    played.flow.connected(played.writer)
    await settle()

    def come(one: float, other: float) -> None:
        played.come(i1=double(one), i2=double(other))
        server.answer()

    come(5.0, 6.0)
    come(5.5, 6.5)  # in bulk: the first of each has said what the rest are
    assert set(played.flow.passing.scalings) == {1, 2}
    assert server.written[-1] == {1: int16(6), 2: int16(6)}

    come(4e4, 7.5)
    assert server.written[-1] == {2: int16(8)}
    assert "40000.0 does not fit Int16" in played.fault(1)
    assert played.fault(2) == ""

    come(-7.0, 9.0)  # an item in error is tried again at most once a second
    await played.tick(1.5)
    server.answer()
    assert server.written[-2:] == [{2: int16(9)}, {1: int16(-7)}]
    assert played.fault(1) == ""


def int16(number: int) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.INT16, number), 0, 1))
