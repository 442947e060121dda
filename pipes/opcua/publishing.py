"""The publish pump: several PublishRequests outstanding, each answer acknowledged at once.

Part 4, 5.13.5. One pump per session. Everything is synchronous, in the callback of an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pipes.core.requests import PUBLISH, publish_request_body
from pipes.core.scan import PublishResult, ScanError, scan_publish_response
from pipes.core.status_codes import code_of, name_of
from pipes.opcua.fastlane import Calls
from pipes.opcua.lane import Sink

log = logging.getLogger(__name__)

LEAST_OUTSTANDING: Final = 2
MOST_OUTSTANDING: Final = 4
MOST_FAILURES: Final = 5
FIRST_DELAY: Final = 0.2
#: A server cannot have lost more than this between two answers that follow each other.
LARGEST_GAP: Final = 100_000

NO_SUBSCRIPTION: Final = code_of("BadNoSubscription")
TOO_MANY_PUBLISHES: Final = code_of("BadTooManyPublishRequests")
TIMED_OUT: Final = code_of("BadTimeout")
SESSION_GONE: Final = frozenset(
    code_of(name)
    for name in (
        "BadSessionIdInvalid",
        "BadSessionClosed",
        "BadSessionNotActivated",
        "BadSecureChannelIdInvalid",
        "BadSecureChannelClosed",
        "BadIdentityTokenRejected",
    )
)


def deliver(result: PublishResult, sink: Sink) -> None:
    """The values of one message: what was lost before them, the older samples, the newest."""
    if result.overflows:
        sink.overflowed(frozenset(result.overflows))
    if result.earlier:
        sink.earlier(result.earlier)
    sink.values(result.values, frozenset(result.special))


class SequenceNumbers:
    """Counts the messages of one subscription that did not come (Part 4, 7.21)."""

    def __init__(self) -> None:
        self._last = 0

    def missed(self, number: int, *, is_keep_alive: bool) -> int:
        """Numbers go up by one and wrap to 1; a keep-alive has that of the next message."""
        last = self._last
        if is_keep_alive:
            if number <= 1 or not 0 <= number - 1 - last <= LARGEST_GAP:
                return 0  # also servers that repeat the number of the last message
            self._last = number - 1
            return number - 1 - last
        self._last = number
        missed = (number - last - 1) & 0xFFFFFFFF
        if last > number:
            missed -= 1  # 0 is left out when the numbers wrap
        return missed if missed <= LARGEST_GAP else 0


@dataclass(slots=True)
class _Entry:
    sink: Sink
    born: int  # number of PublishRequests sent before it existed
    numbers: SequenceNumbers = field(default_factory=SequenceNumbers)


class PublishPump:
    def __init__(self, calls: Calls, decode_in_full: Callable[[bytes], PublishResult]) -> None:
        self._calls = calls
        self._decode_in_full = decode_in_full
        self._entries: dict[int, _Entry] = {}
        self._acks: list[tuple[int, int]] = []
        self._outstanding = 0
        self._most = MOST_OUTSTANDING
        self._sent = 0
        self._failures = 0
        self._is_stopped = False
        self._retry: asyncio.TimerHandle | None = None
        self.unknown = 0
        self.decoded_in_full = 0

    def add(self, subscription_id: int, sink: Sink) -> None:
        self._entries[subscription_id] = _Entry(sink, self._sent)
        self._fill()

    def remove(self, subscription_id: int) -> None:
        self._entries.pop(subscription_id, None)

    def stop(self) -> None:
        """Ask for nothing more: the session is being closed, and its answers are no news."""
        self._entries.clear()
        self._is_stopped = True

    @property
    def _wanted(self) -> int:
        if not self._entries:
            return 0
        return min(max(LEAST_OUTSTANDING, len(self._entries) + 1), self._most)

    def _fill(self) -> None:
        while self._outstanding < self._wanted:
            if not self._publish():
                return

    def _publish(self) -> bool:
        acks, self._acks = self._acks, []
        number = self._sent

        def answered(body: bytes | None, failure: str) -> None:
            self._answered(number, body, failure)

        try:
            self._calls.send(
                PUBLISH, lambda header: publish_request_body(header, acks), answered, None
            )
        except ConnectionError:
            return False  # the session tells its owner by itself
        self._sent += 1
        self._outstanding += 1
        return True

    def _answered(self, number: int, body: bytes | None, failure: str) -> None:
        del failure
        self._outstanding -= 1
        if body is None or self._is_stopped:
            return  # the connection is gone, or going
        try:
            result = scan_publish_response(body)
        except ScanError as damage:
            scanned = self._read_damaged(body, damage)
            if scanned is None:
                return
            result = scanned
        if result.service_result >> 31:
            self._refused(number, result.service_result)
            return
        self._failures = 0
        if not result.is_keep_alive:
            self._acks.append((result.subscription_id, result.sequence_number))
        self._fill()
        self._deliver(result)

    def _read_damaged(self, body: bytes, damage: ScanError) -> PublishResult | None:
        """What the scanner refuses is decoded in full, once; if that fails the session ends."""
        try:
            result = self._decode_in_full(body)
        except Exception as error:  # noqa: BLE001  a decoder raises what it likes on bad bytes
            self._calls.drop(f"a PublishResponse is damaged: {damage} ({error})", hostile=True)
            return None
        self.decoded_in_full += 1
        if self.decoded_in_full == 1:
            log.warning("a PublishResponse had to be decoded in full: %s", damage)
        return result

    # --- answers ---

    def _deliver(self, result: PublishResult) -> None:
        entry = self._entries.get(result.subscription_id)
        if entry is None:
            self.unknown += 1
            return
        missed = entry.numbers.missed(result.sequence_number, is_keep_alive=result.is_keep_alive)
        if missed:
            entry.sink.gap(missed)
        if result.is_keep_alive:
            entry.sink.keep_alive()
        elif result.values:
            deliver(result, entry.sink)
        if result.status_change is not None and self._entries.get(result.subscription_id) is entry:
            del self._entries[result.subscription_id]
            entry.sink.lost(f"the server ended it: {name_of(result.status_change)}")

    def _refused(self, number: int, status: int) -> None:
        if status == NO_SUBSCRIPTION:
            self._no_subscription(number)
        elif status == TOO_MANY_PUBLISHES:
            self._most = max(1, min(self._most, self._outstanding))
            if not self._outstanding:
                self._again_later(status)
        elif status in SESSION_GONE:
            self._calls.drop(f"the session is gone: {name_of(status)}")
        elif status == TIMED_OUT:
            self._fill()
        else:
            self._again_later(status)

    def _no_subscription(self, number: int) -> None:
        """Only subscriptions that existed when the request was sent can be meant."""
        gone = [key for key, entry in self._entries.items() if entry.born <= number]
        for key in gone:
            entry = self._entries.pop(key, None)
            if entry is not None:
                entry.sink.lost("the server does not know it any more")
        self._fill()

    def _again_later(self, status: int) -> None:
        if self._retry is not None:
            return
        self._failures += 1
        if self._failures > MOST_FAILURES:
            self._calls.drop(f"Publish is refused again and again: {name_of(status)}")
            return
        delay = FIRST_DELAY * 2**self._failures
        self._retry = asyncio.get_running_loop().call_later(delay, self._again)

    def _again(self) -> None:
        self._retry = None
        self._fill()
