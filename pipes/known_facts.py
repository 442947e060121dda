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


class KnownFacts:
    def __init__(self) -> None:
        self._lock = Lock()
        self._facts: dict[str, dict[str, tuple[NodeFacts, float]]] = {}
        self._endpoints: dict[str, str] = {}
        self._same: dict[NodeFacts, NodeFacts] = {}

    def learn(self, server: str, endpoint: str, facts: Mapping[str, NodeFacts]) -> None:
        """These were read just now; a server at another address is another server."""
        now = time.monotonic()
        with self._lock:
            if self._endpoints.get(server) != endpoint:
                self._facts.pop(server, None)
                self._endpoints[server] = endpoint
            if self._count() + len(facts) > MOST_NODES:
                self._facts.clear()
                self._same.clear()
            known = self._facts.setdefault(server, {})
            for node, found in facts.items():
                # Thousands of nodes have a handful of different facts.
                known[node] = (self._same.setdefault(found, found), now)

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

    def unknown_first(self, server: str, nodes: Iterable[str]) -> list[str]:
        """The nodes in the order in which to read them: the oldest knowledge first."""
        with self._lock:
            known = self._facts.get(server, {})
            return sorted(nodes, key=lambda node: known[node][1] if node in known else 0.0)

    def forget(self) -> None:
        with self._lock:
            self._facts.clear()
            self._same.clear()
            self._endpoints.clear()

    def _count(self) -> int:
        return sum(map(len, self._facts.values()))


FACTS: Final = KnownFacts()
