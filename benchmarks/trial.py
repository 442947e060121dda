"""One bridge between one source and one sink: start it, load it, measure it, compare both sides."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from benchmarks.bridges import Bridge
from benchmarks.rig import BenchFailed, Child, LoadServer, wait_for

Figures = dict[str, float]

COST: Final = "CPU us/value"
CONFIRMED: Final = "confirmed/s"
CORE: Final = "core %"
P50: Final = "p50 ms"
P99: Final = "p99 ms"
RSS: Final = "RSS MB"
DIFFERENCES: Final = "differences"
START_SECONDS: Final = 90.0
SETTLE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Load:
    """So many changes a second; what is measured begins after ``warm_up`` seconds."""

    rate: float
    seconds: float
    warm_up: float = 2.0
    #: Slow down each written value at the sink while values flow, in seconds.
    delay: float = 0.0


def progress(text: str) -> None:
    """Tell the person who waits what is going on."""
    print(text, file=sys.stderr, flush=True)


def in_turns(
    bridges: Sequence[Bridge],
    rounds: int,
    run: Callable[[Bridge], Figures],
    title: str,
) -> dict[str, Figures]:
    """Run the bridges round by round, so that noise hits all; the median of their figures."""
    runs: dict[str, list[Figures]] = {bridge.name: [] for bridge in bridges}
    for number in range(rounds):
        for bridge in bridges:
            progress(f"{title}: round {number + 1} of {rounds}, {bridge.name}")
            runs[bridge.name].append(run(bridge))
    return {name: summary(taken) for name, taken in runs.items()}


def summary(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure; of the differences the worst."""
    figures = {name: median(each[name] for each in rounds) for name in rounds[0]}
    return figures | {DIFFERENCES: max(each[DIFFERENCES] for each in rounds)}


def one_run(
    bridge: Bridge,
    source: LoadServer,
    sink: LoadServer,
    load: Load,
    expected: Callable[[Any], Any] | None = None,
) -> Figures:
    """Start the bridge, let it synchronise, measure it under load, compare, end it.

    ``expected`` is what the sink should say of an item of which the source says something else.
    """
    sink.ask("reset", value=-1.0 - time.monotonic())
    with bridge.start() as child:
        synced_at = synchronised(child, sink)
        source.ask("run", rate=load.rate)
        if load.delay:
            sink.ask("slow", seconds=load.delay)
        before = child.rss_mb()
        time.sleep(load.warm_up)
        figures = window(child, source, sink, load.seconds)
        offered = source.ask("halt")
        grown = child.rss_mb() - before
        if load.delay:
            sink.ask("slow", seconds=0.0)
        return {
            **figures,
            "offered/s": offered["changes"] / offered["seconds"],
            "start to synced s": synced_at - child.started,
            DIFFERENCES: float(differences(source, sink, expected)),
            RSS: child.rss_mb(),
            "RSS grown MB": grown,
        }


def synchronised(child: Child, sink: LoadServer) -> float:
    """Wait until no item is unwritten; the monotonic instant when that was so."""
    look = lambda: sink.ask("counts")["synced_at"]  # noqa: E731
    instant: float = wait_for(look, START_SECONDS, "all items are written", child)
    return instant


def window(child: Child, source: LoadServer, sink: LoadServer, seconds: float) -> Figures:
    """What the bridge needs while values flow for so many seconds."""
    sink.ask("latencies")
    began, cpu = time.monotonic(), child.cpu_seconds()
    writes, published = sink.ask("counts")["writes"], source.ask("counts").get("publishes", 0)
    time.sleep(seconds)
    done = sink.ask("counts")["writes"] - writes
    used, lasted = child.cpu_seconds() - cpu, time.monotonic() - began
    if not done:
        raise BenchFailed(f"{child.name} wrote nothing in {seconds:g} s:\n{child.last_words()}")
    figures = {COST: used / done * 1e6, CONFIRMED: done / lasted, CORE: used / lasted * 100}
    cycles = source.ask("counts").get("publishes", 0) - published
    if cycles:
        figures["CPU us/publish"] = used / cycles * 1e6
    latencies = sorted(sink.ask("latencies")) or [0.0]
    figures[P50] = latencies[len(latencies) // 2]
    figures[P99] = latencies[len(latencies) * 99 // 100]
    return figures


def differences(
    source: LoadServer, sink: LoadServer, expected: Callable[[Any], Any] | None = None
) -> int:
    """How many items differ once both sides had time to become equal."""
    deadline = time.monotonic() + SETTLE_SECONDS
    wanted = source.ask("state")
    if expected is not None:
        wanted = list(map(expected, wanted))
    while count := count_differences(wanted, sink.ask("state")):
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return count


def count_differences(source: Iterable[object], sink: Iterable[object]) -> int:
    return sum(one != other for one, other in zip(source, sink, strict=True))


def ratios(results: Mapping[str, Figures], ours: str, figure: str = COST) -> dict[str, float]:
    """How many times our figure each of the others has."""
    return {
        name: round(figures[figure] / results[ours][figure], 2)
        for name, figures in results.items()
        if name != ours
    }
