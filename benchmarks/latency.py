"""How long a value is on its way, and how many a long line carries."""

from __future__ import annotations

from typing import Final

from benchmarks.bridges import OURS, ours
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import long_line, wire_pair
from benchmarks.station import document, running_station
from benchmarks.trial import CONFIRMED, COST, DIFFERENCES, P99, Figures, Load, in_turns, one_run

ITEMS: Final = 10_000
#: So many that an item has changed again only after its write is answered.
LINE_ITEMS: Final = 30_000
RATE: Final = 10_000.0
#: Publishing interval in ms, and the longest that 99 of 100 values may take in ms.
INTERVALS: Final = {100: 115.0, 10: 15.0}
#: Round trips to the target in ms.
ROUND_TRIPS: Final = (20, 100)
LINE_RATE: Final = 100_000.0
LEAST_CARRIED: Final = 0.95
#: A window of writes grows by one a round trip.
LINE_WARM_UP: Final = 6.0
OFFERED: Final = "offered/s"


@bench("latency")
def latency(options: Options) -> Report:
    """10,000 changes a second, published every 100 ms and every 10 ms."""
    results = {}
    demands = []
    for interval, most in INTERVALS.items():
        name = f"{OURS}, {interval} ms"
        results[name] = _published_every(interval, options)
        demands.append(Demand.at_most(f"p99 ms at {interval} ms", most, results[name][P99]))
    return _report("latency", results, demands)


def _published_every(interval: int, options: Options) -> Figures:
    with (
        wire_pair(ITEMS) as (source, sink),
        running_station(document(source.url, sink.url, ITEMS, publishing_ms=interval)) as station,
    ):
        return in_turns(
            [ours(station)],
            options.rounds,
            lambda bridge: one_run(bridge, source, sink, Load(RATE, options.seconds)),
            f"latency, {interval} ms",
        )[OURS]


@bench("rtt", rounds_in_all=2)
def rtt(options: Options) -> Report:
    """100,000 changes a second to a target at the end of a long line."""
    results = {}
    demands = []
    for milliseconds in ROUND_TRIPS:
        name = f"{OURS}, {milliseconds} ms"
        results[name] = figures = _over_a_line(milliseconds / 1000, options)
        demands.append(
            Demand.at_least(
                f"part of what is offered, {milliseconds} ms",
                LEAST_CARRIED,
                figures[CONFIRMED] / figures[OFFERED],
            )
        )
    return _report("rtt", results, demands)


def _over_a_line(round_trip: float, options: Options) -> Figures:
    load = Load(LINE_RATE, options.seconds, warm_up=LINE_WARM_UP)
    with (
        wire_pair(LINE_ITEMS) as (source, sink),
        long_line(sink, round_trip) as url,
        running_station(document(source.url, url, LINE_ITEMS)) as station,
    ):
        return in_turns(
            [ours(station)],
            options.rounds,
            lambda bridge: one_run(bridge, source, sink, load),
            f"rtt, {round_trip:g} s",
        )[OURS]


def _report(name: str, results: dict[str, Figures], demands: list[Demand]) -> Report:
    differ = sum(figures[DIFFERENCES] for figures in results.values())
    demands.append(Demand.at_most("items that differ", 0, differ))
    return Report(name, COST, results, demands=tuple(demands))
