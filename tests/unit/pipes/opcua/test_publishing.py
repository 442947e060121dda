"""The publish pump against a fake session: numbers, acknowledgements, refusals."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from pipes.core.requests import request_header
from pipes.core.scan import PublishResult
from pipes.core.status_codes import code_of
from pipes.opcua.fastlane import Answer
from pipes.opcua.publishing import PublishPump, SequenceNumbers
from tests.servers.clients import RecordingSink

TOP = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("numbers", "missed"),
    [
        pytest.param([1, 2, 3], [0, 0, 0], id="one after the other"),
        pytest.param([1, 4, 5], [0, 2, 0], id="two are missing"),
        pytest.param([TOP - 1, TOP, 1, 2], [0, 0, 0, 0], id="they wrap to 1"),
        pytest.param([1, 1, 2], [0, 0, 0], id="one comes twice"),
        pytest.param([5], [4], id="the first ones are missing"),
    ],
)
def test_missing_messages_are_counted(numbers: list[int], missed: list[int]) -> None:
    counter = SequenceNumbers()
    if numbers[0] > 1000:
        counter.missed(numbers[0] - 1, is_keep_alive=False)

    assert [counter.missed(number, is_keep_alive=False) for number in numbers] == missed


@pytest.mark.parametrize(
    ("last", "keep_alive", "missed"),
    [
        pytest.param(3, 4, 0, id="the next number, as the standard says"),
        pytest.param(3, 6, 2, id="two messages before it are missing"),
        pytest.param(3, 3, 0, id="the last number again, as some servers do"),
        pytest.param(3, 0, 0, id="no number"),
        pytest.param(0, 1, 0, id="before the first message"),
    ],
)
def test_a_keep_alive_tells_of_missing_messages(last: int, keep_alive: int, missed: int) -> None:
    counter = SequenceNumbers()
    for number in range(1, last + 1):
        counter.missed(number, is_keep_alive=False)

    assert counter.missed(keep_alive, is_keep_alive=True) == missed
    following = last + missed + 1
    assert counter.missed(following, is_keep_alive=False) == 0


class FakeCalls:
    """Keeps what is sent, lets the test answer it."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Answer]] = []
        self.dropped: list[str] = []
        self.is_lost = False

    def send(self, type_id: int, build: Any, answer: Answer, timeout: float | None) -> bool:
        if self.is_lost:
            raise ConnectionError("lost")
        assert timeout is None
        header = request_header(type_id, b"\0\0", 0, 1)
        self.sent.append((build(header)[len(header) :], answer))
        return True

    def drop(self, reason: str, *, hostile: bool = False) -> None:
        self.dropped.append(reason)

    def answer(self, body: bytes) -> None:
        """Answer the oldest request."""
        self.sent.pop(0)[1](body, "")


def header(type_id: int, status: int = 0) -> bytes:
    return struct.pack("<BBHqIIBiHB", 1, 0, type_id, 0, 1, status, 0, -1, 0, 0)


def fault(name: str) -> bytes:
    return header(397, code_of(name))


def notification(subscription: int, number: int, value: float | None) -> bytes:
    body = header(829) + struct.pack("<IiB", subscription, -1, 0) + struct.pack("<Iq", number, 0)
    if value is None:
        return body + struct.pack("<iii", 0, -1, -1)
    items = struct.pack("<iIBBd", 1, 7, 1, 11, value) + struct.pack("<i", -1)
    return (
        body
        + struct.pack("<i", 1)
        + b"\x01\x00\x2b\x03\x01"
        + struct.pack("<i", len(items))
        + items
        + struct.pack("<ii", -1, -1)
    )


def refuse_to_decode(body: bytes) -> PublishResult:
    raise ValueError("no")


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def pump(calls: FakeCalls) -> PublishPump:
    return PublishPump(calls, refuse_to_decode)  # type: ignore[arg-type]


def test_requests_wait_at_the_server_while_there_are_subscriptions(
    pump: PublishPump, calls: FakeCalls
) -> None:
    assert calls.sent == []
    for number in range(1, 8):
        pump.add(number, RecordingSink())
    assert len(calls.sent) == 4


def test_values_are_delivered_and_acknowledged_at_once(pump: PublishPump, calls: FakeCalls) -> None:
    sink = RecordingSink()
    pump.add(5, sink)
    calls.answer(notification(5, 1, 2.5))

    assert sink.plain(7) == 2.5
    assert calls.sent[-1][0] == struct.pack("<iII", 1, 5, 1)
    assert len(calls.sent) == 2

    calls.answer(notification(5, 2, None))
    assert sink.keep_alives == 1
    assert calls.sent[-1][0] == struct.pack("<i", 0)


