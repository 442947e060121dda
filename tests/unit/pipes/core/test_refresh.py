from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.refresh import Refresh


def test_an_item_is_due_when_nothing_was_written_for_its_time() -> None:
    refresh = Refresh()
    assert not refresh
    refresh.add(1, 5.0, now=100.0)
    refresh.add(2, 60.0, now=100.0)
    assert refresh

    assert refresh.due(104.9) == []
    assert refresh.due(105.0) == [1]
    assert refresh.due(105.0) == [], "its next time has begun"
    assert refresh.due(160.0) == [1, 2]


def test_a_write_begins_its_time_anew() -> None:
    refresh = Refresh()
    refresh.add(1, 5.0, now=0.0)
    refresh.written({1: b"", 2: b""}.keys(), now=4.0)

    assert refresh.due(8.9) == []
    assert refresh.due(9.0) == [1]


def test_an_item_that_is_gone_is_never_due() -> None:
    refresh = Refresh()
    refresh.add(1, 5.0, now=0.0)
    refresh.add(2, 5.0, now=0.0)

    refresh.forget([3])
    refresh.forget([1, 3])

    assert refresh.due(5.0) == [2]
    refresh.written([1, 2], now=5.0)
    refresh.forget([2])
    assert not refresh
    assert refresh.due(99.0) == []


def test_an_item_that_comes_back_has_its_new_time() -> None:
    refresh = Refresh()
    refresh.add(1, 3600.0, now=0.0)
    refresh.add(1, 5.0, now=1.0)

    assert refresh.due(6.0) == [1]
    assert refresh.due(3600.0) == [1]
    assert refresh.due(3601.0) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(("write", "wait")), st.integers(0, 40)),
        max_size=60,
    )
)
def test_no_item_is_left_unwritten_for_longer_than_its_time(steps: list) -> None:
    refresh = Refresh()
    seconds = {handle: 1.0 + handle for handle in range(4)}
    written = dict.fromkeys(seconds, 0.0)
    for handle in seconds:
        refresh.add(handle, seconds[handle], now=0.0)
    now = 0.0
    for handle, what, tenths in steps:
        if what == "write":
            refresh.written([handle], now)
            written[handle] = now
            continue
        now += tenths / 10
        due = refresh.due(now)
        assert len(due) == len(set(due))
        assert set(due) == {h for h, at in written.items() if at + seconds[h] <= now}
        written.update(dict.fromkeys(due, now))
