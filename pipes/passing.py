"""Which values pass without a look, so that most of them cost no Python byte-code.

A handle in ``unseen`` passes as long as its value is of the type noted there. One whose numbers
are scaled in bulk is there, too, under a mark that no value carries. Every other handle is decided
about value by value: not ready yet, first value of a subscription, a conversion, a deadband of
ours, an item in error, an echo to suppress.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from itertools import compress, repeat
from operator import itemgetter
from typing import Final

from pipes.connections import ServerConnection
from pipes.core.bulk import Scaling, scaled
from pipes.core.lookup import look_up
from pipes.core.skip import HAS_STATUS
from pipes.core.transfer import Rule, Target, bulk_scaling, passes_untouched
from pipes.known import Known
from pipes.written import Written

#: No encoding byte: the mark of a handle in ``unseen`` whose numbers are scaled in bulk.
SCALED: Final = 0x3F
#: As little an encoding byte: a handle that is not in ``unseen``.
UNKNOWN: Final = 0x3E
_TYPE_OF: Final = itemgetter(1)
_MASK_OF: Final = itemgetter(0)
#: The masks of DataValues without a status: what is left of many masks without these has one.
_WITHOUT_STATUS: Final = bytes(mask for mask in range(256) if not mask & HAS_STATUS)


class Passing:
    def __init__(self, known: Known, writing: ServerConnection, written: Written) -> None:
        self.unseen: dict[int, int] = {}
        """Handle -> the byte of type and rank that its value must have."""
        self.scalings: dict[int, Scaling] = {}
        """Of the handles that are `SCALED` in ``unseen``, and of no others."""
        self.minded: set[int] = set()
        """Those whose values need a look if they have a status."""
        self._known = known
        self._writing = writing
        self._written = written

    # -- many values ----------------------------------------------------------------------------

    def differing(self, values: Mapping[int, bytes]) -> set[int]:
        """The handles whose value is not of the type that may pass; no byte-code per value."""
        try:
            types = bytes(map(_TYPE_OF, values.values()))
        except IndexError:  # a DataValue without anything is a single byte
            types = bytes(value[1] if len(value) > 1 else 0 for value in values.values())
        try:
            wanted = bytes(look_up(self.unseen, values))
        except KeyError:  # handles to look at, or not ours
            wanted = bytes(map(self.unseen.get, values, repeat(UNKNOWN)))
        if types == wanted:
            return set()
        differences = int.from_bytes(types) ^ int.from_bytes(wanted)
        return set(compress(values, differences.to_bytes(len(types))))

    def with_status(self, values: Mapping[int, bytes]) -> set[int]:
        """The handles whose value has a status that means something to us."""
        if not bytes(map(_MASK_OF, values.values())).translate(None, _WITHOUT_STATUS):
            return set()
        found = {handle for handle, value in values.items() if value[0] & HAS_STATUS}
        return found if self._writing.writes_status is False else found & self.minded

    def scaled(self, values: dict[int, bytes], look: Set[int]) -> dict[int, bytes]:
        """What is written for the numbers among ``look`` that are scaled in bulk."""
        handles = look & self.scalings.keys()
        if len(handles) < len(values):
            values = dict(zip(handles, look_up(values, handles), strict=True))
        return scaled(values, self.scalings)

    # -- who passes -----------------------------------------------------------------------------

    def spare(self, handle: int, value: bytes, rule: Rule, target: Target) -> None:
        """Let the values that follow this one go straight through, if its rule lets them."""
        self.scalings.pop(handle, None)
        if passes_untouched(value, rule, target):
            self.unseen[handle] = value[1]
        elif scaling := bulk_scaling(value, rule, target):
            self.scalings[handle] = scaling
            self.unseen[handle] = SCALED

    def look_at(self, handles: Iterable[int]) -> None:
        """From now on no value of these passes without a look."""
        handles = list(handles)
        self.remember_good(handles)
        for handle in handles:
            self.distrust(handle)

    def distrust(self, handle: int) -> None:
        """As `look_at`; what passed last does not count as the last good value."""
        self.unseen.pop(handle, None)
        self.scalings.pop(handle, None)

    def target_lost(self) -> None:
        """Nothing is due until its target is known again."""
        self.remember_good(list(self.unseen))
        self.unseen.clear()
        self.scalings.clear()

    def forget(self, handles: Collection[int]) -> None:
        self.minded.difference_update(handles)
        for handle in handles:
            self.distrust(handle)

    def remember_good(self, handles: Collection[int]) -> None:
        """What went straight through was not noted: it is the last value of its item."""
        for handle in handles:
            if handle not in self.unseen:
                continue
            value = self._known.last.get(handle)
            if value is None or value[0] & HAS_STATUS:
                value = self._written.held.get(handle)
            elif self.unseen[handle] == SCALED:
                value = scaled({handle: value}, self.scalings).get(handle)
            if value is not None:
                self._known.histories[handle].last_good = value
