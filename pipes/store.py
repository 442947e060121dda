"""The configuration in the database: read as one value, written as one revision.

Reading takes no lock: the newest revision's number before and after tells whether something came
between. Writing is one transaction that begins with the comparison of that number, so a plan made
of revision 12 becomes revision 13 or nothing. 30,000 rows go in by `executemany`: model instances
would take ten times as long.
"""

from __future__ import annotations

import gc
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import msgspec
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Max

from pipes.core.configuration import (
    Configuration,
    digest_of_text,
    document_text,
    encode,
    key_of,
)
from pipes.core.fields import Body, Kind
from pipes.core.plan import Change, Plan
from pipes.models import Item, Pipe, Revision, Server
from pipes.refusals import Busy, Unavailable

READ_ATTEMPTS: Final = 20
Texts = Mapping[Kind, Mapping[Any, str]]
MODELS: Final[Mapping[Kind, type[Server] | type[Pipe] | type[Item]]] = {
    Kind.SERVER: Server,
    Kind.PIPE: Pipe,
    Kind.ITEM: Item,
}
_LOCKED: Final = re.compile("locked|busy|timeout|deadlock", re.IGNORECASE)


class MovedError(Exception):
    """Another revision came first; plan again."""


@dataclass(frozen=True, slots=True)
class State:
    """A configuration, the encoded text of each of its objects, and known namespace tables."""

    configuration: Configuration
    texts: Texts
    namespaces: Mapping[str, Sequence[str]]

    @property
    def document_text(self) -> str:
        return document_text(
            self.texts[Kind.SERVER].items(),
            self.texts[Kind.PIPE].items(),
            self.texts[Kind.ITEM].items(),
        )


@contextmanager
def database() -> Iterator[None]:
    """Turn the database's own errors into refusals that say whether waiting helps."""
    try:
        yield
    except OperationalError as error:
        if _LOCKED.search(str(error)):
            raise Busy("the database is locked by another process; try again") from error
        raise Unavailable(f"the database cannot be used now: {error}") from error
    except DatabaseError as error:
        raise Unavailable(f"the database cannot be used now: {error}") from error


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Wait for the database's lock no longer than ``seconds`` (SQLite; a server has its own)."""
    usual = float(connection.settings_dict.get("OPTIONS", {}).get("timeout", 5))
    if connection.vendor != "sqlite" or seconds >= usual:
        yield
        return
    _wait_for_lock(seconds)
    try:
        yield
    finally:
        _wait_for_lock(usual)


