from __future__ import annotations

import pytest

from pipes.core.findings import Finding, Severity, in_order, listed


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d", "e"], "a, b, c, d and e"),
        (["a", "b", "c", "d", "e", "f", "g"], "a, b, c, d, e and 2 more"),
    ],
)
def test_a_sentence_lists_a_few_names_and_counts_the_rest(names: list[str], sentence: str) -> None:
    assert listed(names) == sentence


def test_errors_stand_before_warnings_each_as_they_were_found() -> None:
    first, second = Finding(Severity.WARNING, "a", "1"), Finding(Severity.WARNING, "b", "2")
    error = Finding(Severity.ERROR, "c", "3")
    assert in_order([first, error, second]) == [error, first, second]


def test_a_finding_is_the_same_one_however_its_sentence_reads() -> None:
    before = Finding(Severity.ERROR, "loop", "item 1 and item 2", (1, 2))
    after = Finding(Severity.ERROR, "loop", "row 7 and item 1", (2, 1))
    assert before.key == after.key
    assert before.key != Finding(Severity.ERROR, "loop", "item 1", (1,)).key
    assert Finding(Severity.WARNING, "many", "x").key != Finding(Severity.WARNING, "many", "y").key


def test_a_finding_has_the_form_of_the_contract() -> None:
    assert Finding(Severity.ERROR, "loop", "why", (1, 2)).body() == {
        "severity": "error",
        "rule": "loop",
        "message": "why",
        "items": [1, 2],
    }
