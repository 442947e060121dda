"""What is read of the configuration, together with what the pipe hosts say of it.

Rows come as the contract's bodies with ``status``. Items are read a page at a time, and hosts are
asked for that page's items only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from pipes import live, store
from pipes.models import Item, Pipe, Revision, Server
from pipes.refusals import NotFound

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """One object and the revision that last changed it."""

    body: Body
    revision: int


def servers() -> list[Body]:
    now = live.ask_about_pipes()
    return [_server_body(server, now) for server in Server.objects.all()]


def server(name: str) -> Found:
    """
    Raises:
        NotFound: there is no server of this name.
    """
    row = server_row(name)
    return Found(_server_body(row, live.ask_about_pipes()), row.revision)


def server_row(name: str) -> Server:
    row = Server.objects.filter(name_key=name.casefold()).first()
    if row is None:
        raise NotFound("server", name)
    return row


def pipes() -> list[Body]:
    now = live.ask_about_pipes()
    counts = dict(
        Item.objects.order_by().values("pipe").annotate(n=Count("pk")).values_list("pipe", "n")
    )
    return [_pipe_body(pipe, now, counts.get(pipe.pk, 0)) for pipe in Pipe.objects.all()]


def pipe(name: str) -> Found:
    """
    Raises:
        NotFound: there is no pipe of this name.
    """
    row = pipe_row(name)
    return Found(_pipe_body(row, live.ask_about_pipes(), row.items.count()), row.revision)


def pipe_row(name: str) -> Pipe:
    row = Pipe.objects.filter(name_key=name.casefold()).first()
    if row is None:
        raise NotFound("pipe", name)
    return row


def items(rows: QuerySet[Item]) -> list[Body]:
    """The bodies of some items, a page of them at most."""
    found = list(rows.select_related("pipe"))
    now = live.ask_about_items([item.pk for item in found])
    return [_item_body(item, now) for item in found]


def item(number: int) -> Found:
    """
    Raises:
        NotFound: there is no item of this id.
    """
    row = item_row(number)
    return Found(_item_body(row, live.ask_about_items([number])), row.revision)


def item_row(number: int) -> Item:
    row = Item.objects.select_related("pipe").filter(pk=number).first()
    if row is None:
        raise NotFound("item", number)
    return row


def document_text() -> tuple[str, int]:
    """The canonical configuration document as JSON, and its revision."""
    with store.database():
        state = store.read()
    return state.document_text, state.configuration.revision


def revision_body(revision: Revision) -> Body:
    """The contract's line of the list of revisions."""
    return {
        "revision": revision.number,
        "at": revision.at,
        "user": revision.user,
        "reason": revision.reason,
        "counts": revision.counts,
        "conflict": revision.conflict,
    }


def _server_body(row: Server, now: live.Live) -> Body:
    return row.complete() | {"status": now.server(row.name, enabled=row.enabled)}


def _pipe_body(row: Pipe, now: live.Live, count: int) -> Body:
    return row.complete() | {"status": now.pipe(row.name, enabled=row.enabled, items=count)}


def _item_body(row: Item, now: live.LiveItems) -> Body:
    enabled = row.enabled and row.pipe.enabled
    return row.complete() | {"status": now.item(row.pk, enabled=enabled)}
