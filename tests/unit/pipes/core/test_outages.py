from __future__ import annotations

import pytest

from pipes.core.binary import decode_data_value, encode_data_value
from pipes.core.outages import GRACE_SECONDS, LOST, STALE, Outages
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue, Variant, VariantType

UNKNOWN = code_of("BadNodeIdUnknown")
LATER = GRACE_SECONDS


def value(status: int = 0) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.DOUBLE, 1.0), status, 5))


def test_an_outage_counts_after_its_grace_and_until_a_value_comes() -> None:
    outages = Outages()
    assert outages.reading(1, value(), 0.0) == value()
    outages.begin([1, 2], LOST, 0.0)

    assert outages.due(LATER - 0.1, 10) == []
    assert outages.reading(1, value(), LATER - 0.1) == value()
    assert outages.due(LATER, 10) == [1, 2]
    assert outages.due(LATER, 10) == [], "each is told once"
    reading = outages.reading(1, value(), LATER)
    assert reading is not None
    assert decode_data_value(reading) == DataValue(None, LOST)
    assert outages.reading(3, value(), LATER) == value()

    outages.over([1])
    assert outages.reading(1, value(), LATER) == value()


def test_what_is_over_within_the_grace_is_never_told() -> None:
    outages = Outages()
    outages.begin([1, 2], LOST, 0.0)
    outages.over([1])
    assert outages.due(LATER, 10) == [2]
    outages.over([2, 9])
    outages.begin([1], LOST, 100.0)
    outages.over([1])
    outages.begin([1], LOST, 101.0)
    assert outages.due(100.0 + LATER, 10) == [], "the second outage has a grace of its own"
    assert outages.due(101.0 + LATER, 10) == [1]


@pytest.mark.parametrize(
    ("begun", "attempted", "came", "told"),
    [
        pytest.param(0.0, 1.0, None, 1.0 + LATER, id="told a grace after an attempt in vain"),
        pytest.param(0.0, 10.0, None, 10.0 + LATER, id="however long the attempt takes"),
        pytest.param(0.0, 10.0, 10.0 + LATER / 2, None, id="not if a value comes in time"),
        pytest.param(0.0, None, None, None, id="not while the attempt is under way"),
    ],
)
def test_at_a_start_the_grace_begins_when_the_first_attempt_is_over(
    begun: float, attempted: float | None, came: float | None, told: float | None
) -> None:
    outages = Outages()
    outages.await_connection([1])
    found = None
    for tenth in range(300):
        now = begun + tenth / 10
        if attempted == now:
            outages.attempted(now)
        if came is not None and now >= came:
            outages.over([1])
        if outages.due(now, 10):
            assert found is None, "told once"
            found = now
        assert (outages.reading(1, None, now) is None) is (found is None)
    assert found == told


def test_what_is_taken_out_during_the_first_attempt_is_not_missed_after_it() -> None:
    outages = Outages()
    outages.await_connection([1, 2])
    outages.over([1])
    outages.attempted(0.0)
    assert outages.due(LATER, 10) == [2]
    outages.attempted(1.0)
    assert outages.due(1.0 + LATER, 10) == [], "there is one first attempt"


def test_thousands_are_told_in_parts() -> None:
    outages = Outages()
    outages.begin(range(5), LOST, 0.0)
    outages.begin([7], LOST, 1.0)
    parts = [outages.due(LATER + 1, 2) for _ in range(4)]
    assert [len(part) for part in parts] == [2, 2, 2, 0]
    assert sorted(handle for part in parts for handle in part) == [0, 1, 2, 3, 4, 7]


def test_another_reason_is_told_without_a_new_grace() -> None:
    outages = Outages()
    outages.begin([1], LOST, 0.0)
    outages.begin([1], LOST, 2.0)
    assert outages.due(LATER, 10) == [1]
    outages.begin([1, 2], UNKNOWN, LATER)
    outages.begin([1, 2], UNKNOWN, LATER)
    assert outages.due(LATER, 10) == [1]
    assert outages.reading(1, None, LATER) == encode_data_value(DataValue(None, UNKNOWN))
    assert outages.due(2 * LATER, 10) == [2]


def test_only_a_refusal_is_a_refusal() -> None:
    outages = Outages()
    for handle, status in ((1, LOST), (2, STALE), (3, UNKNOWN)):
        outages.begin([handle], status, 0.0)
    assert outages.refused({1, 2, 3, 4}) == {3}


@pytest.mark.parametrize(
    ("newest", "reading"),
    [
        (value(), value(STALE)),
        (value(UNKNOWN), value(UNKNOWN)),
        (b"\x03\x0b", b"\x03\x0b"),
        (None, encode_data_value(DataValue(None, STALE))),
    ],
    ids=["good", "not good", "damaged", "none"],
)
def test_a_stale_value_is_its_newest_one_and_uncertain(
    newest: bytes | None, reading: bytes
) -> None:
    outages = Outages()
    outages.begin([1], STALE, 0.0)
    assert outages.reading(1, newest, LATER) == reading
