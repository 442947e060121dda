"""The items that read a part of an array, and what of an array that came is theirs.

A server that does not apply index ranges sends the whole array; what changed elsewhere in it is no
change of the part.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipes.connections import ServerConnection
from pipes.core.binary import DecodeError, comparable
from pipes.core.choices import Trigger
from pipes.core.index_range import IndexRange
from pipes.known import Known


class ArrayParts:
    def __init__(self, known: Known, reading: ServerConnection) -> None:
        self._known = known
        self._reading = reading
        self._parts: dict[int, IndexRange] = {}

    def add(self, handle: int, part: IndexRange) -> None:
        self._parts[handle] = part

    def forget(self, handles: Iterable[int]) -> None:
        for handle in handles:
            self._parts.pop(handle, None)

    def cut(self, values: dict[int, bytes]) -> dict[int, bytes]:
        """Take the parts out of arrays that came whole, and leave out what did not change."""
        if not self._parts:
            return values
        session = self._reading.session
        is_whole = session is not None and session.ignores_index_range is True
        changed = dict(values)
        for handle in values.keys() & self._parts.keys():
            whole, before = values[handle], self._known.last.get(handle)
            changed[handle] = cut = self._parts[handle].cut(whole, is_whole=is_whole)
            if cut is not whole and before is not None and self._is_repeated(handle, before, cut):
                del changed[handle]
        return changed

    def cut_one(self, handle: int, value: bytes) -> bytes | None:
        """What an item reads of a value; None if that did not change."""
        return self.cut({handle: value}).get(handle) if handle in self._parts else value

    def _is_repeated(self, handle: int, before: bytes, cut: bytes) -> bool:
        known = self._known
        if handle in known.first or known.items[handle].trigger is Trigger.STATUS_VALUE_TIMESTAMP:
            return False
        try:
            return comparable(before) == comparable(cut)
        except DecodeError:
            return False
