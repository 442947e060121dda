"""What it costs to carry values from one server to another: the whole process, under real load.

Ours is the product's pipe worker with everything on, its supervisor beside it. Peers do the same
work in their own way. All take turns between the same two servers, round by round, so that noise
hits all; of the rounds the median counts. What is compared is CPU time per value that the sink
confirmed. After each run value, status and SourceTimestamp of all items must be equal.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks.bridges import OURS, Bridge, all_bridges, skipped_peers
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import BenchFailed, Child, LoadServer, wait_for, wire_pair
from benchmarks.station import document, running_station

Figures = dict[str, float]

COST: Final = "CPU us/value"
DIFFERENCES: Final = "differences"
ITEMS: Final = 10_000
RATE: Final = 10_000.0
START_SECONDS: Final = 90.0
SETTLE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.5
WARM_UP_SECONDS: Final = 2.0
#: A peer and how many times more CPU it must need; the others are there to compare with.
WANTED_RATIOS: Final[Mapping[str, float]] = {"asyncua_batch": 20.0, "node_opcua": 3.0}


@bench("bridge-10k")
def bridge_10k(options: Options) -> Report:
    """10,000 items, 10,000 changes a second, publishing every 100 ms."""
    with (
        wire_pair(ITEMS) as (source, sink),
        running_station(document(source.url, sink.url, ITEMS)) as station,
    ):
        bridges = all_bridges(station, source, sink, ITEMS)
        runs: dict[str, list[Figures]] = {bridge.name: [] for bridge in bridges}
        for _ in range(options.rounds):
            for bridge in bridges:
                runs[bridge.name].append(one_run(bridge, source, sink, RATE, options.seconds))
    return make_report(runs, skipped_peers())


def make_report(runs: Mapping[str, Sequence[Figures]], skipped: tuple[str, ...]) -> Report:
    results = {name: summary(rounds) for name, rounds in runs.items()}
    ratios = {
        name: round(figures[COST] / results[OURS][COST], 2)
        for name, figures in results.items()
        if name != OURS
    }
    demands = [
        Demand.at_least(f"times the CPU of ours: {name}", least, ratios[name])
        for name, least in WANTED_RATIOS.items()
        if name in ratios
    ]
    demands.append(Demand.at_most("items that differ, ours", 0, results[OURS][DIFFERENCES]))
    theirs = sum(figures[DIFFERENCES] for name, figures in results.items() if name != OURS)
    if theirs:
        demands.append(Demand.at_most("items that differ, peers", 0, theirs))
    return Report("bridge-10k", COST, results, ratios, tuple(demands), skipped)


def summary(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure; of the differences the worst."""
    figures = {name: median(each[name] for each in rounds) for name in rounds[0]}
    return figures | {DIFFERENCES: max(each[DIFFERENCES] for each in rounds)}


def one_run(
    bridge: Bridge, source: LoadServer, sink: LoadServer, rate: float, seconds: float
) -> Figures:
    """Start the bridge, let it synchronise, measure it under load, compare, end it."""
    sink.ask("reset", value=-1.0 - time.monotonic())
    with bridge.start() as child:
        synced_at = wait_for(
            lambda: sink.ask("counts")["synced_at"], START_SECONDS, "all items are written", child
        )
        source.ask("run", rate=rate)
        time.sleep(WARM_UP_SECONDS)
        figures = window(child, sink, seconds)
        offered = source.ask("halt")
        return {
            **figures,
            "offered/s": offered["changes"] / offered["seconds"],
            "start to synced s": synced_at - child.started,
            DIFFERENCES: float(differences(source, sink)),
            "RSS MB": child.rss_mb(),
        }


def window(child: Child, sink: LoadServer, seconds: float) -> Figures:
    """What the bridge needs while values flow for so many seconds."""
    sink.ask("latencies")
    began, cpu, writes = time.monotonic(), child.cpu_seconds(), sink.ask("counts")["writes"]
    time.sleep(seconds)
    done = sink.ask("counts")["writes"] - writes
    used, lasted = child.cpu_seconds() - cpu, time.monotonic() - began
    if not done:
        raise BenchFailed(f"{child.name} wrote nothing in {seconds:g} s:\n{child.last_words()}")
    latencies = sorted(sink.ask("latencies"))
    return {
        COST: used / done * 1e6,
        "confirmed/s": done / lasted,
        "core %": used / lasted * 100,
        "p50 ms": latencies[len(latencies) // 2],
        "p99 ms": latencies[len(latencies) * 99 // 100],
    }


def differences(source: LoadServer, sink: LoadServer) -> int:
    """How many items differ once both sides had time to become equal."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while count := count_differences(source.ask("state"), sink.ask("state")):
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return count


def count_differences(source: Iterable[object], sink: Iterable[object]) -> int:
    return sum(one != other for one, other in zip(source, sink, strict=True))
