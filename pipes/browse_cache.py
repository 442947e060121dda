"""The address space of a server as it was browsed last: one SQLite file per server.

It is not the database of the station: a browse of 100,000 nodes would hold its write lock for
seconds. `pipes.browse_writer` makes a new file and puts it in the place of the old one when it is
whole; readers never see half of one and need no lock.

A node is there once, whatever number of references lead to it; NodeIds are in the URI form, so the
file outlives a restart of the server that moves its namespaces.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FORMAT: Final = "1"
VARIABLE: Final = 2

_PER_QUERY: Final = 500


class CacheError(Exception):
    """There is no such cache, or it cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A node of the cache."""

    id: int
    node_id: str
    space: int
    name: str
    shown: str
    node_class: int
    is_leaf: bool
    data_type: str | None
    type: str
    rank: int | None
    access: int
    has_children: bool


def cache_file(folder: Path, server: str) -> Path:
    digest = hashlib.sha256(server.casefold().encode()).hexdigest()[:24]
    return folder / f"{digest}.sqlite"


class BrowseCache:
    """A cache as it is read; use it in a ``with`` block."""

    def __init__(self, folder: Path, server: str, endpoint: str) -> None:
        """
        Raises:
            CacheError: there is none of this server at this endpoint, or it cannot be read.
        """
        path = cache_file(folder, server)
        if not path.is_file():
            raise CacheError(f"{server} was not browsed yet; browse it first")
        self._server = server
        self._db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        try:
            self.meta: dict[str, str] = dict(self._db.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            self._db.close()
            raise self._damaged(error) from error
        why = ""
        if self.meta.get("format") != FORMAT:
            why = f"{server} was browsed by another version"
        elif self.meta["endpoint"] != endpoint:
            why = f"{server} had another endpoint when it was browsed"
        if why:
            self._db.close()
            raise CacheError(f"{why}; browse it again")

    def __enter__(self) -> BrowseCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _damaged(self, error: sqlite3.Error) -> CacheError:
        return CacheError(f"the browse cache of {self._server} is damaged ({error}); browse again")

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        try:
            yield from self._db.execute(sql, parameters)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def find(self, node_id: str) -> Row | None:
        """The node of this NodeId, in the URI form."""
        sql = f"SELECT {_ROW} FROM node WHERE node_id = ?"  # noqa: S608 - constants only
        rows = self._query(sql, (node_id,))
        return next((_row(row) for row in rows), None)

    def children(self, parent: int, after: int, limit: int) -> list[Row]:
        """The next nodes below ``parent``, in the order of their ids from after ``after``."""
        sql = (
            f"SELECT {_ROW} FROM ref JOIN node ON node.id = ref.child"  # noqa: S608 - constants
            " WHERE ref.parent = ? AND ref.child > ? ORDER BY ref.child LIMIT ?"
        )
        return [_row(row) for row in self._query(sql, (parent, after, limit))]

    def search(self, root: int, depth: int, text: str, after: int, limit: int) -> list[Row]:
        """The next nodes at most ``depth`` levels below ``root`` that have ``text`` in a name or
        in their NodeId, in the order of their ids from after ``after``.
        """
        wanted = text.casefold()
        found: list[Row] = []
        below = sorted(key for key in self._below(root, depth) if key > after)
        for start in range(0, len(below), _PER_QUERY):
            for row in self._rows(below[start : start + _PER_QUERY]):
                if any(wanted in one.casefold() for one in (row.name, row.shown, row.node_id)):
                    found.append(row)
                    if len(found) == limit:
                        return found
        return found

    def _rows(self, keys: Sequence[int]) -> list[Row]:
        marks = ",".join("?" * len(keys))
        sql = f"SELECT {_ROW} FROM node WHERE id IN ({marks}) ORDER BY id"  # noqa: S608 - marks only
        return [_row(row) for row in self._query(sql, keys)]

    def _below(self, root: int, depth: int) -> set[int]:
        seen = {root}
        level = [root]
        for _ in range(depth):
            level = [child for _, child in self._references(level) if child not in seen]
            seen.update(level)
            if not level:
                break
        return seen - {root}

    def _references(self, parents: Sequence[int]) -> Iterator[tuple[int, int]]:
        for start in range(0, len(parents), _PER_QUERY):
            some = parents[start : start + _PER_QUERY]
            marks = ",".join("?" * len(some))
            yield from self._query(
                f"SELECT parent, child FROM ref WHERE parent IN ({marks})",  # noqa: S608 - marks only
                some,
            )

    def walk(self, root: int) -> Iterator[tuple[int, Row]]:
        """Every node below ``root`` once, breadth first, with the id of the node above it there."""
        seen = {root}
        level = [root]
        while level:
            below: list[int] = []
            for start in range(0, len(level), _PER_QUERY):
                for parent, row in self._below_some(level[start : start + _PER_QUERY]):
                    if row.id not in seen:
                        seen.add(row.id)
                        below.append(row.id)
                        yield parent, row
            level = below

    def _below_some(self, parents: Sequence[int]) -> list[tuple[int, Row]]:
        marks = ",".join("?" * len(parents))
        sql = (
            f"SELECT ref.parent, {_ROW} FROM ref JOIN node ON node.id = ref.child"  # noqa: S608 - marks
            f" WHERE ref.parent IN ({marks}) ORDER BY ref.parent, ref.child"
        )
        return [(int(row[0]), _row(row[1:])) for row in self._query(sql, parents)]


_ROW: Final = (
    "node.id, node.node_id, node.space, node.name, node.shown, node.class, node.leaf,"
    " node.data_type, node.type, node.rank, node.access,"
    " EXISTS (SELECT 1 FROM ref AS r WHERE r.parent = node.id)"
)


def _row(row: Sequence[Any]) -> Row:
    key, node_id, space, name, shown, node_class, leaf, data_type, kind, rank, access, below = row
    return Row(
        id=int(key),
        node_id=node_id,
        space=int(space),
        name=name,
        shown=shown,
        node_class=int(node_class),
        is_leaf=bool(leaf),
        data_type=data_type,
        type=kind or "",
        rank=rank,
        access=access or 0,
        has_children=bool(below),
    )
