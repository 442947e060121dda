from __future__ import annotations

from pipes.core.losses import QUIET_SECONDS, Cause, Losses, Report


def test_a_loss_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    losses = Losses()
    for handle, number in ((7, b"1"), (7, b"2"), (8, b"3")):
        losses.record(Cause.COUNT, handle, number, 0.0)

    assert list(losses.reports(0.2)) == [Report(Cause.COUNT, 3, 2, 7, b"1", is_over=False)]
    losses.record(Cause.COUNT, 9, b"4", 5.0)
    assert list(losses.reports(QUIET_SECONDS)) == []
    over = Report(Cause.COUNT, 4, 3, 7, b"1", is_over=True)
    assert list(losses.reports(5.0 + QUIET_SECONDS)) == [over]
    assert list(losses.reports(99.0)) == []

    losses.record(Cause.COUNT, 7, b"5", 100.0)
    assert [report.count for report in losses.reports(100.0)] == [1]
    assert losses.total == 5


def test_a_loss_is_told_before_it_is_over_however_late_anybody_looks() -> None:
    losses = Losses()
    losses.record(Cause.AGE, 7, None, 0.0)

    assert [report.is_over for report in losses.reports(99.0)] == [False]
    assert [report.is_over for report in losses.reports(99.0)] == [True]


def test_each_cause_is_told_by_itself() -> None:
    losses = Losses()
    losses.record(Cause.AGE, 7, None, 0.0)
    losses.record(Cause.SOURCE, 7, None, 0.0)

    assert {report.cause for report in losses.reports(0.0)} == {Cause.AGE, Cause.SOURCE}
    assert losses.counts == {Cause.AGE: 1, Cause.SOURCE: 1}
    assert losses.total == 1, "what the source's server lost was never here"


def test_what_is_not_told_is_counted_all_the_same() -> None:
    losses = Losses()
    losses.record(Cause.COUNT, 7, None, 0.0, is_told=False)

    assert list(losses.reports(0.0)) == []
    assert losses.total == 1
