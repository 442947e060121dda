from __future__ import annotations

import math
from typing import Any

import pytest

from pipes.core.binary import encode_data_value
from pipes.core.ledger import Batch
from pipes.core.values import DataValue, LocalizedText, Variant, VariantType, as_float
from pipes.core.verification import (
    PATIENCE_SECONDS,
    SETTLE_SECONDS,
    Check,
    Step,
    Verdict,
    Verification,
    judge,
)

T = VariantType
BAD = 0x8000_0000
BAD_NOT_READABLE = 0x803A_0000


def value(kind: T, content: Any, dimensions: tuple[int, ...] | None = None, **more: Any) -> bytes:
    return encode_data_value(DataValue(Variant(kind, content, dimensions), **more))


def double(number: float) -> bytes:
    return value(T.DOUBLE, number)


NOTHING = encode_data_value(DataValue(None))


@pytest.mark.parametrize(
    ("sent", "found", "verdict"),
    [
        (double(1.5), double(1.5), Verdict.SAME),
        (double(0.1), double(math.nextafter(0.1, 1)), Verdict.OTHER),
        (double(0.0), double(-0.0), Verdict.SAME),
        (double(math.nan), double(math.nan), Verdict.SAME),
        (double(math.nan), double(1.0), Verdict.OTHER),
        (double(math.inf), double(math.inf), Verdict.SAME),
        (value(T.FLOAT, as_float(0.1)), double(as_float(0.1)), Verdict.SAME),
        (value(T.INT32, 5), value(T.INT64, 5), Verdict.SAME),
        (value(T.INT32, 5), double(5.0), Verdict.SAME),
        (value(T.INT32, 5), value(T.INT32, 6), Verdict.OTHER),
        (value(T.INT32, 1), value(T.BOOLEAN, True), Verdict.OTHER),
        (value(T.INT32, 1), value(T.STRING, "1"), Verdict.OTHER),
        (value(T.STRING, "a"), value(T.STRING, "b"), Verdict.OTHER),
        (value(T.STRING, None), value(T.STRING, ""), Verdict.SAME),
        (value(T.STRING, "x"), value(T.STRING, None), Verdict.OTHER),
        (value(T.BYTE_STRING, b""), value(T.BYTE_STRING, None), Verdict.SAME),
        (value(T.DOUBLE, (1.0, math.nan)), value(T.DOUBLE, (1.0, math.nan)), Verdict.SAME),
        (value(T.DOUBLE, (1.0, 2.0)), value(T.DOUBLE, (1.0,)), Verdict.OTHER),
        (value(T.DOUBLE, (1.0, 2.0)), value(T.DOUBLE, (1.0, 3.0)), Verdict.OTHER),
        (value(T.DOUBLE, (1.0,)), double(1.0), Verdict.OTHER),
        (value(T.STRING, ("a", None)), value(T.STRING, ("a", "")), Verdict.SAME),
        (value(T.STRING, ("a", None)), value(T.STRING, ("a", "b")), Verdict.OTHER),
        (value(T.STRING, ("a", "b")), value(T.STRING, ("a", None)), Verdict.OTHER),
        (value(T.STRING, ()), NOTHING, Verdict.SAME),
        (value(T.INT32, (1, 2, 3, 4), (2, 2)), value(T.INT32, (1, 2, 3, 4), (2, 2)), Verdict.SAME),
        (value(T.INT32, (1, 2, 3, 4), (2, 2)), value(T.INT32, (1, 2, 3, 4), (1, 4)), Verdict.OTHER),
        (value(T.INT32, (1, 2), (1, 2)), value(T.INT32, (1, 2)), Verdict.OTHER),
        (
            value(T.LOCALIZED_TEXT, LocalizedText("a", "de")),
            value(T.LOCALIZED_TEXT, LocalizedText("a", "de")),
            Verdict.SAME,
        ),
        (
            value(T.VARIANT, (Variant(T.DOUBLE, math.nan),)),
            value(T.VARIANT, (Variant(T.DOUBLE, math.nan),)),
            Verdict.SAME,
        ),
        (double(math.nan), value(T.FLOAT, math.nan), Verdict.SAME),
        (double(1.0), NOTHING, Verdict.OTHER),
        (NOTHING, NOTHING, Verdict.SAME),
        (NOTHING, double(1.0), Verdict.OTHER),
        # only the value decides: status and timestamps are the server's business
        (value(T.DOUBLE, 1.0, status=BAD, source_timestamp=5), double(1.0), Verdict.SAME),
        (double(1.0), value(T.DOUBLE, 1.0, status=BAD), Verdict.SAME),
        (double(1.0), encode_data_value(DataValue(None, BAD_NOT_READABLE)), Verdict.UNREADABLE),
        (
            double(1.0),
            encode_data_value(DataValue(Variant(T.NULL), BAD_NOT_READABLE)),
            Verdict.UNREADABLE,
        ),
        (double(1.0), b"\x01\x0b\x00", Verdict.UNREADABLE),
    ],
)
def test_the_value_alone_decides_by_the_type_of_the_target(
    sent: bytes, found: bytes, verdict: Verdict
) -> None:
    assert judge(sent, found) is verdict


