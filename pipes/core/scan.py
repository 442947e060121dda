"""Scan a PublishResponse: which DataValue bytes belong to which client handle, nothing decoded.

The DataValue of a notification is what a WriteRequest needs, so its bytes are copied as they
are. What may not be written goes: ServerTimestamp, picoseconds, the info bits of a status (its
low 16 bits describe the notification, not the value), and a status that is Good then.

Most servers send long runs of one layout: the same mask and the same fixed-size type. A run is
found by comparing strided slices and taken apart by one ``Struct``, without byte-code per value.
Everything else is walked one by one.

A message may have several samples of one item, where its server keeps a queue. ``values`` has the
newest of each; only then is the message walked a second time for the ``earlier`` ones.

Rule: a message counts as a whole. Values gather in a scratch dict, every end is checked against
the length fields around it and the end of the message, and damage raises ``ScanError`` with
nothing delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct, unpack_from
from typing import Final

from pipes.core.skip import (
    FIXED_SIZES,
    HAS_SOURCE_TIME,
    HAS_STATUS,
    HAS_VALUE,
    TAIL_SIZES,
    ScanError,
    Walker,
    reading,
)

__all__ = [
    "PublishResult",
    "SampleLog",
    "ScanError",
    "has_overflow",
    "scan_publish_response",
    "writable",
]

_PUBLISH_RESPONSE: Final = 829
_DATA_CHANGE: Final = 811
_STATUS_CHANGE: Final = 820
_EVENTS: Final = 916

_SMALLEST_NOTIFICATION: Final = 5  # handle and mask
_KEPT: Final = HAS_VALUE | HAS_STATUS | HAS_SOURCE_TIME
_NOT_SPLICED: Final = frozenset({0, 17, 18, 20, *range(22, 32)})
"""Variant types that mean something else, or nothing, in another server (NodeIds, structures)."""

_STRINGS: Final = (12, 15, 16)

# InfoType DataValue and Overflow, and where both stand, in the info bits of a status.
_OVERFLOW: Final = 0x0480
_OVERFLOW_BITS: Final = 0x0C80

_HEAD: Final = Struct("<IH").unpack_from
_INT32: Final = Struct("<i").unpack_from
_UINT32: Final = Struct("<I").unpack_from
_MESSAGE: Final = Struct("<IqI").unpack_from
_TIME_SIZES: Final = tuple(TAIL_SIZES[mask & HAS_SOURCE_TIME] for mask in range(64))
_BYTES: Final = tuple(bytes((value,)) for value in range(256))
_FIRST_WINDOW: Final = 16


@dataclass(slots=True)
class PublishResult:
    """What a PublishResponse says (Part 4, 5.13.5). ``publish_time`` counts 100 ns from 1601.

    ``values`` has the newest DataValue of each client handle, ready to be written; those in
    ``special`` cannot be written as they are: no value, or a value that must be decoded.
    ``earlier`` has the samples that are older than these, in the order in which they were taken.
    The server lost samples of the handles in ``overflows``: its queue of the item was full.
    """

    request_handle: int
    service_result: int
    subscription_id: int = 0
    available: tuple[int, ...] = ()
    more: bool = False
    sequence_number: int = 0
    publish_time: int = 0
    values: dict[int, bytes] = field(default_factory=dict)
    special: set[int] = field(default_factory=set)
    count: int = 0
    earlier: list[tuple[int, bytes]] = field(default_factory=list)
    overflows: set[int] = field(default_factory=set)
    status_change: int | None = None
    is_keep_alive: bool = False


class SampleLog(dict[int, bytes]):
    """In the place of ``PublishResult.values`` it keeps every sample, in order, in ``all``."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[int, bytes]] = []

    def __setitem__(self, handle: int, value: bytes) -> None:
        self.all.append((handle, value))

    def update(self, pairs: Iterable[tuple[int, bytes]]) -> None:  # type: ignore[override]
        self.all.extend(pairs)

    def earlier(self) -> list[tuple[int, bytes]]:
        """All but the newest sample of each handle."""
        newer: set[int] = set()
        found = []
        for sample in reversed(self.all):
            if sample[0] in newer:
                found.append(sample)
            newer.add(sample[0])
        found.reverse()
        return found


