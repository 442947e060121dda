"""Reading what the processes of a station have spooled.

A reader takes whole lines only: a line that its writer has not ended yet is left for later. A file
whose lock is free has no writer any more, so nothing will follow in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diagnostics.core.chronicle import LineError, Record, decode_line

log = logging.getLogger(__name__)

#: No line of ours comes near this; a longer one ends the reading of a damaged file.
READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a file: its records, where the next line begins, how many were no events.

    ``is_readable`` is false when the file could not be read: then nothing is known of it.
    """

    records: tuple[Record, ...]
    end: int
    damaged: int
    is_readable: bool = True


def spool_files(folder: Path) -> list[Path]:
    """Every spool file, the one that was written to first in front."""
    found: list[tuple[int, str, Path]] = []
    with contextlib.suppress(FileNotFoundError):
        for path in folder.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path.name, path))
    return [path for _, _, path in sorted(found)]


def boot_of(path: Path) -> str:
    """Which start of its process wrote the file, by its first line; empty if nobody can tell."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.readline(READ_BYTES))
        return str(document["boot"])[:32]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def read_part(path: Path, start: int, limit: int) -> Part:
    """At most ``limit`` lines from byte ``start``; a file that is gone or not ours has none."""
    records: list[Record] = []
    damaged = taken = 0
    end = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            while taken < limit:
                line = file.readline(READ_BYTES)
                if not line.endswith(b"\n") and len(line) < READ_BYTES:
                    break
                end += len(line)
                taken += 1
                try:
                    records.append(decode_line(line))
                except LineError as error:
                    damaged += 1
                    log.warning("%s: skipped a line before byte %d: %s", path.name, end, error)
    except FileNotFoundError:
        return Part((), start, 0)
    except OSError as error:  # such as a command's that somebody ran as root
        _say_once(path, error)
        return Part((), start, 0, is_readable=False)
    return Part(tuple(records), end, damaged)


_said: set[str] = set()
_SAID_LIMIT: Final = 1_000


def _say_once(path: Path, error: OSError) -> None:
    if path.name not in _said and len(_said) < _SAID_LIMIT:
        _said.add(path.name)
        log.warning("events in %s cannot be read: %s", path, error)


@contextlib.contextmanager
def finished_size(path: Path) -> Iterator[int | None]:
    """The size of a file that nobody writes any more, kept locked meanwhile; else None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield os.fstat(descriptor).st_size if _locked(descriptor) else None
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
