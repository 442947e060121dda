"""The board: what the processes of one station tell each other without asking.

A file in the run folder, mapped by supervisor, pipe hosts and web. The rules:

* every field is one unsigned 64-bit word, stored alone; a double was torn in 3 % of reads;
* every slot has one writer: the supervisor its own, host ``i`` slot ``i``;
* fields that are read together stand under a sequence number: odd while they are being written.
  A writer that dies in between leaves it odd, and readers then see no lease at all;
* instants are nanoseconds of CLOCK_BOOTTIME, which no clock setting moves and no sleep stops.

Whoever opens a board keeps its mapping when the file is removed. `Board.reopen` notices that:
the supervisor lays its board anew, a host maps the new one and takes its slot again. Until it has,
its lease runs out: a split board can only shut gates.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple, Self

from redundancy.core.progress import HostState

MAGIC: Final = int.from_bytes(b"MIRBOARD", "little")
LAYOUT: Final = 1
HOSTS: Final = 16
SIZE: Final = 4096

# The supervisor's slot.
LEASE_SEQUENCE: Final = 8
TERM: Final = 9
DEADLINE: Final = 10
GENERATION: Final = 11
SUPERVISOR_SEQUENCE: Final = 12
SUPERVISOR_PID: Final = 13
SUPERVISOR_START: Final = 14
TICKS: Final = 15

# A host's slot, from its first word.
FIRST_HOST: Final = 16
HOST_WORDS: Final = 16
_SEQUENCE, _PID, _START, _PROGRESS, _LAG, _REVISION, _GENERATION, _QUIESCED, _STATE = range(9)

_ATTEMPTS: Final = 64  # to read between two writes; a write takes about a microsecond


class BoardError(Exception):
    """The board cannot be used; the text names the file and the remedy."""


class Lease(NamedTuple):
    """Who may write until when: a term, and a deadline in ns of CLOCK_BOOTTIME (0: nobody)."""

    term: int
    deadline_ns: int


class Process(NamedTuple):
    """A process: its pid and its start time; pid 0 means nobody."""

    pid: int
    start_time: int


class Board:
    """One mapping of a station's board; see the module for the rules."""

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        self._writable = writable
        self._inode = 0
        self.words: memoryview[int] = self._map()

    @classmethod
    def open(cls, path: Path, *, writable: bool = True) -> Self:
        """Map the board that is there.

        Raises:
            BoardError: there is none, or it is not a board of this layout.

        """
        return cls(path, writable=writable)

    @classmethod
    def open_or_create(cls, path: Path) -> Self:
        """Map the board; lay an empty one if there is none, or one of another version.

        Several processes may do this at once: all map the same board.

        Raises:
            OSError: no space or no right to lay it.

        """
        if path.exists():
            try:
                return cls(path)
            except BoardError:
                path.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError):
            _lay(path)
        return cls(path)

    # The supervisor's slot

    def grant(self, term: int, deadline_ns: int) -> None:
        """Let the station write in ``term`` until ``deadline_ns``; 0 takes the lease back."""
        words = self.words
        odd = words[LEASE_SEQUENCE] | 1
        words[LEASE_SEQUENCE] = odd
        words[TERM] = term
        words[DEADLINE] = deadline_ns
        words[LEASE_SEQUENCE] = odd + 1

    def lease(self) -> Lease:
        """The lease, or one that is over when its writer stays in the middle of writing."""
        words = self.words
        for _ in range(_ATTEMPTS):
            sequence = words[LEASE_SEQUENCE]
            lease = Lease(words[TERM], words[DEADLINE])
            if not sequence & 1 and words[LEASE_SEQUENCE] == sequence:
                return lease
        return Lease(0, 0)

    @property
    def generation(self) -> int:
        """Changes when hosts should look at the wanted configuration and the trust list again."""
        return self.words[GENERATION]

    def raise_generation(self) -> int:
        """Make every host look again; only the supervisor calls this."""
        self.words[GENERATION] += 1
        return self.words[GENERATION]

    def supervise(self, process: Process) -> None:
        """Enter the supervisor's process."""
        _write_process(self.words, SUPERVISOR_SEQUENCE, process)

    @property
    def supervisor(self) -> Process:
        return _read_process(self.words, SUPERVISOR_SEQUENCE)

    def tick(self) -> None:
        """Count one turn of the supervisor's loop."""
        self.words[TICKS] += 1

    @property
    def ticks(self) -> int:
        return self.words[TICKS]

    # The hosts' slots

    def host(self, index: int) -> HostSlot:
        """The slot of pipe host ``index``, 1 to 16."""
        if not 1 <= index <= HOSTS:
            raise BoardError(f"there is no host slot {index}; they are numbered 1 to {HOSTS}")
        return HostSlot(self, index)

    # The file

    def is_current(self) -> bool:
        """Is the file at the path still the one that is mapped here?"""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def reopen(self) -> bool:
        """Map the file that is at the path now; true if it is another one than before.

        A host then takes its slot again. While there is no file, the old mapping stays.
        """
        if self.is_current() or not self.path.exists():
            return False
        self.words = self._map()
        return True

    def lay_again(self) -> bool:
        """For the supervisor: put a fresh board where the file is gone, with its own slot copied.

        True if the mapping changed; the hosts' slots are then empty.
        """
        if self.is_current():
            return False
        mine = list(self.words[LEASE_SEQUENCE:FIRST_HOST])
        with contextlib.suppress(FileExistsError):
            _lay(self.path)
        self.words = self._map()
        for offset, word in enumerate(mine):
            self.words[LEASE_SEQUENCE + offset] = word
        return True

    def _map(self) -> memoryview[int]:
        flags = (os.O_RDWR if self._writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(self.path, flags)
        except FileNotFoundError as error:
            raise BoardError(f"there is no board at {self.path}; the station is down") from error
        try:
            found = os.fstat(descriptor)
            if found.st_size != SIZE:
                raise BoardError(f"{self.path} is not a board: {found.st_size} bytes; remove it")
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if self._writable else 0)
            words = memoryview(mmap.mmap(descriptor, SIZE, prot=protection)).cast("Q")
        finally:
            os.close(descriptor)
        if (words[0], words[1]) != (MAGIC, LAYOUT):
            raise BoardError(f"{self.path} is not a board of layout {LAYOUT}; remove it")
        self._inode = found.st_ino
        return words


