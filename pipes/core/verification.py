"""Read-back of acknowledged writes: what is to be read, and what a read says about a write.

The value alone decides, by the target's type: numbers are equal as numbers and to the last bit of
a float, NaN is NaN, a null text or array is an empty one. Status and timestamps are not judged,
since servers keep, replace or drop them as they please.

The newest write of an item is judged and no other: as soon as a newer one goes out, the older is
left *unverified*. A server that acknowledges first and applies later is given `SETTLE_SECONDS`:
another value is looked at again, and is a contradiction only if it still stands then, or if the
looks at all writes of the item have failed for that long. A value from before the write is taken
for one that is still on its way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from weakref import ReferenceType, ref

from pipes.core.binary import DecodeError, decode_data_value, status_of, value_part
from pipes.core.ledger import Batch
from pipes.core.values import FLOAT_TYPES, INTEGER_RANGES, Variant, VariantType, is_bad

SETTLE_SECONDS: Final = 1.0
#: A write that could not be looked at for so long is left unverified.
PATIENCE_SECONDS: Final = 10.0

_NUMBERS: Final = FLOAT_TYPES | INTEGER_RANGES.keys()
#: What a server may answer for the empty value of its type (Part 6, 5.1.2 and 5.2.2.4).
_EMPTY: Final = frozenset({"", b"", ()})


class Verdict(StrEnum):
    SAME = "same"
    OTHER = "other"
    UNREADABLE = "unreadable"
    """The read says nothing about the value: it was refused, or is damaged."""


def judge(sent: bytes, found: bytes) -> Verdict:
    """Whether the target holds what was sent; both are encoded DataValues."""
    try:
        there = decode_data_value(found)
        if there.variant is not None and value_part(sent) == value_part(found):
            return Verdict.SAME  # NaN and all
        wrote = decode_data_value(sent).variant
    except DecodeError:
        return Verdict.UNREADABLE
    if _is_null(there.variant) and is_bad(there.status):
        return Verdict.UNREADABLE
    return Verdict.SAME if _same(wrote, there.variant) else Verdict.OTHER


def _is_null(variant: Variant | None) -> bool:
    return variant is None or variant.type is VariantType.NULL


def _same(wrote: Variant | None, there: Variant | None) -> bool:
    if wrote is None or there is None or _is_null(wrote) or _is_null(there):
        return _is_empty(wrote) and _is_empty(there)
    if wrote.type is not there.type and not {wrote.type, there.type} <= _NUMBERS:
        return False
    return wrote.rank == there.rank and _shape(wrote) == _shape(there) and _equal(wrote, there)


def _is_empty(variant: Variant | None) -> bool:
    return variant is None or variant.value is None or _is_blank(variant.value)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str | bytes | tuple) and value in _EMPTY


def _shape(variant: Variant) -> tuple[int, ...]:
    return variant.dimensions or () if variant.rank > 1 else ()


def _equal(wrote: Variant, there: Variant) -> bool:
    if wrote.value == there.value or (_is_empty(wrote) and _is_empty(there)):
        return True
    if isinstance(wrote.value, tuple) and isinstance(there.value, tuple):
        return len(wrote.value) == len(there.value) and all(
            map(_equal_elements, wrote.value, there.value)
        )
    return _equal_elements(wrote.value, there.value)


def _equal_elements(one: Any, other: Any) -> bool:
    if one == other:
        return True
    if one is None or other is None:
        return (one is None or _is_blank(one)) and (other is None or _is_blank(other))
    return bool(one != one and other != other)  # NaN


@dataclass(slots=True, eq=False)
class Check:
    """One write that is to be read back; ``before`` is what was written before it.

    ``batch`` is that of the ledger, which may drop it; ``alone`` is the write by itself.
    """

    batch: ReferenceType[Batch]
    alone: Batch
    written_at: float
    due_at: float
    before: bytes | None
    is_reading: bool = False


class Step(StrEnum):
    """What a read did to a check."""

    VERIFIED = "verified"
    CONTRADICTED = "contradicted"
    UNREADABLE = "unreadable"
    AGAIN = "again"
    OVERTAKEN = "overtaken"


class Verification:
    """The newest writes of some items; at most one check each, so it is bounded by the items."""

    def __init__(self) -> None:
        self.handles: set[int] = set()
        self.results: dict[int, bool] = {}
        """What the last judged write of each item came to."""
        self.unreadable: dict[int, int] = {}
        """Items whose last read said nothing, with its status."""
        self.verified = 0
        self.mismatched = 0
        self.unverified = 0
        self._open: dict[int, Check] = {}
        self._before: dict[int, bytes] = {}
        self._doubts: dict[int, float] = {}  # since when no look at the item was good
        self._both_ways: set[int] = set()

    def add(self, handle: int, *, both_ways: bool) -> None:
        """Look at the writes of an item. One of both directions is never contradicted: what its
        target makes of a value is a change, and carried back.
        """
        self.handles.add(handle)
        if both_ways:
            self._both_ways.add(handle)

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self.handles.discard(handle)
            self._both_ways.discard(handle)
            self.results.pop(handle, None)
            self.unreadable.pop(handle, None)
            self._open.pop(handle, None)
            self._before.pop(handle, None)
            self._doubts.pop(handle, None)

    def lost(self) -> None:
        """The session is over: what it wrote is not looked at any more."""
        self.unverified += len(self._open)
        self._open.clear()
        self._before.clear()
        self._doubts.clear()

    # -- writes ---------------------------------------------------------------------------------

    def sending(self, batch: Mapping[int, bytes]) -> None:
        """These go into a request: what was written of them before is not judged any more."""
        for handle in batch.keys() & self.handles:
            if self._open.pop(handle, None) is not None:
                self.unverified += 1

    def written(self, batch: Batch, now: float) -> None:
        """The server took the batch."""
        for handle in batch.sent.keys() & self.handles:
            alone = batch.part((handle,))
            before = self._before.get(handle)
            self._open[handle] = Check(ref(batch), alone, now, now, before)
            self._before[handle] = batch.sent[handle]

    # -- reads ----------------------------------------------------------------------------------

    def take(self, limit: int, now: float) -> dict[int, Check]:
        """Up to ``limit`` checks to read now; tell `found` or `unread` about each."""
        taken: dict[int, Check] = {}
        for handle, check in self._open.items():
            if len(taken) >= limit:
                break
            if not check.is_reading and check.due_at <= now:
                check.is_reading = True
                taken[handle] = check
        return taken

    def is_due(self, now: float) -> bool:
        return any(c.due_at <= now and not c.is_reading for c in self._open.values())

    def lapse(self, now: float) -> None:
        """Give up what has waited too long: the target is too slow to be read as well."""
        late = [h for h, c in self._open.items() if now - c.written_at > PATIENCE_SECONDS]
        for handle in late:
            del self._open[handle]
        self.unverified += len(late)

    def unread(self, handle: int, check: Check, now: float) -> None:
        """The read did not come to an answer; it is tried again until it has lapsed."""
        if self._open.get(handle) is check:
            check.is_reading = False
            check.due_at = now + SETTLE_SECONDS

    def found(self, handle: int, check: Check, value: bytes, now: float) -> Step:
        """What the target was read to hold."""
        if self._open.get(handle) is not check:
            return Step.OVERTAKEN
        verdict = judge(check.alone.sent[handle], value)
        if verdict is Verdict.OTHER and not self._is_contradiction(handle, check, value, now):
            check.is_reading = False
            check.due_at = check.written_at + SETTLE_SECONDS
            return Step.AGAIN
        del self._open[handle]
        self.unreadable.pop(handle, None)
        if verdict is Verdict.SAME:
            self._doubts.pop(handle, None)
            self.results[handle] = True
            self.verified += 1
            return Step.VERIFIED
        if verdict is Verdict.OTHER and handle not in self._both_ways:
            self.results[handle] = False
            self.mismatched += 1
            return Step.CONTRADICTED
        self.unverified += 1
        if verdict is Verdict.OTHER:
            return Step.OVERTAKEN
        self.unreadable[handle] = _status(value)
        return Step.UNREADABLE

    def _is_contradiction(self, handle: int, check: Check, value: bytes, now: float) -> bool:
        if now - check.written_at >= SETTLE_SECONDS:
            return True
        if check.before is not None and judge(check.before, value) is Verdict.SAME:
            return False
        return now - self._doubts.setdefault(handle, now) >= SETTLE_SECONDS


def _status(value: bytes) -> int:
    try:
        return status_of(value)
    except DecodeError:
        return 0
