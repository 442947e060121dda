"""How every write of the configuration goes: read, draft, plan, write as one revision, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from pipes import store
from pipes.core.configuration import Configuration
from pipes.core.draft import Draft
from pipes.core.fields import Body, Kind
from pipes.core.findings import Finding, Severity, in_order
from pipes.core.lint_facts import lint_facts, wanted_nodes
from pipes.core.node_facts import Known
from pipes.core.plan import MOST_ROWS, Plan
from pipes.core.wanted import Json
from pipes.known_facts import FACTS
from pipes.notices import revision_made
from pipes.refusals import Busy, Invalid, Stale
from pipes.store import database, without_collection

WRITE_ATTEMPTS: Final = 5
#: A locked database is told within 6 s (contract, section 5), the time of planning included.
ANSWER_SECONDS: Final = 5.5
LEAST_PATIENCE_SECONDS: Final = 0.5
#: Items of a plan whose nodes are looked up in what is known of the servers.
MOST_LOOKED_UP: Final = 10_000


def commit(
    fill: Callable[[Draft], None],
    *,
    user: str,
    reason: str,
    base_revision: int | None = None,
    dry_run: bool = False,
    rows: int = MOST_ROWS,
    ids: bool = False,
) -> Plan:
    """Draft, plan and write; planned again if another revision came in between.

    A plan that changes nothing makes no revision (its ``revision`` stays None).
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    for _ in range(WRITE_ATTEMPTS):
        with database():
            state = store.read()
            if base_revision is not None and base_revision != state.configuration.revision:
                raise Stale(state.configuration.revision)
            plan = _drafted(state, fill, rows, ids=ids)
            if dry_run:
                return plan
            if plan.wrong:
                raise Invalid(plan.errors, plan)
            if not plan.changes:
                return replace(plan, dry_run=False)
            try:
                with store.patience(max(LEAST_PATIENCE_SECONDS, deadline - time.monotonic())):
                    made = store.write(state, plan, user=user[:200], reason=reason.strip())
            except store.MovedError:
                continue
        revision_made(made, user=user)
        return made
    raise Busy("the configuration is being changed by others at the same time; try again")


def planned(fill: Callable[[Draft], None], rows: int = MOST_ROWS) -> Plan:
    """What `commit` would do."""
    with database():
        return _drafted(store.read(), fill, rows)


def _drafted(
    state: store.State, fill: Callable[[Draft], None], rows: int, *, ids: bool = False
) -> Plan:
    with without_collection():
        draft = Draft(state.configuration, state.namespaces)
        fill(draft)
        plan = draft.plan()
        findings = in_order([*plan.findings, *_known_findings(state, plan)])
    shown = replace(plan, most_rows=max(0, rows), findings=findings)
    return replace(shown, ids=plan.ids if ids else None)


def _known_findings(state: store.State, plan: Plan) -> list[Finding]:
    """What is known of the nodes that a plan is about; it refuses nothing.

    Of items that are changed these are warnings: what was read may be ten minutes old. Of pipes
    that are switched on they are as serious as they are.
    """
    on = _switched_on(plan)
    items = _items_of(state, plan, on)
    if not 0 < len(items) <= MOST_LOOKED_UP:
        return []
    whole = Configuration(_after(state, plan, Kind.SERVER), _after(state, plan, Kind.PIPE), items)
    own = [key for key, body in items.items() if body["pipe"] in whole.pipes]
    known = _known(whole, own)
    as_it_is = [key for key in own if items[key]["pipe"] in on]
    return lint_facts(whole, known, as_it_is) + [
        replace(finding, severity=Severity.WARNING)
        for finding in lint_facts(whole, known, set(own).difference(as_it_is))
    ]


def _switched_on(plan: Plan) -> set[Json]:
    """The pipes that a plan switches on."""
    return {
        change.new["name"]
        for change in plan.changes
        if change.kind is Kind.PIPE
        and change.new is not None
        and change.new.get("enabled", True)
        and not (change.old or {"enabled": False}).get("enabled", True)
    }


def _items_of(state: store.State, plan: Plan, pipes: AbstractSet[Json]) -> dict[int, Body]:
    """The items that a plan changes, and all of these ``pipes``."""
    changed = {int(c.key): c.new for c in plan.changes if c.kind is Kind.ITEM}
    whole = state.configuration.items.items() if pipes else ()
    rest = {key: body for key, body in whole if body["pipe"] in pipes and key not in changed}
    return {key: body for key, body in changed.items() if body is not None} | rest


def _known(whole: Configuration, items: Iterable[int]) -> Known:
    at = {name: str(body["endpoint"]) for name, body in whole.servers.items()}
    facts = {
        server: FACTS.of(server, at[server], nodes)
        for server, nodes in wanted_nodes(whole, items).items()
        if server in at
    }
    ignoring = {server for server in facts if FACTS.is_ignoring(server, at[server])}
    return Known(facts, {}, ignoring)


def _after(state: store.State, plan: Plan, kind: Kind) -> dict[str, Body]:
    bodies = {str(key): body for key, body in state.configuration.of(kind).items()}
    for change in plan.changes:
        if change.kind is kind:
            bodies.pop(str(change.key), None)
    bodies |= {
        str(change.new["name"]): change.new
        for change in plan.changes
        if change.kind is kind and change.new is not None
    }
    return bodies
