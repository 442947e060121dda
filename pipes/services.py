"""Every write of the configuration, for REST, the command line, the demo and the pages.

A write is a plan and, unless it is a dry run, one transaction that makes it one numbered revision
with who, when, why and what. ``user`` and ``reason`` are the revision's who and why.
``base_revision`` is what the writer has seen (If-Match): of one object the revision that last
changed it, of lists and documents the newest; without it the write applies to what is there.

What the functions raise is in `pipes.refusals`: `Invalid`, `Stale`, `Conflict`, `Referenced`,
`NotFound`, `Busy`, `Unavailable`. Then nothing was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from pipes import drafting, store
from pipes.commits import commit, planned
from pipes.core import configuration as core
from pipes.core.configuration import Key
from pipes.core.draft import Draft
from pipes.core.fields import Kind, apply_patch, complete, complete_item, read_patch
from pipes.core.plan import MOST_ROWS, Plan
from pipes.core.wanted import Json
from pipes.history import document_of, plan_restore, restore, revision_rows
from pipes.models import Item, Pipe, Revision, Server
from pipes.refusals import (
    Busy,
    Conflict,
    Invalid,
    NotFound,
    Referenced,
    RefusedError,
    Stale,
    TooLarge,
    Unavailable,
)
from pipes.store import database

__all__ = [
    "Busy",
    "Conflict",
    "Invalid",
    "NotFound",
    "Plan",
    "Referenced",
    "RefusedError",
    "Stale",
    "TooLarge",
    "Unavailable",
    "commit",
    "database",
    "document_of",
    "plan_restore",
    "restore",
    "revision_rows",
]

Raw = Mapping[str, Json]
#: How many of those that use an object a refusal names.
NAMED_REFERENCES: Final = 5


# The whole


def current_revision() -> int:
    """The number of the newest revision; 0 before the first."""
    with database():
        return store.newest_number()


def document() -> dict[str, Json]:
    """The canonical configuration document: sorted, defaults and secrets left out."""
    with database():
        return core.document(store.read().configuration)


def digest(whole: Mapping[str, Json] | None = None) -> str:
    """The digest of a document; without one, of the present configuration."""
    if whole is not None:
        return core.digest(whole)
    with database():
        newest = Revision.objects.values_list("digest", flat=True).first()
    return newest or core.digest(core.document(core.Configuration()))


def plan_document(whole: Raw, mode: str = drafting.REPLACE, rows: int = MOST_ROWS) -> Plan:
    """What `apply_document` would do; wrong objects are rows of the plan."""
    return planned(lambda draft: drafting.put_document(draft, whole, mode), rows)


def apply_document(
    whole: Raw,
    *,
    user: str,
    reason: str,
    mode: str = drafting.REPLACE,
    base_revision: int | None = None,
    rows: int = MOST_ROWS,
) -> Plan:
    """Make the document the configuration (``replace``) or put it over it (``merge``)."""
    return commit(
        lambda draft: drafting.put_document(draft, whole, mode),
        user=user,
        reason=reason,
        base_revision=base_revision,
        rows=rows,
    )


# Servers


def create_server(body: Raw, *, user: str, reason: str = "") -> Server:
    return cast("Server", _create(Kind.SERVER, body, user, reason))


def change_server(
    name: str, patch: Raw, *, user: str, reason: str = "", base_revision: int | None = None
) -> Server:
    """Change some fields; None is a field's default. A new ``name``: pipes follow."""
    return cast("Server", _change(Kind.SERVER, name, patch, user, reason, base_revision))


def delete_server(
    name: str, *, user: str, reason: str = "", base_revision: int | None = None
) -> Plan:
    """Delete a server that no pipe uses."""
    return _delete(Kind.SERVER, name, user, reason, base_revision)


# Pipes


def create_pipe(body: Raw, *, user: str, reason: str = "") -> Pipe:
    return cast("Pipe", _create(Kind.PIPE, body, user, reason))


def change_pipe(
    name: str, patch: Raw, *, user: str, reason: str = "", base_revision: int | None = None
) -> Pipe:
    """Change some fields; None is a field's default. A new ``name``: items follow."""
    return cast("Pipe", _change(Kind.PIPE, name, patch, user, reason, base_revision))


