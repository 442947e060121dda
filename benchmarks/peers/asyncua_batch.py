"""Copies values with asyncua as its examples do, but writes them in batches.

A subscription's handler keeps the newest value of each node; every 20 ms what has come is written.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.node import Node

from benchmarks.names import NAMESPACE, PUBLISHING_MS, node_name
from benchmarks.peers.options import connect, peer_options

GATHER_SECONDS = 0.02
NODES_PER_CALL = 1000


class Handler:
    def __init__(self) -> None:
        self.newest: dict[ua.NodeId, ua.DataValue] = {}

    def datachange_notification(self, node: Node, _value: Any, data: Any) -> None:
        self.newest[node.nodeid] = data.monitored_item.Value

    def take(self) -> dict[ua.NodeId, ua.DataValue]:
        taken, self.newest = self.newest, {}
        return taken


async def copy(source: Client, target: Client, items: int) -> None:
    index = await source.get_namespace_index(NAMESPACE)
    nodes = [source.get_node(ua.NodeId(node_name(item), index)) for item in range(items)]
    handler = Handler()
    subscription = await source.create_subscription(PUBLISHING_MS, handler)
    for start in range(0, items, NODES_PER_CALL):
        await subscription.subscribe_data_change(  # type: ignore[call-overload]
            nodes[start : start + NODES_PER_CALL], queuesize=1, sampling_interval=0
        )
    target_index = await target.get_namespace_index(NAMESPACE)
    twins = {
        node.nodeid: target.get_node(ua.NodeId(node.nodeid.Identifier, target_index))
        for node in nodes
    }
    while True:
        await asyncio.sleep(GATHER_SECONDS)
        batch = list(handler.take().items())
        for start in range(0, len(batch), NODES_PER_CALL):
            part = batch[start : start + NODES_PER_CALL]
            await target.write_values(
                [twins[node] for node, _ in part], [_writable(value) for _, value in part]
            )


def _writable(value: ua.DataValue) -> ua.DataValue:
    """Value, status and source timestamp; a server's own timestamp cannot be written."""
    return ua.DataValue(value.Value, value.StatusCode, value.SourceTimestamp)


async def main() -> None:
    options = peer_options()
    async with connect(options.source) as source, connect(options.target) as target:
        await copy(source, target, options.items)


if __name__ == "__main__":
    asyncio.run(main())
