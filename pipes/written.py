"""What a writer has written: what its server holds of it, when it was, how often.

Tables of all handles are in no cache when a batch of a few hundred is answered, and nobody looks at
most of them. So batches are only noted. When two generations of them are there, those of the older
are entered in the tables, which is nothing but counting for what the younger one has overtaken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from pipes.core.lookup import look_up

#: Values of a generation: so many for each item, within these bounds. The ledger keeps as many.
VALUES_PER_ITEM: Final = 2
LEAST_VALUES: Final = 1_000
MOST_VALUES: Final = 40_000

Noted = tuple[Mapping[int, bytes], int]
"""A batch that was written, and when."""


class Written:
    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}
        self._at: dict[int, int] = {}
        self._counts: Counter[int] = Counter()
        self._older: list[Noted] = []
        self._younger: list[Noted] = []
        self._handles_of_older: set[int] = set()
        self._younger_values = 0
        self._limit = LEAST_VALUES

    @property
    def held(self) -> dict[int, bytes]:
        """What the server is known to hold, of what was written or read."""
        self._enter_all()
        return self._held

    @property
    def at(self) -> dict[int, int]:
        """When each handle was written last, in ns of UTC."""
        self._enter_all()
        return self._at

    @property
    def counts(self) -> Counter[int]:
        """How often each handle was written."""
        self._enter_all()
        return self._counts

    def expect(self, items: int) -> None:
        """Let a generation be as large as is right for so many items."""
        self._limit = min(MOST_VALUES, max(LEAST_VALUES, VALUES_PER_ITEM * items))

    def note(self, batch: Mapping[int, bytes], wall_ns: int) -> None:
        """The server has acknowledged a batch; nobody changes it any more."""
        self._younger.append((batch, wall_ns))
        self._younger_values += len(batch)
        if self._younger_values >= self._limit:
            self._next_generation()

    def forget(self, handles: Iterable[int]) -> None:
        self._enter_all()
        for handle in handles:
            self._held.pop(handle, None)
            self._at.pop(handle, None)
            self._counts.pop(handle, None)

    def _next_generation(self) -> None:
        handles = set(chain.from_iterable(batch for batch, _ in self._younger))
        self._enter(self._older, self._handles_of_older - handles)
        self._older, self._younger = self._younger, []
        self._handles_of_older, self._younger_values = handles, 0

    def _enter_all(self) -> None:
        noted = self._older + self._younger
        if noted:
            self._enter(noted, None)
            self._older, self._younger = [], []
            self._handles_of_older, self._younger_values = set(), 0

    def _enter(self, noted: list[Noted], last_here: set[int] | None) -> None:
        """Count all; of ``last_here`` (None: of all) it is known what they hold, and since when."""
        for batch, wall_ns in noted:
            if last_here is None:
                self._held.update(batch)
                self._at.update(dict.fromkeys(batch, wall_ns))
            elif last_here and (handles := batch.keys() & last_here):
                self._held.update(zip(handles, look_up(batch, handles), strict=True))
                self._at.update(dict.fromkeys(handles, wall_ns))
        self._counts.update(chain.from_iterable(batch for batch, _ in noted))
