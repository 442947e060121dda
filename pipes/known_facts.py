"""Facts of nodes as this process has read them, for some minutes; shared by its threads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final

from pipes.core.node_facts import NodeFacts

#: How long a fact is believed, and how many are kept of all servers together.
SECONDS: Final = 600.0
MOST_NODES: Final = 200_000
MOST_SERVERS: Final = 1_000


class KnownFacts:
    def __init__(self) -> None:
        self._lock = Lock()
        self._facts: dict[str, dict[str, tuple[NodeFacts, float]]] = {}
        self._endpoints: dict[str, str] = {}
        self._ignoring: set[str] = set()
        self._turns: dict[str, float] = {}

    def learn(
        self,
        server: str,
        endpoint: str,
        facts: Mapping[str, NodeFacts],
        *,
        ignores_ranges: bool | None = None,
    ) -> None:
        """These were read just now; a server at another address is another server.

        ``ignores_ranges``: whether it ignores an IndexRange; None if it was not asked.
        """
        now = time.monotonic()
        same: dict[NodeFacts, NodeFacts] = {}  # thousands of nodes have a handful of facts
        with self._lock:
            if self._count() + len(facts) > MOST_NODES or len(self._endpoints) >= MOST_SERVERS:
                self._forget()
            if self._endpoints.get(server) != endpoint:
                self._facts.pop(server, None)
                self._ignoring.discard(server)
                self._endpoints[server] = endpoint
            known = self._facts.setdefault(server, {})
            for node, found in facts.items():
                known[node] = (same.setdefault(found, found), now)
            if ignores_ranges is not None:
                (self._ignoring.add if ignores_ranges else self._ignoring.discard)(server)

    def of(self, server: str, endpoint: str, nodes: Iterable[str]) -> dict[str, NodeFacts]:
        """What is known of these nodes of the server at this address."""
        oldest = time.monotonic() - SECONDS
        with self._lock:
            if self._endpoints.get(server) != endpoint:
                return {}
            known = self._facts.get(server, {})
            return {
                node: entry[0]
                for node in nodes
                if (entry := known.get(node)) is not None and entry[1] >= oldest
            }

    def is_ignoring(self, server: str, endpoint: str) -> bool:
        """Whether the server at this address is known to ignore an IndexRange."""
        with self._lock:
            return self._endpoints.get(server) == endpoint and server in self._ignoring

    def unknown_first(self, server: str, nodes: Iterable[str]) -> list[str]:
        """The nodes in the order in which to read them: the oldest knowledge first."""
        with self._lock:
            known = self._facts.get(server, {})
            return sorted(nodes, key=lambda node: known[node][1] if node in known else 0.0)

    def in_turn(self, servers: Iterable[str]) -> list[str]:
        """The servers in the order in which to ask them: whose turn is longest ago comes first.

        So a few that do not answer never keep the time from all others.
        """
        with self._lock:
            return sorted(servers, key=lambda server: self._turns.get(server, 0.0))

    def has_turn(self, server: str) -> None:
        """It is asked now."""
        with self._lock:
            if len(self._turns) >= MOST_SERVERS:
                self._turns.clear()
            self._turns[server] = time.monotonic()

    def forget(self) -> None:
        with self._lock:
            self._forget()
            self._turns.clear()

    def _forget(self) -> None:
        self._facts.clear()
        self._endpoints.clear()
        self._ignoring.clear()

    def _count(self) -> int:
        return sum(map(len, self._facts.values()))


FACTS: Final = KnownFacts()
