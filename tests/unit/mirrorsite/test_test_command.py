from __future__ import annotations

import pytest

from mirrorsite.management.commands.test import IN_PARALLEL, runs, verdict


def test_browser_tests_run_first_and_by_themselves() -> None:
    assert runs(["-k", "pending"], has_browser_tests=True) == [
        (["-k", "pending", "tests/browser"], True),
        ([*IN_PARALLEL, "-k", "pending", "tests", "--ignore=tests/browser"], False),
    ]


def test_without_browser_tests_there_is_one_run() -> None:
    assert runs([], has_browser_tests=False) == [
        ([*IN_PARALLEL, "tests", "--ignore=tests/browser"], False)
    ]


def test_named_paths_run_where_they_belong() -> None:
    words = ["tests/unit", "tests/browser", "-x"]

    assert runs(words, has_browser_tests=True) == [
        (["-x", "tests/browser"], True),
        (["-x", "tests/unit", "--ignore=tests/browser"], False),
    ]


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        pytest.param([0, 0], 0, id="both pass"),
        pytest.param([1, 0], 1, id="the browser run fails"),
        pytest.param([0, 2], 2, id="the rest fails"),
        pytest.param([5, 0], 0, id="no browser test was selected"),
        pytest.param([5, 5], 5, id="nothing was selected"),
    ],
)
def test_the_whole_fails_if_either_fails(statuses: list[int], status: int) -> None:
    assert verdict(statuses) == status
