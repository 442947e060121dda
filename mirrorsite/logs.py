"""Logging of every process of a station: structlog over the standard library, one line per event.

`configure` is called once per process, by whatever starts it (worker, web, launcher). Events go to
stderr, where the launcher puts the station's and the process's name before them, and into
``<data dir>/logs/<process>.log``, one file per process, as one JSON document per line. Libraries
are heard from WARNING on and are cut short when they repeat themselves.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog

FILE_BYTES: Final = 5 * 1024 * 1024
FILES: Final = 3
#: Words of ``MIRRORSITE_LOG_FORMAT``, which the launcher sets for its children.
TEXT, JSON = "text", "json"

REPEATS: Final = 20
REPEAT_SECONDS: Final = 60.0

# C0 and C1 control characters, line separators, and the marks that turn the direction of text.
_CONTROL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
#: Requests that failed. Django logs every answer from 400 on; what a client did wrong is its own.
REQUESTS: Final = "django.request"
_LIBRARIES: Final = ("asyncua", "uvicorn", "celery", "kombu", "amqp", "django", "asyncio", "redis")

Event = MutableMapping[str, Any]


def configure(process: str, *, station: str = "", directory: Path | None = None) -> None:
    """Send this process's events to stderr and, with a ``directory``, into its file there.

    Args:
        process: the process's name among those of its station, such as ``pipes-1``.
        station: the station's name, put into every line of the file.
        directory: the folder of log files; it is made if it is missing.

    """
    shared: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    as_text = sys.stderr.isatty() or os.environ.get("MIRRORSITE_LOG_FORMAT") == TEXT
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_formatter(shared, _text if as_text else _json(station, process)))
    if directory is not None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(_ReportingFileHandler(directory / f"{process}.log"))
        handlers[1].setFormatter(_formatter(shared, _json(station, process)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.addFilter(Repetition())
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    requests = logging.getLogger(REQUESTS)
    requests.setLevel(logging.ERROR)
    if not any(isinstance(old, Unavailability) for old in requests.filters):
        requests.addFilter(Unavailability())
    logging.captureWarnings(capture=True)


class Unavailability(logging.Filter):
    """Lets one answer 503 a minute through; the rest is counted and said with the next one.

    503 says that a part of the station is away, which its own process and its health say already.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until = 0.0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", None) != HTTPStatus.SERVICE_UNAVAILABLE:
            return True
        now = self._clock()
        if now < self._quiet_until:
            self._left_out += 1
            return False
        self._quiet_until = now + REPEAT_SECONDS
        if self._left_out:
            record.left_out = self._left_out
        self._left_out = 0
        return True


class Repetition(logging.Filter):
    """Lets a library's line of code speak ``REPEATS`` times a minute; the rest is counted.

    The count is said with the next event of that line. Lines of code are finite, so is the table.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        now = self._clock()
        place = (record.pathname, record.lineno)
        since, count = self._seen.get(place, (now, 0))
        if now - since >= REPEAT_SECONDS:
            left_out = max(0, count - REPEATS)
            since, count = now, 0
            if left_out:
                record.left_out = left_out
        self._seen[place] = (since, count + 1)
        return count < REPEATS


class _ReportingFileHandler(logging.handlers.RotatingFileHandler):
    """Rotates its file; says once on stderr when it cannot write, and once when it can again."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, maxBytes=FILE_BYTES, backupCount=FILES - 1, encoding="utf-8", delay=True
        )
        self._lost = 0
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        self._failed = False
        super().emit(record)
        if self._lost and not self._failed:
            self._report(f"written again; {self._lost} lines were lost")
            self._lost = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the library's name
        if not self._lost:
            self._report(f"not written: {sys.exc_info()[1]}")
        self._lost += 1
        self._failed = True

    def _report(self, text: str) -> None:
        sys.stderr.write(f"log file {self.baseFilename}: {text}\n")


def escape(text: str) -> str:
    """``text`` with its control characters spelled out, so that no line can pose as another."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _formatter(
    shared: list[Callable[..., Any]], render: Callable[[Any, str, Event], str]
) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _json(station: str, process: str) -> Callable[[Any, str, Event], str]:
    def render(_logger: Any, _method: str, event: Event) -> str:
        line = {
            "at": event.pop("timestamp", None),
            "level": event.pop("level", "info"),
            "station": station,
            "process": process,
            "logger": event.pop("logger", ""),
            "event": event.pop("event", ""),
            **event,
        }
        return escape(json.dumps(line, ensure_ascii=False, default=str))

    return render


def _text(_logger: Any, _method: str, event: Event) -> str:
    at = str(event.pop("timestamp", ""))[11:23]
    level = str(event.pop("level", "info"))
    name = event.pop("logger", "")
    said = escape(str(event.pop("event", "")))
    exception = event.pop("exception", "")
    rest = "".join(f" {key}={escape(_plain(value))}" for key, value in sorted(event.items()))
    lines = [f"{at} {level:<8}{said}{rest} [{name}]"]
    lines += [f"  {escape(line)}" for line in str(exception).splitlines()]
    return "\n".join(lines)


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    return str(value)
