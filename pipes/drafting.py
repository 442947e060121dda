"""Raw bodies to proposals: what services, imports and the command line share.

A *raw row* is ``(row number or None, body as it came)``. Passwords are taken out here, encrypted
and handed on beside the body, so that no plan, diff or log ever holds one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pipes import secrets
from pipes.core import checks
from pipes.core.configuration import Key, check_form
from pipes.core.draft import LARGEST_FILE_ID, Draft
from pipes.core.fields import Body, Kind, read_patch
from pipes.core.problems import FieldError, WrongError
from pipes.core.wanted import Json
from pipes.models import Server
from pipes.refusals import Invalid, NotFound

RawRow = tuple[int | None, Mapping[str, Json]]

MERGE: Final = "merge"
REPLACE: Final = "replace"
MODES: Final = (MERGE, REPLACE)
PARTS: Final[Mapping[Kind, str]] = {
    Kind.SERVER: "servers",
    Kind.PIPE: "pipes",
    Kind.ITEM: "items",
}

_check_password: Final = checks.text(512)
_check_id: Final = checks.integer(1, LARGEST_FILE_ID)


def check_mode(mode: str) -> None:
    if mode not in MODES:
        raise Invalid([FieldError("mode", "must be merge or replace", mode, MODES)])


def put_document(draft: Draft, whole: Mapping[str, Json], mode: str) -> None:
    """Propose a whole document. In ``replace`` what it leaves out is at its default or deleted;
    in ``merge`` it stays as it is.

    Raises:
        Invalid: it is no document that this version reads, or one that replaces and lacks a part.
    """
    check_mode(mode)
    errors = check_form(whole)
    if mode == REPLACE:
        errors += _missing_parts(whole)
    if errors:
        raise Invalid(errors)
    for kind, part in PARTS.items():
        rows = _rows(whole.get(part))
        if kind is Kind.ITEM:
            put_items(draft, rows, fresh=mode == REPLACE)
        else:
            put_named(draft, kind, rows, fresh=mode == REPLACE)
        if mode == REPLACE:
            draft.delete_unclaimed(kind, lambda _: True)


def _missing_parts(whole: Mapping[str, Json]) -> list[FieldError]:
    """What a document that replaces must name: a part forgotten is not a part to be deleted."""
    return [
        FieldError(
            part,
            f"is missing, and replacing would delete all {part}: send [] if that is meant,"
            " or choose the mode merge (?mode=merge, --mode merge) to keep them",
        )
        for part in PARTS.values()
        if part not in whole
    ]


def _rows(part: Json) -> list[RawRow]:
    listed = part if isinstance(part, list) else []
    return [(row, body) for row, body in enumerate(listed, 1) if isinstance(body, dict)]


def put_named(draft: Draft, kind: Kind, rows: Iterable[RawRow], *, fresh: bool) -> None:
    """Propose servers or pipes; a name that is there means the object of that name."""
    for row, raw in rows:
        put_object(draft, kind, draft.find_named(kind, raw.get("name")), raw, row=row, fresh=fresh)


def put_object(
    draft: Draft,
    kind: Kind,
    key: Key | None,
    raw: Mapping[str, Json],
    *,
    row: int | None = None,
    fresh: bool = False,
) -> None:
    """Propose one raw body for the object ``key`` (None: a new one)."""
    patch, errors = read_patch(kind, raw)
    password = raw.get("password") if kind is Kind.SERVER else None
    if password is not None:
        errors += _check_secret(password)
    entry = draft.propose(kind, key, patch, errors, row=row, fresh=fresh)
    if entry is not None and password is not None:
        _put_password(draft, key, str(entry.body["name"]), str(password))


def _check_secret(password: Json) -> list[FieldError]:
    """A password's errors must not show it."""
    try:
        _check_password(password)
    except WrongError as error:
        return [FieldError("password", each.message) for each in error.errors]
    return []


def _put_password(draft: Draft, key: Key | None, name: str, password: str) -> None:
    stored = ""
    if key is not None:
        stored = Server.objects.filter(name=key).values_list("secret", flat=True).first() or ""
    if not _is_stored(stored, password):
        draft.new_secret(name, secrets.encrypt(password))


def _is_stored(stored: str, password: str) -> bool:
    try:
        return secrets.decrypt(stored) == password
    except secrets.SecretError:
        return False


def put_items(draft: Draft, rows: Iterable[RawRow], *, fresh: bool) -> None:
    """Propose items: a row with an id is that item, else the one with the same nodes, else new."""
    for row, raw in rows:
        patch, errors = read_patch(Kind.ITEM, raw)
        key = None
        if raw.get("id") is not None:
            key, wrong = read_id(raw["id"])
            errors += wrong
        if key is None:
            key = draft.find_item(patch)
        draft.propose(Kind.ITEM, key, patch, errors, row=row, fresh=fresh)


def read_id(value: Json) -> tuple[int | None, list[FieldError]]:
    """An item's id as a file or a list names it."""
    try:
        return int(str(_check_id(value))), []
    except WrongError as error:
        return None, [each.below("id") for each in error.errors]


def patch_items(draft: Draft, rows: Iterable[RawRow]) -> None:
    """Propose changes of items that must be there, each with its ``id``."""
    for row, raw in rows:
        key, errors = read_id(raw.get("id"))
        if key is not None and key not in draft.current.items:
            errors.append(FieldError("id", f"names {key}, but there is no such item", key))
        if errors:
            draft.refuse(Kind.ITEM, key, errors, row)
            continue
        patch, errors = read_patch(Kind.ITEM, raw)
        draft.propose(Kind.ITEM, key, patch, errors, row=row)


def present(draft: Draft, kind: Kind, key: Key) -> tuple[Key, Body]:
    """The present spelling and body of an object.

    Raises:
        NotFound: there is none.
    """
    found: Key | None = draft.find_named(kind, key) if isinstance(key, str) else key
    body = None if found is None else draft.current.of(kind).get(found)
    if found is None or body is None:
        raise NotFound(kind, key)
    return found, body


def put_item_rows(draft: Draft, rows: Iterable[RawRow], mode: str) -> None:
    """Propose the rows of an import; ``replace`` is about the pipes that they name."""
    check_mode(mode)
    listed = list(rows)
    put_items(draft, listed, fresh=False)
    if mode == REPLACE:
        delete_others(draft, (raw.get("pipe") for _, raw in listed))


def delete_others(draft: Draft, pipes: Iterable[Json]) -> None:
    """Delete the items of the named ``pipes`` that no row spoke of."""
    named = {draft.find_named(Kind.PIPE, pipe) for pipe in pipes}
    draft.delete_unclaimed(Kind.ITEM, lambda body: body["pipe"] in named)


def delete_items(draft: Draft, ids: Iterable[int]) -> None:
    """Delete items that must be there."""
    for row, value in enumerate(ids, 1):
        key, errors = read_id(value)
        if key is not None and key not in draft.current.items:
            errors.append(FieldError("ids", f"names {key}, but there is no such item", key))
        if errors or key is None:
            draft.refuse(Kind.ITEM, key, errors, row)
        else:
            draft.delete(Kind.ITEM, [key])
