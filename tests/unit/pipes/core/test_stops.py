from __future__ import annotations

from pipes.core.stops import LONGEST_SECONDS, MOST_NAMED, StopReport, Stops


def test_each_edge_is_told_once_and_what_comes_together_is_one_report() -> None:
    stops = Stops()
    for handle in (3, 1, 3):
        stops.note(handle, is_stopped=True)
    stops.note(9, is_stopped=False)
    assert stops.reports(10.0) == [StopReport(is_stop=True, count=2, items=(3, 1))]
    assert stops.current == {1, 3}
    assert stops.reports(10.0) == []

    stops.note(1, is_stopped=False)
    assert stops.reports(10.5) == [], "it gathers for a second"
    assert stops.reports(11.0) == [StopReport(is_stop=False, count=1, items=(1,))]


def test_many_are_counted_and_some_are_named() -> None:
    stops = Stops()
    for handle in range(1000):
        stops.note(handle, is_stopped=True)
    (report,) = stops.reports(1.0)
    assert report.count == 1000
    assert report.items == tuple(range(MOST_NAMED))


def test_an_item_that_is_taken_out_is_no_news() -> None:
    stops = Stops()
    stops.note(1, is_stopped=True)
    stops.forget(1)
    assert stops.reports(1.0) == []
    assert not stops.current


def test_an_item_that_flaps_all_night_makes_few_reports() -> None:
    stops = Stops()
    reports = 0
    for second in range(8 * 3600):
        stops.note(1, is_stopped=bool(second % 2))
        reports += len(stops.reports(float(second)))
    assert reports <= 2 * (8 * 3600 / LONGEST_SECONDS + 10)
