"""What a rule costs against the plain copy: a transform, and message security.

Both documents take turns on one station between the same two servers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import pack, unpack
from typing import Any, Final

from benchmarks.bridges import Bridge, ours
from benchmarks.report import Demand, Options, Report, bench
from benchmarks.rig import Child, asyncua_pair, wire_pair
from benchmarks.station import NOT_SECURE, SECURE, BenchStation, document, running_station
from benchmarks.trial import COST, DIFFERENCES, Figures, Load, in_turns, one_run
from pipes.pki import Pki

#: Enough values in a publish that they count and not the publish itself.
TRANSFORM_ITEMS: Final = 30_000
TRANSFORM_RATE: Final = 50_000.0
MOST_TIMES_PLAIN: Final = 3.0
GAIN, OFFSET = 2.0, 0.5

#: asyncua servers need most of two cores for more.
ENCRYPT_ITEMS: Final = 5_000
ENCRYPT_RATE: Final = 5_000.0
MOST_TIMES_NONE: Final = 1.5

Documents = Mapping[str, dict[str, Any]]


@bench("transform")
def transform(options: Options) -> Report:
    """A linear transform of every Double against the plain copy of it."""
    with wire_pair(TRANSFORM_ITEMS) as (source, sink):
        linear = {"transform": {"kind": "linear", "gain": GAIN, "offset": OFFSET}}
        documents = {
            "plain": document(source.url, sink.url, TRANSFORM_ITEMS),
            "linear": document(source.url, sink.url, TRANSFORM_ITEMS, rules=linear),
        }
        expected = {"plain": None, "linear": scaled}
        load = Load(TRANSFORM_RATE, options.seconds)
        with running_station(documents["plain"]) as station:
            results = in_turns(
                _variants(station, documents),
                options.rounds,
                lambda variant: one_run(variant, source, sink, load, expected[variant.name]),
                "transform",
            )
    return make_report("transform", results, "plain", "linear", MOST_TIMES_PLAIN)


def scaled(state: list[Any]) -> list[Any]:
    """What a sink must say of a Double of which the source says ``state``."""
    variant, *others = state
    (value,) = unpack("<xd", bytes.fromhex(variant))
    return [pack("<Bd", 11, GAIN * value + OFFSET).hex(), *others]


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
            load = Load(ENCRYPT_RATE, options.seconds)
            with running_station(documents["None"]) as station:
                for name in ("source", "sink"):
                    station.trust(Pki(pki / name).own(f"urn:mirrorsite:bench:{name}").der)
                results = in_turns(
                    _variants(station, documents),
                    options.rounds,
                    lambda variant: one_run(variant, source, sink, load),
                    "encrypt",
                )
    return make_report("encrypt", results, "None", "SignAndEncrypt", MOST_TIMES_NONE)


def _variants(station: BenchStation, documents: Documents) -> list[Bridge]:
    """Our pipe worker with each of the documents."""

    def start(configuration: dict[str, Any]) -> Callable[[], Child]:
        def started() -> Child:
            station.apply(configuration)
            return ours(station).start()

        return started

    return [Bridge(name, start(configuration)) for name, configuration in documents.items()]


def make_report(
    name: str, results: Mapping[str, Figures], plain: str, other: str, most: float
) -> Report:
    times = results[other][COST] / results[plain][COST]
    differ = sum(figures[DIFFERENCES] for figures in results.values())
    demands = (
        Demand.at_most(f"times the CPU of {plain}", most, times),
        Demand.at_most("items that differ", 0, differ),
    )
    return Report(name, COST, results, {other: round(times, 2)}, demands)
