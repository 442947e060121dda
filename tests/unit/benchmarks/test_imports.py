"""The bench of imports: its table is what it says, and it is found."""

from __future__ import annotations

import csv
import io

import pytest

from benchmarks import imports
from benchmarks.report import load_benches


def test_the_bench_is_known() -> None:
    assert "import-30k" in load_benches()


def test_the_table_has_30000_different_rows() -> None:
    rows = list(csv.DictReader(io.StringIO(imports.table().decode())))
    assert len(rows) == imports.ROWS
    assert len({row["source_node"] for row in rows}) == imports.ROWS
    assert {len(row) for row in rows} == {11}


def test_nothing_is_measured_of_a_wrong_plan() -> None:
    imports._expect({"add": 1, "same": 0}, add=1)
    with pytest.raises(SystemExit, match="nothing was measured"):
        imports._expect({"add": 1, "error": 1}, add=2)
