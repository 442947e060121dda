"""Watches the pipe hosts in the board's slots: an exit is noticed at once, a hang is ended.

A host is held by a pidfd, opened while its start time was compared, so that a pid which the system
gave to somebody else is neither watched nor killed. Exits arrive by the loop; hangs are counted in
the supervisor's own ticks (`redundancy.core.progress`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from redundancy.board import HOSTS, Board, HostSlot, Process
from redundancy.core.progress import (
    NOBODY,
    HostState,
    Limits,
    Sighting,
    Track,
    Verdict,
    follow,
    judge,
)
from redundancy.processes import start_time


@dataclass(frozen=True, slots=True)
class HostExited:
    """A host ended without saying that it stops; ``was_killed`` if the watchdog ended it."""

    index: int
    pid: int
    was_killed: bool


@dataclass(frozen=True, slots=True)
class HostHung:
    """A host made no progress and was killed."""

    index: int
    pid: int
    still_ticks: int


HostEvent = HostExited | HostHung


@dataclass(slots=True)
class _Watched:
    process: Process
    pidfd: int
    was_killed: bool = False


class Watchdog:
    """Looks at all slots once per tick; reports through ``report`` on the same loop."""

    def __init__(self, board: Board, limit: Limits, report: Callable[[HostEvent], None]) -> None:
        self._board = board
        self._limit = limit
        self._report = report
        self._tracks: dict[int, Track] = {}
        self._watched: dict[int, _Watched] = {}
        #: Whose exit was seen; until its parent reaps it, such a process can still be opened.
        self._ended: dict[int, Process] = {}

    def look(self) -> dict[int, Verdict]:
        """One tick: what each slot's host does; a hung one is killed. Must run on the loop."""
        return {index: self._look_at(self._board.host(index)) for index in range(1, HOSTS + 1)}

    def close(self) -> None:
        """Stop watching; the hosts are left alone."""
        for index in list(self._watched):
            self._forget(index)

    def _look_at(self, slot: HostSlot) -> Verdict:
        process = slot.process
        watched = self._watched.get(slot.index)
        if watched is None or watched.process != process:
            watched = self._watch(slot.index, process)
        if watched is None:
            self._tracks.pop(slot.index, None)
            return Verdict.ABSENT
        seen = Sighting(process.pid, process.start_time, slot.progress_count, slot.state)
        track = follow(self._tracks.get(slot.index, NOBODY), seen)
        self._tracks[slot.index] = track
        verdict = judge(track, self._limit)
        if verdict is Verdict.HUNG and not watched.was_killed:
            self._kill(slot.index, watched, track.still_ticks)
        return verdict

    def _watch(self, index: int, process: Process) -> _Watched | None:
        """Hold the slot's process; None if nobody is there, or no such process lives."""
        self._succeeded(index)
        if process.pid == 0 or process == self._ended.get(index):
            return None
        try:
            pidfd = os.pidfd_open(process.pid)
        except (ProcessLookupError, PermissionError):
            return None
        # The pidfd holds whoever has the pid now; only the start time says that it is our host.
        if start_time(process.pid) != process.start_time:
            os.close(pidfd)
            return None
        watched = self._watched[index] = _Watched(process, pidfd)
        asyncio.get_running_loop().add_reader(pidfd, self._exited, index)
        return watched

    def _succeeded(self, index: int) -> None:
        """Let go of the process that another one followed in the slot before its exit was seen."""
        watched = self._watched.get(index)
        if watched is None:
            return
        self._forget(index)
        if self._tracks.get(index, NOBODY).sighting.state is not HostState.STOPPED:
            self._report(HostExited(index, watched.process.pid, watched.was_killed))

    def _exited(self, index: int) -> None:
        watched = self._watched[index]
        slot = self._board.host(index)
        in_order = slot.process == watched.process and slot.state is HostState.STOPPED
        self._ended[index] = watched.process
        self._forget(index)
        if not in_order:
            self._report(HostExited(index, watched.process.pid, watched.was_killed))

    def _kill(self, index: int, watched: _Watched, still_ticks: int) -> None:
        watched.was_killed = True
        with contextlib.suppress(ProcessLookupError):  # it ended by itself: the reader reports
            signal.pidfd_send_signal(watched.pidfd, signal.SIGKILL)
        self._report(HostHung(index, watched.process.pid, still_ticks))

    def _forget(self, index: int) -> None:
        watched = self._watched.pop(index, None)
        if watched is not None:
            asyncio.get_running_loop().remove_reader(watched.pidfd)
            os.close(watched.pidfd)