class Play:
    """A verification whose clock and reads a test plays; writes stay in ``ledger``."""

    def __init__(self, *handles: int, both_ways: bool = False) -> None:
        self.checks = Verification()
        self.now = 100.0
        self.ledger: list[Batch] = []
        for handle in handles:
            self.checks.add(handle, both_ways=both_ways)

    def write(self, number: float, handle: int = 1) -> Batch:
        values = {handle: double(number), 99: double(0)}
        self.checks.sending(values)
        batch = Batch(len(self.ledger), 0, values)
        self.ledger.append(batch)
        self.checks.written(batch, self.now)
        return batch

    def take(self) -> dict[int, Check]:
        return self.checks.take(10, self.now)

    def look(self, found: bytes | float, handle: int = 1) -> Step | None:
        """Read what is due and find this; None if nothing is."""
        check = self.take().get(handle)
        if check is None:
            return None
        there = double(found) if isinstance(found, float) else found
        return self.checks.found(handle, check, there, self.now)

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.checks.verified, self.checks.mismatched, self.checks.unverified


def test_a_write_that_is_read_as_written_is_verified() -> None:
    play = Play(1)
    batch = play.write(5.0)
    assert play.checks.is_due(play.now)
    (check,) = play.take().values()
    assert check.batch() is batch
    assert not play.checks.is_due(play.now), "it is being read"
    assert play.checks.found(1, check, double(5.0), play.now) is Step.VERIFIED
    assert play.checks.results == {1: True}
    assert play.counts == (1, 0, 0)


def test_items_that_do_not_ask_for_it_are_not_looked_at() -> None:
    play = Play(1)
    play.write(5.0, handle=2)
    assert play.take() == {}


def test_another_value_is_looked_at_again_and_then_contradicts() -> None:
    play = Play(1)
    play.write(5.0)
    assert play.look(3.0) is Step.AGAIN
    assert play.take() == {}, "not at once"
    play.now += SETTLE_SECONDS
    assert play.look(3.0) is Step.CONTRADICTED
    assert play.checks.results == {1: False}
    assert play.counts == (0, 1, 0)


def test_a_server_that_applies_a_write_after_its_acknowledgement_is_believed() -> None:
    play = Play(1)
    play.write(5.0)
    assert play.look(3.0) is Step.AGAIN
    play.now += SETTLE_SECONDS
    assert play.look(5.0) is Step.VERIFIED


def test_a_value_overwritten_by_a_newer_write_is_not_judged() -> None:
    play = Play(1)
    play.write(5.0)
    (check,) = play.take().values()
    play.write(6.0)
    assert play.checks.found(1, check, double(6.0), play.now) is Step.OVERTAKEN
    assert play.look(6.0) is Step.VERIFIED
    assert play.counts == (1, 0, 1)


def test_a_newer_write_that_was_not_answered_leaves_the_older_unjudged() -> None:
    play = Play(1)
    play.write(5.0)
    play.checks.sending({1: double(6.0)})
    assert play.take() == {}
    assert play.counts == (0, 0, 1)