class _Layout:
    """Sizes of a notification whose value has a fixed size, or that has none."""

    __slots__ = (
        "columns",
        "good_mask",
        "good_pairs",
        "has_status",
        "is_plain",
        "is_special",
        "kept_mask",
        "pairs",
        "stride",
        "time_size",
        "value_end",
    )

    def __init__(self, mask: int, kind: int, value_size: int) -> None:
        self.is_special = not mask & HAS_VALUE
        # The bytes behind the handle that every notification of a run has in common.
        self.columns = _BYTES[mask] if self.is_special else _BYTES[mask] + _BYTES[kind]
        self.value_end = 4 + len(self.columns) + value_size
        self.stride = self.value_end + TAIL_SIZES[mask]
        self.has_status = bool(mask & HAS_STATUS)
        self.is_plain = not mask & ~(HAS_VALUE | HAS_SOURCE_TIME)
        self.time_size = TAIL_SIZES[mask & HAS_SOURCE_TIME]
        self.kept_mask = _BYTES[mask & _KEPT]
        self.good_mask = _BYTES[mask & (HAS_VALUE | HAS_SOURCE_TIME)]
        before = self.value_end - 4
        status = 4 * self.has_status
        dropped = self.stride - self.value_end - status - self.time_size
        self.pairs = Struct(f"<I{before + status + self.time_size}s{dropped}x")
        self.good_pairs = Struct(f"<I{before + self.time_size}s{status + dropped}x")


_WITHOUT_VALUE: Final = {mask: _Layout(mask, 0, 0) for mask in range(0, 64, 2)}
_LAYOUTS: Final = {
    mask | kind << 8: _Layout(mask, kind, size)
    for kind, size in FIXED_SIZES.items()
    for mask in range(1, 64, 2)
} | {mask | byte << 8: _WITHOUT_VALUE[mask] for mask in range(0, 64, 2) for byte in range(256)}
"""By the two bytes that follow the handle: the mask, then the variant type or, without a value,
any byte."""

_UNITS: Final = {
    mask | encoding << 8: unit
    for mask in (HAS_VALUE, HAS_VALUE | HAS_SOURCE_TIME)
    for encoding, unit in (
        *dict.fromkeys(_STRINGS, 1).items(),
        *((0x80 | kind, size) for kind, size in FIXED_SIZES.items()),
    )
}
"""Bytes of an element, by the same two bytes: strings and arrays of fixed-size elements that
need no rewriting."""


def scan_publish_response(body: bytes) -> PublishResult:
    """Scan the body of a message (behind the sequence header), a PublishResponse or a fault.

    Raises:
        ScanError: the message is damaged, of another type, or breaks a limit of ``skip``.
    """
    with reading():
        walker = Walker(body)
        handle, service_result, at = walker.response_header(_PUBLISH_RESPONSE)
        result = PublishResult(handle, service_result)
        if at:
            at = _scan_parameters(walker, at, result)
            if at != len(body):
                raise ScanError(f"The message has {len(body)} bytes but its fields end at {at}")
        return result


def _scan_parameters(walker: Walker, at: int, result: PublishResult) -> int:
    body = walker.body
    (result.subscription_id,) = _UINT32(body, at)
    at += 4
    available = walker.count(at, 4)
    result.available = unpack_from(f"<{available}I", body, at + 4)
    at += 4 + 4 * available
    result.more = body[at] != 0
    result.sequence_number, result.publish_time, _ = _MESSAGE(body, at + 1)
    at += 13
    notifications = walker.count(at, 3)
    walker.spend(notifications)
    result.is_keep_alive = not notifications
    at += 4
    first = at
    for _ in range(notifications):
        at = _scan_notification(walker, at, result)
    if result.count > len(result.values):
        result.earlier = _scan_earlier(body, first, notifications)
    at = walker.fixed_array(at, 4)  # results of the acknowledgements
    return walker.diagnostic_infos(at)


