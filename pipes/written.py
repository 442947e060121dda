"""What a writer has written: what its server holds of it, when it was, how often.

Tables of all handles are in no cache when a batch of a few hundred is answered: batches are noted
and entered later, in one go, or when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

#: Written values that wait to be entered in the tables; this bounds their memory.
FOLD_AT: Final = 4_000


class Written:
    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}
        self._at: dict[int, int] = {}
        self._counts: Counter[int] = Counter()
        self._unfolded: list[tuple[Mapping[int, bytes], int]] = []  # batches written, and when
        self._unfolded_values = 0

    @property
    def held(self) -> dict[int, bytes]:
        """What the server is known to hold, of what was written or read."""
        self._fold()
        return self._held

    @property
    def at(self) -> dict[int, int]:
        """When each handle was written last, in ns of UTC."""
        self._fold()
        return self._at

    @property
    def counts(self) -> Counter[int]:
        """How often each handle was written."""
        self._fold()
        return self._counts

    def note(self, batch: Mapping[int, bytes], wall_ns: int) -> None:
        """The server has acknowledged a batch; nobody changes it any more."""
        self._unfolded.append((batch, wall_ns))
        self._unfolded_values += len(batch)
        if self._unfolded_values >= FOLD_AT:
            self._fold()

    def forget(self, handles: Iterable[int]) -> None:
        self._fold()
        for handle in handles:
            self._held.pop(handle, None)
            self._at.pop(handle, None)
            self._counts.pop(handle, None)

    def _fold(self) -> None:
        if not self._unfolded:
            return
        for batch, wall_ns in self._unfolded:
            self._held.update(batch)
            self._at.update(dict.fromkeys(batch, wall_ns))
            self._counts.update(batch.keys())
        self._unfolded.clear()
        self._unfolded_values = 0
