"""A plan: what a change of the configuration would do, row by row, and the same once it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pipes.core.configuration import Configuration, Key, key_of
from pipes.core.fields import FIELDS, Body, Kind, flatten
from pipes.core.findings import Finding
from pipes.core.problems import FieldError
from pipes.core.wanted import Json

MOST_ROWS: Final = 1000
#: What a plan shows instead of a password.
MASK: Final = "•••"


class Action(StrEnum):
    ADD = "add"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One object before and after. ``key`` is its name or id before (of a new one, after)."""

    kind: Kind
    key: Key
    old: Body | None
    new: Body | None
    row: int | None = None
    has_new_secret: bool = False

    @property
    def action(self) -> Action:
        if self.old is None:
            return Action.ADD
        return Action.DELETE if self.new is None else Action.CHANGE

    def fields(self) -> dict[str, Json]:
        """Old and new of each field that differs; a field at its default shows the default."""
        old, new = _shown(self.kind, self.old, self.new), _shown(self.kind, self.new, self.old)
        differing: dict[str, Json] = {
            name: {"old": old.get(name), "new": new.get(name)}
            for name in dict.fromkeys((*old, *new))
            if old.get(name) != new.get(name)
        }
        if self.has_new_secret:
            differing["password"] = {"old": None, "new": MASK}
        return differing

    def body(self) -> dict[str, Json]:
        """The contract's row of a plan."""
        return {
            "row": self.row,
            "kind": str(self.kind),
            "key": str(self.key),
            "action": str(self.action),
            "fields": self.fields(),
        }


def _shown(kind: Kind, body: Body | None, other: Body | None) -> dict[str, Json]:
    """The fields that one of two bodies sets, as dotted names.

    An object that comes or goes shows what was set: the defaults of a dozen fields say nothing.
    """
    if body is None:
        return {}
    names = {*body, *(other or ())} - {"id"}
    fields = FIELDS[kind]
    return flatten(
        kind,
        {
            name: body.get(name, None if fields[name].is_own else fields[name].default)
            for name in fields
            if name in names
        },
    )


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A row that is refused."""

    kind: Kind | None
    key: Key | None
    errors: Sequence[FieldError]
    row: int | None = None

    def body(self) -> dict[str, Json]:
        return {
            "row": self.row,
            "kind": None if self.kind is None else str(self.kind),
            "key": None if self.key is None else str(self.key),
            "action": "error",
            "errors": [error.body() for error in self.errors],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """``revision`` is the one that was made, None as long as nothing was done."""

    base_revision: int
    changes: Sequence[Change] = ()
    wrong: Sequence[WrongRow] = ()
    same: int = 0
    dry_run: bool = True
    revision: int | None = None
    next_item_id: int = 1
    #: Ids of the items that a bulk write speaks of, in its order.
    ids: Sequence[int] | None = None
    most_rows: int = MOST_ROWS
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: What the linter says of the configuration as it would be, errors first.
    findings: Sequence[Finding] = ()

    @property
    def counts(self) -> dict[str, int]:
        counts = dict.fromkeys((*(str(action) for action in Action), "same", "error"), 0)
        for change in self.changes:
            counts[change.action] += 1
        return counts | {"same": self.same, "error": len(self.wrong)}

    @property
    def errors(self) -> list[FieldError]:
        """All that is wrong, each with its row."""
        return [error.at_row(wrong.row) for wrong in self.wrong for error in wrong.errors]

    def body(self) -> dict[str, Json]:
        """The contract's plan: errors first, then the rest without what stays the same."""
        shown: list[Json] = [dict(wrong.body()) for wrong in self.wrong[: self.most_rows]]
        shown += [dict(each.body()) for each in self.changes[: self.most_rows - len(shown)]]
        body: dict[str, Json] = {
            "dry_run": self.dry_run,
            "base_revision": self.base_revision,
            "revision": self.revision,
            "counts": dict(self.counts),
            "rows": shown,
            "rows_left_out": len(self.wrong) + len(self.changes) - len(shown),
            "findings": [finding.body() for finding in self.findings[: self.most_rows]],
            "findings_left_out": max(0, len(self.findings) - self.most_rows),
        }
        if self.ids is not None:
            body["ids"] = list(self.ids)
        return body


def undo(
    configuration: Configuration, changes: Iterable[Change], names: Mapping[Kind, dict[str, str]]
) -> Configuration:
    """The configuration before ``changes``, which led to ``configuration``.

    ``names`` follows objects through renames: it maps today's name of each server and pipe to the
    one it had, and is brought up to date.
    """
    parts: dict[Kind, dict[Key, Body]] = {kind: dict(configuration.of(kind)) for kind in Kind}
    done = list(changes)
    for change in done:
        if change.new is not None:
            parts[change.kind].pop(key_of(change.kind, change.new), None)
    for change in done:
        if change.old is not None:
            parts[change.kind][change.key] = change.old
    for kind, mapping in names.items():
        _follow(kind, done, mapping)
    return Configuration(
        {str(key): body for key, body in parts[Kind.SERVER].items()},
        {str(key): body for key, body in parts[Kind.PIPE].items()},
        {int(key): body for key, body in parts[Kind.ITEM].items()},
        configuration.revision,
        configuration.next_item_id,
    )


def _follow(kind: Kind, changes: Iterable[Change], names: dict[str, str]) -> None:
    before = {
        str(change.new["name"]): None if change.old is None else str(change.key)
        for change in changes
        if change.kind is kind and change.new is not None
    }
    for now, then in list(names.items()):
        earlier = before.get(then, then)
        if earlier is None:
            del names[now]
        else:
            names[now] = earlier
