"""30,000 monitored items at a server that makes them at once: what the product itself takes.

Memory is compared with that of a pipe worker without an item, taken in the same run, and with that
of a Python process that has loaded asyncua and nothing else: the worker without Django and Celery
is this one and what the items add.
"""

from __future__ import annotations

import sys
import time
from typing import Final

from benchmarks.bridges import OURS
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import Child, LoadServer, wait_for, wire_pair
from benchmarks.station import BenchStation, document, running_station
from benchmarks.trial import (
    DIFFERENCES,
    RSS,
    START_SECONDS,
    Figures,
    differences,
    progress,
    settled_rss,
    summary,
    synchronised,
)

ITEMS: Final = 30_000
CREATE: Final = "first to last created s"
CREATE_SECONDS: Final = 0.5
RSS_MB: Final = 220.0
IDLE: Final = "RSS MB without items"
ADDED: Final = "MB that the items add"
BYTES: Final = "bytes per item"
BARE: Final = "RSS MB of Python with asyncua"
#: Of what the items add, and of the whole worker without Django and Celery.
OWN_MB: Final = 100.0
BARE_PROGRAM: Final = "import asyncio, asyncua; print('up', flush=True); input()"


@bench("create", rounds_in_all=2)
def create(options: Options) -> Report:
    with (
        wire_pair(ITEMS) as (source, sink),
        running_station(document(source.url, sink.url, 0)) as station,
    ):
        without = {IDLE: _rss_without_items(station, source, sink), BARE: _bare_rss()}
        station.apply(document(source.url, sink.url, ITEMS))
        runs = []
        for number in range(options.rounds):
            progress(f"create: round {number + 1} of {options.rounds}")
            runs.append(_one_start(station, source, sink))
    return make_report(summary(runs) | without, ITEMS)


def make_report(figures: Figures, items: int) -> Report:
    added = figures[RSS] - figures[IDLE]
    figures = figures | {ADDED: added, BYTES: added * 1e6 / items}
    demands = (
        Demand.at_most("s to create all", CREATE_SECONDS, figures[CREATE]),
        Demand.at_most("RSS MB", RSS_MB, figures[RSS]),
        Demand.at_most("MB that the items add", OWN_MB, added),
        Demand.at_most("RSS MB without Django and Celery", OWN_MB, figures[BARE] + added),
        Demand.at_most("items that differ", 0, figures[DIFFERENCES]),
    )
    return Report("create", "s", {OURS: figures}, demands=demands)


def _rss_without_items(station: BenchStation, source: LoadServer, sink: LoadServer) -> float:
    """Memory of a pipe worker whose pipe has no items, once it is connected to both servers."""

    def are_connected() -> bool | None:
        return all(server.ask("counts")["sessions"] for server in (source, sink)) or None

    with station.pipe_worker() as worker:
        wait_for(station.worker_is_up, START_SECONDS, "the pipe worker answers", worker)
        wait_for(are_connected, START_SECONDS, "both servers are connected", worker)
        return settled_rss(worker)


def _bare_rss() -> float:
    with Child("bare", [sys.executable, "-c", BARE_PROGRAM]) as child:
        wait_for(lambda: child.last_words() or None, START_SECONDS, "Python is up", child)
        return child.rss_mb()


def _one_start(station: BenchStation, source: LoadServer, sink: LoadServer) -> Figures:
    sink.ask("reset", value=-1.0 - time.monotonic())
    source.ask("reset", value=time.monotonic())
    with station.pipe_worker() as worker:
        wait_for(station.worker_is_up, START_SECONDS, "the pipe worker answers", worker)
        up_at, cpu = time.monotonic(), worker.cpu_seconds()
        synced_at = synchronised(worker, sink)
        counts = source.ask("counts")
        return {
            CREATE: counts["created_until"] - counts["created_from"],
            "up to synced s": synced_at - up_at,
            "CPU s, up to synced": worker.cpu_seconds() - cpu,
            RSS: settled_rss(worker),
            DIFFERENCES: float(differences(source, sink)),
        }
