"""What it costs to carry values from one server to another: the whole process, under real load.

Ours is the product's pipe worker with everything on, its supervisor beside it. Peers do the same
work in their own way. All take turns between the same two servers, round by round, so that noise
hits all; of the rounds the median counts. What is compared is CPU time per value that the sink
confirmed. After each run value, status and SourceTimestamp of all items must be equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks.bridges import OURS, all_bridges, skipped_peers
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import wire_pair
from benchmarks.station import document, running_station
from benchmarks.trial import (
    BACK,
    CONFIRMED,
    COST,
    DIFFERENCES,
    GROWN,
    P99,
    Figures,
    Load,
    in_turns,
    one_run,
    ratios,
)

#: The longest that 99 of 100 values take when 100 ms pass between two publishes.
P99_MS: Final = 115.0
MOST_GROWTH_MB: Final = 15.0
#: After a slow target is quick again; normal is `benchmarks.trial.NORMAL_MS`.
NORMAL_SECONDS: Final = 1.0
SLOW_SECONDS_PER_VALUE: Final = 50e-6

Results = Mapping[str, Figures]


@bench("bridge-10k")
def bridge_10k(options: Options) -> Report:
    """10,000 items, 10,000 changes a second, publishing every 100 ms."""
    results = compare("bridge-10k", 10_000, Load(10_000.0, options.seconds), options.rounds)
    demands = [
        *dearer(results, {"asyncua_batch": 25.0, "asyncua_tuned": 12.0, "node_opcua": 4.0}),
        Demand.at_most("p99 ms, ours", P99_MS, results[OURS][P99]),
    ]
    return make_report("bridge-10k", results, demands)


@bench("bridge-saturate")
def bridge_saturate(options: Options) -> Report:
    """30,000 items and more changes than any of them is offered time for."""
    load = Load(300_000.0, options.seconds, warm_up=3.0)
    results = compare("bridge-saturate", 30_000, load, options.rounds, without="asyncua_tuned")
    more = results[OURS][CONFIRMED] / results["asyncua_batch"][CONFIRMED]
    demands = [
        *dearer(results, {"asyncua_batch": 30.0, "node_opcua": 5.0}),
        Demand.at_least("times confirmed/s of asyncua_batch", 10.0, more),
    ]
    return make_report("bridge-saturate", results, demands)


@bench("mixed")
def mixed(options: Options) -> Report:
    """Five types in turn, one change in a hundred Uncertain: nothing may be lost of any."""
    load = Load(30_000.0, options.seconds)
    results = compare("mixed", 30_000, load, options.rounds, kind="mixed", without="asyncua_tuned")
    return make_report(
        "mixed", results, [*dearer(results, {"asyncua_batch": 15.0, "node_opcua": 2.5})]
    )


@bench("overload")
def overload(options: Options) -> Report:
    """A target that takes a fifth of what changes: fresh values, bounded memory, no difference."""
    load = Load(100_000.0, options.seconds, warm_up=3.0, delay=SLOW_SECONDS_PER_VALUE)
    results = compare("overload", 10_000, load, options.rounds, without="asyncua_batch")
    quickest = min(figures[P99] for name, figures in results.items() if name != OURS)
    demands = [
        Demand.at_most("RSS grown MB, ours", MOST_GROWTH_MB, results[OURS][GROWN]),
        Demand.at_most("s to normal, ours", NORMAL_SECONDS, results[OURS][BACK]),
        Demand.at_most("p99, times that of the best peer", 1.5, results[OURS][P99] / quickest),
    ]
    return make_report("overload", results, demands)


def compare(
    title: str,
    items: int,
    load: Load,
    rounds: int,
    *,
    kind: str = "doubles",
    without: str = "",
) -> dict[str, Figures]:
    """Figures of ours and of all peers that are installed, taken in turns.

    ``without`` is a peer of which nothing is demanded here: the other one of asyncua stands for
    both, and the time of all benches is bounded.
    """
    with (
        wire_pair(items, kind=kind) as (source, sink),
        running_station(document(source.url, sink.url, items)) as station,
    ):
        bridges = [
            bridge for bridge in all_bridges(station, source, sink, items) if bridge.name != without
        ]
        return in_turns(bridges, rounds, lambda bridge: one_run(bridge, source, sink, load), title)


def dearer(results: Results, wanted: Mapping[str, float]) -> Iterator[Demand]:
    """How many times more CPU a peer must need; the others are there to compare with."""
    found = ratios(results, OURS)
    for name, least in wanted.items():
        if name in found:
            yield Demand.at_least(f"times the CPU of ours: {name}", least, found[name])


def make_report(name: str, results: Results, demands: list[Demand]) -> Report:
    demands.append(Demand.at_most("items that differ, ours", 0, results[OURS][DIFFERENCES]))
    theirs = sum(figures[DIFFERENCES] for peer, figures in results.items() if peer != OURS)
    if theirs:
        demands.append(Demand.at_most("items that differ, peers", 0, theirs))
    return Report(name, COST, results, ratios(results, OURS), tuple(demands), skipped_peers())
