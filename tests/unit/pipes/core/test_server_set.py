"""Which member of a redundant server is used: bands, the margin, the hold and the rest."""

from __future__ import annotations

import pytest

from pipes.core.server_set import Band, MemberState, Rules, ServerSet, band_of

A, B, C = "opc.tcp://a:1", "opc.tcp://b:1", "opc.tcp://c:1"
RULES = Rules(margin=20, hold_seconds=10, rest_seconds=60)


def using_a(level_of_a: int | None = 255, level_of_b: int | None = 255) -> ServerSet:
    found = ServerSet([A, B], RULES)
    found.see(A, 0, level=level_of_a)
    found.see(B, 0, level=level_of_b)
    found.use(A, 0)
    return found


@pytest.mark.parametrize(
    ("level", "band"),
    [
        (0, Band.MAINTENANCE),
        (1, Band.NO_DATA),
        (2, Band.DEGRADED),
        (199, Band.DEGRADED),
        (200, Band.HEALTHY),
        (255, Band.HEALTHY),
        (None, Band.HEALTHY),
    ],
)
def test_the_bands_are_those_of_part_4(level: int | None, band: Band) -> None:
    assert band_of(level) is band


@pytest.mark.parametrize(
    ("used", "other", "after", "moves"),
    [
        pytest.param(0, 2, 0, True, id="maintenance is left at once"),
        pytest.param(1, 2, 0, True, id="no data is left at once"),
        pytest.param(0, 1, 1000, False, id="never for one that has no data either"),
        pytest.param(1, 0, 1000, False, id="never for one in maintenance"),
        pytest.param(199, 200, 9, False, id="a better band, not long enough"),
        pytest.param(199, 200, 10, True, id="a better band for long enough"),
        pytest.param(230, 249, 1000, False, id="better, but not by the margin"),
        pytest.param(230, 250, 9, False, id="better by the margin, not long enough"),
        pytest.param(230, 250, 10, True, id="better by the margin for long enough"),
        pytest.param(255, 255, 1000, False, id="as good"),
        pytest.param(None, None, 1000, False, id="both without a ServiceLevel"),
        pytest.param(100, None, 10, True, id="degraded against one that is just reachable"),
        pytest.param(255, 2, 1000, False, id="worse"),
    ],
)
def test_a_member_is_left_for_a_better_one(used, other, after, moves) -> None:
    found = using_a(used, other)

    move = found.move(after)

    assert (move is not None) is moves
    if move is not None:
        assert move.endpoint == B
        assert A in move.why
        assert B in move.why


def test_a_dead_member_is_left_at_once_even_for_one_without_data() -> None:
    found = using_a(255, 1)
    found.miss(A, 5)

    move = found.move(5)

    assert move is not None
    assert move.endpoint == B
    assert move.why == f"{A} cannot be used, {B} has ServiceLevel 1 (no data)"


def test_a_dead_member_is_kept_while_there_is_no_other() -> None:
    found = using_a()
    found.miss(A, 5)
    found.miss(B, 5)

    assert found.move(1000) is None
    assert not found.is_reachable(A)
    assert found.describe(A) == "cannot be used"


def test_nothing_moves_before_a_member_is_used() -> None:
    found = ServerSet([A, B], RULES)
    found.see(B, 0, level=255)

    assert found.move(1000) is None


def test_a_better_member_has_to_be_better_without_interruption() -> None:
    found = using_a(100, 255)
    found.see(B, 9, level=100)
    found.see(B, 10, level=255)

    assert found.move(19) is None
    assert found.move(20) is not None


def test_a_member_that_fell_rests_before_it_is_a_better_one() -> None:
    found = using_a(255, 100)
    found.miss(A, 5)
    found.use(B, 5)
    found.see(A, 6, level=255)

    assert found.move(64) is None
    move = found.move(65)
    assert move is not None
    assert move.endpoint == A


def test_a_resting_member_is_used_at_once_if_the_present_one_falls() -> None:
    found = using_a(255, 255)
    found.miss(A, 5)
    found.use(B, 5)
    found.see(A, 6, level=None)
    found.see(B, 7, level=0)

    move = found.move(7)

    assert move is not None
    assert (move.endpoint, move.why.endswith(f"{A} is reachable")) == (A, True)


def test_of_several_the_best_is_taken_and_of_equals_the_first() -> None:
    found = ServerSet([A, B, C], RULES)
    for endpoint, level in ((A, 0), (B, 210), (C, 210)):
        found.see(endpoint, 0, level=level)
    found.use(A, 0)

    assert found.order(0) == [B, C, A]
    assert found.move(0).endpoint == B
    found.see(C, 1, level=211)
    assert found.move(1).endpoint == C


def test_without_knowledge_they_are_tried_as_configured_and_added_once() -> None:
    found = ServerSet([A, B])
    found.add(C)
    found.add(A)

    assert found.endpoints == (A, B, C)
    assert found.order(0) == [A, B, C]


def test_what_is_known_of_each_member_is_shown() -> None:
    found = ServerSet([A, B, C], RULES)
    found.see(A, 0, level=1)
    found.miss(B, 0)

    assert found.states(in_use=A, reasons={B: "no route"}) == (
        MemberState(A, "no_data", 1, in_use=True, reason=""),
        MemberState(B, "dead", None, in_use=False, reason="no route"),
        MemberState(C, "unknown", None, in_use=False, reason=""),
    )
    assert found.describe(C) == "was not looked at yet"
