"""What a supervisor is told from outside, and how a station's settings say it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redundancy.core.lease import PROFILES, Profile, Timing
from redundancy.gate import boot_ns
from redundancy.surroundings import Probe, Timer

REVISION_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two clocks, in nanoseconds: boot time for deadlines, wall time for people."""

    boot: Callable[[], int] = boot_ns
    wall: Callable[[], int] = time.time_ns


@dataclass(frozen=True, slots=True)
class Setup:
    """One station, as its supervisor needs to know it."""

    station: str
    data_dir: Path
    board_file: Path
    socket: Path
    pipe_workers: int
    has_peer: bool = False
    timing: Timing = PROFILES[Profile.STANDARD]
    #: Blocking; the number of the newest configuration revision.
    newest_revision: Callable[[], int] | None = None
    revision_seconds: float = REVISION_SECONDS
    probes: Sequence[Probe] = ()
    timers: Sequence[Timer] = ()
    clocks: Clocks = field(default_factory=Clocks)

    @property
    def record_file(self) -> Path:
        return self.data_dir / "term_record"

    @property
    def lock_file(self) -> Path:
        return self.socket.with_name("supervisor.lock")
