"""A browse cache in the making (`pipes.browse_cache`): one file with the suffix ``.part``.

One process writes it, under a lock; it is also the list of what is still to be browsed, so that a
browse of any size needs no memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from pipes.browse_cache import FORMAT, VARIABLE, CacheError, cache_file

#: States of a node while it is browsed.
TO_BROWSE, BROWSED, REFUSED = 0, 1, 2

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE node (
  id INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL UNIQUE,
  space INTEGER NOT NULL,
  name TEXT NOT NULL,
  shown TEXT NOT NULL,
  class INTEGER NOT NULL,
  property INTEGER NOT NULL,
  state INTEGER NOT NULL,
  leaf INTEGER NOT NULL DEFAULT 0,
  described INTEGER NOT NULL,
  data_type TEXT,
  type TEXT,
  rank INTEGER,
  access INTEGER
);
CREATE TABLE ref (parent INTEGER, child INTEGER, PRIMARY KEY (parent, child)) WITHOUT ROWID;
CREATE INDEX to_browse ON node (id) WHERE state = 0;
CREATE INDEX to_describe ON node (id) WHERE described = 0;
"""
_LEAVES: Final = """
UPDATE node SET leaf = 1 WHERE class = 2 AND property = 0 AND NOT EXISTS (
  SELECT 1 FROM ref JOIN node AS below ON below.id = ref.child
  WHERE ref.parent = node.id AND below.class = 2 AND below.property = 0)
"""


class BusyError(CacheError):
    """Another process browses this server."""


@dataclass(frozen=True, slots=True)
class Found:
    """A node that a reference leads to; ``space`` and ``name`` are its BrowseName."""

    node_id: str
    space: int
    name: str
    shown: str
    node_class: int
    is_property: bool


@dataclass(frozen=True, slots=True)
class Described:
    """Attributes of a variable: DataType as people read it, built-in type, rank, access bits."""

    id: int
    data_type: str | None
    type: str
    rank: int | None
    access: int


class CacheWriter:
    """A cache in the making. Calls may come from any thread, one at a time.

    Raises (every method):
        OSError, sqlite3.Error: the disk is full or fails.
    """

    def __init__(self, folder: Path, server: str) -> None:
        """
        Raises:
            BusyError: another process browses this server.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = cache_file(folder, server)
        self._part = self.path.with_suffix(".part")
        self._lock: int | None = _locked(self.path.with_suffix(".lock"), server)
        self._guard = threading.RLock()  # a cancelled call goes on in its thread
        self.nodes = 0
        self.references = 0
        self.browsed = 0
        self.refused = 0
        self.described = 0
        try:
            self._part.unlink(missing_ok=True)
            self._db = sqlite3.connect(
                self._part, isolation_level=None, check_same_thread=False, cached_statements=32
            )
            self._part.chmod(0o600)
            # Thrown away if this process dies: no journal. 2 MB of pages in memory.
            self._db.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-2000;"
            )
            self._db.executescript(_SCHEMA)
        except BaseException:
            self._unlock()
            raise

    @property
    def progress(self) -> int:
        """Grows with everything that is taken in."""
        return self.nodes + self.references + self.browsed + self.refused + self.described

    def begin(self, root: Found) -> None:
        """Put the node where the browse begins."""
        with self._transaction():
            self.nodes += self._put([root])

    def to_browse(self, most: int, most_variables: int) -> list[tuple[int, str]]:
        """Ids and NodeIds of nodes of one kind that are to be browsed next; empty at the end."""
        rows = self._rows(
            "SELECT id, node_id, class FROM node WHERE state = 0 ORDER BY id LIMIT ?",
            max(most, most_variables),
        )
        if not rows:
            return []
        is_variable = rows[0][2] == VARIABLE
        # The first of one kind in a row: the order of the browse stays that of the breadth.
        alike = list(takewhile(lambda row: (row[2] == VARIABLE) is is_variable, rows))
        return [(row[0], row[1]) for row in alike[: most_variables if is_variable else most]]

    def to_describe(self, most: int) -> list[tuple[int, str]]:
        """Variables whose attributes are not known yet."""
        sql = "SELECT id, node_id FROM node WHERE described = 0 ORDER BY id LIMIT ?"
        return [(row[0], row[1]) for row in self._rows(sql, most)]

    def add(self, parent: int, found: Sequence[Found]) -> int:
        """Take the references of ``parent``; returns how many nodes are new."""
        with self._transaction():
            new = self._put(found)
            done = self._db.executemany(
                "INSERT OR IGNORE INTO ref SELECT ?, id FROM node WHERE node_id = ?",
                [(parent, each.node_id) for each in found],
            )
        self.references += max(done.rowcount, 0)
        self.nodes += new
        return new

    def mark(self, keys: Iterable[int], state: int) -> None:
        """Note that nodes are browsed, or that the server refuses to let them be."""
        marked = [(state, key) for key in keys]
        with self._transaction():
            self._db.executemany("UPDATE node SET state = ? WHERE id = ?", marked)
        if state == BROWSED:
            self.browsed += len(marked)
        else:
            self.refused += len(marked)

    def describe(self, described: Sequence[Described]) -> None:
        with self._transaction():
            self._db.executemany(
                "UPDATE node SET described = 1, data_type = ?, type = ?, rank = ?, access = ?"
                " WHERE id = ?",
                [
                    (each.data_type, each.type, each.rank, each.access, each.id)
                    for each in described
                ],
            )
        self.described += len(described)

    def finish(self, meta: Mapping[str, str]) -> None:
        """Put the file in the place of the one before; the writer is of no use afterwards."""
        with self._guard:
            with self._transaction():
                self._db.execute(_LEAVES)
            variables = self._db.execute("SELECT count(*) FROM node WHERE class = 2").fetchone()[0]
            counts = {
                "format": FORMAT,
                "nodes": str(self.nodes),
                "variables": str(variables),
                "refused": str(self.refused),
            }
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", [*{**meta, **counts}.items()])
            self._db.close()
            descriptor = os.open(self._part, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._part.replace(self.path)
            self._unlock()

    def abandon(self) -> None:
        """Forget what was browsed; the cache of before stays. Never fails, may come again."""
        with self._guard:
            if self._lock is None:
                return
            with contextlib.suppress(OSError, sqlite3.Error):
                self._db.close()
                self._part.unlink(missing_ok=True)
            self._unlock()

    def _put(self, found: Sequence[Found]) -> int:
        done = self._db.executemany(
            "INSERT OR IGNORE INTO node"
            " (node_id, space, name, shown, class, property, state, described)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    each.node_id,
                    each.space,
                    each.name,
                    each.shown,
                    each.node_class,
                    each.is_property,
                    BROWSED if each.is_property else TO_BROWSE,
                    each.node_class != VARIABLE,
                )
                for each in found
            ],
        )
        return max(done.rowcount, 0)

    def _rows(self, sql: str, most: int) -> list[Any]:
        with self._guard:
            return self._db.execute(sql, (most,)).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._guard:
            self._db.execute("BEGIN")
            yield  # without a journal there is nothing to roll back: a fault ends the browse
            self._db.execute("COMMIT")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def forget_others(folder: Path, servers: Iterable[str], before: float) -> None:
    """Remove what is known of servers that are not configured, if it is older than ``before``
    (seconds since 1970).
    """
    known = {cache_file(folder, server).stem for server in servers}
    for path in folder.iterdir():
        if path.stem not in known and path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _locked(path: Path, server: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BusyError(f"{server} is being browsed by another pipe worker") from None
    return descriptor
