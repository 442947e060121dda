from __future__ import annotations

import pytest

from diagnostics.core.export import csv_row, safe_cell


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_that_would_be_a_formula_gets_an_apostrophe(begin: str) -> None:
    assert safe_cell(f"{begin}HYPERLINK(1)") == f"'{begin}HYPERLINK(1)"


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-1.5, -1.5), (3, 3), (True, "true"), (False, "false"), (None, ""), ("a", "a")],
)
def test_numbers_stay_numbers_and_nothing_is_empty(value: object, cell: object) -> None:
    assert safe_cell(value) == cell


def test_a_row_quotes_what_would_break_it() -> None:
    assert csv_row(["a,b", 'say "no"', "two\nlines", 1]) == '"a,b","say ""no""","two\nlines",1\r\n'