def test_a_target_that_alters_a_value_that_changes_fast_is_found_out() -> None:
    play = Play(1)
    steps = []
    for count in range(15):
        play.write(150.0 + count)
        steps.append(play.look(100.0))
        play.now += 0.1
    assert steps[0] is Step.AGAIN
    assert Step.CONTRADICTED in steps
    assert play.checks.mismatched >= 1


def test_a_server_that_shows_its_last_value_for_a_while_is_not_accused() -> None:
    play = Play(1)
    play.write(0.0)
    assert play.look(0.0) is Step.VERIFIED
    for count in range(1, 30):
        play.write(float(count))
        assert play.look(float(count - 1)) is Step.AGAIN
        play.now += 0.1
    assert play.checks.mismatched == 0


def test_one_good_look_ends_the_doubt() -> None:
    play = Play(1)
    play.write(5.0)
    play.look(3.0)
    play.now += SETTLE_SECONDS / 2
    play.write(6.0)
    assert play.look(6.0) is Step.VERIFIED
    play.now += SETTLE_SECONDS
    play.write(7.0)
    assert play.look(3.0) is Step.AGAIN


def test_what_the_target_makes_of_an_item_of_both_directions_is_a_change() -> None:
    play = Play(1, both_ways=True)
    play.write(5.0)
    assert play.look(3.0) is Step.AGAIN
    play.now += SETTLE_SECONDS
    assert play.look(3.0) is Step.OVERTAKEN
    assert play.counts == (0, 0, 1)
    assert play.checks.results == {}


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (encode_data_value(DataValue(None, BAD_NOT_READABLE)), BAD_NOT_READABLE),
        (b"\x03\x0b\x00", 0),
    ],
)
def test_a_read_that_says_nothing_leaves_the_write_unverified(found: bytes, status: int) -> None:
    play = Play(1)
    play.write(5.0)
    assert play.look(found) is Step.UNREADABLE
    assert play.checks.unreadable == {1: status}
    assert play.counts == (0, 0, 1)
    play.write(6.0)
    assert play.look(6.0) is Step.VERIFIED
    assert play.checks.unreadable == {}


def test_a_read_that_failed_is_tried_again_until_the_patience_ends() -> None:
    play = Play(1)
    play.write(5.0)
    (check,) = play.take().values()
    play.checks.unread(1, check, play.now)
    assert play.take() == {}
    play.now += SETTLE_SECONDS
    assert list(play.take().values()) == [check]
    play.now += PATIENCE_SECONDS
    play.checks.lapse(play.now)
    play.checks.unread(1, check, play.now)
    assert not play.checks.is_due(play.now + 100)
    assert play.counts == (0, 0, 1)


def test_a_lost_session_leaves_its_writes_unverified_and_keeps_what_was_judged() -> None:
    play = Play(1, 2)
    play.write(5.0)
    play.look(5.0)
    play.write(6.0, handle=2)
    play.checks.lost()
    assert play.take() == {}
    assert play.checks.results == {1: True}
    assert play.counts == (1, 0, 1)


def test_at_most_so_many_are_taken_at_once() -> None:
    play = Play(1, 2, 3)
    for handle in (1, 2, 3):
        play.write(5.0, handle)
    assert len(play.checks.take(2, play.now)) == 2
    assert len(play.checks.take(2, play.now)) == 1


def test_nothing_is_left_of_an_item_that_is_taken_out() -> None:
    play = Play(1)
    play.write(5.0)
    (check,) = play.take().values()
    play.checks.forget((1, 7))
    assert play.checks.found(1, check, double(5.0), play.now) is Step.OVERTAKEN
    play.write(6.0)
    assert play.take() == {}


def test_a_check_does_not_keep_the_rest_of_its_request() -> None:
    play = Play(1)
    play.write(5.0)
    play.ledger.clear()
    (check,) = play.take().values()
    assert check.batch() is None
    assert dict(check.alone.sent) == {1: double(5.0)}
