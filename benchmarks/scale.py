"""30,000 items between two servers: how long until all are equal, and how much memory it takes.

The clock runs from the moment when the pipe worker answers at its socket. Both servers share the
machine with it and need most of the time: they make 30,000 monitored items and take 30,000 writes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from benchmarks.bridges import OURS
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import LoadServer, asyncua_pair, wait_for
from benchmarks.station import BenchStation, document, running_station
from benchmarks.trial import (
    DIFFERENCES,
    START_SECONDS,
    Figures,
    differences,
    settled_rss,
    summary,
)

ITEMS: Final = 30_000
SYNCED_SECONDS: Final = 6.0
RSS_MB: Final = 220.0
SYNCED: Final = "up to synced s"
RSS: Final = "RSS MB"


@bench("scale-30k", rounds_in_all=2)
def scale_30k(options: Options) -> Report:
    with (
        asyncua_pair(ITEMS) as (source, sink),
        running_station(document(source.url, sink.url, ITEMS)) as station,
    ):
        runs = [one_start(station, source, sink) for _ in range(options.rounds)]
    return make_report(runs)


def make_report(runs: Sequence[Figures]) -> Report:
    figures = summary(runs)
    demands = (
        Demand.at_most("s from up to synced", SYNCED_SECONDS, figures[SYNCED]),
        Demand.at_most("MB of the pipe worker", RSS_MB, figures[RSS]),
        Demand.at_most("items that differ", 0, figures[DIFFERENCES]),
    )
    return Report("scale-30k", "s", {OURS: figures}, demands=demands)


def one_start(station: BenchStation, source: LoadServer, sink: LoadServer) -> Figures:
    """Start the pipe worker, and watch it from outside until every item is written."""
    sink.ask("reset", value=-1.0 - time.monotonic())
    before = source.cpu_seconds(), sink.cpu_seconds()
    with station.pipe_worker() as worker:
        wait_for(station.worker_is_up, START_SECONDS, "the pipe worker answers", worker)
        up_at, up_cpu = time.monotonic(), worker.cpu_seconds()
        counts = wait_for(lambda: _synced(sink), START_SECONDS, "all items are written", worker)
        return {
            "start to up s": up_at - worker.started,
            "up to first write s": counts["first_at"] - up_at,
            SYNCED: counts["synced_at"] - up_at,
            "CPU s, start to up": up_cpu,
            "CPU s, up to synced": worker.cpu_seconds() - up_cpu,
            "CPU s, source": source.cpu_seconds() - before[0],
            "CPU s, sink": sink.cpu_seconds() - before[1],
            RSS: settled_rss(worker),
            DIFFERENCES: float(differences(source, sink)),
        }


def _synced(sink: LoadServer) -> Figures | None:
    counts: Figures = sink.ask("counts")
    return counts if counts["synced_at"] else None
