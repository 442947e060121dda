"""From rows to a plan: whom a row means, what becomes of it, and whether all fits together.

A draft starts from the present configuration and takes proposals: a row's patch, or a deletion.
`Draft.plan` then looks at the result as a whole. What it holds to be true of every configuration:

* names are unique without regard to case;
* a pipe's servers and an item's pipe exist, and are spelled as they call themselves;
* no two items have the same pipe, source node, target node and index range;
* an item's id is never given again;
* the linter finds no error that was not there before (`pipes.core.lint`).

One wrong row makes the plan one that cannot be applied, but hides nothing about the other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipes.core.blame import Drafted
from pipes.core.configuration import Configuration, Key, key_of
from pipes.core.fields import (
    Body,
    Kind,
    Patch,
    apply_patch,
    check_on_pipe,
    check_whole,
    follows_pipe,
)
from pipes.core.findings import Finding, Severity
from pipes.core.lint import lint
from pipes.core.node_ids import NodeIdError, to_uri_form
from pipes.core.plan import Change, Plan, WrongRow
from pipes.core.problems import FieldError
from pipes.core.wanted import Json

#: Ids that come from a file; the station itself counts on beyond.
LARGEST_FILE_ID: Final = 2**31 - 1

#: Which server of the pipe a node belongs to.
SIDES: Final[Mapping[str, str]] = {"source_node": "source", "target_node": "target"}
#: Index 1 is the server's own ApplicationUri (Part 5, 6.3.1): it stays.
_MOVING_INDEX: Final = tuple(f"ns={digit}" for digit in "123456789")

Identity = tuple[Json, Json, Json, Json]
#: Which references a kind has: field, and the kind that it names.
REFERENCES: Final[Mapping[Kind, Mapping[str, Kind]]] = {
    Kind.SERVER: {},
    Kind.PIPE: {"source": Kind.SERVER, "target": Kind.SERVER},
    Kind.ITEM: {"pipe": Kind.PIPE},
}


@dataclass(slots=True)
class _Entry:
    """An object as it shall be; ``key`` is the one it has now, None if it is new."""

    key: Key | None
    body: Body
    row: int | None
    proposed: bool = True
    errors: tuple[FieldError, ...] = ()


def identity(body: Body) -> Identity:
    """What makes two items without ids the same one."""
    return (
        body.get("pipe"),
        body.get("source_node"),
        body.get("target_node"),
        body.get("index_range", ""),
    )


def _uri_form(text: str, namespaces: Sequence[str]) -> str:
    try:
        return to_uri_form(text, namespaces)
    except NodeIdError:
        return text


class Draft:
    """A configuration being changed. Row numbers may be None: a body that stands alone."""

    def __init__(
        self, current: Configuration, namespaces: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.current = current
        #: The namespace tables of servers that are known; empty them to keep every index.
        self.namespaces = dict(namespaces or {})
        #: Whether the linter's errors refuse the rows that bring them in.
        self.refuses_findings = True
        self._tables = namespaces
        self.secrets: dict[str, str] = {}
        self._present: dict[Kind, dict[str, str]] = {
            kind: {name.casefold(): name for name in current.of(kind)}
            for kind in (Kind.SERVER, Kind.PIPE)
        }
        self._entries: dict[Kind, list[_Entry]] = {kind: [] for kind in Kind}
        self._claimed: dict[Kind, dict[Key, int | None]] = {kind: {} for kind in Kind}
        self._deleted: dict[Kind, set[Key]] = {kind: set() for kind in Kind}
        self._proposed_pipes: dict[str, Body] = {}
        self._wrong: list[WrongRow] = []
        self._wrong_names: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        self._ids: list[int] = []
        self._next_id = current.next_item_id
        self._identities: dict[Identity, int] | None = None

    # Whom a row means

    def find_named(self, kind: Kind, name: Json) -> str | None:
        """The present spelling of a server's or pipe's name."""
        return self._present[kind].get(name.casefold()) if isinstance(name, str) else None

    def find_item(self, patch: Patch) -> int | None:
        """The present item with the same pipe, nodes and index range."""
        if self._identities is None:
            self._identities = {identity(body): key for key, body in self.current.items.items()}
        if not self._identities:
            return None
        patch = self._settled(patch, {})
        pipe = self.find_named(Kind.PIPE, patch.get("pipe"))
        return self._identities.get(
            (
                pipe,
                patch.get("source_node"),
                patch.get("target_node"),
                patch.get("index_range") or "",
            )
        )

    def _settled(self, patch: Patch, old: Body) -> Patch:
        """The patch with namespace indices replaced by URIs, where the server's table is known."""
        moving = [field for field in SIDES if str(patch.get(field) or "").startswith(_MOVING_INDEX)]
        if not moving or not self.namespaces:
            return patch
        pipe = self._pipe_named(patch.get("pipe") or old.get("pipe"))
        settled = dict(patch)
        for field in moving:
            server = self.find_named(Kind.SERVER, pipe.get(SIDES[field]))
            settled[field] = _uri_form(str(patch[field]), self.namespaces.get(server or "", ()))
        return settled

    def _pipe_named(self, name: Json) -> Body:
        """A pipe as this draft has it, or an empty body."""
        folded = str(name).casefold()
        proposed = self._proposed_pipes.get(folded)
        if proposed is not None:
            return proposed
        found = self.find_named(Kind.PIPE, name)
        return {} if found is None else self.current.pipes[found]

    # Proposals

    def propose(
        self,
        kind: Kind,
        key: Key | None,
        patch: Patch,
        errors: Iterable[FieldError] = (),
        *,
        row: int | None = None,
        fresh: bool = False,
    ) -> _Entry | None:
        """Put ``patch`` on the object ``key``, or on nothing if it is new or to be ``fresh``.

        An item's key may be one that nobody has: then the new item gets this id.
        """
        old = None if key is None else self.current.of(kind).get(key)
        if kind is Kind.ITEM:
            patch = self._settled(patch, old or {})
        body = apply_patch({} if fresh or old is None else old, patch)
        if kind is Kind.ITEM and key is not None:
            body["id"] = key
            self._next_id = max(self._next_id, int(key) + 1)
        found = [*errors, *self._claim(kind, key, body, row)]
        if kind is Kind.ITEM:
            body, wrong = self._on_its_pipe(body, old or {})
            found += wrong
        told = {error.field for error in found}
        found += [error for error in check_whole(kind, body) if error.field not in told]
        if found:
            self.refuse(kind, body.get("name", key), found, row)
            return None
        entry = _Entry(key if old is not None else None, body, row)
        self._entries[kind].append(entry)
        if kind is Kind.PIPE:
            self._proposed_pipes.setdefault(str(body["name"]).casefold(), body)
        return entry

    def _on_its_pipe(self, body: Body, old: Body) -> tuple[dict[str, Json], list[FieldError]]:
        """The item as it is kept, and what does not go with its pipe; nothing of that is new."""
        pipe = self._pipe_named(body.get("pipe"))
        if "kind" in body and "kind" not in old:
            body = follows_pipe(body, pipe)
        told = check_on_pipe(old, self._pipe_named(old.get("pipe")))
        return dict(body), [error for error in check_on_pipe(body, pipe) if error not in told]

    def refuse(
        self, kind: Kind, key: Json, errors: Iterable[FieldError], row: int | None = None
    ) -> None:
        shown = key if isinstance(key, str | int) else None
        self._wrong.append(WrongRow(kind, shown, list(errors), row))
        if isinstance(shown, str):
            self._wrong_names[kind].add(shown.casefold())

    def new_secret(self, name: str, encrypted: str) -> None:
        """The server that will be called ``name`` gets another password ("" takes it away)."""
        self.secrets[name] = encrypted

    def delete(self, kind: Kind, keys: Iterable[Key]) -> None:
        self._deleted[kind].update(keys)

    def delete_unclaimed(self, kind: Kind, among: Callable[[Body], bool]) -> None:
        """Delete what no row spoke of."""
        claimed = self._claimed[kind]
        self.delete(
            kind,
            (
                key
                for key, body in self.current.of(kind).items()
                if key not in claimed and among(body)
            ),
        )

    def _claim(
        self, kind: Kind, key: Key | None, body: Body, row: int | None
    ) -> Iterable[FieldError]:
        """An object has at most one row in a file."""
        if kind is Kind.ITEM:
            claim: Key | None = key
        else:
            name = body.get("name")
            claim = key if key is not None else (name.casefold() if isinstance(name, str) else None)
        if claim is None:
            return ()
        claimed = self._claimed[kind]
        if claim in claimed:
            first = claimed[claim]
            where = "" if first is None else f"; see row {first}"
            field = "id" if kind is Kind.ITEM else "name"
            return (FieldError(field, f"names the same {kind} a second time{where}", claim),)
        claimed[claim] = row
        return ()

    # The result as a whole

    def plan(self, *, dry_run: bool = True) -> Plan:
        self._give_ids()
        for kind in Kind:
            self._add_untouched(kind)
        names = {kind: self._names(kind) for kind in (Kind.SERVER, Kind.PIPE)}
        for kind in (Kind.PIPE, Kind.ITEM):
            for entry in self._entries[kind]:
                self._refer(kind, entry, names)
        self._refuse_twins()
        findings = self._lint()
        self._refuse_wrong_entries()
        changes: list[Change] = []
        same = 0
        for kind in Kind:
            found, unchanged = self._changes(kind)
            changes += found
            same += unchanged
        self._wrong.sort(key=lambda wrong: (wrong.row is None, wrong.row or 0))
        return Plan(
            self.current.revision,
            changes,
            self._wrong,
            same,
            dry_run,
            next_item_id=self._next_id,
            ids=self._ids,
            secrets=self.secrets,
            findings=findings,
        )

    def _give_ids(self) -> None:
        """New items are numbered last: a file may name ids beyond those that were given."""
        for entry in self._entries[Kind.ITEM]:
            if "id" not in entry.body:
                entry.body = {**entry.body, "id": self._next_id}
                self._next_id += 1
            self._ids.append(int(str(entry.body["id"])))

    def _add_untouched(self, kind: Kind) -> None:
        """Put what nobody spoke of before the proposals: it may have to follow a rename."""
        proposed = self._entries[kind]
        away = self._deleted[kind].union(entry.key for entry in proposed if entry.key is not None)
        self._entries[kind] = [
            _Entry(key, body, None, proposed=False)
            for key, body in self.current.of(kind).items()
            if key not in away
        ] + proposed

    def _names(self, kind: Kind) -> dict[str, str]:
        """How each name is spelled from now on, former names of renamed objects included."""
        names: dict[str, str] = {}
        former: dict[str, str] = {}
        for entry in self._entries[kind]:
            name = str(entry.body["name"])
            if name.casefold() in names:
                message = f"is the name of another {kind}; choose a different one"
                entry.errors += (FieldError("name", message, name),)
                self._wrong_names[kind].add(name.casefold())
            names[name.casefold()] = name
            if entry.key is not None:
                former[str(entry.key).casefold()] = name
        return former | names

    def _refer(self, kind: Kind, entry: _Entry, names: Mapping[Kind, Mapping[str, str]]) -> None:
        for field, referred in REFERENCES[kind].items():
            name = str(entry.body[field])
            folded = name.casefold()
            spelled = names[referred].get(folded)
            if spelled is None and folded not in self._wrong_names[referred]:
                message = f"names {name}, but there is no such {referred}"
                entry.errors += (FieldError(field, message, name),)
            elif spelled is not None and spelled != name:
                entry.body = {**entry.body, field: spelled}

    def _refuse_twins(self) -> None:
        seen: dict[Identity, _Entry] = {}
        for entry in self._entries[Kind.ITEM]:
            first = seen.setdefault(identity(entry.body), entry)
            if first is not entry:
                where = f"item {first.body['id']}" if first.row is None else f"row {first.row}"
                message = f"is mapped from the same source node in the same pipe by {where} already"
                entry.errors += (FieldError("target_node", message, entry.body["target_node"]),)

    def _lint(self) -> list[Finding]:
        """What the linter says of the result; an error that was not there before is refused."""
        drafted = Drafted(
            self.current,
            {kind: [e for e in entries if not e.errors] for kind, entries in self._entries.items()},
        )
        findings = lint(drafted.configuration, self._tables, drafted.call)
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        if errors and self.refuses_findings:
            known = {finding.key for finding in lint(self.current, self._tables)}
            for finding in errors:
                if finding.key not in known:
                    for entry, error in drafted.blame(finding):
                        entry.errors += (error,)
        return findings

    def _refuse_wrong_entries(self) -> None:
        """A row counts once: what is wrong with it as a whole makes it an error and no change."""
        for kind, entries in self._entries.items():
            for entry in entries:
                if entry.errors:
                    self.refuse(kind, _shown_key(kind, entry), entry.errors, entry.row)

    def _changes(self, kind: Kind) -> tuple[list[Change], int]:
        """What differs, and how many of the proposals change nothing."""
        present = self.current.of(kind)
        changes: list[Change] = []
        same = 0
        for entry in self._entries[kind]:
            if entry.errors:
                continue
            old = None if entry.key is None else present[entry.key]
            has_secret = kind is Kind.SERVER and entry.body["name"] in self.secrets
            if old != entry.body or has_secret:
                key = entry.key if entry.key is not None else key_of(kind, entry.body)
                changes.append(Change(kind, key, old, entry.body, entry.row, has_secret))
            elif entry.proposed:
                same += 1
        changes += [
            Change(kind, key, present[key], None)
            for key in sorted(self._deleted[kind], key=str)
            if key in present
        ]
        return changes, same


def _shown_key(kind: Kind, entry: _Entry) -> Key | None:
    """A new item has no id that anybody knows."""
    return str(entry.body["name"]) if kind is not Kind.ITEM else entry.key
