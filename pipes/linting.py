"""The mapping linter on demand: the present configuration, with what the servers say of its nodes.

The attributes are read by a pipe worker, some thousand nodes at a time, all servers side by side,
within a time that a person waits. What could not be read is a finding, and no error. What was
read is kept in this process: nodes that are not known yet come first the next time, and plans are
told what is known of the nodes that they change.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from threading import Lock
from typing import Any, Final

from pipes import commands, store
from pipes.core.configuration import Configuration
from pipes.core.findings import Finding, in_order
from pipes.core.lint import lint
from pipes.core.lint_facts import lint_facts, wanted_nodes
from pipes.core.node_facts import Known, NodeFacts, from_row
from pipes.known_facts import FACTS
from pipes.rest import Problem
from pipes.store import database

SECONDS: Final = 8.0
NODES_A_COMMAND: Final = 1_000
SERVERS_AT_ONCE: Final = 4
NO_TIME: Final = f"the time of {SECONDS:g} s was over; ask again, and they are read first"

#: One look at the servers at a time: they have other things to do.
_looking: Final = Lock()
_pool: Final = ThreadPoolExecutor(SERVERS_AT_ONCE, thread_name_prefix="lint")


def lint_present(*, with_facts: bool = False) -> list[Finding]:
    """What the linter says of the present configuration, errors first."""
    with database():
        state = store.read()
    known = read_facts(state.configuration) if with_facts else None
    with store.without_collection():
        findings = lint(state.configuration, state.namespaces)
        if known is not None:
            findings += lint_facts(state.configuration, known)
    return in_order(findings)


def read_facts(configuration: Configuration) -> Known:
    """Read the nodes of all enabled items, as far as the time goes.

    Who comes while another reads waits for that, and takes what it has found.
    """
    wanted = wanted_nodes(configuration)
    servers = configuration.servers
    enabled = {name: n for name, n in wanted.items() if servers[name].get("enabled", True)}
    why = {name: f"{name} is disabled" for name in wanted.keys() - enabled.keys()}
    if _looking.acquire(blocking=False):
        try:
            why |= _read_servers(enabled)
        finally:
            _looking.release()
    elif _looking.acquire(timeout=SECONDS):
        _looking.release()
    nodes = {name: FACTS.of(name, str(servers[name]["endpoint"]), wanted[name]) for name in enabled}
    unread = {
        name: (left, why.get(name, NO_TIME))
        for name, all_nodes in wanted.items()
        if (left := len(all_nodes) - len(nodes.get(name, {})))
    }
    return Known(nodes, unread)


def _read_servers(wanted: Mapping[str, Mapping[str, bool]]) -> dict[str, str]:
    """Read all servers side by side; returns why some ended early."""
    deadline = time.monotonic() + SECONDS
    ends = _pool.map(_read_server, wanted.keys(), wanted.values(), repeat(deadline))
    return {name: why for name, why in zip(wanted, ends, strict=True) if why}


def _read_server(name: str, nodes: Mapping[str, bool], deadline: float) -> str:
    """Read in parts until the time is over; returns why it ended early, if it did."""
    order = FACTS.unknown_first(name, nodes)
    for start in range(0, len(order), NODES_A_COMMAND):
        left = deadline - time.monotonic()
        if left <= 0:
            return NO_TIME
        part = order[start : start + NODES_A_COMMAND]
        try:
            answer = commands.run(
                "pipes.node_facts",
                patience=left,
                server=name,
                nodes=part,
                with_range=[node for node in part if nodes[node]],
            )
        except Problem as problem:
            return problem.text
        FACTS.learn(name, str(answer["endpoint"]), dict(zip(part, _rows(answer), strict=True)))
    return ""


def _rows(answer: Mapping[str, Any]) -> Iterable[NodeFacts]:
    return map(from_row, answer["facts"])
