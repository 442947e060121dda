from __future__ import annotations

import pytest

from mirrorsite.processes import BACKOFF_MOST, STEADY_SECONDS, Backoff, _ending


class TestBackoff:
    def test_it_doubles_up_to_ten_seconds(self) -> None:
        backoff = Backoff()

        waits = [backoff.after(0.1) for _ in range(8)]

        assert waits == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
        assert max(waits) == BACKOFF_MOST

    def test_it_starts_afresh_after_a_long_life(self) -> None:
        backoff = Backoff()
        for _ in range(5):
            backoff.after(0.1)

        assert backoff.after(STEADY_SECONDS) == pytest.approx(0.2)
        assert backoff.after(0.1) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param(0, "exit status 0", id="a normal end"),
        pytest.param(-9, "SIGKILL", id="a known signal"),
        pytest.param(-63, "signal 63", id="a signal without a name"),
        pytest.param(None, "not started", id="never started"),
    ],
)
def test_an_ending_is_said_in_words(status: int | None, said: str) -> None:
    assert _ending(status) == said
