from __future__ import annotations

import pytest

from pipes.core.choices import Direction
from pipes.core.echo import EchoGuard, WriteResult

FORWARD, REVERSE = Direction.FORWARD, Direction.REVERSE
WRITTEN, REFUSED, UNKNOWN = WriteResult.WRITTEN, WriteResult.REFUSED, WriteResult.UNKNOWN


def equal_pair() -> EchoGuard:
    """Both sides have reported 0, in their own terms: s0 and t0."""
    guard = EchoGuard(settle_seconds=2.0)
    assert guard.forward_arrived(b"s0")
    assert not guard.reverse_arrived(b"t0")
    assert not guard.write_started(FORWARD, b"t0")
    return guard


def written_forward(guard: EchoGuard, number: int = 1) -> EchoGuard:
    assert guard.forward_arrived(b"s%d" % number)
    assert guard.write_started(FORWARD, b"t%d" % number)
    return guard


def written_back(guard: EchoGuard, number: int = 1) -> EchoGuard:
    assert guard.reverse_arrived(b"t%d" % number)
    assert guard.write_started(REVERSE, b"s%d" % number)
    return guard


def test_equal_sides_are_not_written() -> None:
    assert equal_pair().unsettled is None


def test_the_source_has_the_first_word() -> None:
    guard = EchoGuard()
    assert not guard.reverse_arrived(b"t5")
    assert guard.forward_arrived(b"s0")
    assert guard.write_started(FORWARD, b"t0")


@pytest.mark.parametrize("echo_first", [True, False])
def test_the_echo_of_a_forward_write_is_suppressed(echo_first: bool) -> None:
    guard = written_forward(equal_pair())
    if echo_first:
        assert not guard.reverse_arrived(b"t1")
        assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    else:
        assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
        assert guard.unsettled is FORWARD
        assert not guard.reverse_arrived(b"t1")
    assert guard.unsettled is None
    assert guard.suppressed == 1
    assert guard.reverse_arrived(b"t2")


def test_the_echo_of_a_reverse_write_is_suppressed() -> None:
    guard = written_back(equal_pair())
    assert guard.write_done(REVERSE, WRITTEN, 0.0) is None
    assert not guard.forward_arrived(b"s1")
    assert guard.unsettled is None
    assert guard.forward_arrived(b"s2")


def test_a_reverse_change_gives_way_to_a_forward_write_that_waits() -> None:
    guard = equal_pair()
    assert guard.forward_arrived(b"s1")
    assert not guard.reverse_arrived(b"t9")
    assert guard.write_started(FORWARD, b"t1")


def test_a_forward_change_takes_the_place_of_a_reverse_write_that_waits() -> None:
    guard = equal_pair()
    assert guard.reverse_arrived(b"t9")
    assert guard.forward_arrived(b"s1")
    assert not guard.write_started(REVERSE, b"s9")
    assert guard.write_started(FORWARD, b"t1")


def test_a_source_that_only_repeats_itself_does_not_undo_a_change_of_the_target() -> None:
    guard = equal_pair()
    assert guard.reverse_arrived(b"t9")
    assert not guard.forward_arrived(b"s0")
    assert guard.write_started(REVERSE, b"s9")


def test_a_target_that_only_repeats_itself_is_not_written_back() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, REFUSED, 0.0) is None
    assert not guard.reverse_arrived(b"t0")
    assert guard.unsettled is None


def test_an_older_value_of_the_target_is_dropped_when_the_echo_comes() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert not guard.reverse_arrived(b"t9")
    assert not guard.reverse_arrived(b"t1")
    assert guard.unsettled is None
    assert guard.settle(99.0) is None


def test_a_change_after_the_echo_is_carried_back_when_the_write_is_done() -> None:
    guard = written_forward(equal_pair())
    assert not guard.reverse_arrived(b"t1")
    assert not guard.reverse_arrived(b"t9")
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is REVERSE
    assert guard.write_started(REVERSE, b"s9")


def test_a_forward_value_that_waits_wins_over_a_change_after_the_echo() -> None:
    guard = written_forward(equal_pair())
    assert guard.forward_arrived(b"s2")
    assert not guard.reverse_arrived(b"t1")
    assert not guard.reverse_arrived(b"t9")
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.write_started(FORWARD, b"t2")
    assert guard.write_done(FORWARD, REFUSED, 0.0) is REVERSE  # t9 was overwritten by nothing


def test_forward_wins_over_a_reverse_value_that_waits_after_a_reverse_write() -> None:
    guard = written_back(equal_pair())
    assert guard.reverse_arrived(b"t2")
    assert not guard.forward_arrived(b"s1")
    assert not guard.forward_arrived(b"s9")
    assert guard.write_done(REVERSE, WRITTEN, 0.0) is FORWARD
    assert not guard.write_started(REVERSE, b"s2")
    assert guard.write_started(FORWARD, b"t9")


