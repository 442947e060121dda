"""The mapping linter on demand: the present configuration, looked at as a whole."""

from __future__ import annotations

from pipes import store
from pipes.core.findings import Finding
from pipes.core.lint import lint
from pipes.store import database


def lint_present() -> list[Finding]:
    """What the linter says of the present configuration, errors first."""
    with database():
        state = store.read()
    with store.without_collection():
        return lint(state.configuration, state.namespaces)
