"""How every write of the configuration goes: read, draft, plan, write as one revision, tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pipes import store
from pipes.core.configuration import Configuration
from pipes.core.draft import Draft
from pipes.core.fields import Body, Kind
from pipes.core.findings import Finding, Severity
from pipes.core.lint_facts import lint_facts, wanted_nodes
from pipes.core.node_facts import Known
from pipes.core.plan import MOST_ROWS, Plan
from pipes.known_facts import FACTS
from pipes.notices import revision_made
from pipes.refusals import Busy, Invalid, Stale
from pipes.store import database, without_collection

WRITE_ATTEMPTS: Final = 5
#: A locked database is told within 6 s (contract, section 5), the time of planning included.
ANSWER_SECONDS: Final = 5.5
LEAST_PATIENCE_SECONDS: Final = 0.5
#: Items of a plan whose nodes are looked up in what is known of the servers.
MOST_LOOKED_UP: Final = 5_000


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
        findings = [*plan.findings, *_known_findings(state, plan)]
    shown = replace(plan, most_rows=max(0, rows), findings=findings)
    return replace(shown, ids=plan.ids if ids else None)


def _known_findings(state: store.State, plan: Plan) -> list[Finding]:
    """What is known of the nodes that a plan is about; it refuses nothing, servers change."""
    changed = {c.key: c.new for c in plan.changes if c.kind is Kind.ITEM and c.new is not None}
    if not 0 < len(changed) <= MOST_LOOKED_UP:
        return []
    whole = Configuration(
        _after(state, plan, Kind.SERVER),
        _after(state, plan, Kind.PIPE),
        {int(key): body for key, body in changed.items()},
    )
    items = [key for key, body in whole.items.items() if body["pipe"] in whole.pipes]
    facts = {
        server: FACTS.of(server, str(whole.servers[server]["endpoint"]), nodes)
        for server, nodes in wanted_nodes(whole, items).items()
        if server in whole.servers
    }
    return [
        replace(finding, severity=Severity.WARNING)
        for finding in lint_facts(whole, Known(facts, {}), items)
    ]


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
