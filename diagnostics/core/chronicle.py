"""One event of the chronicle, its line in a spool file, and the lists that people ask for.

A record has the same id wherever it is kept: the id is made from where the event came from
(process, start of that process, number), so an event in a spool file has its final id before any
database has seen it, and storing it twice is harmless.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redundancy.core.events import Detail, Event, EventKind, Severity

#: Ids are whole numbers that every JSON reader keeps exactly (2**53, ECMA-262).
ID_BITS: Final = 53
#: The first instant that ``datetime`` cannot name, in nanoseconds.
AT_NS_LIMIT: Final = 253_402_300_800 * 10**9

_LIMITS: Final = {"code": 64, "source": 200, "message": 2_000, "user": 150, "station": 64}
_DETAILS_LIMIT: Final = 64
_DETAIL_LIMIT: Final = 2_000
#: C0, DEL, C1, separators that break lines, marks that reorder text, and halves of surrogates.
_HARMFUL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class LineError(ValueError):
    """A line of a spool file that is no event; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event came from: never two events with the same origin."""

    process: str
    boot: str
    seq: int

    @property
    def id(self) -> int:
        """The event's id: positive, below 2**53, the same wherever it is worked out."""
        text = f"{self.process}\n{self.boot}\n{self.seq}".encode()
        digest = hashlib.sha256(text).digest()
        return (int.from_bytes(digest[:8], "big") >> (64 - ID_BITS)) or 1


@dataclass(frozen=True, slots=True)
class Record:
    """An event as the chronicle shows it; instants are UTC in nanoseconds since 1970."""

    id: int
    at_ns: int
    station: str
    kind: EventKind
    code: str
    severity: Severity
    source: str
    message: str
    origin: Origin
    user: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)
    acknowledged_at_ns: int | None = None
    acknowledged_by: str = ""


def escape(text: str, limit: int) -> str:
    """Show control characters instead of obeying them (log injection), and bound the length."""
    shown = _HARMFUL.sub(lambda found: _escaped(found.group()), text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def make_record(event: Event, station: str, origin: Origin) -> Record:
    """An event made safe to keep and to show: escaped, bounded, plain JSON."""
    return Record(
        id=origin.id,
        at_ns=min(max(event.at_ns, 0), AT_NS_LIMIT - 1),
        station=escape(station, _LIMITS["station"]),
        kind=event.kind,
        code=escape(event.code, _LIMITS["code"]),
        severity=event.severity,
        source=escape(event.source, _LIMITS["source"]),
        message=escape(event.message, _LIMITS["message"]),
        origin=origin,
        user=escape(event.user, _LIMITS["user"]),
        details=_clean_details(event.details),
    )


def _clean_details(details: Mapping[str, Detail]) -> dict[str, Detail]:
    pairs = list(details.items())[:_DETAILS_LIMIT]
    return {escape(str(key), 64): _clean_detail(value) for key, value in pairs}


def _clean_detail(value: object) -> Detail:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else escape(hex(value), _DETAIL_LIMIT)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # NaN is not JSON
    return escape(str(value), _DETAIL_LIMIT)


def encode_line(record: Record) -> bytes:
    """One line of a spool file, with its line feed."""
    document = {
        "process": record.origin.process,
        "boot": record.origin.boot,
        "seq": record.origin.seq,
        "at_ns": record.at_ns,
        "station": record.station,
        "kind": record.kind.value,
        "code": record.code,
        "severity": record.severity.value,
        "source": record.source,
        "message": record.message,
        "user": record.user,
        "details": dict(record.details),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def decode_line(line: bytes) -> Record:
    """The record of one line.

    Raises:
        LineError: not JSON, a field is missing or has the wrong type, or an unknown kind.

    """
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LineError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise LineError("not an object")
    at_ns, seq = _whole(document, "at_ns"), _whole(document, "seq")
    details = document.get("details")
    if not isinstance(details, dict):
        raise LineError("details is not an object")
    try:
        kind = EventKind(_text(document, "kind"))
        severity = Severity(_text(document, "severity"))
    except ValueError as error:
        raise LineError(str(error)) from error
    event = Event(
        at_ns=at_ns,
        kind=kind,
        code=_text(document, "code"),
        severity=severity,
        source=_text(document, "source"),
        message=_text(document, "message"),
        user=_text(document, "user"),
        details=details,
    )
    origin = Origin(
        escape(_text(document, "process"), 64), escape(_text(document, "boot"), 32), seq
    )
    return make_record(event, _text(document, "station"), origin)


def _text(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise LineError(f"{name} is not a text")
    return value


def _whole(document: Mapping[str, object], name: str) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise LineError(f"{name} is not a whole number from 0")
    return value


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asks of the chronicle; an empty filter lets everything pass."""

    kinds: frozenset[EventKind] = frozenset()
    codes: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()
    since_ns: int | None = None
    until_ns: int | None = None
    search: str = ""
    newest_first: bool = True

    def matches(self, record: Record) -> bool:
        """Whether ``record`` is asked for; ``since`` and ``until`` both belong to the span."""
        return (
            (not self.kinds or record.kind in self.kinds)
            and (not self.codes or record.code in self.codes)
            and (not self.severities or record.severity in self.severities)
            and (self.since_ns is None or record.at_ns >= self.since_ns)
            and (self.until_ns is None or record.at_ns <= self.until_ns)
            and self._found_in(record)
        )

    def _found_in(self, record: Record) -> bool:
        word = self.search.casefold()
        return not word or any(
            word in text.casefold()
            for text in (record.message, record.source, record.code, record.user)
        )


def order_key(record: Record) -> tuple[int, int, int]:
    """Sort key: by time; events of one microsecond by their number, then by id.

    A database keeps microseconds, so a finer key would order the same event in two ways.
    """
    return record.at_ns // 1000, record.origin.seq, record.id


def in_order(records: Iterable[Record], query: Query) -> list[Record]:
    """The matching records, sorted as ``query`` wants them."""
    found = [record for record in records if query.matches(record)]
    return sorted(found, key=order_key, reverse=query.newest_first)


def merged(fresh: Sequence[Record], stored: Iterable[Record], query: Query) -> Iterator[Record]:
    """Both sorted sequences as one."""
    return heapq.merge(fresh, stored, key=order_key, reverse=query.newest_first)


def stored_window(start: int, stop: int, fresh: int) -> tuple[int, int]:
    """Which stored rows can appear in positions ``start`` to ``stop`` of the merged list.

    At most ``fresh`` of the positions before ``start`` are taken by records that are not stored,
    so the rows before ``start - fresh`` all come earlier than the window.
    """
    return max(0, start - fresh), stop


def window(
    fresh: Sequence[Record], stored: Iterable[Record], start: int, stop: int, query: Query
) -> list[Record]:
    """Positions ``start`` to ``stop`` of the merged list.

    ``stored`` holds the rows of ``stored_window(start, stop, len(fresh))``.
    """
    skipped, _ = stored_window(start, stop, len(fresh))
    together = list(merged(fresh, stored, query))
    return together[start - skipped : stop - skipped]
