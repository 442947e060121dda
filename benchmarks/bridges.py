"""The programs that benches compare: ours, and peers that do the same work."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.rig import ROOT, Child, LoadServer
from benchmarks.station import BenchStation

OURS: Final = "mirrorsite"
PEERS: Final = ROOT / "benchmarks" / "peers"
NODE_MODULES: Final = ROOT / "tests" / "foreign" / "node_modules"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A program that copies values; ``start`` starts it once, for one run."""

    name: str
    start: Callable[[], Child]


def all_bridges(
    station: BenchStation, source: LoadServer, sink: LoadServer, items: int
) -> list[Bridge]:
    """Ours first, then the peers that are installed."""
    return [ours(station), *peers(source, sink, items)]


def ours(station: BenchStation) -> Bridge:
    return Bridge(OURS, station.pipe_worker)


def peers(source: LoadServer, sink: LoadServer, items: int) -> list[Bridge]:
    arguments = ["--source", source.url, "--target", sink.url, "--items", str(items)]
    found = [_python("asyncua_batch", arguments), _python("asyncua_tuned", arguments)]
    if has_node_opcua():
        found.append(_node("node_opcua", PEERS / "node_batch.js", arguments))
    return found


def skipped_peers() -> tuple[str, ...]:
    return () if has_node_opcua() else ("node_opcua",)


def has_node_opcua() -> bool:
    return shutil.which("node") is not None and (NODE_MODULES / "node-opcua").is_dir()


def _python(name: str, arguments: Sequence[str]) -> Bridge:
    command = [sys.executable, "-m", f"benchmarks.peers.{name}", *arguments]
    return Bridge(name, lambda: Child(name, command))


def _node(name: str, script: Path, arguments: Sequence[str]) -> Bridge:
    command = ["node", str(script), *arguments]
    return Bridge(name, lambda: Child(name, command, {"NODE_PATH": str(NODE_MODULES)}))
