"""The write gate: may this process write to a target now?

The check is the last synchronous statement before the bytes go to the transport. It is true only
while the board's term is the one this process took up **and** its deadline lies ahead; nobody has
to tell a process that it lost the right to write. Authority is asked per target: a simplex
station's supervisor grants all of them at once by the lease on the board, and other ways to hold
authority over one target stand behind the same `TargetGate`.

What a caller must keep:

* no ``await`` between `TargetGate.may_write` and handing the bytes over;
* `WriteGate.adopt` only when no write of an older term is on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from redundancy.board import DEADLINE, LEASE_SEQUENCE, TERM, Board


class GateReason(Enum):
    """Why a gate is shut: the name is the code, the value the sentence."""

    NOT_ADOPTED = "This process has not taken up a term yet."
    NO_LEASE = "The supervisor has granted no lease."
    OTHER_TERM = "The lease belongs to another term than this process took up."
    LEASE_OVER = "The lease ran out and was not renewed."
    DRAINING = "The process is stopping."
    FENCED = "The target was fenced: its gate stays shut in this process."


def boot_ns() -> int:
    """Nanoseconds of CLOCK_BOOTTIME: steady, counts while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class WriteGate:
    """The gates of one process, all under the lease of one board."""

    def __init__(self, board: Board, clock: Callable[[], int] = boot_ns) -> None:
        self.board: Final = board
        self.clock: Final = clock
        self.term = 0
        self._shut: GateReason | None = None
        self._targets: dict[str, TargetGate] = {}

    def adopt(self) -> int:
        """Take up the board's term and return it; a lower one than before is not taken up."""
        self.term = max(self.term, self.board.lease().term)
        return self.term

    def has_newer_term(self) -> bool:
        """Has the supervisor a term that this process did not take up yet?"""
        return self.board.words[TERM] > self.term and self.board.lease().term > self.term

    def target(self, name: str) -> TargetGate:
        """The gate to one target; the same object for the same name."""
        gate = self._targets.get(name)
        if gate is None:
            gate = self._targets[name] = TargetGate(self, name)
            if self._shut is not None:
                gate.shut(self._shut)
        return gate

    def shut(self, reason: GateReason = GateReason.DRAINING) -> None:
        """Shut every gate of this process for good, also those that are asked for later."""
        self._shut = self._shut or reason
        for gate in self._targets.values():
            gate.shut(reason)


class TargetGate:
    """The gate to one target."""

    __slots__ = ("_clock", "_gate", "_shut", "name")

    def __init__(self, gate: WriteGate, name: str) -> None:
        self.name = name
        self._gate = gate
        self._clock = gate.clock
        self._shut: GateReason | None = None

    @property
    def term(self) -> int:
        return self._gate.term

    def may_write(self) -> bool:
        """True while this process may write to this target; see the module for how to ask."""
        gate = self._gate
        words = gate.board.words
        sequence = words[LEASE_SEQUENCE]
        term = words[TERM]
        deadline = words[DEADLINE]
        if sequence & 1 or words[LEASE_SEQUENCE] != sequence:
            return self.reason() is None  # met the supervisor in the middle of writing: look again
        return term == gate.term != 0 and self._shut is None and self._clock() < deadline

    def reason(self) -> GateReason | None:
        """Why the gate is shut; None while it is open."""
        gate = self._gate
        lease = gate.board.lease()
        if self._shut is not None:
            return self._shut
        if gate.term == 0:
            return GateReason.NOT_ADOPTED
        if lease.deadline_ns == 0:
            return GateReason.NO_LEASE
        if lease.term != gate.term:
            return GateReason.OTHER_TERM
        return None if self._clock() < lease.deadline_ns else GateReason.LEASE_OVER

    def shut(self, reason: GateReason = GateReason.FENCED) -> None:
        """Shut this gate for good; the first reason stays."""
        self._shut = self._shut or reason
