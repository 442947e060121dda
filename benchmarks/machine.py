"""What a figure was measured on: without it nobody can say what the figure means."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from benchmarks.rig import ROOT

CPU_INFO: Final = Path("/proc/cpuinfo")
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Machine:
    """The circumstances of a run."""

    date: str
    commit: str
    cpu: str
    cores: int
    python: str

    @classmethod
    def here(cls) -> Self:
        return cls(
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            commit=commit(),
            cpu=cpu_model(),
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
        )

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{self.date}, commit {self.commit}, {self.cpu}, {cores}, Python {self.python}"


def commit(folder: Path = ROOT) -> str:
    """The commit that is checked out; "-dirty" if code was changed since, docs do not count."""
    asked = ["git", "-C", str(folder)]
    try:
        name = _output([*asked, "rev-parse", "--short=10", "HEAD"])
        changed = _output(
            [*asked, "status", "--porcelain", "-uno", "--", ":/", ":(top,exclude)docs"]
        )
    except (OSError, subprocess.SubprocessError):  # no git, or no repository
        return UNKNOWN
    return f"{name}-dirty" if changed else name


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def cpu_model(info: Path = CPU_INFO) -> str:
    """As the kernel says it; what Python knows where the kernel does not."""
    try:
        lines = info.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine() or UNKNOWN
