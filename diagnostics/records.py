"""Chronicle records to database rows, to answers, and back."""

from __future__ import annotations

import datetime as dt
from typing import Final

from diagnostics.core.chronicle import Origin, Record
from diagnostics.models import ChronicleEvent
from redundancy.core.events import EventKind, Severity

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def instant(at_ns: int) -> dt.datetime:
    """UTC nanoseconds since 1970 as an aware instant, in whole microseconds."""
    return _EPOCH + dt.timedelta(microseconds=at_ns // 1000)


def nanoseconds(at: dt.datetime) -> int:
    """An aware instant as UTC nanoseconds since 1970, exact to the microsecond."""
    return (at - _EPOCH) // _MICROSECOND * 1000


def iso(at: dt.datetime) -> str:
    """ISO 8601 in UTC with ``Z``."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def to_row(record: Record) -> ChronicleEvent:
    return ChronicleEvent(
        id=record.id,
        at=instant(record.at_ns),
        station=record.station,
        kind=record.kind,
        code=record.code,
        severity=record.severity,
        source=record.source,
        message=record.message,
        user=record.user,
        details=dict(record.details),
        process=record.origin.process,
        boot=record.origin.boot,
        seq=record.origin.seq,
    )


def from_row(row: ChronicleEvent) -> Record:
    return Record(
        id=row.id,
        at_ns=nanoseconds(row.at),
        station=row.station,
        kind=EventKind(row.kind),
        code=row.code,
        severity=Severity(row.severity),
        source=row.source,
        message=row.message,
        origin=Origin(row.process, row.boot, row.seq),
        user=row.user,
        details=row.details,
        acknowledged_at_ns=nanoseconds(row.acknowledged_at) if row.acknowledged_at else None,
        acknowledged_by=row.acknowledged_by,
    )


def as_answer(record: Record) -> dict[str, object]:
    """The event as REST answers it."""
    acknowledged = record.acknowledged_at_ns
    return {
        "id": record.id,
        "at": iso(instant(record.at_ns)),
        "station": record.station,
        "kind": record.kind.value,
        "code": record.code,
        "severity": record.severity.value,
        "source": record.source,
        "message": record.message,
        "user": record.user,
        "details": dict(record.details),
        "acknowledged_at": None if acknowledged is None else iso(instant(acknowledged)),
        "acknowledged_by": record.acknowledged_by,
    }
