"""Many connections in one pipe worker: what they cost, and whether they stay as they are.

Servers share two processes, one of sources and one of sinks; each has a port of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.bridges import OURS, ours
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import BenchFailed, Child, LoadServer, wait_for, wire_pair
from benchmarks.station import documents, running_station
from benchmarks.trial import (
    CORE,
    COST,
    DIFFERENCES,
    RSS,
    START_SECONDS,
    Figures,
    Load,
    differences,
    in_turns,
    one_run,
    progress,
    synchronised,
)

PIPES: Final = 25
ITEMS: Final = 1_200
RATE: Final = 30_000.0
MOST_CORE: Final = 20.0

SOAK_PIPES: Final = 50
SOAK_ITEMS: Final = 600
SOAK_RATE: Final = 10_000.0
#: A restart begins so long after the one before, and a server is away for so long, in seconds.
RESTART_EVERY: Final = (2.0, 6.0)
AWAY: Final = (0.2, 4.0)
#: The first part of a soak does not count: tables and arenas have to grow to their size.
SETTLING: Final = 0.2
LOOK_SECONDS: Final = 2.0
SLOPE_SECONDS: Final = 600.0
MOST_SLOPE_MB: Final = 1.0
SLOPE: Final = "MB in 10 min"
SESSIONS: Final = "sessions"
RESTARTS: Final = "restarts"


@bench("connections", rounds_in_all=2)
def connections(options: Options) -> Report:
    """25 pipes, hence 50 sessions, in one process."""
    load = Load(RATE / PIPES, options.seconds)
    with (
        wire_pair(ITEMS, servers=PIPES) as (source, sink),
        running_station(documents(source.urls, sink.urls, ITEMS)) as station,
    ):
        run = lambda bridge: one_run(bridge, source, sink, load)  # noqa: E731
        results = in_turns([ours(station)], options.rounds, run, "connections")
    demands = (
        Demand.at_most("% of a core", MOST_CORE, results[OURS][CORE]),
        Demand.at_most("items that differ", 0, results[OURS][DIFFERENCES]),
    )
    return Report("connections", COST, results, demands=demands)


@bench("soak", in_all=False)
def soak(options: Options) -> Report:
    """50 pipes of 600 items while servers restart at random: nothing grows, nothing is lost."""
    with (
        wire_pair(SOAK_ITEMS, servers=SOAK_PIPES) as (source, sink),
        running_station(documents(source.urls, sink.urls, SOAK_ITEMS)) as station,
        station.pipe_worker() as worker,
    ):
        figures = soaked(worker, source, sink, options)
    return make_report(figures, SOAK_PIPES)


def make_report(figures: Figures, pipes: int) -> Report:
    demands = (
        Demand.at_most("MB of growth in 10 min", MOST_SLOPE_MB, figures[SLOPE]),
        Demand.at_most("sessions too many or too few", 0, abs(figures[SESSIONS] - 2 * pipes)),
        Demand.at_most("items that differ", 0, figures[DIFFERENCES]),
    )
    return Report("soak", "MB", {OURS: figures}, demands=demands)


def soaked(worker: Child, source: LoadServer, sink: LoadServer, options: Options) -> Figures:
    """Restart servers at random for so many minutes; what is left after the last of them.

    All were away once before: what an item remembers of its first outage is no growth.
    """
    chance = random.Random(options.seed)
    pipes = len(source.urls)
    synchronised(worker, sink)
    source.ask("run", rate=SOAK_RATE / pipes)
    for server in (source, sink):
        server.ask("restart", seconds=AWAY[1])
        _settled_sessions(worker, source, sink)
    cpu, began = worker.cpu_seconds(), time.monotonic()
    ends_at, restart_at, told_at = began + options.minutes * 60, began, began
    memory: list[tuple[float, float]] = []
    restarts = 0
    while (now := time.monotonic()) < ends_at:
        if now >= restart_at:
            server = chance.choice((source, sink))
            server.ask("restart", seconds=chance.uniform(*AWAY), server=chance.randrange(pipes))
            restarts += 1
            restart_at = now + chance.uniform(*RESTART_EVERY)
        memory.append((now - began, worker.rss_mb()))
        if now >= told_at:
            progress(f"soak: {now - began:.0f} s, {restarts} restarts, {memory[-1][1]:.1f} MB")
            told_at = now + 30
        time.sleep(LOOK_SECONDS)
    core = (worker.cpu_seconds() - cpu) / (time.monotonic() - began) * 100
    sessions = _settled_sessions(worker, source, sink)
    source.ask("halt")
    return {
        SLOPE: slope(memory[int(len(memory) * SETTLING) :]) * SLOPE_SECONDS,
        RSS: memory[-1][1],
        RESTARTS: restarts,
        SESSIONS: sessions,
        CORE: core,
        DIFFERENCES: float(differences(source, sink)),
    }


def _settled_sessions(worker: Child, source: LoadServer, sink: LoadServer) -> float:
    """Sessions on all servers once they are all connected again, or what they are in the end."""

    def count() -> int:
        return int(sum(server.ask("counts")["sessions"] for server in (source, sink)))

    wanted = len(source.urls) + len(sink.urls)
    try:
        wait_for(lambda: count() == wanted or None, START_SECONDS, "all are connected", worker)
    except BenchFailed as failure:
        progress(str(failure))
    return count()


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The least-squares slope of (x, y) points; 0 for fewer than two."""
    if len(points) < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