def test_a_missing_echo_is_settled_by_a_read() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 10.0) is None
    assert guard.settle(11.9) is None
    assert guard.settle(12.0) is FORWARD
    assert guard.settle(12.1) is None  # one read at a time
    assert guard.checked(b"t1", 12.2) is None
    assert guard.unsettled is None


def test_a_change_that_hid_the_echo_is_found_by_the_read() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert not guard.reverse_arrived(b"t9")
    assert guard.settle(2.0) is FORWARD
    assert guard.checked(b"t9", 2.1) is REVERSE
    assert guard.write_started(REVERSE, b"s9")


def test_a_change_back_that_was_never_reported_is_found_by_the_read() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.settle(2.0) is FORWARD
    assert guard.checked(b"t0", 2.1) is REVERSE


def test_a_read_that_failed_is_repeated_later() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.settle(2.0) is FORWARD
    assert guard.checked(None, 3.0) is None
    assert guard.settle(4.9) is None
    assert guard.settle(5.0) is FORWARD


def test_a_read_overtaken_by_a_report_is_repeated() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.settle(2.0) is FORWARD
    assert not guard.reverse_arrived(b"t9")
    assert guard.checked(b"t1", 2.1) is None
    assert guard.unsettled is FORWARD
    assert guard.settle(2.2) is FORWARD


def test_a_read_overtaken_by_a_write_or_not_asked_for_is_ignored() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.settle(2.0) is FORWARD
    written_forward(guard, 2)
    assert guard.checked(b"t1", 2.1) is None
    assert guard.unsettled is FORWARD
    assert equal_pair().checked(b"t7", 0.0) is None


def test_a_read_that_returns_after_the_echo_is_ignored() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.settle(2.0) is FORWARD
    assert not guard.reverse_arrived(b"t1")
    assert guard.checked(b"t0", 2.1) is None
    assert guard.unsettled is None


def test_nothing_is_asked_while_a_write_is_in_flight_or_waits() -> None:
    guard = written_forward(equal_pair())
    assert guard.settle(99.0) is None
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.forward_arrived(b"s2")
    assert guard.settle(99.0) is None


def test_a_value_written_twice_makes_the_echo_ambiguous() -> None:
    guard = equal_pair()
    for number in (1, 2, 1):
        written_forward(guard, number)
        assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert not guard.reverse_arrived(b"t1")
    assert not guard.reverse_arrived(b"t2")
    assert guard.unsettled is FORWARD  # the first t1 did not settle, t2 is no change
    assert not guard.reverse_arrived(b"t1")
    assert guard.settle(2.0) is None
    assert guard.unsettled is None


def test_only_the_newest_of_many_writes_settles() -> None:
    guard = equal_pair()
    for number in (1, 2, 3):
        written_forward(guard, number)
        assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert not guard.reverse_arrived(b"t1")
    assert guard.unsettled is FORWARD
    assert not guard.reverse_arrived(b"t3")
    assert guard.unsettled is None


def test_what_is_remembered_of_a_fast_source_is_bounded() -> None:
    guard = equal_pair()
    for number in range(1, 100):
        written_forward(guard, number)
        assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert len(guard._earlier) == 16
    assert not guard.reverse_arrived(b"t99")
    assert guard.settle(2.0) is None
    assert guard.unsettled is None


def test_the_same_value_is_not_written_again_while_its_echo_is_out() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert guard.forward_arrived(b"s1")
    assert not guard.write_started(FORWARD, b"t1")
    assert not guard.reverse_arrived(b"t9")
    assert guard.forward_arrived(b"s1")
    assert guard.write_started(FORWARD, b"t1")


def test_a_refused_forward_write_leaves_the_target_alone() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, REFUSED, 0.0) is None
    assert guard.unsettled is None


def test_a_change_of_the_target_during_a_refused_forward_write_is_carried_back() -> None:
    guard = written_forward(equal_pair())
    assert not guard.reverse_arrived(b"t9")
    assert guard.write_done(FORWARD, REFUSED, 0.0) is REVERSE


def test_a_change_that_gave_way_to_a_refused_forward_write_is_taken_up() -> None:
    guard = equal_pair()
    assert guard.forward_arrived(b"s1")
    assert not guard.reverse_arrived(b"t9")
    assert guard.write_started(FORWARD, b"t1")
    assert guard.write_done(FORWARD, REFUSED, 0.0) is REVERSE
    assert guard.write_started(REVERSE, b"s9")


@pytest.mark.parametrize("echo_first", [True, False])
def test_a_change_that_was_overwritten_is_not_taken_up_later(echo_first: bool) -> None:
    guard = equal_pair()
    assert guard.forward_arrived(b"s1")
    assert not guard.reverse_arrived(b"t9")
    assert guard.write_started(FORWARD, b"t1")
    if echo_first:
        assert not guard.reverse_arrived(b"t1")
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    if not echo_first:
        assert not guard.reverse_arrived(b"t1")
    written_forward(guard, 2)
    assert guard.write_done(FORWARD, REFUSED, 0.0) is None


