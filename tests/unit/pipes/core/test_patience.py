"""The limit of silence doubles with use and comes back with calm."""

from __future__ import annotations

from pipes.core.patience import Patience


def test_the_first_silence_is_noticed_after_the_first_limit() -> None:
    assert Patience(7.5, 60.0, 120.0).limit(1_000.0) == 7.5


def test_each_use_doubles_the_limit_up_to_the_longest() -> None:
    patience = Patience(7.5, 40.0, 120.0)
    seen = []
    for now in (10.0, 20.0, 30.0, 40.0):
        patience.use(now)
        seen.append(patience.limit(now))
    assert seen == [15.0, 30.0, 40.0, 40.0]


def test_calm_brings_the_first_limit_back() -> None:
    patience = Patience(7.5, 60.0, 120.0)
    patience.use(10.0)
    assert patience.limit(130.0) == 15.0
    assert patience.limit(130.1) == 7.5


def test_a_use_after_calm_begins_anew() -> None:
    patience = Patience(7.5, 60.0, 120.0)
    patience.use(10.0)
    patience.use(20.0)
    patience.use(500.0)
    assert patience.limit(500.0) == 15.0
