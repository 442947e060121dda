"""Which rows of a draft bring in what the linter finds wrong, and how each is told.

A finding is about the result as a whole; who saves wants to know which row to change. Blamed are
the items of the finding that are new or moved; if none is, the pipes that were changed; else the
servers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from pipes.core.configuration import Configuration, Key
from pipes.core.fields import FIELDS, Body, Kind
from pipes.core.findings import Finding
from pipes.core.problems import FieldError

#: The fields that decide what moves where, the one to look at first in front.
DECISIVE: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.ITEM: (
        "target_node",
        "source_node",
        "direction",
        "index_range",
        "condition",
        "pipe",
        "enabled",
    ),
    Kind.PIPE: ("target", "source", "enabled", "dry_run"),
    Kind.SERVER: ("endpoint", "standby_endpoint", "server_set", "enabled"),
}


class Entry(Protocol):
    """An object as a draft has it; ``key`` is None if it is new."""

    key: Key | None
    body: Body
    row: int | None


E = TypeVar("E", bound=Entry)


class Drafted(Generic[E]):
    """The result of a draft, which knows what is new in it."""

    def __init__(self, current: Configuration, entries: Mapping[Kind, Sequence[E]]) -> None:
        self._current = current
        self._items: dict[int, E] = {
            entry.body["id"]: entry  # type: ignore[misc]  # an id is an int
            for entry in entries[Kind.ITEM]
        }
        self._pipes = {str(entry.body["name"]): entry for entry in entries[Kind.PIPE]}
        self._servers = {str(entry.body["name"]): entry for entry in entries[Kind.SERVER]}
        self.configuration = Configuration(
            {name: entry.body for name, entry in self._servers.items()},
            {name: entry.body for name, entry in self._pipes.items()},
            {number: entry.body for number, entry in self._items.items()},
        )

    def call(self, item: int) -> str:
        """What whoever saves calls an item: a new one has no id that anybody knows."""
        entry = self._items[item]
        if entry.key is not None:
            return f"item {item}" if entry.row is None else f"item {item} (row {entry.row})"
        return "the new item" if entry.row is None else f"row {entry.row}"

    def blame(self, finding: Finding) -> list[tuple[E, FieldError]]:
        """The entries to refuse, each with what to tell; none if the draft changes none of them.

        Where nodes have several loops, one is found: the next comes to light with its end.
        """
        items = [self._items[number] for number in finding.items]
        pipes = list({str(item.body["pipe"]): None for item in items})
        servers = {
            str(self._pipes[pipe].body[end]): None for pipe in pipes for end in ("source", "target")
        }
        for kind, entries in (
            (Kind.ITEM, items),
            (Kind.PIPE, [self._pipes[name] for name in pipes]),
            (Kind.SERVER, [self._servers[name] for name in servers]),
        ):
            blamed = list(self._changed(kind, entries, finding))
            if blamed:
                return blamed
        return []

    def _changed(
        self, kind: Kind, entries: Sequence[E], finding: Finding
    ) -> Iterator[tuple[E, FieldError]]:
        for entry in entries:
            field = self._decisive_change(kind, entry)
            if field is not None:
                value = entry.body.get(field, FIELDS[kind][field].default)
                yield entry, FieldError(field, _told(finding), value)

    def _decisive_change(self, kind: Kind, entry: E) -> str | None:
        fields = DECISIVE[kind]
        if entry.key is None:
            return fields[0]
        old = self._current.of(kind)[entry.key]
        return next((name for name in fields if old.get(name) != entry.body.get(name)), None)


def _told(finding: Finding) -> str:
    return f"is refused ({finding.rule}): {finding.message}"
