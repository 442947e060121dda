"""What a supervisor looks at and wakes up beside its hosts, never waiting for any of it.

Database, Redis, web, jobs and disk may be dead, hung or full: the loop that renews the lease does
not notice. Each check runs in a thread of its own, with a time-out, one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redundancy.core.codes import Code
from redundancy.core.health import MEBIBYTE, HealthState, HealthTable, is_disk_full
from redundancy.reporting import Reporter
from redundancy.side_thread import SideThread

log = logging.getLogger(__name__)

#: After the start of a station a part that does not answer yet is ``check``, not ``failed``.
GRACE_SECONDS: Final = 30.0
DISK_SECONDS: Final = 5.0
FIRST_SECONDS: Final = 60.0


def disk_space(path: Path) -> tuple[int, int]:
    """Bytes that this user may still use on the disk of ``path``, and the disk's size."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


@dataclass(frozen=True, slots=True)
class Probe:
    """Looks whether a part works: ``check`` blocks, and raises when it does not."""

    component: str
    check: Callable[[], object]
    seconds: float = 2.0
    timeout: float = 3.0


@dataclass(frozen=True, slots=True)
class Timer:
    """Something to send off every so often, such as a task for the jobs worker; ``send`` blocks.

    A turn that comes while the one before is still being sent is left out.
    """

    name: str
    seconds: float
    send: Callable[[], object]
    timeout: float = 5.0


@dataclass(slots=True)
class Surroundings:
    """Runs probes, timers and the look at the disk, and enters what they find."""

    data_dir: Path
    health: HealthTable
    reporter: Reporter
    probes: Sequence[Probe] = ()
    timers: Sequence[Timer] = ()
    disk_seconds: float = DISK_SECONDS
    grace_seconds: float = GRACE_SECONDS
    disk_space: Callable[[Path], tuple[int, int]] = disk_space
    _started: float = field(default_factory=time.monotonic)
    _is_full: bool = False
    _broken_timers: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_disk())
            for probe in self.probes:
                group.create_task(self._watch(probe))
            for timer in self.timers:
                group.create_task(self._keep_sending(timer))

    def enter(self, component: str, why: str) -> None:
        """Enter that a part works (``why`` empty) or does not, and report when that changed."""
        in_grace = time.monotonic() - self._started < self.grace_seconds
        broken = HealthState.CHECK if in_grace else HealthState.FAILED
        before = self.health.state(component)
        now = HealthState.GOOD if not why else broken
        if before is HealthState.FAILED and now is not HealthState.GOOD:
            now = HealthState.FAILED
        self.health.report(component, now, why, time.time_ns())
        if now is HealthState.FAILED and before is not HealthState.FAILED:
            self.reporter.report(Code.COMPONENT_FAILED, component=component, why=why)
        elif now is HealthState.GOOD and before is HealthState.FAILED:
            self.reporter.report(Code.COMPONENT_RECOVERED, component=component)

    async def _watch(self, probe: Probe) -> None:
        thread = SideThread(f"probe-{probe.component}")
        try:
            while True:
                self.enter(probe.component, await _outcome(thread, probe.check, probe.timeout))
                await asyncio.sleep(probe.seconds)
        finally:
            thread.close()

    async def _keep_sending(self, timer: Timer) -> None:
        thread = SideThread(f"timer-{timer.name}")
        pause = min(timer.seconds, FIRST_SECONDS)  # an hourly one is not put off by restarts
        try:
            while True:
                await asyncio.sleep(pause)
                pause = timer.seconds
                why = await _outcome(thread, timer.send, timer.timeout)
                self._log_edge(timer.name, why)
        finally:
            thread.close()

    def _log_edge(self, timer: str, why: str) -> None:
        was_broken = timer in self._broken_timers
        if why and not was_broken:
            self._broken_timers.add(timer)
            log.warning("timer %s cannot be sent: %s", timer, why)
        elif was_broken and not why:
            self._broken_timers.discard(timer)
            log.info("timer %s is sent again", timer)

    async def _watch_disk(self) -> None:
        thread = SideThread("probe-disk")
        try:
            while True:
                try:
                    free, total = await thread.call(lambda: self.disk_space(self.data_dir), 3.0)
                except (OSError, TimeoutError) as error:
                    self.enter("disk", _text(error))
                else:
                    self._enter_disk(free, total)
                await asyncio.sleep(self.disk_seconds)
        finally:
            thread.close()

    def _enter_disk(self, free: int, total: int) -> None:
        full = is_disk_full(free, total, was_full=self._is_full)
        if full != self._is_full:
            code = Code.DISK_FULL if full else Code.DISK_OK
            self.reporter.report(code, free_mib=free // MEBIBYTE, folder=str(self.data_dir))
        self._is_full = full
        state = HealthState.FAILED if full else HealthState.GOOD
        why = f"only {free // MEBIBYTE} MiB are free below {self.data_dir}" if full else ""
        self.health.report("disk", state, why, time.time_ns())


async def _outcome(thread: SideThread, function: Callable[[], object], seconds: float) -> str:
    """What went wrong, or nothing."""
    try:
        await thread.call(function, seconds)
    except Exception as error:  # noqa: BLE001 - whatever a probe meets is its finding
        return _text(error)
    return ""


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