def _wait_for_lock(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


@contextmanager
def without_collection() -> Iterator[None]:
    """Make a hundred thousand objects without looking for garbage among them again and again.

    Safe among threads: whoever found the collector running sets it running again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def newest_number() -> int:
    """The number of the newest revision, 0 if there is none."""
    return Revision.objects.aggregate(newest=Max("number"))["newest"] or 0


def read() -> State:
    """The present configuration, all of one revision."""
    for _ in range(READ_ATTEMPTS):
        newest = Revision.objects.values_list("number", "next_item_id").first() or (0, 1)
        texts: Texts = {
            Kind.SERVER: dict(Server.objects.order_by().values_list("name", "body")),
            Kind.PIPE: dict(Pipe.objects.order_by().values_list("name", "body")),
            Kind.ITEM: dict(_item_texts()),
        }
        namespaces = dict(Server.objects.order_by().values_list("name", "namespaces"))
        if newest_number() == newest[0]:
            configuration = Configuration(
                _decode(texts[Kind.SERVER]),
                _decode(texts[Kind.PIPE]),
                _decode(texts[Kind.ITEM]),
                *newest,
            )
            return State(configuration, texts, {k: v for k, v in namespaces.items() if v})
    raise Busy("the configuration changes faster than it can be read; try again")


def _item_texts() -> Iterable[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, body FROM pipes_item ORDER BY id")
        return cast("list[tuple[int, str]]", cursor.fetchall())


def _decode(texts: Mapping[Any, str]) -> dict[Any, Body]:
    """All bodies in one go: a thousand calls of a decoder cost more than the decoding."""
    with without_collection():
        bodies = msgspec.json.decode(f"[{','.join(texts.values())}]", type=list[dict[str, Any]])
    return dict(zip(texts, bodies, strict=True))


def write(state: State, plan: Plan, *, user: str, reason: str, number: int | None = None) -> Plan:
    """Make ``plan``, which was drafted from ``state``, the next revision (or a later ``number``).

    Raises:
        MovedError: there is a newer revision than the plan's base.
    """
    texts = _changed_texts(state.texts, plan.changes)
    digest = digest_of_text(replace(state, texts=texts).document_text)
    packed = pack(plan.changes)
    number = max(number or 0, plan.base_revision + 1)
    with transaction.atomic():
        if newest_number() != plan.base_revision:
            raise MovedError
        _write_rows(plan, texts, number)
        Revision.objects.create(
            number=number,
            at=datetime.now(UTC),
            user=user,
            reason=reason,
            counts=plan.counts,
            digest=digest,
            next_item_id=plan.next_item_id,
            changes=packed,
        )
    return replace(plan, dry_run=False, revision=number)


def _changed_texts(texts: Texts, changes: Sequence[Change]) -> Texts:
    changed: dict[Kind, dict[Any, str]] = {kind: dict(texts[kind]) for kind in Kind}
    for change in changes:
        if change.old is not None:
            changed[change.kind].pop(change.key, None)
    for change in changes:
        if change.new is not None:
            changed[change.kind][key_of(change.kind, change.new)] = encode(change.new)
    return changed


def pack(changes: Iterable[Change]) -> bytes:
    """What a revision keeps of its changes: kind, key, before and after."""
    rows = [[change.kind, change.key, change.old, change.new] for change in changes]
    return zlib.compress(msgspec.json.encode(rows), 1)


def unpack(packed: bytes) -> list[Change]:
    rows = msgspec.json.decode(zlib.decompress(packed))
    return [Change(Kind(kind), key, old, new) for kind, key, old, new in rows]


def _write_rows(plan: Plan, texts: Texts, number: int) -> None:
    with connection.cursor() as cursor:
        for kind in reversed(Kind):
            _delete(cursor, kind, plan.changes)
        for kind in Kind:
            if kind is not Kind.ITEM:
                _free_names(cursor, kind, plan.changes)
            _put(cursor, kind, plan, texts[kind], number)


def _delete(cursor: Any, kind: Kind, changes: Sequence[Change]) -> None:
    column = "id" if kind is Kind.ITEM else "name"
    keys = [(change.key,) for change in changes if change.kind is kind and change.new is None]
    cursor.executemany(f"DELETE FROM pipes_{kind} WHERE {column} = %s", keys)  # noqa: S608


def _free_names(cursor: Any, kind: Kind, changes: Sequence[Change]) -> None:
    """Two objects may exchange their names: first put both where no name can be."""
    renamed = [
        (_row_key(change), _row_key(change), change.key)
        for change in changes
        if change.kind is kind and _row_key(change) != change.key
    ]
    cursor.executemany(
        f"UPDATE pipes_{kind} SET name = %s, name_key = %s WHERE name = %s",  # noqa: S608
        renamed,
    )


def _row_key(change: Change) -> Any:
    """By what the row of a changed object is found once names are free."""
    if change.kind is Kind.ITEM or change.old is None or change.new is None:
        return change.key
    return change.key if change.new["name"] == change.key else f"/{change.key}"


def _put(cursor: Any, kind: Kind, plan: Plan, texts: Mapping[Any, str], number: int) -> None:
    """Insert what is new and update what is changed, by two statements."""
    columns = COLUMNS[kind]
    references = _references(cursor, kind)
    added: list[Sequence[Any]] = []
    changed: list[Sequence[Any]] = []
    for change in plan.changes:
        if change.kind is kind and change.new is not None:
            row = _row(kind, change.new, references)
            row += (texts[key_of(kind, change.new)], number)
            (added if change.old is None else changed).append((*row, _row_key(change)))
    key = "id" if kind is Kind.ITEM else "name"
    names = (*columns, "body", "revision")
    if added:
        extra = {Kind.SERVER: ", secret, namespaces", Kind.PIPE: "", Kind.ITEM: ", id"}[kind]
        values = {Kind.SERVER: ", '', '[]'", Kind.PIPE: "", Kind.ITEM: ", %s"}[kind]
        marks = ", ".join(["%s"] * len(names))
        rows = added if kind is Kind.ITEM else [row[:-1] for row in added]
        cursor.executemany(
            f"INSERT INTO pipes_{kind} ({', '.join(names)}{extra}) VALUES ({marks}{values})",  # noqa: S608
            rows,
        )
    sets = ", ".join(f"{name} = %s" for name in names)
    cursor.executemany(f"UPDATE pipes_{kind} SET {sets} WHERE {key} = %s", changed)  # noqa: S608
    if kind is Kind.SERVER:
        _put_secrets(cursor, plan)


def _put_secrets(cursor: Any, plan: Plan) -> None:
    rows = [(secret, name) for name, secret in plan.secrets.items()]
    cursor.executemany("UPDATE pipes_server SET secret = %s WHERE name = %s", rows)
    moved = [
        (change.new["name"],)
        for change in plan.changes
        if change.kind is Kind.SERVER
        and change.old
        and change.new
        and change.old["endpoint"] != change.new["endpoint"]
    ]
    cursor.executemany("UPDATE pipes_server SET namespaces = '[]' WHERE name = %s", moved)


COLUMNS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.SERVER: ("name", "name_key", "endpoint", "enabled", "note"),
    Kind.PIPE: ("name", "name_key", "source_id", "target_id", "enabled", "note"),
    Kind.ITEM: (
        "pipe_id",
        "source_node",
        "target_node",
        "direction",
        "enabled",
        "kind",
        "trigger",
        "quality",
        "note",
    ),
}


def _references(cursor: Any, kind: Kind) -> dict[Any, int]:
    """The row numbers of the objects that rows of ``kind`` refer to, by name."""
    if kind is Kind.SERVER:
        return {}
    cursor.execute(f"SELECT name, id FROM pipes_{'server' if kind is Kind.PIPE else 'pipe'}")  # noqa: S608
    return dict(cursor.fetchall())


def _row(kind: Kind, body: Body, references: Mapping[Any, int]) -> tuple[Any, ...]:
    """The values of `COLUMNS`, made from the body."""
    enabled, note = body.get("enabled", True), body.get("note", "")
    if kind is Kind.ITEM:
        return (
            references[body["pipe"]],
            body["source_node"],
            body["target_node"],
            body.get("direction", "forward"),
            enabled,
            body.get("kind", "state"),
            body.get("trigger", "status_value"),
            body.get("quality", ""),
            note,
        )
    name = str(body["name"])
    if kind is Kind.PIPE:
        source, target = references[body["source"]], references[body["target"]]
        return (name, name.casefold(), source, target, enabled, note)
    return (name, name.casefold(), body["endpoint"], enabled, note)
