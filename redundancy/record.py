"""The durable record of a station: its term, who it is, and whether it may take part.

A file outside the database, preallocated, so that neither a locked database nor a full disk can
block a change of term. It holds two slots. An update writes and syncs one, then the other:

* power lost while the first is written: the other holds the old record, and the new term was
  never used, since `RecordFile.write` had not returned;
* power lost while the second is written: the first holds the new record;
* one slot damaged later: the other holds the same record.

Only when neither slot is whole is the record damaged, and then the station must not guess.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Final

import msgspec

SLOT_SIZE: Final = 4096
SLOTS: Final = 2
_MAGIC: Final = b"MIRTERM1"
_HEADER: Final = struct.Struct("<8sQI")  # magic, number of the update, length of the document
_CHECKSUM: Final = struct.Struct("<I")  # CRC-32 of all that stands before it in the slot
_MOST: Final = SLOT_SIZE - _HEADER.size - _CHECKSUM.size


class CorruptRecord(Exception):  # noqa: N818 - it names the thing that was found
    """The record is there and cannot be read; the station's term is unknown."""


class TermRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a station never forgets. A role is not among it: none is resumed after a restart."""

    station_id: str
    term: int = 0
    pair_id: str = ""
    failed: bool = False
    cause: str = ""
    maintenance: bool = False
    revision: int = 0


_decode: Final = msgspec.json.Decoder(TermRecord).decode
_encode: Final = msgspec.json.Encoder().encode


class RecordFile:
    """The record's file. One process writes it; every call blocks until the disk has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        #: Slots that the last `read` found damaged while the other one was whole.
        self.damaged_slots = 0

    def read(self) -> TermRecord | None:
        """The record, or None if the station has none yet.

        Raises:
            CorruptRecord: there is a file, and neither slot is whole.
            OSError: the file cannot be read.

        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        if len(content) != SLOTS * SLOT_SIZE:
            raise CorruptRecord(
                f"{self.path} has {len(content)} bytes instead of {SLOTS * SLOT_SIZE}"
            )
        slots = [
            _open_slot(content[at : at + SLOT_SIZE]) for at in range(0, len(content), SLOT_SIZE)
        ]
        whole = [slot for slot in slots if slot is not None]
        self.damaged_slots = SLOTS - len(whole)
        if not whole:
            raise CorruptRecord(f"{self.path}: no slot is whole; its checksums do not match")
        self._number, record = max(whole, key=lambda slot: slot[0])
        return record

    def write(self, record: TermRecord) -> None:
        """Make ``record`` durable; a slot at a time, so that one whole slot is there at any time.

        Raises:
            OSError: the disk refused; the record on it is the old one or the new one.
            ValueError: the record is too large for a slot (a cause of kilobytes).

        """
        self._number += 1
        slot = _close_slot(self._number, record)
        if not self.path.exists():
            self._create(slot)
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            first = self._number % SLOTS
            for index in (first, 1 - first):
                os.pwrite(descriptor, slot, index * SLOT_SIZE)
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def set_aside(self) -> Path:
        """Move a damaged record out of the way, for whoever looks into it; returns where it is."""
        aside = self.path.with_name(f"{self.path.name}.damaged")
        self.path.replace(aside)
        _sync_folder(self.path.parent)
        return aside

    def _create(self, slot: bytes) -> None:
        descriptor, fresh = tempfile.mkstemp(prefix=f"{self.path.name}-", dir=self.path.parent)
        try:
            os.pwrite(descriptor, slot * SLOTS, 0)
            os.fsync(descriptor)
            Path(fresh).replace(self.path)
        except OSError:
            Path(fresh).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        _sync_folder(self.path.parent)


def _close_slot(number: int, record: TermRecord) -> bytes:
    document = _encode(record)
    if len(document) > _MOST:
        raise ValueError(f"a term record ends at {_MOST} bytes, this one has {len(document)}")
    head = _HEADER.pack(_MAGIC, number, len(document))
    body = (head + document).ljust(SLOT_SIZE - _CHECKSUM.size, b"\0")
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _open_slot(slot: bytes) -> tuple[int, TermRecord] | None:
    body = slot[: -_CHECKSUM.size]
    magic, number, length = _HEADER.unpack_from(body)
    if magic != _MAGIC or length > _MOST or _CHECKSUM.pack(zlib.crc32(body)) != slot[len(body) :]:
        return None
    try:
        return number, _decode(body[_HEADER.size : _HEADER.size + length])
    except msgspec.MsgspecError:
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
