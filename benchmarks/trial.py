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
#: Seen in a window.
HIGHEST: Final = "RSS MB, highest"
DIFFERENCES: Final = "differences"
START_SECONDS: Final = 90.0
SETTLE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 0.25

GROWN: Final = "RSS grown MB"
BACK: Final = "normal again after s"
#: What a process needs for each value on top of what it needs while nothing changes.
ABOVE_IDLE: Final = "CPU us/value above idle"
#: Normal again after overload: 99 of 100 values younger than this; publishing takes 100 of it.
NORMAL_MS: Final = 150.0
FRESH_LOOK_SECONDS: Final = 0.1
#: So many looks in a row must find it normal.
FRESH_LOOKS: Final = 5
#: How long to look for normal once a slow sink is quick again; who needs more, has this figure.
GIVE_UP_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """So many changes a second; what is measured begins after ``warm_up`` seconds."""

    rate: float
    seconds: float
    warm_up: float = 2.0
    #: Slow down each written value at the sink while values flow, in seconds.
    delay: float = 0.0
    #: Measure first for so many seconds what the process needs while nothing changes.
    idle: float = 0.0


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
        idle = idle_share(child, load.idle) if load.idle else 0.0
        before = child.rss_mb()
        source.ask("run", rate=load.rate)
        if load.delay:
            sink.ask("slow", seconds=load.delay)
        highest = highest_rss(child, load.warm_up)
        figures = window(child, source, sink, load.seconds)
        if load.idle:
            figures["idle core %"] = idle * 100
            figures[ABOVE_IDLE] = figures[COST] - idle / figures[CONFIRMED] * 1e6
        if load.delay:
            figures[BACK] = quick_again(sink)
        offered = source.ask("halt")
        highest = max(highest, figures.pop(HIGHEST), child.rss_mb())
        return {
            **figures,
            "offered/s": offered["changes"] / offered["seconds"],
            "start to synced s": synced_at - child.started,
            DIFFERENCES: float(differences(source, sink, expected)),
            RSS: child.rss_mb(),
            GROWN: highest - before,
        }


def idle_share(child: Child, seconds: float) -> float:
    """The share of a core that the process needs while nothing changes."""
    began, cpu = time.monotonic(), child.cpu_seconds()
    time.sleep(seconds)
    return (child.cpu_seconds() - cpu) / (time.monotonic() - began)


def highest_rss(child: Child, seconds: float) -> float:
    """Watch a process for so long; the most memory that it had, in MB."""
    ends_at = time.monotonic() + seconds
    highest = child.rss_mb()
    while (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))
        highest = max(highest, child.rss_mb())
    return highest


def settled_rss(child: Child) -> float:
    """Memory once a start is over: the median of a few looks, in MB."""
    looks = []
    for _ in range(5):
        time.sleep(0.2)
        looks.append(child.rss_mb())
    return median(looks)


def quick_again(sink: LoadServer) -> float:
    """Let a slow sink be quick while values flow; seconds until values are fresh."""
    sink.ask("slow", seconds=0.0)
    sink.ask("latencies")
    began = time.monotonic()
    since = fresh_since(sink, NORMAL_MS, GIVE_UP_SECONDS)
    return GIVE_UP_SECONDS if since is None else max(0.0, since - began)


def fresh_since(sink: LoadServer, limit_ms: float, give_up: float) -> float | None:
    """The instant from which 99 of 100 values that are written are younger than the limit.

    None if there is none within ``give_up`` seconds.
    """
    ends_at = time.monotonic() + give_up
    since, looks = 0.0, 0
    while looks < FRESH_LOOKS:
        now = time.monotonic()
        if not looks and now > ends_at:
            return None
        time.sleep(FRESH_LOOK_SECONDS)
        ages = sink.ask("latencies")
        if ages and of_hundred(ages) > limit_ms:
            looks = 0
        elif ages:
            since = since if looks else now
            looks += 1
    return since


def synchronised(child: Child, sink: LoadServer) -> float:
    """Wait until no item is unwritten; the monotonic instant when that was so."""
    look = lambda: sink.ask("counts")["synced_at"]  # noqa: E731
    instant: float = wait_for(look, START_SECONDS, "all items are written", child)
    return instant


def window(child: Child, source: LoadServer, sink: LoadServer, seconds: float) -> Figures:
    """What the bridge needs while values flow for so many seconds."""
    sink.ask("latencies")
    began, cpu = time.monotonic(), child.cpu_seconds()
    servers = {"source": source, "sink": sink}
    theirs = {name: server.cpu_seconds() for name, server in servers.items()}
    writes, published = sink.ask("counts")["writes"], source.ask("counts").get("publishes", 0)
    highest = highest_rss(child, seconds)
    done = sink.ask("counts")["writes"] - writes
    used, lasted = child.cpu_seconds() - cpu, time.monotonic() - began
    if not done:
        raise BenchFailed(f"{child.name} wrote nothing in {seconds:g} s:\n{child.last_words()}")
    figures = {COST: used / done * 1e6, CONFIRMED: done / lasted, CORE: used / lasted * 100}
    cycles = source.ask("counts").get("publishes", 0) - published
    if cycles:
        figures["CPU us/publish"] = used / cycles * 1e6
    latencies = sink.ask("latencies") or [0.0]
    figures[P50], figures[P99] = of_hundred(latencies, 50), of_hundred(latencies)
    for name, server in servers.items():
        figures[f"{name}: CPU us/value"] = (server.cpu_seconds() - theirs[name]) / done * 1e6
    return figures | {HIGHEST: highest}


def of_hundred(latencies: Sequence[float], count: int = 99) -> float:
    """What so many of a hundred do not exceed."""
    return sorted(latencies)[len(latencies) * count // 100]


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
