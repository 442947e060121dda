"""Which difference between a read value and the last notification makes an item stale."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipes.core.choices import Trigger
from pipes.core.status_codes import code_of
from pipes.feed import FeedItem
from pipes.staleness import GRACE_SECONDS, Staleness, _differ
from tests.unit.pipes.flows import double

BAD = code_of("BadCommunicationError")


@pytest.mark.parametrize(
    ("read", "notified", "deadband", "differ"),
    [
        (double(1.0), double(1.0), 0.0, False),
        (double(1.0, stamp=9), double(1.0), 0.0, False),
        (double(2.0), double(1.0), 0.0, True),
        (double(1.0, status=BAD), double(1.0), 0.0, True),
        # The server was asked to keep small changes to itself.
        (double(5.0), double(1.0), 10.0, False),
        (double(12.0), double(1.0), 10.0, True),
        (double(1.0, status=BAD), double(1.0), 10.0, True),
        # A damaged value says nothing, and stops nothing.
        (double(1.0), b"\x01\x0b\x00", 10.0, False),
    ],
)
def test_what_should_have_been_notified(read, notified, deadband, differ):
    assert _differ(read, notified, deadband) is differ


class Played:
    """Staleness over a feed of one item that was found to differ at 0 s."""

    def __init__(self, sampling_interval_ms: float) -> None:
        self.anew: list[int] = []
        item = FeedItem(1, "ns=2;s=T", sampling_interval_ms, Trigger.STATUS_VALUE, None, "")
        self.is_subscribed = True
        feed = SimpleNamespace(
            name="P1",
            wanted={1: item},
            publishing_interval_ms=100.0,
            again=self.anew.append,
            is_subscribed=lambda _handle: self.is_subscribed,
        )
        self.last = {1: double(1.0)}
        self.stale: list[int] = []
        self.staleness = Staleness(feed, self.last, self.stale.append, lambda: 0.0)
        self.suspect(0.0)

    def suspect(self, now: float) -> None:
        self.staleness._suspects[1] = (self.last[1], now)


def test_an_item_that_is_not_notified_in_time_is_subscribed_anew():
    played = Played(sampling_interval_ms=-1.0)

    played.staleness._judge(GRACE_SECONDS)
    assert played.anew == []
    played.staleness._judge(2 * GRACE_SECONDS)

    assert played.anew == played.stale == [1]
    assert played.staleness.healed == 1


def test_an_item_that_is_sampled_once_a_minute_is_given_its_time():
    played = Played(sampling_interval_ms=60_000.0)

    played.staleness._judge(100.0)

    assert played.anew == []


def test_an_item_that_was_notified_since_is_well():
    played = Played(sampling_interval_ms=-1.0)
    played.last[1] = double(2.0)

    played.staleness._judge(2 * GRACE_SECONDS)

    assert played.anew == []


def test_an_item_that_the_server_refuses_meanwhile_is_not_called_stale():
    played = Played(sampling_interval_ms=-1.0)
    played.is_subscribed = False
    played.staleness._judge(1.0)
    played.is_subscribed = True

    played.staleness._judge(2 * GRACE_SECONDS)

    assert played.anew == played.stale == []


def test_an_item_that_was_healed_in_vain_is_given_twice_the_time():
    played = Played(sampling_interval_ms=-1.0)
    played.staleness._judge(2 * GRACE_SECONDS)

    played.suspect(10.0)
    played.staleness._judge(10.0 + GRACE_SECONDS + 1)

    assert played.anew == [1]
