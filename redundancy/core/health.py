"""The health rows of a station: one for each process and each thing it stands on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from redundancy.core.progress import Verdict

MEBIBYTE: Final = 1024 * 1024
DISK_RESERVE: Final = 64 * MEBIBYTE


class HealthState(StrEnum):
    """How a part is, in the words of NAMUR NE 107; stored and answered values never change."""

    GOOD = "good"
    MAINTENANCE = "maintenance"
    OUT_OF_SPEC = "out_of_spec"
    CHECK = "check"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Health:
    """One row; ``since_ns`` is UTC in nanoseconds since 1970."""

    component: str
    state: HealthState
    reason: str
    since_ns: int


class HealthTable:
    """The present rows, in the order in which they were first reported."""

    def __init__(self) -> None:
        self._rows: dict[str, Health] = {}

    def report(self, component: str, state: HealthState, reason: str, at_ns: int) -> bool:
        """Enter how a part is; true if its state changed. ``since_ns`` moves only then."""
        old = self._rows.get(component)
        changed = old is None or old.state is not state
        since = at_ns if old is None or changed else old.since_ns
        self._rows[component] = Health(component, state, reason, since)
        return changed

    def state(self, component: str) -> HealthState | None:
        """How a part is; None if nobody reported it yet."""
        row = self._rows.get(component)
        return None if row is None else row.state

    def rows(self) -> Iterable[Health]:
        return tuple(self._rows.values())


def is_disk_full(free: int, total: int, *, was_full: bool) -> bool:
    """Is too little left to work with? In bytes; a twentieth of a small disk, 64 MiB of a large.

    A disk that was full counts as free again at twice that, so that it does not flicker.
    """
    reserve = min(DISK_RESERVE, total // 20)
    return free < (2 * reserve if was_full else reserve)


def host_health(verdict: Verdict, *, young: bool) -> tuple[HealthState, str]:
    """A pipe host's row; in a station that is ``young`` a host that is not there may still come."""
    if verdict in {Verdict.MOVING, Verdict.STILL}:
        return HealthState.GOOD, ""
    return (HealthState.CHECK if young else HealthState.FAILED), verdict.value
