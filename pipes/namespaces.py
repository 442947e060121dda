"""From namespace indices to namespace URIs, as soon as a server's namespace table is known.

Indices move when a server restarts, URIs do not (Part 3, 8.2.2). What an engineer typed with an
index is kept until some pipe host has read the server's table; then it is replaced, in a revision
by ``system``, and later writes are replaced before they are saved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.db.models import Q

from pipes import drafting, services
from pipes.core.draft import Draft
from pipes.core.node_ids import NodeIdError, parse, to_uri_form
from pipes.models import Item, Server
from redundancy.command import CommandError, CommandUnavailable, call

USER: Final = "system"
REASON: Final = "namespace indices replaced by URIs"
#: Indices 0 and 1 stay: index 1 is the server's own ApplicationUri (Part 5, 6.3.1).
FIRST_MOVING_INDEX: Final = 2
#: How a stored body of an item with a condition reads.
CONDITION: Final = '"condition":{'


def learn_and_replace() -> int:
    """Ask the hosts for namespace tables, and replace what they settle; returns how many items."""
    _learn(_ask_hosts())
    changes = _changes()
    if changes:
        services.commit(lambda draft: _replace(draft, changes), user=USER, reason=REASON)
    return len(changes)


def _replace(draft: Draft, changes: Sequence[Mapping[str, Any]]) -> None:
    """The nodes stay the same ones: what this brings to light is shown, and refused to nobody."""
    draft.refuses_findings = False
    drafting.patch_items(draft, enumerate(changes, 1))


def settled(text: str, namespaces: Sequence[str]) -> str:
    """``text`` with its moving index replaced, if the table has it; else as it is."""
    try:
        namespace = parse(text).namespace
        if not isinstance(namespace, int) or namespace < FIRST_MOVING_INDEX:
            return text
        return to_uri_form(text, namespaces)
    except NodeIdError:
        return text


def _ask_hosts() -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for index in range(1, settings.STATION.pipe_workers + 1):
        try:
            tables.update(call(settings.STATION.host_socket(index), "namespaces", timeout=1.0))
        except (CommandError, CommandUnavailable):
            continue
    return tables


def _learn(tables: Mapping[str, Sequence[str]]) -> None:
    for server in Server.objects.filter(name__in=tables):
        if server.namespaces != list(tables[server.name]):
            Server.objects.filter(pk=server.pk).update(namespaces=list(tables[server.name]))


def _changes() -> list[dict[str, Any]]:
    short = Q(source_node__contains="ns=") | Q(target_node__contains="ns=")
    changes = []
    for number, source, target, body, read, written in (
        Item.objects.filter(short | Q(body__contains=CONDITION))
        .values_list(
            "id",
            "source_node",
            "target_node",
            "body",
            "pipe__source__namespaces",
            "pipe__target__namespaces",
        )
        .iterator()
    ):
        present: dict[str, Any] = {"source_node": source, "target_node": target}
        wanted: dict[str, Any] = {
            "source_node": settled(source, read),
            "target_node": settled(target, written),
        }
        if CONDITION in body:
            present["condition"] = condition = json.loads(body)["condition"]
            wanted["condition"] = {**condition, "node": settled(condition["node"], read)}
        if wanted != present:
            changes.append({"id": number, **wanted})
    return changes
