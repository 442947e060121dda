"""Copies values with asyncua as cheaply as its own codec allows.

Without asyncua's task for each change: a subscription callback takes whole PublishResults, makes
the WriteValues of prepared parts, and has up to four writes on their way. Two writes of one node
are never on their way together.
"""

from __future__ import annotations

import asyncio

from asyncua import ua
from asyncua.client.client import Client
from asyncua.ua.attribute_ids import AttributeIds

from benchmarks.names import NAMESPACE, PUBLISHING_MS, node_name
from benchmarks.peers.options import connect, peer_options

NODES_PER_CALL = 1000
WRITES_IN_FLIGHT = 4


class Copier:
    def __init__(self, target: Client, targets: list[ua.NodeId]) -> None:
        self._session = target.uaclient
        self._targets = targets
        self._newest: dict[int, ua.DataValue] = {}
        self._busy: set[int] = set()
        self._writes: set[asyncio.Task[None]] = set()

    async def published(self, result: ua.PublishResult) -> None:
        for notification in result.NotificationMessage.NotificationData or ():
            for item in notification.MonitoredItems:
                self._newest[item.ClientHandle] = item.Value
        self._send()

    def _send(self) -> None:
        while len(self._writes) < WRITES_IN_FLIGHT:
            free = [handle for handle in self._newest if handle not in self._busy]
            batch = {handle: self._newest.pop(handle) for handle in free[:NODES_PER_CALL]}
            if not batch:
                return
            self._busy.update(batch)
            write = asyncio.create_task(self._write(batch))
            self._writes.add(write)
            write.add_done_callback(self._ended)

    def _ended(self, write: asyncio.Task[None]) -> None:
        self._writes.discard(write)
        write.result()
        self._send()

    async def _write(self, batch: dict[int, ua.DataValue]) -> None:
        values = []
        for handle, got in batch.items():
            value = ua.DataValue(got.Value, None, got.SourceTimestamp)
            if got.StatusCode is not None and got.StatusCode.value:
                value = ua.DataValue(got.Value, got.StatusCode, got.SourceTimestamp)
            values.append(ua.WriteValue(self._targets[handle], AttributeIds.Value, Value=value))
        for status in await self._session.write(ua.WriteParameters(values)):
            status.check()
        self._busy.difference_update(batch)


async def copy(source: Client, target: Client, items: int) -> None:
    index = await source.get_namespace_index(NAMESPACE)
    target_index = await target.get_namespace_index(NAMESPACE)
    copier = Copier(target, [ua.NodeId(node_name(item), target_index) for item in range(items)])
    wanted = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=PUBLISHING_MS,
        RequestedLifetimeCount=600,
        RequestedMaxKeepAliveCount=20,
        PublishingEnabled=True,
    )
    session = source.uaclient
    subscription = await session.create_subscription(wanted, copier.published)
    for start in range(0, items, NODES_PER_CALL):
        stop = min(items, start + NODES_PER_CALL)
        requests = [
            _request(ua.NodeId(node_name(item), index), item) for item in range(start, stop)
        ]
        created = await session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                subscription.SubscriptionId, ua.TimestampsToReturn.Source, requests
            )
        )
        for result in created:
            result.StatusCode.check()
    await asyncio.Event().wait()


def _request(node: ua.NodeId, handle: int) -> ua.MonitoredItemCreateRequest:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = node
    request.ItemToMonitor.AttributeId = AttributeIds.Value
    request.MonitoringMode = ua.MonitoringMode.Reporting
    request.RequestedParameters.ClientHandle = handle
    request.RequestedParameters.SamplingInterval = 0
    request.RequestedParameters.QueueSize = 1
    request.RequestedParameters.DiscardOldest = True
    return request


async def main() -> None:
    options = peer_options()
    async with connect(options.source) as source, connect(options.target) as target:
        await copy(source, target, options.items)


if __name__ == "__main__":
    asyncio.run(main())