def delete_pipe(
    name: str,
    *,
    user: str,
    reason: str = "",
    base_revision: int | None = None,
    with_items: bool = False,
) -> Plan:
    """Delete a pipe that has no items, or ``with_items`` the pipe and all of them."""
    return _delete(Kind.PIPE, name, user, reason, base_revision, with_items=with_items)


# Items


def create_item(body: Raw, *, user: str, reason: str = "") -> Item:
    """Add an item; that the same mapping is there already is a conflict (``exists``)."""
    plan = commit(lambda draft: _add_item(draft, body), user=user, reason=reason, ids=True)
    return Item.objects.select_related("pipe").get(pk=(plan.ids or [0])[0])


def create_items(
    bodies: Sequence[Raw],
    *,
    user: str,
    reason: str = "",
    base_revision: int | None = None,
    dry_run: bool = False,
    rows: int = MOST_ROWS,
) -> Plan:
    """Add many items at once; the plan has their ``ids`` in the order of ``bodies``."""
    return commit(
        lambda draft: _add_items(draft, bodies),
        user=user,
        reason=reason,
        base_revision=base_revision,
        dry_run=dry_run,
        rows=rows,
        ids=True,
    )


def change_item(
    key: int, patch: Raw, *, user: str, reason: str = "", base_revision: int | None = None
) -> Item:
    return cast("Item", _change(Kind.ITEM, key, patch, user, reason, base_revision))


def change_items(
    patches: Sequence[Raw],
    *,
    user: str,
    reason: str = "",
    base_revision: int | None = None,
    dry_run: bool = False,
    rows: int = MOST_ROWS,
) -> Plan:
    """Change many items at once; each patch names its item by ``id``."""
    return commit(
        lambda draft: drafting.patch_items(draft, enumerate(patches, 1)),
        user=user,
        reason=reason,
        base_revision=base_revision,
        dry_run=dry_run,
        rows=rows,
    )


def delete_item(key: int, *, user: str, reason: str = "", base_revision: int | None = None) -> Plan:
    return _delete(Kind.ITEM, key, user, reason, base_revision)


def delete_items(
    ids: Sequence[int],
    *,
    user: str,
    reason: str = "",
    base_revision: int | None = None,
    dry_run: bool = False,
    rows: int = MOST_ROWS,
) -> Plan:
    """Delete many items at once; an id that is not there refuses them all."""

    def fill(draft: Draft) -> None:
        drafting.delete_items(draft, ids)

    return commit(
        fill,
        user=user,
        reason=reason,
        base_revision=base_revision,
        dry_run=dry_run,
        rows=rows,
    )


def plan_items(
    rows_given: Iterable[drafting.RawRow],
    mode: str = drafting.MERGE,
    *,
    rows: int = MOST_ROWS,
) -> Plan:
    """What `apply_items` would do."""
    listed = list(rows_given)
    return planned(lambda draft: drafting.put_item_rows(draft, listed, mode), rows)


def apply_items(
    rows_given: Iterable[drafting.RawRow],
    *,
    user: str,
    reason: str,
    mode: str = drafting.MERGE,
    base_revision: int | None = None,
    rows: int = MOST_ROWS,
) -> Plan:
    """Add and change items by rows ``(line number, body)``.

    ``replace`` deletes, of the pipes that the rows name, the items that they do not name. A field
    that a body lacks stays as it is.
    """
    listed = list(rows_given)
    return commit(
        lambda draft: drafting.put_item_rows(draft, listed, mode),
        user=user,
        reason=reason,
        base_revision=base_revision,
        rows=rows,
    )


def changed_fields(kind: Kind | str, key: Key, patch: Raw) -> frozenset[str]:
    """The fields that ``patch`` would really change (an operator may change ``enabled`` only).

    A field that is wrong counts as changed.

    Raises:
        NotFound: there is no such object.
    """
    kind = Kind(kind)
    with database():
        row = find(kind, key)
    checked, errors = read_patch(kind, patch)
    old, new = (_whole(row, body) for body in (row.trimmed, apply_patch(row.trimmed, checked)))
    changed = {name for name in old if old[name] != new[name]}
    changed.update(error.field.split(".")[0] for error in errors)
    if kind is Kind.SERVER and patch.get("password") is not None:
        changed.add("password")
    return frozenset(changed)