def test_values_of_an_unknown_subscription_are_counted_and_acknowledged(
    pump: PublishPump, calls: FakeCalls
) -> None:
    sink = RecordingSink()
    pump.add(5, sink)
    calls.answer(notification(6, 1, 2.5))

    assert pump.unknown == 1
    assert sink.latest == {}


def test_a_removed_subscription_hears_nothing_more(pump: PublishPump, calls: FakeCalls) -> None:
    sink = RecordingSink()
    pump.add(5, sink)
    pump.remove(5)
    calls.answer(notification(5, 1, 2.5))

    assert sink.latest == {}
    calls.answer(fault("BadNoSubscription"))
    assert sink.lost_reasons == []
    assert calls.sent == []


async def test_no_subscription_means_those_that_existed_when_it_was_asked(
    pump: PublishPump, calls: FakeCalls
) -> None:
    gone, fresh = RecordingSink(), RecordingSink()
    pump.add(5, gone)
    pump.remove(5)
    pump.add(6, fresh)
    calls.answer(fault("BadNoSubscription"))

    assert fresh.lost_reasons == []
    assert len(calls.sent) == 2
    calls.sent[-1][1](fault("BadNoSubscription"), "")
    assert fresh.lost_reasons == ["the server does not know it any more"]


def test_too_many_requests_makes_it_fewer(pump: PublishPump, calls: FakeCalls) -> None:
    for number in range(1, 5):
        pump.add(number, RecordingSink())
    calls.sent.pop()[1](fault("BadTooManyPublishRequests"), "")
    assert len(calls.sent) == 3

    calls.answer(notification(1, 1, None))
    assert len(calls.sent) == 3


def test_a_timed_out_publish_is_sent_again(pump: PublishPump, calls: FakeCalls) -> None:
    pump.add(5, RecordingSink())
    calls.answer(fault("BadTimeout"))

    assert len(calls.sent) == 2
    assert calls.dropped == []


@pytest.mark.parametrize("name", ["BadSessionIdInvalid", "BadSecureChannelIdInvalid"])
def test_a_lost_session_is_dropped(name: str, pump: PublishPump, calls: FakeCalls) -> None:
    pump.add(5, RecordingSink())
    calls.answer(fault(name))

    assert len(calls.dropped) == 1
    assert name in calls.dropped[0]


def test_a_damaged_answer_delivers_nothing_and_drops_the_session(
    pump: PublishPump, calls: FakeCalls
) -> None:
    sink = RecordingSink()
    pump.add(5, sink)
    calls.answer(notification(5, 1, 2.5)[:-9])

    assert sink.latest == {}
    assert "damaged" in calls.dropped[0]


def test_what_the_scanner_refuses_is_decoded_in_full(calls: FakeCalls) -> None:
    whole = PublishResult(1, 0, 5, sequence_number=1)
    whole.values[7] = b"\x01\x0b" + bytes(8)
    pump = PublishPump(calls, lambda _body: whole)  # type: ignore[arg-type]
    sink = RecordingSink()
    pump.add(5, sink)
    calls.answer(b"nonsense")

    assert sink.plain(7) == 0.0
    assert pump.decoded_in_full == 1
    assert calls.dropped == []


def test_a_subscription_that_the_server_ends_is_lost(calls: FakeCalls) -> None:
    ended = PublishResult(1, 0, 5, sequence_number=1, status_change=code_of("BadTimeout"))
    pump = PublishPump(calls, lambda _body: ended)  # type: ignore[arg-type]
    sink = RecordingSink()
    pump.add(5, sink)
    calls.answer(b"nonsense")

    assert sink.lost_reasons == ["the server ended it: BadTimeout"]


def test_a_closed_connection_is_left_alone(pump: PublishPump, calls: FakeCalls) -> None:
    pump.add(5, RecordingSink())
    calls.is_lost = True
    calls.sent.pop(0)[1](None, "closed")
    calls.answer(notification(5, 1, 2.5))

    assert calls.sent == []
    assert calls.dropped == []


async def test_unknown_refusals_are_tried_again_and_end(
    pump: PublishPump, calls: FakeCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    delays: list[float] = []

    class Timer:
        def __init__(self, callback: Any) -> None:
            self.callback = callback

    timers: list[Timer] = []

    def call_later(delay: float, callback: Any) -> Timer:
        delays.append(delay)
        timers.append(Timer(callback))
        return timers[-1]

    monkeypatch.setattr(loop, "call_later", call_later)
    pump.add(5, RecordingSink())
    for _ in range(6):
        calls.answer(fault("BadServiceUnsupported"))
        calls.answer(fault("BadServiceUnsupported"))
        if timers:
            timers.pop().callback()

    assert delays == sorted(delays)
    assert len(delays) == 5
    assert "again and again" in calls.dropped[0]
