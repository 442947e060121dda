from __future__ import annotations

from pipes.core.pacing import Pacing


def paced(seconds: float = 1.0) -> Pacing:
    pacing = Pacing()
    pacing.add(1, seconds)
    return pacing


def test_the_first_value_goes_and_the_next_waits_for_the_end_of_the_interval() -> None:
    pacing = paced()
    assert not pacing.holds(1, 10.0)
    pacing.went(1, 10.0)
    assert pacing.holds(1, 10.2)
    assert pacing.holds(1, 10.9)
    assert pacing.next_at == 11.0
    assert pacing.due(10.9) == []
    assert pacing.due(11.0) == [1]
    assert pacing.due(12.0) == [], "once"
    assert not pacing.holds(1, 11.0)


def test_an_item_at_rest_has_nothing_due() -> None:
    pacing = paced()
    pacing.went(1, 10.0)
    assert pacing.next_at is None
    assert pacing.due(20.0) == []


def test_a_value_that_goes_of_itself_is_not_due_again() -> None:
    pacing = paced()
    pacing.went(1, 10.0)
    assert pacing.holds(1, 10.5)
    pacing.went(1, 11.0)  # it came just at the end
    assert pacing.due(11.0) == []
    assert pacing.holds(1, 11.5)
    assert pacing.due(12.0) == [1]


def test_items_without_an_interval_are_never_held() -> None:
    pacing = paced()
    assert 1 in pacing
    assert 2 not in pacing
    pacing.went(2, 10.0)
    assert not pacing.holds(2, 10.0)


def test_what_is_forgotten_is_not_due_and_may_be_added_anew() -> None:
    pacing = paced()
    pacing.went(1, 10.0)
    pacing.holds(1, 10.1)
    pacing.add(1, 5.0)
    assert pacing.due(20.0) == []
    assert not pacing.holds(1, 20.0)
    pacing.went(1, 20.0)
    pacing.holds(1, 20.0)
    assert pacing.next_at == 25.0
    pacing.forget((1, 7))
    assert pacing.next_at is None
