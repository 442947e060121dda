"""30,000 monitored items at a server that makes them at once: what the product itself takes."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.bridges import OURS
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import LoadServer, wait_for, wire_pair
from benchmarks.station import BenchStation, document, running_station
from benchmarks.trial import (
    DIFFERENCES,
    RSS,
    START_SECONDS,
    Figures,
    differences,
    progress,
    summary,
    synchronised,
)

ITEMS: Final = 30_000
CREATE: Final = "first to last created s"
CREATE_SECONDS: Final = 0.5
#: With Django and Celery, which are 60 to 70 of it.
RSS_MB: Final = 220.0


@bench("create")
def create(options: Options) -> Report:
    with (
        wire_pair(ITEMS) as (source, sink),
        running_station(document(source.url, sink.url, ITEMS)) as station,
    ):
        runs = []
        for number in range(options.rounds):
            progress(f"create: round {number + 1} of {options.rounds}")
            runs.append(_one_start(station, source, sink))
    figures = summary(runs)
    demands = (
        Demand.at_most("s to create all", CREATE_SECONDS, figures[CREATE]),
        Demand.at_most("RSS MB", RSS_MB, figures[RSS]),
        Demand.at_most("items that differ", 0, figures[DIFFERENCES]),
    )
    return Report("create", "s", {OURS: figures}, demands=demands)


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
            RSS: worker.rss_mb(),
            DIFFERENCES: float(differences(source, sink)),
        }
