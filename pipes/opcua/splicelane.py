"""The lane that copies bytes: notifications are spliced into WriteRequests, nothing is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from pipes.core.requests import (
    CREATE_MONITORED_ITEMS,
    DELETE_MONITORED_ITEMS,
    WRITE,
    create_monitored_items_body,
    delete_monitored_items_body,
    encode_monitored_item,
    scan_create_monitored_items_response,
)
from pipes.core.skip import ScanError, ServiceFaultError
from pipes.core.splice import (
    scan_delete_monitored_items_response,
    scan_write_response,
    write_request_body,
)
from pipes.core.status_codes import name_of
from pipes.opcua import wire
from pipes.opcua.batching import BatchSize, in_batches
from pipes.opcua.errors import RequestFailed, RequestTooLarge
from pipes.opcua.fastlane import Calls
from pipes.opcua.lane import (
    MonitoredItemResult,
    MonitoredItemSpec,
    Sink,
    SubscriptionSettings,
    WriteOutcome,
)
from pipes.opcua.parts import write_in_parts
from pipes.opcua.publishing import PublishPump

Read = TypeVar("Read")

CREATE_TIMEOUT: Final = 10.0
CALL_TIMEOUT: Final = 5.0
WRITE_TIMEOUT: Final = 5.0


class SpliceSubscription:
    def __init__(
        self,
        calls: Calls,
        pump: PublishPump,
        size: BatchSize,
        subscription_id: int,
        publishing_interval_ms: float,
        keep_alive_seconds: float,
    ) -> None:
        self.subscription_id = subscription_id
        self.publishing_interval_ms = publishing_interval_ms
        self.keep_alive_seconds = keep_alive_seconds
        self._calls = calls
        self._pump = pump
        self._size = size

    async def add(self, items: Sequence[MonitoredItemSpec]) -> list[MonitoredItemResult]:
        """As `lane.Subscription.add`.

        Raises:
            TimeoutError: an answer did not come; what was created is not known.
        """
        results: dict[int, MonitoredItemResult] = {}
        for stamped in (True, False):  # TimestampsToReturn belongs to the call
            some = [item for item in items if item.source_timestamp is stamped]
            for result in await in_batches(some, self._size, self._create, _refused):
                results[result.handle] = result
        return [results[item.handle] for item in items]

    async def _create(self, items: Sequence[MonitoredItemSpec]) -> list[MonitoredItemResult]:
        encoded = [
            encode_monitored_item(
                item.handle,
                item.node_id,
                item.sampling_interval_ms,
                queue_size=item.queue_size,
                trigger=item.trigger,
                absolute_deadband=item.absolute_deadband,
                percent_deadband=item.percent_deadband,
                index_range=item.index_range,
            )
            for item in items
        ]
        body = await self._calls.call(
            CREATE_MONITORED_ITEMS,
            lambda header: create_monitored_items_body(
                header,
                self.subscription_id,
                encoded,
                source_timestamp=items[0].source_timestamp,
            ),
            CREATE_TIMEOUT,
        )
        created = read_answer(
            self._calls, lambda: scan_create_monitored_items_response(body, len(items))
        )
        return [
            MonitoredItemResult(item.handle, status, monitored_item_id)
            for item, (status, monitored_item_id) in zip(items, created, strict=True)
        ]

    async def remove(self, monitored_item_ids: Sequence[int]) -> None:
        await in_batches(monitored_item_ids, self._size, self._remove, _passed_over)

    async def _remove(self, ids: Sequence[int]) -> list[None]:
        body = await self._calls.call(
            DELETE_MONITORED_ITEMS,
            lambda header: delete_monitored_items_body(header, self.subscription_id, ids),
            CREATE_TIMEOUT,
        )
        result = read_answer(
            self._calls, lambda: scan_delete_monitored_items_response(body, len(ids))
        )
        if result.service_result >> 31:
            raise ServiceFaultError(result.service_result)
        return [None] * len(ids)

    async def delete(self) -> None:
        self._pump.remove(self.subscription_id)
        try:
            await self._calls.call(
                wire.DELETE_SUBSCRIPTIONS,
                lambda header: wire.delete_subscriptions_body(header, [self.subscription_id]),
                CALL_TIMEOUT,
            )
        except (ConnectionError, TimeoutError):
            return  # the server lets it run out


def _refused(item: MonitoredItemSpec, status: int) -> MonitoredItemResult:
    return MonitoredItemResult(item.handle, status)


def _passed_over(item: int, status: int) -> None:
    del item, status


def read_answer(calls: Calls, read: Callable[[], Read]) -> Read:
    """What ``read`` makes of an answer; a damaged one ends the session.

    Raises:
        ConnectionError: it was damaged.
        ServiceFaultError: as ``read`` does.
    """
    try:
        return read()
    except ScanError as damage:
        calls.drop(f"an answer is damaged: {damage}", hostile=True)
        raise ConnectionError(str(damage)) from damage


class SpliceLane:
    """As `lane.Lane`; all lanes of a session share its publish pump."""

    def __init__(self, calls: Calls, pump: PublishPump, size: BatchSize) -> None:
        self._calls = calls
        self._pump = pump
        self._size = size

    async def subscribe(self, settings: SubscriptionSettings, sink: Sink) -> SpliceSubscription:
        """As `lane.Lane.subscribe`.

        Raises:
            RequestFailed: the server makes no further subscription.
            TimeoutError: no answer came.
        """
        body = await self._calls.call(
            wire.CREATE_SUBSCRIPTION,
            lambda header: wire.create_subscription_body(header, settings),
            CALL_TIMEOUT,
        )
        try:
            subscription_id, interval, keep_alive = read_answer(
                self._calls, lambda: wire.create_subscription_response(body)
            )
        except ServiceFaultError as fault:
            raise RequestFailed(
                "CreateSubscription",
                fault.status,
                f"the server makes no subscription: {name_of(fault.status)}",
            ) from fault
        self._pump.add(subscription_id, sink)
        return SpliceSubscription(
            self._calls, self._pump, self._size, subscription_id, interval, keep_alive
        )

    def write(
        self,
        prefixes: Mapping[int, bytes],
        batch: Mapping[int, bytes],
        may_write: Callable[[], bool],
        done: Callable[[WriteOutcome], None],
    ) -> bool:
        """As `lane.Lane.write`. What is too large for one message goes in several."""
        expected = len(batch)

        def answered(body: bytes | None, failure: str) -> None:
            done(self._outcome(body, failure, expected))

        try:
            return self._calls.send(
                WRITE,
                lambda header: write_request_body(header, prefixes, batch),
                answered,
                WRITE_TIMEOUT,
                may_write,
            )
        except RequestTooLarge:
            return write_in_parts(self.write, prefixes, batch, may_write, done)

    def _outcome(self, body: bytes | None, failure: str, expected: int) -> WriteOutcome:
        if body is None:
            return WriteOutcome(failure=failure)
        try:
            result = scan_write_response(body, expected)
        except ScanError as damage:
            self._calls.drop(f"a WriteResponse is damaged: {damage}", hostile=True)
            return WriteOutcome(failure=f"the answer is damaged: {damage}")
        return WriteOutcome(result.service_result, result.results)