class HostSlot:
    """What one pipe host tells; only that host calls the methods that write."""

    def __init__(self, board: Board, index: int) -> None:
        self.index = index
        self._board = board
        self._at = FIRST_HOST + (index - 1) * HOST_WORDS

    def occupy(self, pid: int, start_time: int) -> None:
        """Take the slot for a process that just started; everything older is forgotten."""
        words = self._board.words
        for field in (_PROGRESS, _LAG, _REVISION, _GENERATION, _QUIESCED):
            words[self._at + field] = 0
        words[self._at + _STATE] = HostState.STARTING
        _write_process(words, self._at, Process(pid, start_time))

    def vacate(self) -> None:
        """Leave the slot at an orderly end, so that the exit is no crash."""
        self._board.words[self._at + _STATE] = HostState.STOPPED

    def progress(self) -> None:
        """Count one turn of the host's loop, the sign of life that the watchdog wants."""
        self._board.words[self._at + _PROGRESS] += 1

    def lagged(self, longest_ns: int) -> None:
        """Tell the longest delay of the loop since the host last told it."""
        self._board.words[self._at + _LAG] = longest_ns

    def applied(self, revision: int, generation: int) -> None:
        """Tell the configuration that runs, and the generation at which it was looked up.

        The first time ends the start: from then on the watchdog expects the loop to turn.
        """
        words = self._board.words
        if words[self._at + _STATE] == HostState.STARTING:
            words[self._at + _STATE] = HostState.RUNNING
        words[self._at + _REVISION] = revision
        words[self._at + _GENERATION] = generation

    def quiesced(self, term: int) -> None:
        """Tell that no write of ``term`` or an older one is on the way any more."""
        self._board.words[self._at + _QUIESCED] = term

    def enter(self, state: HostState) -> None:
        self._board.words[self._at + _STATE] = state

    @property
    def process(self) -> Process:
        """The process in the slot; nobody while it is just being written."""
        return _read_process(self._board.words, self._at)

    @property
    def progress_count(self) -> int:
        return self._board.words[self._at + _PROGRESS]

    @property
    def loop_lag_ns(self) -> int:
        return self._board.words[self._at + _LAG]

    @property
    def applied_revision(self) -> int:
        return self._board.words[self._at + _REVISION]

    @property
    def applied_generation(self) -> int:
        return self._board.words[self._at + _GENERATION]

    @property
    def quiesced_term(self) -> int:
        return self._board.words[self._at + _QUIESCED]

    @property
    def state(self) -> HostState:
        """The state that the host told; EMPTY when a newer layout's state is not known here."""
        try:
            return HostState(self._board.words[self._at + _STATE])
        except ValueError:
            return HostState.EMPTY


def _write_process(words: memoryview[int], at: int, process: Process) -> None:
    odd = words[at] | 1
    words[at] = odd
    words[at + 1] = process.pid
    words[at + 2] = process.start_time
    words[at] = odd + 1


def _read_process(words: memoryview[int], at: int) -> Process:
    for _ in range(_ATTEMPTS):
        sequence = words[at]
        process = Process(words[at + 1], words[at + 2])
        if not sequence & 1 and words[at] == sequence:
            return process
    return Process(0, 0)


def _lay(path: Path) -> None:
    """Put an empty board at ``path`` in one step: nobody ever maps a half-made one."""
    descriptor, fresh = tempfile.mkstemp(prefix="board-", dir=path.parent)  # 0600
    try:
        os.posix_fallocate(descriptor, 0, SIZE)  # a page that is missing later would be SIGBUS
        # A board that replaces a lost one must not repeat a generation that hosts have seen.
        words = {0: MAGIC, 1: LAYOUT, GENERATION: int(time.time())}
        for index, word in words.items():
            os.pwrite(descriptor, word.to_bytes(8, "little"), index * 8)
        os.link(fresh, path)
    finally:
        os.close(descriptor)
        Path(fresh).unlink()
