"""A server that stops for six seconds: how soon values are as fresh again as they were.

``stall``: it keeps its connections and neither answers nor publishes. ``restart``: it drops all of
them and refuses new ones. One pipe worker goes through both servers' turns.

Normal is: for half a second 99 of 100 values that are written are younger than 250 ms, or than
twice the p99 before if that is more. The instant when that began is held against the end of the
fault.
"""

from __future__ import annotations

import time
from typing import Final

from benchmarks.bridges import OURS
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import BenchFailed, Child, LoadServer, wire_pair
from benchmarks.station import document, running_station
from benchmarks.trial import (
    BACK,
    DIFFERENCES,
    GROWN,
    P99,
    RSS,
    Figures,
    differences,
    fresh_since,
    highest_rss,
    progress,
    summary,
    synchronised,
    window,
)

ITEMS: Final = 10_000
RATE: Final = 20_000.0
GONE_SECONDS: Final = 6.0
WARM_UP: Final = 2.0
GIVE_UP_SECONDS: Final = 30.0
LEAST_LIMIT_MS: Final = 250.0
MOST_GROWTH_MB: Final = 15.0
STALL_SECONDS: Final = 1.0
#: The server is back up to 3 s, the longest back-off, before it is tried again; then as above.
RESTART_SECONDS: Final = 4.0


@bench("stall", rounds_in_all=2)
def stall(options: Options) -> Report:
    return _report("stall", STALL_SECONDS, options)


@bench("restart", rounds_in_all=2)
def restart(options: Options) -> Report:
    return _report("restart", RESTART_SECONDS, options)


def _report(fault: str, most_seconds: float, options: Options) -> Report:
    runs: dict[str, list[Figures]] = {"source": [], "target": []}
    with (
        wire_pair(ITEMS) as (source, sink),
        running_station(document(source.url, sink.url, ITEMS)) as station,
    ):
        for number in range(options.rounds):
            sink.ask("reset", value=-1.0 - time.monotonic())
            with station.pipe_worker() as worker:
                synchronised(worker, sink)
                for side, server in (("source", source), ("target", sink)):
                    progress(f"{fault}: round {number + 1} of {options.rounds}, {side}")
                    runs[side].append(_through(fault, server, worker, source, sink))
    results = {f"{OURS}, {side}": summary(rounds) for side, rounds in runs.items()}
    return make_report(fault, most_seconds, results)


def make_report(fault: str, most_seconds: float, results: dict[str, Figures]) -> Report:
    demands = [
        demand
        for name, figures in results.items()
        for demand in (
            Demand.at_most(f"s to normal, {name}", most_seconds, figures[BACK]),
            Demand.at_most(f"RSS grown MB, {name}", MOST_GROWTH_MB, figures[GROWN]),
            Demand.at_most(f"items that differ, {name}", 0, figures[DIFFERENCES]),
        )
    ]
    return Report(fault, "s", results, demands=tuple(demands))


def _through(
    fault: str, server: LoadServer, worker: Child, source: LoadServer, sink: LoadServer
) -> Figures:
    """Let values flow, stop one server for a while, watch, compare."""
    source.ask("run", rate=RATE)
    time.sleep(WARM_UP)
    before = window(worker, source, sink, WARM_UP)
    rss = worker.rss_mb()
    server.ask(fault, seconds=GONE_SECONDS)
    ends_at = time.monotonic() + GONE_SECONDS
    highest = highest_rss(worker, GONE_SECONDS)
    sink.ask("latencies")
    since = fresh_since(sink, max(LEAST_LIMIT_MS, 2 * before[P99]), GIVE_UP_SECONDS)
    if since is None:
        raise BenchFailed(f"values are not fresh again within {GIVE_UP_SECONDS:g} s")
    back = since - ends_at
    highest = max(highest, worker.rss_mb())
    source.ask("halt")
    return {
        "p99 ms before": before[P99],
        BACK: max(0.0, back),
        GROWN: highest - rss,
        RSS: highest,
        DIFFERENCES: float(differences(source, sink)),
    }
