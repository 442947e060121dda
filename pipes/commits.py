"""How every write of the configuration goes: read, draft, plan, write as one revision, tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pipes import store
from pipes.core.draft import Draft
from pipes.core.plan import MOST_ROWS, Plan
from pipes.notices import revision_made
from pipes.refusals import Busy, Invalid, Stale
from pipes.store import database, without_collection

WRITE_ATTEMPTS: Final = 5
#: A locked database is told within 6 s (contract, section 5), the time of planning included.
ANSWER_SECONDS: Final = 5.5
LEAST_PATIENCE_SECONDS: Final = 0.5


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
    return replace(plan, most_rows=max(0, rows), ids=plan.ids if ids else None)
