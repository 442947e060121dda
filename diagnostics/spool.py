"""The events of this process, on disk before anybody has asked for them.

Whoever reports an event only puts it into a bounded queue. One thread per process numbers the
events, writes them to ``<data dir>/spool/<process>-<n>.jsonl`` at once and syncs the file at most
each half second. The rules:

* the caller never waits for a disk; a full queue drops the newest event, and the next event that
  finds room is followed by ``EVENTS_DROPPED`` with their count;
* what a full disk refused is kept in memory and tried again, in order and from the byte where it
  stopped, so a reader never sees a line twice or half;
* a file is written by one process, which holds its lock (``flock``) as long as it writes: a file
  whose lock is free is finished, also when its writer was killed (`diagnostics.spool_files`);
* a process whose files are many, since no jobs worker reads them, behaves as on a full disk.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import queue
import re
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnostics.core.chronicle import Origin, encode_line, make_record
from redundancy.core.events import Event, EventKind, Severity

log = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 4_096
BATCH: Final = 256
FILE_BYTES: Final = 4 * 1024 * 1024
FILES_LIMIT: Final = 1_000
BYTES_LIMIT: Final = 64 * 1024 * 1024
SYNC_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """How a spool is; ``failure`` is empty while the disk takes what is written."""

    queued: int
    written: int
    dropped: int
    failure: str


class Spool:
    """Keeps the events of one process in the files of ``folder``; see the module's rules.

    ``process`` names the process among those of its station. Nothing is opened, and no thread
    runs, before the first event. Not usable in a forked child: see `abandon`.
    """

    def __init__(
        self,
        folder: Path,
        process: str,
        *,
        station: str = "",
        queue_limit: int = QUEUE_LIMIT,
        file_bytes: int = FILE_BYTES,
        bytes_limit: int = BYTES_LIMIT,
    ) -> None:
        self.folder = folder
        self.process = re.sub(r"[^A-Za-z0-9_.-]", "_", process)[:64] or "process"
        self.station = station
        self.boot = uuid.uuid4().hex[:16]
        self._queue_limit = queue_limit
        self._file_bytes = file_bytes
        self._bytes_limit = bytes_limit
        # An event may be reported by a signal handler: whatever `append` touches is re-entrant.
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._queue: deque[Event] = deque()
        self._dropped_unreported = 0
        self._dropped = 0
        self._is_woken = False
        self._is_flushed = True
        self._closing = False
        self._thread: threading.Thread | None = None
        # What follows belongs to the writer thread.
        self._seq = 0
        self._descriptor = -1
        self._size = 0
        self._unwritten = b""
        self._unwritten_events = 0
        self._written = 0
        self._synced_at = 0.0
        self._is_unsynced = False
        self._failure = ""
        self._failed_at = 0.0

    def append(self, event: Event) -> bool:
        """Take ``event`` to be written soon; False if it was dropped. Never waits for a disk."""
        with self._lock:
            if self._closing or len(self._queue) >= self._queue_limit:
                self._dropped += 1
                self._dropped_unreported += 1
                return False
            self._queue.append(event)
            self._is_flushed = False
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
                self._thread.start()
        if not self._is_woken:
            self._is_woken = True
            self._wake.put(None)
        return True

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait until every event taken so far is in the file; False if that took too long."""
        with self._idle:
            return self._idle.wait_for(lambda: self._is_flushed, timeout)

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Write and sync what is left and end the thread; False if something stayed behind."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._wake.put(None)
        if thread is not None:
            thread.join(timeout)
        return self._is_flushed

    def abandon(self) -> None:
        """Let go of the parent's file in a forked child: its lock must end with the parent."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def status(self) -> SpoolStatus:
        """How much waits, was written and was dropped since the start of the process."""
        with self._lock:
            queued = len(self._queue) + self._unwritten_events
            return SpoolStatus(queued, self._written, self._dropped, self._failure)

    # The writer thread

    def _run(self) -> None:
        deadline: float | None = None
        while True:
            with contextlib.suppress(queue.Empty):
                self._wake.get(timeout=self._patience())
            self._is_woken = False  # before the queue is looked at: what comes later wakes again
            self._write_queue()
            if not self._closing:
                continue
            deadline = deadline or time.monotonic() + CLOSE_SECONDS
            if self._is_flushed or time.monotonic() >= deadline:
                break
        self._close_file()

    def _patience(self) -> float | None:
        """How long there is nothing to do without a new event; None is for ever."""
        if self._failure:
            return RETRY_SECONDS
        if self._is_unsynced:
            return max(0.0, self._synced_at + SYNC_SECONDS - time.monotonic())
        return None

    def _write_queue(self) -> None:
        try:
            while self._next_batch():
                self._write()
            if self._is_unsynced and time.monotonic() - self._synced_at >= SYNC_SECONDS:
                self._sync()
        except OSError as error:
            self._fail(error)

    def _next_batch(self) -> bool:
        """Encode the next events unless some are still unwritten; False if there are none."""
        if self._unwritten:
            return True
        with self._lock:
            events = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if self._dropped_unreported:
                self._queue.append(self._dropped_event())
                self._dropped_unreported = 0
            if not events and not self._queue:
                self._is_flushed = True
                self._idle.notify_all()
                return False
            self._unwritten_events = len(events)
        self._unwritten = b"".join(self._line(event) for event in events)
        return True

    def _line(self, event: Event) -> bytes:
        self._seq += 1
        origin = Origin(self.process, self.boot, self._seq)
        try:
            return encode_line(make_record(event, self.station, origin))
        except Exception:  # the thread must outlive any event that somebody made wrongly
            log.exception("an event of %s cannot be written and is dropped", self.process)
            with self._lock:
                self._dropped += 1
                self._dropped_unreported += 1
            return b""

    def _dropped_event(self) -> Event:
        count = self._dropped_unreported
        return Event(
            time.time_ns(),
            EventKind.STATION,
            "EVENTS_DROPPED",
            Severity.HIGH,
            self.process,
            f"{count} events of {self.process} were dropped: more came than could be written",
            details={"count": count, "queue_limit": self._queue_limit},
        )

    def _write(self) -> None:
        if self._descriptor < 0:
            self._open()
        while self._unwritten:
            taken = os.write(self._descriptor, self._unwritten)
            self._unwritten = self._unwritten[taken:]
            self._size += taken
            self._is_unsynced = True
        with self._lock:
            self._written += self._unwritten_events
            self._unwritten_events = 0
        self._recover()
        if self._size >= self._file_bytes:
            self._close_file()

    def _sync(self) -> None:
        self._synced_at = time.monotonic()
        self._is_unsynced = False
        os.fsync(self._descriptor)
        if os.fstat(self._descriptor).st_nlink == 0:  # somebody removed the file under us
            self._close_file()

    def _close_file(self) -> None:
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if self._is_unsynced:
                os.fsync(descriptor)
        except OSError as error:
            log.warning("cannot sync the spool of %s: %s", self.process, error)
        finally:
            self._is_unsynced = False
            os.close(descriptor)

    def _open(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = self._own_files()
        if len(numbers) >= FILES_LIMIT or sum(numbers.values()) >= self._bytes_limit:
            raise OSError(
                errno.ENOSPC,
                f"{self.folder} holds {len(numbers)} files of {self.process} that no jobs worker "
                f"has read; see why it does not run",
            )
        number = max(numbers, default=0)
        while self._descriptor < 0:
            number += 1
            self._descriptor = _create(self.folder / f"{self.process}-{number}.jsonl")
        self._size = 0

    def _own_files(self) -> dict[int, int]:
        """The sizes of this process's files, also of its earlier starts, by number."""
        own = re.compile(re.escape(self.process) + r"-([0-9]+)\.jsonl")
        sizes: dict[int, int] = {}
        for path in self.folder.iterdir():
            match = own.fullmatch(path.name)
            if match:
                with contextlib.suppress(FileNotFoundError):  # drained meanwhile
                    sizes[int(match.group(1))] = path.stat().st_size
        return sizes

    def _fail(self, error: OSError) -> None:
        if not self._failure:
            self._failed_at = time.monotonic()
            log.error("cannot write events of %s, will try again: %s", self.process, error)
        with self._lock:
            self._failure = str(error)

    def _recover(self) -> None:
        if not self._failure:
            return
        seconds = time.monotonic() - self._failed_at
        log.warning("events of %s are written again after %.1f s", self.process, seconds)
        event = Event(
            time.time_ns(),
            EventKind.STATION,
            "SPOOL_RECOVERED",
            Severity.HIGH,
            self.process,
            f"Events of {self.process} could not be written for {seconds:.1f} s: {self._failure}",
            details={"seconds": round(seconds, 1)},
        )
        with self._lock:
            self._failure = ""
            self._queue.append(event)  # the batch that was just written made room


def _create(path: Path) -> int:
    """A new, locked file open for appending; -1 if the name is taken."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor
    except BlockingIOError:  # a reader found the file before its lock and takes it for finished
        pass
    os.close(descriptor)
    return -1
