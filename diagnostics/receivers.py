"""Where this process's events go: into its spool, by the signal that everybody reports with.

The spool opens with the first event, not at import: Django forks (Celery's parent), commands start
without a data folder, and most processes of a test report nothing. A forked child starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from django.conf import settings

from diagnostics.spool import Spool
from redundancy.core.events import Event
from redundancy.signals import event_emitted

PROCESS_VARIABLE: Final = "MIRRORSITE_PROCESS"


class _Current:
    """The spool of this process, for the station that the settings name."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.spool: Spool | None = None
        self.station: object = None
        self.is_fixed = False


_current = _Current()


def connect() -> None:
    """Listen to what the station reports; `DiagnosticsConfig.ready` calls it."""
    event_emitted.connect(_keep, dispatch_uid="diagnostics.spool")
    os.register_at_fork(after_in_child=_forget)
    atexit.register(close)


def current_spool() -> Spool:
    """The spool of this process."""
    spool = _current.spool
    if spool is not None and (_current.is_fixed or _current.station is settings.STATION):
        return spool
    with _current.lock:
        station = settings.STATION
        if _current.spool is None or _current.station is not station:
            if _current.spool is not None:
                _current.spool.close()
            folder = spool_folder()
            _current.spool = Spool(folder, process_name(os.environ, sys.argv), station=station.name)
            _current.station = station
        return _current.spool


def spool_folder() -> Path:
    """Where all processes of this station spool."""
    folder: Path = settings.STATION.data_dir / "spool"
    return folder


@contextlib.contextmanager
def using(spool: Spool) -> Iterator[Spool]:
    """Send this process's events to ``spool`` meanwhile; it is closed at the end."""
    with _current.lock:
        before = _current.spool, _current.station, _current.is_fixed
        _current.spool, _current.is_fixed = spool, True
    try:
        yield spool
    finally:
        with _current.lock:
            _current.spool, _current.station, _current.is_fixed = before
        spool.close()


def close() -> None:
    """Write what waits and let go of the file; a later event opens a new one."""
    with _current.lock:
        spool, _current.spool = _current.spool, None
    if spool is not None:
        spool.close()


def process_name(environ: Mapping[str, str], argv: list[str]) -> str:
    """What the launcher calls this process; else the command and the process id."""
    name = environ.get(PROCESS_VARIABLE, "")
    if name:
        return name
    words = [Path(word).stem for word in argv[:2] if not word.startswith("-")]
    command = words[1] if len(words) > 1 and words[0] == "manage" else "".join(words[:1])
    return f"{command or 'python'}-{os.getpid()}"


def _forget() -> None:
    """In a forked child: the parent's thread, lock and file are not ours."""
    global _current  # noqa: PLW0603 - the lock may be held by a thread that does not exist here
    if _current.spool is not None:
        _current.spool.abandon()
    _current = _Current()


def _keep(*, event: Event, **_: object) -> None:
    current_spool().append(event)
