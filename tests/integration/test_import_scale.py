"""30,000 rows: processor time of plan, apply and reading, with room for a slow machine.

The demands (plan 1.5 s, apply 8 s, 2.5 s more for a workbook) are those of an idle machine; here
only a change of order of magnitude must not go unseen. ``pytest -s`` shows the figures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipes import imports, services, tables
from tests.integration.plants import make_plant

pytestmark = pytest.mark.django_db

ROWS = 30_000
HEADING = (
    "pipe,source_node,target_node,direction,enabled,kind,sampling_interval_ms,deadband.type,"
    "deadband.value,transform.kind,transform.gain,transform.offset,note"
)


@contextmanager
def at_most(seconds: float, what: str) -> Iterator[None]:
    started = time.process_time()
    yield
    taken = time.process_time() - started
    print(f"{what}: {taken:.2f} s of CPU")  # noqa: T201
    # Coverage makes each line cost several times as much.
    assert taken < seconds * (1 if sys.gettrace() is None else 6), what


def table() -> bytes:
    lines = [HEADING]
    for row in range(ROWS):
        source, target = f"nsu=urn:a;s=Area{row % 60}.T{row}", f"nsu=urn:b;s=Area{row % 60}.T{row}"
        rules = "absolute,0.5,linear,2,1" if row % 2 else ",,,,"
        lines.append(f"P,{source},{target},forward,true,state,250,{rules},tag {row}")
    return "\n".join(lines).encode()


def test_thirty_thousand_rows_are_a_matter_of_seconds() -> None:
    make_plant()
    content = table()
    with at_most(4, "plan"):
        assert imports.plan_import(content, "csv").counts["add"] == ROWS
    with at_most(8, "apply"):
        assert imports.apply_import(content, "csv", user="u", reason="").revision == 2
    with at_most(4, "the same again"):
        assert imports.plan_import(content, "csv").counts["same"] == ROWS
    with at_most(3, "one item among them"):
        services.change_item(5, {"note": "x"}, user="u")
    book = imports.export_items("xlsx")
    with at_most(6, "reading a workbook"):
        tables.read_xlsx(book)
    with at_most(8, "restore"):
        services.restore(1, user="u", reason="")
