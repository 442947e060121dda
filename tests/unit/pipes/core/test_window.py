from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipes.core.window import FIRST, LARGEST, MEMORY_SECONDS, SMALLEST, Window


class SlowTarget:
    """Takes ``service`` seconds a request, one at a time, behind a line of ``delay`` seconds."""

    def __init__(self, service: float, delay: float) -> None:
        self.service, self.delay = service, delay
        self.now = self.busy_until = 0.0
        self.flying: deque[tuple[float, float]] = deque()

    def drive(self, window: Window, requests: int) -> None:
        for _ in range(requests):
            while window.may_send:
                window.sent(self.now)
                self.busy_until = max(self.busy_until, self.now) + self.service
                self.flying.append((self.now, self.busy_until + self.delay))
            begun, self.now = self.flying.popleft()
            window.answered(self.now - begun)


def test_the_window_limits_the_requests_in_flight() -> None:
    window = Window()

    for _ in range(int(FIRST)):
        assert window.may_send
        window.sent(0.0)

    assert not window.may_send
    assert window.in_flight == FIRST
    window.answered(0.01)
    assert window.may_send


def test_a_long_line_is_filled() -> None:
    window = Window()

    SlowTarget(service=0.0001, delay=0.1).drive(window, 2000)

    assert window.size == LARGEST


def test_the_window_drains_for_a_moment_when_no_request_found_the_target_idle() -> None:
    window = Window()
    for _ in range(int(FIRST)):
        window.sent(0.0)
    window.answered(0.1)
    window.sent(1.0)
    window.answered(0.1)

    window.sent(1.0 + MEMORY_SECONDS)
    for _ in range(int(FIRST) - 1):
        window.answered(0.1)

    assert (window.in_flight, window.may_send) == (1, False)
    window.answered(0.1)
    window.sent(2.0 + MEMORY_SECONDS)
    assert window.may_send


def test_no_queue_stands_in_front_of_a_slow_target() -> None:
    window = Window()
    target = SlowTarget(service=0.05, delay=0.0001)

    target.drive(window, 2000)

    assert window.size < 3
    assert target.now > 3 * MEMORY_SECONDS
    before = target.now
    target.drive(window, 100)
    assert target.now - before == pytest.approx(100 * 0.05, rel=0.02)


def test_the_window_shrinks_when_the_target_becomes_slow() -> None:
    window = Window()
    target = SlowTarget(service=0.0001, delay=0.01)
    target.drive(window, 2000)
    wide = window.size

    target.service = 0.05
    target.drive(window, 1000)

    assert wide == LARGEST
    assert window.size < 4


def test_the_window_does_not_grow_without_work() -> None:
    window = Window()

    for second in range(100):
        window.sent(float(second))
        window.answered(0.01)

    assert window.size == FIRST


def test_a_failure_halves_the_window() -> None:
    window = Window()
    window.sent(0.0)
    window.sent(0.0)

    window.failed()

    assert window.size == FIRST / 2
    assert window.in_flight == 1


def test_one_request_may_always_be_in_flight() -> None:
    window = Window()
    for _ in range(10):
        window.sent(0.0)
        window.failed()

    assert window.size == SMALLEST
    assert window.may_send


def test_an_answer_within_the_resolution_of_the_clock_counts_as_no_queue() -> None:
    window = Window()
    for _ in range(int(FIRST)):
        window.sent(0.0)

    window.answered(0.0)

    assert window.size > FIRST


def test_the_quickest_answer_is_forgotten_after_a_while() -> None:
    window = Window()
    window.sent(0.0)
    window.answered(0.001)
    slow_line = SlowTarget(service=0.0001, delay=1.0)
    slow_line.now = 1.0

    slow_line.drive(window, 20)
    shrunk = window.size
    slow_line.now += 2 * MEMORY_SECONDS
    slow_line.drive(window, 2000)

    assert shrunk < FIRST
    assert window.size == LARGEST


@given(st.lists(st.one_of(st.floats(0, 1e6), st.none()), max_size=300))
def test_the_window_keeps_its_bounds(answers: list[float | None]) -> None:
    window = Window()
    for now, answer in enumerate(answers):
        while window.may_send:
            window.sent(float(now))
        if answer is None:
            window.failed()
        else:
            window.answered(answer)

        assert SMALLEST <= window.size <= LARGEST
        assert 0 <= window.in_flight <= LARGEST
