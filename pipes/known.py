"""What one direction of a pipe knows of its items, by handle; the parts of a flow share it."""

from __future__ import annotations

from collections.abc import Collection, Set

from pipes.core.transfer import History, Rule
from pipes.core.wanted import Item


class Known:
    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.rules: dict[int, Rule] = {}
        self.histories: dict[int, History] = {}
        self.last: dict[int, bytes] = {}
        """The newest value of each, as it came."""
        self.first: set[int] = set()
        """Those whose next value is the first of a subscription, or for a target."""
        self.strangers: set[int] = set()
        """Not subscribed yet: what comes of these is of their former selves."""
        self.queued: Set[int] = frozenset()
        """Those that ask for more than their newest value."""
        self.held_back: dict[int, str] = {}
        """Why the newest value is not written."""
        self.notes: dict[int, str] = {}
        """What of the settings is not carried out."""

    def forget(self, handles: Collection[int]) -> None:
        self.first.difference_update(handles)
        self.strangers.difference_update(handles)
        tables: tuple[dict[int, object], ...] = (
            self.items, self.rules, self.histories, self.last, self.held_back, self.notes,
        )  # type: ignore[assignment]  # fmt: skip
        for table in tables:
            for handle in handles:
                table.pop(handle, None)
