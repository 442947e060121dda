from __future__ import annotations

from redundancy.core.blockers import Blocker


def test_every_blocker_is_a_sentence() -> None:
    assert all(blocker.value.endswith(".") for blocker in Blocker)
