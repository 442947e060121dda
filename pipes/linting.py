"""The mapping linter on demand: the present configuration, with what the servers say of its nodes.

The attributes are read by a pipe worker, some thousand nodes at a time, all servers side by side,
within a time that a person waits. What could not be read is a finding, and no error. What was
read is kept in this process: nodes that are not known yet come first the next time, and plans are
told what is known of the nodes that they change.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final

from pipes import commands, store
from pipes.core.configuration import Configuration
from pipes.core.fields import Body, Kind
from pipes.core.findings import Finding, in_order
from pipes.core.lint import lint, lint_pipe
from pipes.core.lint_facts import lint_facts, wanted_nodes, written_in_part
from pipes.core.node_facts import Known, from_row
from pipes.known_facts import FACTS
from pipes.refusals import NotFound
from pipes.rest import Problem
from pipes.store import database

SECONDS: Final = 8.0
NODES_A_COMMAND: Final = 1_000
SERVERS_AT_ONCE: Final = 4
OTHER_ADDRESS: Final = "the pipe workers have another address of it still; ask again"
NO_TIME: Final = f"the time of {SECONDS:g} s was over; ask again, and they are read first"

#: One look at the servers at a time: they have other things to do.
_looking: Final = Lock()
_pool: Final = ThreadPoolExecutor(SERVERS_AT_ONCE, thread_name_prefix="lint")


def lint_present(*, with_facts: bool = False, pipe: str | None = None) -> list[Finding]:
    """What the linter says of the present configuration, errors first.

    Of ``pipe`` alone it is what would be said if the pipe were switched on now.

    Raises:
        NotFound: there is no such pipe.
    """
    with database():
        state = store.read()
    whole = state.configuration
    with store.without_collection():
        if pipe is None:
            looked_at, findings = whole, lint(whole, state.namespaces)
        else:
            looked_at, findings = lint_pipe(whole, _spelled(whole, pipe), state.namespaces)
    if not with_facts:
        return findings
    known = read_facts(looked_at)
    with store.without_collection():
        return in_order([*findings, *lint_facts(looked_at, known)])


def _spelled(configuration: Configuration, pipe: str) -> str:
    for name in configuration.pipes:
        if name.casefold() == pipe.casefold():
            return name
    raise NotFound(Kind.PIPE, pipe)


def read_facts(configuration: Configuration) -> Known:
    """Read the nodes of all enabled items, as far as the time goes.

    Who comes while another reads waits for that, and reads only what it has not found.
    """
    deadline = time.monotonic() + SECONDS
    wanted = wanted_nodes(configuration)
    servers = configuration.servers
    at = {
        name: str(servers[name]["endpoint"])
        for name in wanted
        if servers[name].get("enabled", True)
    }
    why = {name: f"{name} is disabled" for name in wanted if name not in at}
    is_first = _looking.acquire(blocking=False)
    if is_first or _looking.acquire(timeout=SECONDS):
        try:
            left_out = {} if is_first else {n: FACTS.of(n, at[n], wanted[n]) for n in at}
            asked = {name: _without(wanted[name], left_out.get(name, ())) for name in at}
            why |= _read_servers(configuration, asked, deadline)
        finally:
            _looking.release()
    nodes = {name: FACTS.of(name, endpoint, wanted[name]) for name, endpoint in at.items()}
    unread = {
        name: (left, why.get(name, NO_TIME))
        for name, all_nodes in wanted.items()
        if (left := len(all_nodes) - len(nodes.get(name, {})))
    }
    return Known(nodes, unread, {name for name in at if FACTS.is_ignoring(name, at[name])})


def _without(nodes: Mapping[str, bool], known: Collection[str]) -> dict[str, bool]:
    return {node: needs for node, needs in nodes.items() if node not in known}


def _read_servers(
    configuration: Configuration, wanted: Mapping[str, Mapping[str, bool]], deadline: float
) -> dict[str, str]:
    """Read all servers side by side; returns why some ended early."""
    in_part = written_in_part(configuration)

    def read(name: str) -> str:
        body = configuration.servers[name]
        return _read_server(body, wanted[name], deadline, with_part=name in in_part)

    names = FACTS.in_turn(wanted)
    return {name: why for name, why in zip(names, _pool.map(read, names), strict=True) if why}


def _read_server(
    server: Body, nodes: Mapping[str, bool], deadline: float, *, with_part: bool
) -> str:
    """Read in parts until the time is over; returns why it ended early, if it did."""
    name, endpoint = str(server["name"]), str(server["endpoint"])
    order = FACTS.unknown_first(name, nodes)
    for start in range(0, len(order), NODES_A_COMMAND):
        left = deadline - time.monotonic()
        if left <= 0:
            return NO_TIME
        FACTS.has_turn(name)
        part = order[start : start + NODES_A_COMMAND]
        try:
            answer = commands.run(
                "pipes.node_facts",
                patience=left,
                server=name,
                nodes=part,
                with_range=[node for node in part if nodes[node]],
                with_part=with_part,
            )
        except Problem as problem:
            return problem.text
        if answer["endpoint"] not in {endpoint, server.get("standby_endpoint")}:
            return OTHER_ADDRESS
        facts = dict(zip(part, map(from_row, answer["facts"]), strict=True))
        FACTS.learn(name, endpoint, facts, ignores_ranges=answer.get("ignores_index_range"))
    return ""
