"""The lane that decodes: asyncua's public interface and nothing else, for `codec: decode`.

It behaves as the splicing lane does, slower by its nature. One digit differs: asyncua keeps
instants as Python datetimes, so timestamps and DateTime values are exact to the microsecond here,
not to 100 ns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from asyncua import ua
from asyncua.client.ua_client import UaClient
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from pipes.core.choices import Trigger
from pipes.core.scan import PublishResult, SampleLog, has_overflow
from pipes.core.skip import ServiceFaultError
from pipes.core.status_codes import name_of
from pipes.core.values import VariantType
from pipes.opcua.batching import BatchSize, in_batches
from pipes.opcua.errors import RequestFailed
from pipes.opcua.guard import send_gate
from pipes.opcua.lane import (
    MonitoredItemResult,
    MonitoredItemSpec,
    Sink,
    SubscriptionSettings,
    WriteOutcome,
)
from pipes.opcua.parts import write_in_parts
from pipes.opcua.publishing import SequenceNumbers, deliver
from pipes.opcua.wire import LONGEST_LIFETIME_SECONDS, NOTIFICATIONS_PER_PUBLISH

log = logging.getLogger(__name__)

KEEP_ALIVES_MISSED: Final = 3
HEADER_SIZE: Final = 256  # more than any RequestHeader of ours

_TRIGGERS: Final = {
    Trigger.STATUS: ua.DataChangeTrigger.Status,
    Trigger.STATUS_VALUE: ua.DataChangeTrigger.StatusValue,
    Trigger.STATUS_VALUE_TIMESTAMP: ua.DataChangeTrigger.StatusValueTimestamp,
}
_NOT_SPLICED: Final = frozenset(
    {
        VariantType.NULL,
        VariantType.NODE_ID,
        VariantType.EXPANDED_NODE_ID,
        VariantType.QUALIFIED_NAME,
        VariantType.EXTENSION_OBJECT,
        VariantType.DATA_VALUE,
        VariantType.VARIANT,
        VariantType.DIAGNOSTIC_INFO,
    }
)


# --- values ---


def encode_value(value: ua.DataValue) -> tuple[bytes, bool]:
    """A DataValue as bytes of the lane, and whether it must be decoded to be used."""
    status = int(value.StatusCode.value) & 0xFFFF0000 if value.StatusCode is not None else 0
    kept = replace(
        value,
        StatusCode=ua.StatusCode(ua.UInt32(status)) if status else None,
        SourcePicoseconds=None,
        ServerTimestamp=None,
        ServerPicoseconds=None,
    )
    variant = value.Value
    special = variant is None or variant.VariantType.value in _NOT_SPLICED
    return ua_binary.struct_to_binary(kept), special


def publish_result(parameters: ua.PublishResult, handle: int = 0) -> PublishResult:
    """The PublishResult as the scanner would have given it."""
    message = parameters.NotificationMessage
    result = PublishResult(
        handle, 0, parameters.SubscriptionId, sequence_number=message.SequenceNumber
    )
    result.is_keep_alive = not message.NotificationData
    samples = SampleLog()
    for notification in message.NotificationData or ():
        if isinstance(notification, ua.DataChangeNotification):
            for item in notification.MonitoredItems or ():
                _take_sample(item.ClientHandle, item.Value, result, samples)
        elif isinstance(notification, ua.StatusChangeNotification):
            result.status_change = notification.Status.value
    if len(samples.all) > len(result.values):
        result.earlier = samples.earlier()
    return result


def _take_sample(
    handle: int, sample: ua.DataValue, result: PublishResult, samples: SampleLog
) -> None:
    value, special = encode_value(sample)
    result.values[handle] = value
    samples[handle] = value
    (result.special.add if special else result.special.discard)(handle)
    if sample.StatusCode is not None and has_overflow(int(sample.StatusCode.value)):
        result.overflows.add(handle)


def decode_publish_response(body: bytes) -> PublishResult:
    """A whole PublishResponse, for the rare message that the scanner refuses.

    Raises:
        Exception: of any kind that asyncua raises on bytes that it cannot read.
    """
    buffer = Buffer(body)
    response = ua_binary.struct_from_binary(ua.PublishResponse, buffer)
    if len(buffer):
        raise UaError(f"{len(buffer)} bytes left over")
    header = response.ResponseHeader
    if header.ServiceResult.value >> 31:
        return PublishResult(header.RequestHandle, header.ServiceResult.value)
    return publish_result(response.Parameters, header.RequestHandle)


# --- subscriptions ---


class DecodeSubscription:
    def __init__(self, client: UaClient, size: BatchSize, sink: Sink) -> None:
        self.subscription_id = 0
        self.publishing_interval_ms = 0.0
        self.keep_alive_seconds = 0.0
        self._client = client
        self._size = size
        self._sink = sink
        self._numbers = SequenceNumbers()
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._silence_limit = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_lost = False

    def created(self, result: ua.CreateSubscriptionResult) -> None:
        self.subscription_id = result.SubscriptionId
        self.publishing_interval_ms = result.RevisedPublishingInterval
        keep_alive = result.RevisedMaxKeepAliveCount * self.publishing_interval_ms / 1000
        self.keep_alive_seconds = keep_alive
        self._silence_limit = KEEP_ALIVES_MISSED * keep_alive + 1.0
        self._timer = self._loop.call_later(self._silence_limit, self._check_silence)

    def notified(self, parameters: ua.PublishResult) -> None:
        """The callback: plain and synchronous, so nothing is queued or reordered."""
        if self._is_lost:
            return
        self._heard = self._loop.time()
        result = publish_result(parameters)
        missed = self._numbers.missed(result.sequence_number, is_keep_alive=result.is_keep_alive)
        if missed and result.sequence_number:
            self._sink.gap(missed)
        if result.is_keep_alive:
            self._sink.keep_alive()
        elif result.values:
            deliver(result, self._sink)
        if result.status_change is not None:
            self._end(f"the server ended it: {name_of(result.status_change)}")

    def _check_silence(self) -> None:
        """Silence has to tell: asyncua passes over BadNoSubscription."""
        quiet = self._loop.time() - self._heard
        if quiet >= self._silence_limit:
            self._end(f"nothing came from it for {quiet:.1f} s")
        else:
            self._timer = self._loop.call_later(self._silence_limit - quiet, self._check_silence)

    def _end(self, reason: str) -> None:
        if not self._is_lost:
            self._stop()
            self._sink.lost(reason)

    def _stop(self) -> None:
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()

    async def add(self, items: Sequence[MonitoredItemSpec]) -> list[MonitoredItemResult]:
        """As `lane.Subscription.add`."""
        results: dict[int, MonitoredItemResult] = {}
        for stamped in (True, False):
            some = [item for item in items if item.source_timestamp is stamped]
            for result in await in_batches(some, self._size, self._create, _refused):
                results[result.handle] = result
        return [results[item.handle] for item in items]

    async def _create(self, items: Sequence[MonitoredItemSpec]) -> list[MonitoredItemResult]:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = self.subscription_id
        parameters.TimestampsToReturn = (
            ua.TimestampsToReturn.Source
            if items[0].source_timestamp
            else ua.TimestampsToReturn.Neither
        )
        parameters.ItemsToCreate = [_create_request(item) for item in items]
        created = await _service(self._client.create_monitored_items(parameters))
        return [
            MonitoredItemResult(item.handle, result.StatusCode.value, result.MonitoredItemId)
            for item, result in zip(items, created, strict=True)
        ]

    async def remove(self, monitored_item_ids: Sequence[int]) -> None:
        await in_batches(monitored_item_ids, self._size, self._remove, _passed_over)

    async def _remove(self, ids: Sequence[int]) -> list[None]:
        parameters = ua.DeleteMonitoredItemsParameters()
        parameters.SubscriptionId = self.subscription_id
        parameters.MonitoredItemIds = list(ids)
        await _service(self._client.delete_monitored_items(parameters))
        return [None] * len(ids)

    async def delete(self) -> None:
        self._stop()
        try:
            await _service(self._client.delete_subscriptions([self.subscription_id]))
        except (ConnectionError, TimeoutError, ServiceFaultError):
            return  # the server lets it run out


def _refused(item: MonitoredItemSpec, status: int) -> MonitoredItemResult:
    return MonitoredItemResult(item.handle, status)


def _passed_over(item: int, status: int) -> None:
    del item, status


def _create_request(item: MonitoredItemSpec) -> ua.MonitoredItemCreateRequest:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = ua_binary.nodeid_from_binary(Buffer(item.node_id))
    request.ItemToMonitor.AttributeId = AttributeIds.Value
    request.ItemToMonitor.IndexRange = item.index_range or None
    request.MonitoringMode = ua.MonitoringMode.Reporting
    wanted = request.RequestedParameters
    wanted.ClientHandle = item.handle
    wanted.SamplingInterval = item.sampling_interval_ms
    wanted.QueueSize = item.queue_size
    wanted.DiscardOldest = True
    wanted.Filter = _filter(item)
    return request


def _filter(item: MonitoredItemSpec) -> ua.DataChangeFilter | None:
    wanted = ua.DataChangeFilter()
    wanted.Trigger = _TRIGGERS[item.trigger]
    if item.absolute_deadband is not None:
        wanted.DeadbandType = ua.DeadbandType.Absolute
        wanted.DeadbandValue = item.absolute_deadband
    elif item.percent_deadband is not None:
        wanted.DeadbandType = ua.DeadbandType.Percent
        wanted.DeadbandValue = item.percent_deadband
    elif item.trigger is Trigger.STATUS_VALUE:
        return None
    return wanted


async def _service(doing: Any) -> Any:
    """Await a service of asyncua; its failures become those that this package knows."""
    try:
        return await doing
    except UaStatusCodeError as error:
        raise ServiceFaultError(int(error.code)) from error
    except (ConnectionError, TimeoutError):
        raise
    except Exception as error:
        raise ConnectionError(f"an answer cannot be read: {error!r}") from error


# --- the lane ---


class DecodeLane:
    """As `lane.Lane`."""

    def __init__(self, client: UaClient, size: BatchSize) -> None:
        self._client = client
        self._size = size
        self._writes: set[asyncio.Task[None]] = set()

    async def subscribe(self, settings: SubscriptionSettings, sink: Sink) -> DecodeSubscription:
        """As `lane.Lane.subscribe`.

        Raises:
            RequestFailed: the server makes no further subscription.
        """
        subscription = DecodeSubscription(self._client, self._size, sink)
        interval = max(settings.publishing_interval_ms, 1.0)
        keep_alive = max(1, round(settings.keep_alive_seconds * 1000 / interval))
        seconds = min(settings.lifetime_seconds, LONGEST_LIFETIME_SECONDS)
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = settings.publishing_interval_ms
        parameters.RequestedMaxKeepAliveCount = keep_alive
        parameters.RequestedLifetimeCount = max(3 * keep_alive, round(seconds * 1000 / interval))
        parameters.MaxNotificationsPerPublish = NOTIFICATIONS_PER_PUBLISH
        parameters.PublishingEnabled = True
        try:
            result = await _service(
                self._client.create_subscription(parameters, subscription.notified)
            )
        except ServiceFaultError as fault:
            raise RequestFailed(
                "CreateSubscription",
                fault.status,
                f"the server makes no subscription: {name_of(fault.status)}",
            ) from fault
        subscription.created(result)
        return subscription

    def write(
        self,
        prefixes: Mapping[int, bytes],
        batch: Mapping[int, bytes],
        may_write: Callable[[], bool],
        done: Callable[[WriteOutcome], None],
    ) -> bool:
        """As `lane.Lane.write`; the gate is asked here and again when the bytes leave."""
        if not self._client.has_transport or getattr(self._client.protocol, "is_closed", True):
            raise ConnectionError("the connection is closed")
        if self._size_of(prefixes, batch) > getattr(self._client.protocol, "max_request_size", 0):
            return write_in_parts(self.write, prefixes, batch, may_write, done)
        if not may_write():
            return False
        pairs = [(prefixes[handle], value) for handle, value in batch.items()]
        task = asyncio.create_task(self._write(pairs, may_write, done))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return True

    @staticmethod
    def _size_of(prefixes: Mapping[int, bytes], batch: Mapping[int, bytes]) -> int:
        return HEADER_SIZE + sum(len(prefixes[key]) + len(value) for key, value in batch.items())

    async def _write(
        self,
        pairs: Sequence[tuple[bytes, bytes]],
        may_write: Callable[[], bool],
        done: Callable[[WriteOutcome], None],
    ) -> None:
        send_gate.set(may_write)  # of this task alone
        try:
            outcome = await self._written(pairs)
        except asyncio.CancelledError:
            outcome = WriteOutcome(failure="cancelled")
        except Exception as error:
            log.exception("a write failed in an unforeseen way")
            outcome = WriteOutcome(failure=repr(error))
        done(outcome)

    async def _written(self, pairs: Sequence[tuple[bytes, bytes]]) -> WriteOutcome:
        parameters = ua.WriteParameters()
        parameters.NodesToWrite = [_write_value(prefix, value) for prefix, value in pairs]
        try:
            results = await _service(self._client.write(parameters))
        except ServiceFaultError as fault:
            return WriteOutcome(fault.status)
        except TimeoutError:
            return WriteOutcome(failure="no answer in time")
        except ConnectionError as error:
            return WriteOutcome(failure=str(error) or "connection lost")
        codes = [status.value for status in results]
        if len(codes) != len(pairs):
            return WriteOutcome(failure=f"{len(codes)} results for {len(pairs)} items")
        return WriteOutcome(0, codes if any(codes) else None)


def _write_value(prefix: bytes, value: bytes) -> ua.WriteValue:
    buffer = Buffer(prefix)
    written = ua.WriteValue()
    written.NodeId = ua_binary.nodeid_from_binary(buffer)
    written.AttributeId = AttributeIds(ua_binary.Primitives.UInt32.unpack(buffer))
    written.IndexRange = ua_binary.Primitives.String.unpack(buffer)
    written.Value = ua_binary.struct_from_binary(ua.DataValue, Buffer(value))
    return written
