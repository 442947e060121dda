"""Many look-ups in one table with one call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import TypeVar

__all__ = ["look_up"]

Entry = TypeVar("Entry")


def look_up(table: Mapping[int, Entry], handles: Collection[int]) -> Sequence[Entry]:
    """The entries of all ``handles``, in their order, without a call for each of them.

    Raises:
        KeyError: a handle has none.
    """
    if len(handles) < 2:
        return [table[handle] for handle in handles]
    entries: tuple[Entry, ...] = itemgetter(*handles)(table)
    return entries
