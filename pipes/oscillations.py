"""The guard against oscillation of one flow: its clock, and what its steps mean for the items.

`core.oscillation` has the rules. Nothing here is done for a value on its way: some items of what
was written last are looked at in each tick, and only one that is under suspicion has each of its
values seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from pipes.core.oscillation import OscillationGuard, Step, some_of
from pipes.core.stops import Stops

log = logging.getLogger(__name__)

#: Items that a tick begins to look at, and how many where some oscillate already.
ITEMS_A_LOOK: Final = 5
ITEMS_A_LOOK_IN_TROUBLE: Final = 50
WITHHELD: Final = "withheld for a moment, to see whether its values go round through our writes"


class Owner(Protocol):
    """The flow, as its guard sees it; every call is synchronous."""

    @property
    def last(self) -> Mapping[int, bytes]: ...

    def written_lately(self) -> Collection[int]:
        """The items of the newest batch that may be guarded; empty if nothing was written."""

    def look_at_each(self, handle: int) -> None:
        """From now on no value of this item passes without a look."""

    def withhold(self, handle: int, why: str) -> None:
        """Write nothing of this item, what waits included."""

    def suspend(self, handle: int, why: str) -> None:
        """As `withhold`, and the item is in error."""

    def release(self, handle: int, said: str) -> None:
        """Write the newest value of this item; take back what was ``said`` of it."""

    def acquit(self, handle: int, said: str) -> None:
        """Take back what was ``said`` of this item, if that still stands."""


class Oscillations:
    def __init__(
        self, name: str, way: tuple[str, str], owner: Owner, now: Callable[[], float]
    ) -> None:
        """``way``: the server that is written, and the one that is read."""
        self.news = Stops()
        self._guard = OscillationGuard()
        self.seen = self._guard.seen
        """Items of which each value has to be looked at; every other one passes unasked."""
        self._name = name
        self._written, self._read = way
        self._owner = owner
        self._now = now
        self._turn = 0
        self._said: dict[int, str] = {}

    @property
    def suspended(self) -> Collection[int]:
        return self._guard.suspended

    def tick(self, now: float) -> None:
        written = self._owner.written_lately()
        guard = self._guard
        if not written and guard.is_idle:
            return
        most = ITEMS_A_LOOK_IN_TROUBLE if guard.suspended else ITEMS_A_LOOK
        guard.consider(some_of(written, most, self._turn), now)
        self._turn += 1
        for handle, step in (*guard.look(self._owner.last, now), *guard.due(now)):
            self._carry_out(handle, step)
        for handle in guard.suspended:
            self._owner.suspend(handle, self._said[handle])  # whatever cleared its error meanwhile

    def holds(self, handle: int) -> bool:
        """Whether the newest value of an item in ``seen`` is not to be written now.

        Raises:
            DecodeError: the value is damaged.
        """
        value = self._owner.last.get(handle)
        step = None if value is None else self._guard.arrived(handle, value, self._now())
        if step is Step.WITHHOLD:
            self._carry_out(handle, step)
        elif step is not None:  # it goes on with this very value
            self._acquit(handle, step)
        return handle in self._guard.withheld

    def forget(self, handles: Collection[int]) -> None:
        self._guard.forget(handles)
        for handle in handles:
            self._said.pop(handle, None)
            self.news.forget(handle)

    def _carry_out(self, handle: int, step: Step) -> None:
        match step:
            case Step.OBSERVE:
                self._owner.look_at_each(handle)
            case Step.WITHHOLD:
                self._said[handle] = WITHHELD
                self._owner.withhold(handle, WITHHELD)
            case Step.SUSPEND:
                self._said[handle] = why = self._why(handle)
                log.warning("%s: item %s: %s", self._name, handle, why)
                self.news.note(handle, is_stopped=True)
                self._owner.suspend(handle, why)
            case Step.RELEASE:
                self._owner.release(handle, self._said.pop(handle, ""))
            case Step.ACQUIT | Step.CALM:
                self._acquit(handle, step)

    def _acquit(self, handle: int, step: Step) -> None:
        if step is Step.CALM:
            self.news.note(handle, is_stopped=False)
        said = self._said.pop(handle, None)
        if said is not None:
            self._owner.acquit(handle, said)

    def _why(self, handle: int) -> str:
        seconds = self._guard.suspended[handle]
        return (
            f"suspended for {seconds:g} s, because it oscillates: what is written to"
            f" {self._written} comes back to {self._read} by a way that is not ours (a script,"
            " another mirror, another address of one server); end that way, or disable the item"
        )