def _whole(row: Server | Pipe | Item, body: Mapping[str, Json]) -> dict[str, Json]:
    if isinstance(row, Item):
        return complete_item(body, row.pipe.trimmed)
    return complete(Kind.SERVER if isinstance(row, Server) else Kind.PIPE, body)


def find(kind: Kind, key: Key) -> Server | Pipe | Item:
    """The row of a server or pipe by name without regard to case, of an item by id.

    Raises:
        NotFound: there is no such object.
    """
    found: Server | Pipe | Item | None
    if kind is Kind.ITEM:
        found = Item.objects.select_related("pipe").filter(pk=key).first()
    else:
        model = cast("type[Server] | type[Pipe]", store.MODELS[kind])
        found = cast("Any", model).objects.filter(name_key=str(key).casefold()).first()
    if found is None:
        raise NotFound(kind, key)
    return found


def _create(kind: Kind, body: Raw, user: str, reason: str) -> Server | Pipe | Item:
    def fill(draft: Draft) -> None:
        name = draft.find_named(kind, body.get("name"))
        if name is not None:
            raise Conflict("name_in_use", f"there is a {kind} named {name} already")
        drafting.put_object(draft, kind, None, body)

    commit(fill, user=user, reason=reason)
    return find(kind, str(body["name"]))


def _change(
    kind: Kind, key: Key, patch: Raw, user: str, reason: str, base_revision: int | None
) -> Server | Pipe | Item:
    def fill(draft: Draft) -> None:
        _check_unchanged(kind, key, base_revision)
        found, _ = drafting.present(draft, kind, key)
        other = draft.find_named(kind, patch.get("name")) if kind is not Kind.ITEM else None
        if other is not None and other != found:
            raise Conflict("name_in_use", f"there is a {kind} named {other} already")
        drafting.put_object(draft, kind, found, patch)

    commit(fill, user=user, reason=reason)
    name = patch.get("name") if kind is not Kind.ITEM else None
    return find(kind, str(name) if name is not None else key)


def _delete(
    kind: Kind,
    key: Key,
    user: str,
    reason: str,
    base_revision: int | None,
    *,
    with_items: bool = False,
) -> Plan:
    def fill(draft: Draft) -> None:
        _check_unchanged(kind, key, base_revision)
        found, _ = drafting.present(draft, kind, key)
        users = _users(draft, kind, found)
        if kind is Kind.PIPE and with_items:
            draft.delete(Kind.ITEM, users)
        elif users:
            raise _referenced(kind, found, users)
        draft.delete(kind, [found])

    return commit(fill, user=user, reason=reason)


def _check_unchanged(kind: Kind, key: Key, base_revision: int | None) -> None:
    if base_revision is None:
        return
    row = find(kind, key)
    if row.revision != base_revision:
        raise Stale(row.revision, row.complete())


def _users(draft: Draft, kind: Kind, key: Key) -> list[Key]:
    """What refers to an object."""
    current = draft.current
    if kind is Kind.SERVER:
        return [n for n, pipe in current.pipes.items() if key in (pipe["source"], pipe["target"])]
    if kind is Kind.PIPE:
        return [number for number, item in current.items.items() if item["pipe"] == key]
    return []


def _referenced(kind: Kind, key: Key, users: Sequence[Key]) -> Referenced:
    named = [str(user) for user in users[:NAMED_REFERENCES]]
    more = f" and {len(users) - len(named)} more" if len(users) > len(named) else ""
    what = "pipes" if kind is Kind.SERVER else "items"
    return Referenced(
        f"{kind} {key} is used by the {what} {', '.join(named)}{more}; delete them first", named
    )


def _add_item(draft: Draft, body: Raw) -> None:
    patch, _ = read_patch(Kind.ITEM, body)
    twin = draft.find_item(patch)
    if twin is not None:
        raise Conflict("exists", f"item {twin} maps the same nodes in the same pipe already")
    drafting.put_object(draft, Kind.ITEM, None, body)


def _add_items(draft: Draft, bodies: Sequence[Raw]) -> None:
    for row, body in enumerate(bodies, 1):
        drafting.put_object(draft, Kind.ITEM, None, body, row=row)
