"""The interface between a pipe and the wire: DataValues as bytes in, WriteRequests out.

Two lanes implement it and pass the same behaviour tests. `SpliceLane` (fastlane.py) copies the
bytes of a PublishResponse into a WriteRequest; `DecodeLane` (decodelane.py) uses nothing but
asyncua's public interface. Above the lane a value is the bytes of one encoded DataValue
(Part 6, 5.2.2.17) without ServerTimestamp and picoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipes.core.choices import Trigger


@dataclass(frozen=True, slots=True)
class SubscriptionSettings:
    """Wanted values of CreateSubscription (Part 4, 5.13.2); intervals in milliseconds."""

    publishing_interval_ms: float
    keep_alive_seconds: float = 2.5
    lifetime_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class MonitoredItemSpec:
    """One value to watch. ``node_id`` is the NodeId encoded for this server's namespaces."""

    handle: int
    node_id: bytes
    sampling_interval_ms: float
    queue_size: int = 1
    trigger: Trigger = Trigger.STATUS_VALUE
    absolute_deadband: float | None = None
    percent_deadband: float | None = None
    index_range: str = ""
    source_timestamp: bool = True


@dataclass(frozen=True, slots=True)
class MonitoredItemResult:
    handle: int
    status: int
    monitored_item_id: int = 0


class Sink(Protocol):
    """Where a subscription delivers; each call is synchronous, on the loop, and must not block."""

    def values(self, values: dict[int, bytes], special: frozenset[int]) -> None:
        """New values by handle, newest last; those in ``special`` must be decoded to be used."""

    def earlier(self, samples: Sequence[tuple[int, bytes]]) -> None:
        """Samples that are older than the values that follow at once, each item's in order."""

    def overflowed(self, handles: frozenset[int]) -> None:
        """The server's queues of these handles were full: it lost samples before those to come."""

    def keep_alive(self) -> None:
        """The subscription lives and had nothing to say."""

    def lost(self, reason: str) -> None:
        """The subscription is gone on the server or cannot be trusted: make a new one."""

    def gap(self, missed: int) -> None:
        """Sequence numbers were skipped: ``missed`` notifications are lost; read again."""


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of one WriteRequest.

    ``service_result`` is the StatusCode of the whole call; ``results`` is None when every item
    was Good. ``failure`` is not empty when no answer came (time-out, connection lost): then the
    outcome is unknown and the values may or may not have been written.
    """

    service_result: int = 0
    results: Sequence[int] | None = None
    failure: str = ""


class Subscription(Protocol):
    """Interval and keep-alive time are those that the server chose, not those asked for."""

    subscription_id: int
    publishing_interval_ms: float
    keep_alive_seconds: float

    async def add(self, items: Sequence[MonitoredItemSpec]) -> list[MonitoredItemResult]:
        """Create monitored items in batches within the server's limits; one result an item.

        Raises:
            ConnectionError: the session is lost.
        """

    async def remove(self, monitored_item_ids: Sequence[int]) -> None:
        """Delete monitored items; ids the server does not know are passed over."""

    async def delete(self) -> None:
        """Delete the subscription on the server; a lost session is not an error."""


class WriteLane(Protocol):
    """Writes of one session."""

    def write(
        self,
        prefixes: Mapping[int, bytes],
        batch: Mapping[int, bytes],
        may_write: Callable[[], bool],
        done: Callable[[WriteOutcome], None],
    ) -> bool:
        """Send one WriteRequest: for each handle its prefix (NodeId, AttributeId, IndexRange;
        Part 4, 5.11.4) and its DataValue, in the order of ``batch``.

        ``may_write`` is asked as the last statement before the bytes go to the transport; False
        is returned, and nothing sent, when it refuses. ``done`` is called exactly once otherwise,
        from the loop, also when the connection is lost or the answer does not come in time.

        Raises:
            ConnectionError: the session is lost; nothing was sent.
        """


class Lane(WriteLane, Protocol):
    """Subscriptions and writes of one session."""

    async def subscribe(self, settings: SubscriptionSettings, sink: Sink) -> Subscription:
        """Create a subscription whose notifications go to ``sink``."""
