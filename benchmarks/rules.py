"""What a rule costs against the plain copy: a transform, and message security.

Each document has a station of its own; they take turns.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from struct import pack, unpack
from typing import Any, Final

from benchmarks.bridges import Bridge
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import asyncua_pair, wire_pair
from benchmarks.station import NOT_SECURE, SECURE, BenchStation, document, running_station
from benchmarks.trial import ABOVE_IDLE, COST, DIFFERENCES, Figures, Load, in_turns, one_run, ratios
from pipes.pki import Pki

#: Enough values in a publish that they count and not the publish itself.
TRANSFORM_ITEMS: Final = 30_000
TRANSFORM_RATE: Final = 50_000.0
MOST_TIMES_PLAIN: Final = 3.0
GAIN, OFFSET = 2.0, 0.5

#: asyncua servers need most of two cores for more.
ENCRYPT_ITEMS: Final = 10_000
ENCRYPT_RATE: Final = 10_000.0
MOST_TIMES_NONE: Final = 1.5
#: What a worker needs at all is measured too: it is the same with and without a rule.
IDLE_SECONDS: Final = 1.0
TIMES_ABOVE_IDLE: Final = "times above idle"
INT16: Final = "linear, Int16 to Float"

Documents = Mapping[str, dict[str, Any]]


@bench("transform")
def transform(options: Options) -> Report:
    """A linear transform of every Double against the plain copy of it; and of another type."""
    linear = {"transform": {"kind": "linear", "gain": GAIN, "offset": OFFSET}}
    load = Load(TRANSFORM_RATE, options.seconds, idle=IDLE_SECONDS)
    with (
        wire_pair(TRANSFORM_ITEMS) as doubles,
        wire_pair(TRANSFORM_ITEMS, kind="int16s", sink_kind="floats") as numbers,
    ):
        pairs = {"plain": doubles, "linear": doubles, INT16: numbers}
        rules = {"plain": None, "linear": linear, INT16: linear}
        expected = {"plain": None, "linear": scaled, INT16: scaled_int16}
        documents = {
            name: document(source.url, sink.url, TRANSFORM_ITEMS, rules=rules[name])
            for name, (source, sink) in pairs.items()
        }
        with running_stations(documents) as stations:
            results = in_turns(
                _variants(stations),
                options.rounds,
                lambda bridge: one_run(bridge, *pairs[bridge.name], load, expected[bridge.name]),
                "transform",
            )
    return make_report("transform", results, "plain", "linear", MOST_TIMES_PLAIN)


def scaled(state: list[Any]) -> list[Any]:
    """What a sink must say of a Double of which the source says ``state``."""
    variant, *others = state
    (value,) = unpack("<xd", bytes.fromhex(variant))
    return [pack("<Bd", 11, GAIN * value + OFFSET).hex(), *others]


def scaled_int16(state: list[Any]) -> list[Any]:
    """What a sink of Floats must say of an Int16 of which the source says ``state``."""
    variant, *others = state
    (value,) = unpack("<xh", bytes.fromhex(variant))
    return [pack("<Bf", 10, GAIN * value + OFFSET).hex(), *others]


@bench("encrypt")
def encrypt(options: Options) -> Report:
    """SignAndEncrypt on both sides against None, between asyncua servers."""
    with tempfile.TemporaryDirectory(prefix="mirrorsite-bench-pki-") as folder:
        pki = Path(folder)
        with asyncua_pair(ENCRYPT_ITEMS, pki) as (source, sink):
            documents = {
                name: document(source.url, sink.url, ENCRYPT_ITEMS, server=server)
                for name, server in (("None", NOT_SECURE), ("SignAndEncrypt", SECURE))
            }
            load = Load(ENCRYPT_RATE, options.seconds, idle=IDLE_SECONDS)
            with running_stations(documents) as stations:
                for name in ("source", "sink"):
                    certificate = Pki(pki / name).own(f"urn:mirrorsite:bench:{name}").der
                    stations["SignAndEncrypt"].trust(certificate)
                results = in_turns(
                    _variants(stations),
                    options.rounds,
                    lambda variant: one_run(variant, source, sink, load),
                    "encrypt",
                )
    return make_report("encrypt", results, "None", "SignAndEncrypt", MOST_TIMES_NONE)


@contextlib.contextmanager
def running_stations(documents: Documents) -> Iterator[dict[str, BenchStation]]:
    """A station for each document: a change from one to the other of them would take seconds."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(running_station(made)) for name, made in documents.items()}


def _variants(stations: Mapping[str, BenchStation]) -> list[Bridge]:
    """The pipe worker of each station."""
    return [Bridge(name, station.pipe_worker) for name, station in stations.items()]


def make_report(
    name: str, results: Mapping[str, Figures], plain: str, other: str, most: float
) -> Report:
    """Demands are of the whole process; what it is above idle stands among the figures."""
    times = ratios(results, plain)
    above = ratios(results, plain, ABOVE_IDLE)
    results = {
        variant: figures | ({TIMES_ABOVE_IDLE: above[variant]} if variant in above else {})
        for variant, figures in results.items()
    }
    differ = sum(figures[DIFFERENCES] for figures in results.values())
    demands = (
        Demand.at_most(f"times the CPU of {plain}: {other}", most, times[other]),
        Demand.at_most("items that differ", 0, differ),
    )
    return Report(name, COST, results, times, demands)
