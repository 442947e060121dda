"""Everything at once: whatever was disturbed, all targets equal their sources afterwards.

Full size: ``MIRRORSITE_TEST_ITEMS=10000 MIRRORSITE_TEST_SECONDS=60``.
"""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
import time
from collections.abc import Callable

import openpyxl
import psutil
import pytest

from tests.scenarios.plants import Plant, node_id
from tests.scenarios.stations import Station, server_body
from tests.scenarios.waiting import eventually

ITEMS = int(os.environ.get("MIRRORSITE_TEST_ITEMS", "2000"))
SECONDS = float(os.environ.get("MIRRORSITE_TEST_SECONDS", "10"))
#: Looking alone takes seconds with 10,000 items: both servers show all of them.
EQUAL_WITHIN = 15.0 + ITEMS / 200
TAGS = [f"T{index:06}" for index in range(ITEMS)]


ITEM_ROWS = [
    {"pipe": f"P{1 + index % 2}", "source_node": node_id(tag), "target_node": node_id(tag)}
    for index, tag in enumerate(TAGS)
]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def workbook() -> bytes:
    """All items as a spreadsheet program saves them: one sheet, a header, a row for each."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("items")
    sheet.append(list(ITEM_ROWS[0]))
    for row in ITEM_ROWS:
        sheet.append(list(row.values()))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


class Bench:
    def __init__(self, station: Station, source: Plant, target: Plant) -> None:
        self.station = station
        self.source = source
        self.target = target
        self.step = 0.0
        self.changes = 0

    def configure(self, items: list[dict[str, str]]) -> None:
        """Servers, pipes and ``items`` by one call."""
        self.station.put_configuration(
            {
                "servers": [server_body("SRC", self.source), server_body("TGT", self.target)],
                "pipes": [{"name": p, "source": "SRC", "target": "TGT"} for p in ("P1", "P2")],
                "items": items,
            }
        )

    def change(self) -> None:
        """Give every item a new value, in ten pieces."""
        self.step += 1.0
        for first in range(0, ITEMS, max(ITEMS // 10, 1)):
            piece = TAGS[first : first + max(ITEMS // 10, 1)]
            self.source.set_many({tag: self.step + int(tag[1:]) * 1e-6 for tag in piece})
        self.changes += ITEMS

    def change_for(self, seconds: float, *, meanwhile: Callable[[], object] = bool) -> None:
        """Change all values again and again, at most twice a second."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            due = time.monotonic() + 0.5
            self.change()
            meanwhile()
            eventually(lambda due=due: time.monotonic() >= due, within=5)

    def differ(self) -> int:
        source, target = self.source.values(TAGS), self.target.values(TAGS)
        return sum(source[tag] != target[tag] for tag in TAGS)

    def becomes_equal(self, *, within: float = EQUAL_WITHIN) -> float:
        """Wait until every target has the value of its source; the seconds that took."""
        began = time.monotonic()
        eventually(lambda: self.differ() == 0, within=within, what="all equal", every=0.3)
        return round(time.monotonic() - began, 1)

    def end_redis(self) -> None:
        for process in self.station.processes("redis.sock"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def command_works(self) -> bool:
        answer = self.station.api("POST", "/servers/SRC/test", {}, timeout=20)
        return answer.status == 200 and bool(answer.json["ok"])


@pytest.mark.timeout(300 + SECONDS * 3 + ITEMS / 20)
def test_everything_at_once_and_all_targets_equal_their_sources(
    make_station, make_plant, record_property
):
    source, target = make_plant("node", items=ITEMS), make_plant(items=ITEMS)
    bench = Bench(make_station(), source, target)
    station = bench.station
    bench.configure(ITEM_ROWS)
    record_property("first_equal_s", bench.becomes_equal(within=60))

    bench.change_for(SECONDS)
    record_property("equal_after_changes_s", bench.becomes_equal())

    source.restart()
    bench.change()
    record_property("equal_after_source_restart_s", bench.becomes_equal())
    target.restart()
    record_property("equal_after_target_restart_s", bench.becomes_equal())

    bench.change()
    station.role("pipes", 1).kill()
    record_property("equal_after_worker_kill_s", bench.becomes_equal())

    # Now together: database locked, Redis dead, and in the midst of it a killed worker and both
    # servers restarted.
    lock = sqlite3.connect(station.data_dir / "db.sqlite3", isolation_level=None, timeout=30)
    lock.execute("BEGIN EXCLUSIVE")
    locked = time.monotonic()
    try:
        bench.change_for(max(SECONDS / 2, 5), meanwhile=bench.end_redis)
        station.role("pipes", 2).kill()
        bench.change_for(3, meanwhile=bench.end_redis)
        target.restart()
        bench.end_redis()
        source.restart()
        bench.change_for(3, meanwhile=bench.end_redis)
        bench.end_redis()
        record_property("equal_amid_everything_s", bench.becomes_equal())
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    assert time.monotonic() - locked >= 10
    eventually(bench.command_works, within=60, what="commands work again", every=0.5)
    item = station.get("/items?limit=1")["results"][0]["id"]
    assert station.api("PATCH", f"/items/{item}", {"note": "afterwards"}).status == 200
    bench.change()
    record_property("equal_in_the_end_s", bench.becomes_equal())
    record_property("values_changed", bench.changes)


@pytest.mark.timeout(180 + SECONDS + ITEMS / 40)
def test_c06_one_workbook_maps_all_items_and_all_targets_equal_their_sources(
    make_station, make_plant, record_property
):
    source, target = make_plant(items=ITEMS), make_plant("node", items=ITEMS)
    bench = Bench(make_station(), source, target)
    bench.configure([])
    answer = bench.station.api(
        "POST", "/items/import?format=xlsx&mode=merge", workbook(), timeout=60, Content_Type=XLSX
    )
    assert answer.status == 200, answer.raw[:1000]
    assert answer.json["counts"]["add"] == ITEMS
    record_property("first_equal_s", bench.becomes_equal(within=60))

    bench.change_for(SECONDS)
    record_property("equal_after_changes_s", bench.becomes_equal())
    source.restart()
    bench.change()
    record_property("equal_after_source_restart_s", bench.becomes_equal())
    target.restart()
    record_property("equal_after_target_restart_s", bench.becomes_equal())
