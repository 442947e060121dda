"""Former revisions: what each changed, the whole as it was, and the way back to it."""

from __future__ import annotations

from collections.abc import Mapping

from pipes import store
from pipes.commits import commit, planned
from pipes.core import configuration as core
from pipes.core.configuration import Key
from pipes.core.draft import Draft
from pipes.core.fields import Body, Kind
from pipes.core.plan import MOST_ROWS, Plan, undo
from pipes.core.wanted import Json
from pipes.models import Revision
from pipes.refusals import Conflict, NotFound
from pipes.store import database


def restore(number: int, *, user: str, reason: str, base_revision: int | None = None) -> Plan:
    """Make revision ``number`` the newest one again; passwords stay as they are now."""
    return commit(
        lambda draft: _put_revision(draft, number),
        user=user,
        reason=reason or f"restore of revision {number}",
        base_revision=base_revision,
    )


def plan_restore(number: int, rows: int = MOST_ROWS) -> Plan:
    """What `restore` would do."""
    return planned(lambda draft: _put_revision(draft, number), rows)


def document_of(number: int) -> dict[str, Json]:
    """The configuration document of a former revision."""
    with database():
        return core.document(_former(store.read().configuration, number, {}))


def revision_rows(number: int, rows: int = MOST_ROWS) -> Plan:
    """What revision ``number`` changed, as the plan that was applied."""
    with database():
        made = Revision.objects.filter(number=number).first()
        if made is None:
            raise NotFound("revision", number)
        changes = store.unpack(bytes(made.changes))
    return Plan(number - 1, changes, dry_run=False, revision=number, most_rows=rows)


def _put_revision(draft: Draft, number: int) -> None:
    names = {
        Kind.SERVER: {name: name for name in draft.current.servers},
        Kind.PIPE: {name: name for name in draft.current.pipes},
    }
    draft.namespaces = {}  # as it was, to the last letter
    draft.refuses_findings = False  # the way back is open, whatever was allowed then
    former = _former(draft.current, number, names)
    for kind in (Kind.SERVER, Kind.PIPE):
        now = {then: name for name, then in names[kind].items()}
        for name, body in former.of(kind).items():
            _put_former(draft, kind, now.get(name), body)
    for key, body in former.items.items():
        _put_former(draft, Kind.ITEM, key, body)
    for kind in Kind:
        draft.delete_unclaimed(kind, lambda _: True)


def _put_former(draft: Draft, kind: Kind, key: Key | None, body: Body) -> None:
    patch = {name: value for name, value in body.items() if name != "id"}
    draft.propose(kind, key, patch, fresh=True)


def _former(
    present: core.Configuration, number: int, names: Mapping[Kind, dict[str, str]]
) -> core.Configuration:
    """The configuration of revision ``number``: the present one, with every later change undone."""
    wanted = Revision.objects.filter(number=number).values_list("digest", flat=True).first()
    if wanted is None:
        raise NotFound("revision", number)
    later = Revision.objects.filter(number__gt=number, number__lte=present.revision)
    former = present
    for packed in later.order_by("-number").values_list("changes", flat=True).iterator(1):
        former = undo(former, store.unpack(bytes(packed)), names)
    if core.digest_of_text(core.configuration_text(former)) != wanted:
        raise Conflict("damaged", f"revision {number} is not complete in the database any more")
    return former
