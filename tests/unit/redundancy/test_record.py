from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redundancy import record as record_module
from redundancy.record import SLOT_SIZE, CorruptRecord, RecordFile, TermRecord

OLD = TermRecord(station_id="a1", term=6)
NEW = TermRecord(
    station_id="a1", term=7, pair_id="p", failed=True, cause="POWER", maintenance=True, revision=12
)


@pytest.fixture
def file(tmp_path: Path) -> RecordFile:
    return RecordFile(tmp_path / "term_record")


def _again(file: RecordFile) -> TermRecord | None:
    return RecordFile(file.path).read()


def test_a_new_station_has_no_record(file: RecordFile) -> None:
    assert file.read() is None


def test_what_was_written_is_read_by_the_next_process(file: RecordFile) -> None:
    file.write(OLD)
    file.write(NEW)

    assert _again(file) == NEW
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_restarted_station_goes_on_counting_updates(file: RecordFile) -> None:
    for _ in range(5):
        file.write(OLD)
    successor = RecordFile(file.path)
    successor.read()
    successor.write(NEW)

    assert _again(file) == NEW


def test_either_slot_alone_is_enough(file: RecordFile) -> None:
    file.write(OLD)
    file.write(NEW)
    whole = file.path.read_bytes()

    for slot in (0, 1):
        at = slot * SLOT_SIZE
        file.path.write_bytes(whole[:at] + b"\xff" * SLOT_SIZE + whole[at + SLOT_SIZE :])
        reader = RecordFile(file.path)
        assert reader.read() == NEW
        assert reader.damaged_slots == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"\0" * 2 * SLOT_SIZE, b"\0" * 3 * SLOT_SIZE],
    ids=["empty", "cut off", "zeros", "too long"],
)
def test_a_record_that_cannot_be_read_is_corrupt_never_new(
    file: RecordFile, content: bytes
) -> None:
    file.path.write_bytes(content)

    with pytest.raises(CorruptRecord, match="term_record"):
        file.read()


@given(st.integers(0, 2 * SLOT_SIZE * 8 - 1), st.integers(0, SLOT_SIZE * 8 - 1))
def test_flipped_bits_never_give_another_record(bit: int, second: int) -> None:
    slot = record_module._close_slot(5, NEW)
    content = bytearray(slot * 2)
    for position in (bit, (bit // (SLOT_SIZE * 8) ^ 1) * SLOT_SIZE * 8 + second):
        content[position // 8] ^= 1 << position % 8

    opened = [record_module._open_slot(bytes(content[at:][:SLOT_SIZE])) for at in (0, SLOT_SIZE)]

    assert opened == [None, None]


def test_a_whole_slot_with_a_strange_document_is_damaged() -> None:
    slot = record_module._close_slot(1, NEW)
    body = bytearray(slot[:-4])
    body[record_module._HEADER.size] = ord("[")
    checksum = record_module._CHECKSUM.pack(record_module.zlib.crc32(bytes(body)))

    assert record_module._open_slot(bytes(body) + checksum) is None


def test_power_lost_between_the_slots_leaves_the_new_record(
    file: RecordFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(OLD)
    synced: list[int] = []

    def power_lost_at_the_second(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(5, "power lost")

    monkeypatch.setattr(os, "fdatasync", power_lost_at_the_second)
    with pytest.raises(OSError, match="power lost"):
        file.write(NEW)

    assert _again(file) == NEW


@pytest.mark.parametrize("written", [0, 1, 20, 100, SLOT_SIZE // 2])
def test_a_slot_that_is_half_written_leaves_the_old_record(file: RecordFile, written: int) -> None:
    file.write(OLD)
    whole = bytearray(file.path.read_bytes())
    half = record_module._close_slot(2, NEW)[:written]
    whole[: len(half)] = half
    file.path.write_bytes(whole)

    assert _again(file) == OLD


def test_a_cause_of_kilobytes_is_refused_and_the_record_stays(file: RecordFile) -> None:
    file.write(OLD)

    with pytest.raises(ValueError, match="a term record ends at"):
        file.write(TermRecord(station_id="a1", term=7, cause="x" * 5000))

    assert _again(file) == OLD


def test_a_damaged_record_is_kept_for_whoever_looks_into_it(file: RecordFile) -> None:
    file.path.write_bytes(b"damaged")

    aside = file.set_aside()

    assert aside.read_bytes() == b"damaged"
    assert file.read() is None


def test_a_record_that_cannot_be_created_leaves_no_rest(
    file: RecordFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        file.write(OLD)

    assert list(file.path.parent.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounting.returncode:
        pytest.skip(f"a disk of our own needs root: {mounting.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.root
def test_a_full_disk_does_not_block_a_change_of_term(small_disk: Path) -> None:
    file = RecordFile(small_disk / "term_record")
    file.write(OLD)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * 256 * 1024)

    for term in range(7, 20):
        file.write(TermRecord(station_id="a1", term=term))

    assert _again(file) == TermRecord(station_id="a1", term=19)
