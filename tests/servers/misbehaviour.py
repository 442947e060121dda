"""What a plant server can be told to do wrong: refuse writes, fall silent, count who tried."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from asyncua import Server, ua

KEPT_ATTEMPTS = 2_000


class Misbehaviour:
    """Sits in front of the Write service of a server and keeps a record of what clients tried."""

    def __init__(self, server: Server, nodes: Mapping[str, Any]) -> None:
        self._server = server
        self._nodes = nodes
        self._refusals: dict[ua.NodeId, int] = {}
        self._attempts: Counter[ua.NodeId] = Counter()
        self._recent: deque[tuple[float, ua.NodeId]] = deque(maxlen=KEPT_ATTEMPTS)
        self._is_installed = False

    def install(self) -> None:
        """Record every write of a client from now on."""
        if self._is_installed:
            return
        self._is_installed = True
        service = self._server.iserver.isession.__class__
        plain = service.write

        async def write(session: Any, parameters: ua.WriteParameters, *more: Any) -> Any:
            if not session.external:
                return await plain(session, parameters, *more)
            now = time.monotonic()
            for item in parameters.NodesToWrite:
                self._attempts[item.NodeId] += 1
                self._recent.append((now, item.NodeId))
            return await self._answer(plain, session, parameters, *more)

        service.write = write

    async def _answer(
        self, plain: Any, session: Any, parameters: ua.WriteParameters, *more: Any
    ) -> list[ua.StatusCode]:
        wanted = parameters.NodesToWrite
        taken = [item for item in wanted if item.NodeId not in self._refusals]
        parameters.NodesToWrite = taken
        results = iter(await plain(session, parameters, *more) if taken else [])
        return [
            ua.StatusCode(self._refusals[item.NodeId])
            if item.NodeId in self._refusals
            else next(results)
            for item in wanted
        ]

    def refuse(self, statuses: Mapping[str, str]) -> None:
        """Answer writes of these nodes with a status, such as BadUserAccessDenied; "" ends it."""
        self.install()
        for name, status in statuses.items():
            node = self._nodes[name].nodeid
            self._refusals.pop(node, None)
            if status:
                self._refusals[node] = getattr(ua.StatusCodes, status)

    def attempts(self, names: list[str]) -> dict[str, dict[str, float]]:
        """How often clients wrote each node, and the shortest time between two tries."""
        self.install()
        answer = {}
        for name in names:
            node = self._nodes[name].nodeid
            at = [when for when, written in self._recent if written == node]
            gaps = [later - earlier for earlier, later in pairwise(at)]
            answer[name] = {
                "count": self._attempts[node],
                "shortest_gap": min(gaps, default=float("inf")),
            }
        return answer

    def mute(self, names: list[str]) -> int:
        """Stop sampling these nodes; their monitored items stay, and say nothing any more."""
        muted = {self._nodes[name].nodeid for name in names}
        silenced = 0
        for subscription in self._server.iserver.subscription_service.subscriptions.values():
            service = subscription.monitored_item_srv
            for item in service._monitored_items.values():
                if item.read_value_id.NodeId in muted and item.callback_handle is not None:
                    service.aspace.delete_datachange_callback(item.callback_handle)
                    silenced += 1
        return silenced
