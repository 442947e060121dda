"""What a bench gives back, the registry of benches, and how a report is shown.

A module of this package becomes a bench by decorating one function::

    @bench("codec")
    def codec(options: Options) -> Report: ...

``manage.py bench`` imports every module of the package and so finds them all.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import benchmarks

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """``seconds`` for a measurement, taken ``rounds`` times; ``seed`` begins random load.

    ``minutes`` is for benches whose length is what they are about.
    """

    seconds: float = 5.0
    rounds: int = 3
    seed: int = 0
    minutes: float = 10.0


@dataclass(frozen=True, slots=True)
class Demand:
    """One figure and what is asked of it."""

    name: str
    wanted: str
    got: float
    ok: bool

    @classmethod
    def at_least(cls, name: str, least: float, got: float) -> Demand:
        return cls(name, f">= {least:g}", round(got, 3), got >= least)

    @classmethod
    def at_most(cls, name: str, most: float, got: float) -> Demand:
        return cls(name, f"<= {most:g}", round(got, 3), got <= most)

    def as_json(self) -> Json:
        return {"name": self.name, "wanted": self.wanted, "got": self.got, "ok": self.ok}


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one bench.

    ``results`` has the figures of each peer in ``unit``; ``ratios`` a peer's cost over ours;
    ``skipped`` the peers that are not installed. ``broken`` says why there are no figures.
    """

    bench: str
    unit: str
    results: Mapping[str, Mapping[str, float]]
    ratios: Mapping[str, float] = field(default_factory=dict)
    demands: tuple[Demand, ...] = ()
    skipped: tuple[str, ...] = ()
    broken: str = ""

    @property
    def ok(self) -> bool:
        return not self.broken and all(demand.ok for demand in self.demands)

    def as_json(self) -> Json:
        return {
            "bench": self.bench,
            "unit": self.unit,
            "results": {peer: dict(figures) for peer, figures in self.results.items()},
            "ratios": dict(self.ratios),
            "demands": [demand.as_json() for demand in self.demands],
            "skipped": list(self.skipped),
            "broken": self.broken,
            "ok": self.ok,
        }

    def as_table(self) -> str:
        """The figures, one line each, a column for each peer; then the demands."""
        if self.broken:
            return f"{self.bench}: broke off: {self.broken}"
        names = list(dict.fromkeys(name for row in self.results.values() for name in row))
        lines = [("", *self.results)]
        for name in names:
            figures = (row.get(name) for row in self.results.values())
            lines.append((name, *("-" if got is None else f"{got:.4g}" for got in figures)))
        demands = [("demand", "wanted", "got", "")]
        for demand in self.demands:
            mark = "ok" if demand.ok else "FAILED"
            demands.append((demand.name, demand.wanted, f"{demand.got:.4g}", mark))
        text = [f"{self.bench} ({self.unit})", *_aligned(lines)]
        if self.demands:
            text += ["", *_aligned(demands)]
        if self.skipped:
            text += ["", "not installed: " + ", ".join(self.skipped)]
        return "\n".join(text)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


Bench = Callable[[Options], Report]
_benches: dict[str, Bench] = {}
_alone: set[str] = set()
_fewer_rounds: dict[str, int] = {}


def bench(
    name: str, *, in_all: bool = True, rounds_in_all: int | None = None
) -> Callable[[Bench], Bench]:
    """Register a function as the bench ``name``; ``in_all`` False: run only when named.

    ``rounds_in_all`` is the most that ``all`` takes of a bench that compares nothing and whose
    demands leave room: what matters there is the sum.
    """

    def register(run: Bench) -> Bench:
        _benches[name] = run
        if not in_all:
            _alone.add(name)
        if rounds_in_all is not None:
            _fewer_rounds[name] = rounds_in_all
        return run

    return register


def options_in_all(name: str, options: Options) -> Options:
    """What ``all`` asks of this bench."""
    return replace(options, rounds=min(options.rounds, _fewer_rounds.get(name, options.rounds)))


def names_of_all() -> list[str]:
    """What ``all`` stands for."""
    return [name for name in load_benches() if name not in _alone]


def load_benches() -> Mapping[str, Bench]:
    """Every bench of the package, by name."""
    for module in pkgutil.iter_modules(benchmarks.__path__, "benchmarks."):
        importlib.import_module(module.name)
    return dict(sorted(_benches.items()))