def _scan_earlier(body: bytes, at: int, notifications: int) -> list[tuple[int, bytes]]:
    """What has a newer sample of the same handle in the same message."""
    walker, samples = Walker(body), SampleLog()
    result = PublishResult(0, 0, values=samples)
    for _ in range(notifications):
        at = _scan_notification(walker, at, result)
    return samples.earlier()


def _scan_notification(walker: Walker, at: int, result: PublishResult) -> int:
    """One ExtensionObject of the NotificationData; it must end where its length says."""
    kind, at = walker.type_id(at)
    if walker.body[at] != 1:
        raise ScanError("A notification has no binary body")
    length: int = _INT32(walker.body, at + 1)[0]
    at += 5
    end = at + length
    if length < 0 or end > len(walker.body):
        raise ScanError(f"A notification has the length {length}")
    if kind == _DATA_CHANGE:
        at = walker.diagnostic_infos(_scan_items(walker, at, end, result))
    elif kind == _STATUS_CHANGE:
        (result.status_change,) = _UINT32(walker.body, at)
        at = walker.diagnostic_info(at + 4)
    elif kind == _EVENTS:
        at = end
    else:
        raise ScanError(f"A notification has the unknown type {kind}")
    if at != end:
        raise ScanError(f"A notification ends at {at}, its length says {end}")
    return end


def _scan_items(walker: Walker, at: int, end: int, result: PublishResult) -> int:
    """The MonitoredItemNotifications of one DataChangeNotification; hot."""
    body, values, special = walker.body, result.values, result.special
    left = walker.count(at, _SMALLEST_NOTIFICATION)
    walker.spend(left)
    result.count += left
    at += 4
    while left:
        handle, key = _HEAD(body, at)
        layout = _LAYOUTS.get(key)
        if layout is None:
            at = _scan_varying(walker, at, result)
            left -= 1
            continue
        after = at + layout.stride
        if left > 1 and body.startswith(layout.columns, after + 4):
            size = _run_length(body, at, left, layout)
            after = at + size * layout.stride
            if after > end:
                raise ScanError("A notification is longer than its length says")
            _take_run(body[at:after], size, layout, result)
            left -= size
        else:
            if layout.is_plain:
                values[handle] = body[at + 4 : after]
            else:
                status = at + layout.value_end
                values[handle] = writable(body, at + 4, status)
                if layout.has_status and body[status] and _tells_overflow(body, status):
                    result.overflows.add(handle)
            if layout.is_special or special:
                _mark(handle, result, is_special=layout.is_special)
            left -= 1
        at = after
    return at


def _scan_varying(walker: Walker, at: int, result: PublishResult) -> int:
    """A notification whose value has no fixed size."""
    body = walker.body
    handle: int
    key: int
    handle, key = _HEAD(body, at)
    unit = _UNITS.get(key)
    if unit:
        count: int = _INT32(body, at + 6)[0]
        if count >= 0:
            after = at + 10 + unit * count + _TIME_SIZES[key & 0xFF]
            result.values[handle] = body[at + 4 : after]
            if result.special:
                result.special.discard(handle)
            return after
    mask = key & 0xFF
    if mask > 0x3F:
        raise ScanError(f"A DataValue has the unknown mask 0x{mask:02X}")
    value_end = walker.variant(at + 5)
    result.values[handle] = writable(body, at + 4, value_end)
    if mask & HAS_STATUS and body[value_end] and _tells_overflow(body, value_end):
        result.overflows.add(handle)
    _mark(handle, result, is_special=key >> 8 & 0x3F in _NOT_SPLICED)
    return value_end + TAIL_SIZES[mask]


def has_overflow(status: int) -> bool:
    """Whether the server's queue was full and it lost samples before this one (Part 4, 7.39.1)."""
    return status & _OVERFLOW_BITS == _OVERFLOW