def test_a_change_that_gave_way_to_a_forward_value_that_cannot_be_written_is_taken_up() -> None:
    guard = equal_pair()
    assert guard.reverse_arrived(b"t9")
    assert guard.forward_arrived(b"s1")
    assert guard.not_written(FORWARD) is REVERSE
    assert guard.not_written(FORWARD) is None
    assert guard.not_written(REVERSE) is None
    assert guard.reverse_arrived(b"t10")


def test_a_refused_write_after_another_leaves_the_echo_of_that_to_come() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    written_forward(guard, 2)
    assert guard.write_done(FORWARD, REFUSED, 1.0) is None
    assert guard.unsettled is FORWARD
    assert not guard.reverse_arrived(b"t1")
    assert guard.unsettled is None


def test_a_refused_reverse_write_gives_the_source_its_way() -> None:
    guard = written_back(equal_pair())
    assert not guard.forward_arrived(b"s9")
    assert guard.write_done(REVERSE, REFUSED, 0.0) is FORWARD
    assert guard.write_started(FORWARD, b"t9")


def test_a_write_without_an_answer_is_repeated() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, UNKNOWN, 0.0) is FORWARD
    assert not guard.reverse_arrived(b"t0")  # a new subscription repeats what was there
    assert guard.write_started(FORWARD, b"t1")


def test_a_write_without_an_answer_is_repeated_though_nothing_speaks_against_it() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, UNKNOWN, 0.0) is FORWARD
    assert guard.write_started(FORWARD, b"t1")


def test_a_write_without_an_answer_whose_echo_came_is_done() -> None:
    guard = written_forward(equal_pair())
    assert not guard.reverse_arrived(b"t1")
    assert guard.write_done(FORWARD, UNKNOWN, 0.0) is None
    assert guard.unsettled is None


def test_a_reverse_write_without_an_answer_gives_way_to_a_change_of_the_source() -> None:
    guard = written_back(equal_pair())
    assert not guard.forward_arrived(b"s9")
    assert guard.write_done(REVERSE, UNKNOWN, 0.0) is FORWARD
    guard = written_back(equal_pair())
    assert guard.write_done(REVERSE, UNKNOWN, 0.0) is REVERSE


def test_a_refused_write_can_be_tried_again_unless_the_other_side_has_its_turn() -> None:
    guard = written_forward(equal_pair())
    assert guard.write_done(FORWARD, REFUSED, 0.0) is None
    assert guard.again(FORWARD)
    assert guard.write_started(FORWARD, b"t1")
    assert not guard.again(REVERSE)
    guard = equal_pair()
    assert guard.reverse_arrived(b"t9")
    assert not guard.again(FORWARD)
    assert not EchoGuard().again(FORWARD)


def test_servers_that_alter_what_they_are_given_do_not_play_ping_pong() -> None:
    """Each side adds one to what is written to it."""
    guard = equal_pair()
    wanted: Direction | None = FORWARD
    assert guard.forward_arrived(b"s1")
    value = 1
    writes = 0
    while wanted is not None:
        own = b"t%d" if wanted is FORWARD else b"s%d"
        assert guard.write_started(wanted, own % value)
        writes += 1
        assert guard.write_done(wanted, WRITTEN, 0.0) is None
        value += 1
        assert guard.settle(9.0) is wanted
        wanted = guard.checked(own % value, 9.0)
    assert writes == 5
    assert guard.is_disputed
    assert guard.unsettled is None
    assert guard.forward_arrived(b"s50")
    assert guard.write_started(FORWARD, b"t50")
    assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
    assert not guard.reverse_arrived(b"t50")
    assert not guard.is_disputed


def test_a_pair_whose_echoes_are_hidden_by_changes_is_never_left_disputed() -> None:
    """However often both sides change at once, the change of the target is carried back."""
    guard = equal_pair()
    for number in range(1, 20):
        source, target, changed = b"s%d" % number, b"t%d" % number, b"u%d" % number
        assert guard.forward_arrived(source)
        assert guard.write_started(FORWARD, target)
        assert not guard.reverse_arrived(changed)  # it came after the write and hides its echo
        assert guard.write_done(FORWARD, WRITTEN, 0.0) is None
        assert guard.settle(9.0) is FORWARD
        assert guard.checked(changed, 9.0) is REVERSE
        assert guard.write_started(REVERSE, changed)
        assert guard.write_done(REVERSE, WRITTEN, 9.0) is None
        assert guard.settle(19.0) is REVERSE
        assert guard.checked(changed, 19.0) is None
        assert not guard.is_disputed


def test_the_guard_knows_which_sides_it_has_heard_of() -> None:
    guard = EchoGuard()
    assert not guard.has_seen(FORWARD)
    guard.forward_arrived(b"s1")
    assert guard.has_seen(FORWARD)
    assert not guard.has_seen(REVERSE)