def _tells_overflow(body: bytes | bytearray, at: int) -> bool:
    return has_overflow(body[at] | body[at + 1] << 8)


def _mark(handle: int, result: PublishResult, *, is_special: bool) -> None:
    if is_special:
        result.special.add(handle)
    else:
        result.special.discard(handle)


def writable(body: bytes, start: int, value_end: int) -> bytes:
    """The DataValue at ``start``, whose Value ends at ``value_end``, as it may be written."""
    mask = body[start]
    time_end = value_end + TAIL_SIZES[mask & (HAS_STATUS | HAS_SOURCE_TIME)]
    if not mask & HAS_STATUS:
        return _BYTES[mask & _KEPT] + body[start + 1 : time_end]
    code = body[value_end + 2 : value_end + 4]
    value, time = body[start + 1 : value_end], body[value_end + 4 : time_end]
    if code == b"\0\0":
        return _BYTES[mask & (HAS_VALUE | HAS_SOURCE_TIME)] + value + time
    return _BYTES[mask & _KEPT] + value + b"\0\0" + code + time


def _run_length(body: bytes, at: int, left: int, layout: _Layout) -> int:
    """How many of the ``left`` notifications from ``at`` on share ``layout``; at least one.

    Looks ahead in growing windows, so that short runs in a long message stay cheap.
    """
    stride = layout.stride
    window = _FIRST_WINDOW
    length = 1
    while length < left:
        window = min(window, left - length)
        start = at + length * stride + 4
        stop = start + window * stride
        same = window
        for offset, byte in enumerate(layout.columns):
            column = body[start + offset : stop : stride]
            same = min(same, len(column) - len(column.lstrip(_BYTES[byte])))
        length += same
        if same < window:
            break
        window *= 8
    return length


def _take_run(block: bytes, size: int, layout: _Layout, result: PublishResult) -> None:
    if layout.is_plain:
        result.values.update(layout.pairs.iter_unpack(block))
    elif layout.has_status:
        _take_run_with_status(bytearray(block), size, layout, result)
    else:
        changed = bytearray(block)
        changed[4 :: layout.stride] = layout.kept_mask * size
        result.values.update(layout.pairs.iter_unpack(changed))
    if layout.is_special:
        result.special.update(_handles(block, layout))
    elif result.special:
        result.special.difference_update(_handles(block, layout))


def _handles(block: bytes | bytearray, layout: _Layout) -> list[int]:
    return [handle for (handle,) in Struct(f"<I{layout.stride - 4}x").iter_unpack(block)]


def _take_run_with_status(
    block: bytearray, size: int, layout: _Layout, result: PublishResult
) -> None:
    """Clear the info bits of each status and drop those that are Good then."""
    stride, at = layout.stride, layout.value_end
    if block[at::stride].strip(b"\0"):
        result.overflows.update(
            handle
            for number, handle in enumerate(_handles(block, layout))
            if _tells_overflow(block, number * stride + at)
        )
    low, high = block[at + 2 :: stride], block[at + 3 :: stride]
    codes = (int.from_bytes(low) | int.from_bytes(high)).to_bytes(size)
    good = codes.count(0)
    if good == size:
        result.values.update(_without_status(block, size, layout))
        return
    block[at::stride] = block[at + 1 :: stride] = bytes(size)
    block[4::stride] = layout.kept_mask * size
    full = layout.pairs.iter_unpack(bytes(block))
    if good:
        bare = _without_status(block, size, layout)
        full = (
            pair if code else other for code, pair, other in zip(codes, full, bare, strict=True)
        )
    result.values.update(full)


def _without_status(block: bytearray, size: int, layout: _Layout) -> Iterator[tuple[int, bytes]]:
    """Pairs of a run with the source timestamps moved over the statuses; changes ``block``."""
    stride, at = layout.stride, layout.value_end
    block[4::stride] = layout.good_mask * size
    for offset in range(at, at + layout.time_size):
        block[offset::stride] = block[offset + 4 :: stride]
    return layout.good_pairs.iter_unpack(block)
