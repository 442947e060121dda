"""Random and damaged messages through scan and splice, judged by asyncua.

Checks, each for a seed: every DataValue comes out with the value, status and source timestamp
that went in; a truncated message is refused; a message with flipped bits is refused or read as
asyncua reads it. ``MismatchError`` says what was found. The property tests run a few seeds, the
bench runs thousands.
"""

from __future__ import annotations

from random import Random
from struct import pack
from time import perf_counter

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, variant_to_binary

from benchmarks.report import Demand, Options, Report, bench
from benchmarks.samples import (
    TICKS,
    Sample,
    Samples,
    data_change,
    extension_object,
    publish_response,
)
from pipes.core.scan import PublishResult, ScanError, scan_publish_response
from pipes.core.skip import MAX_ELEMENTS
from pipes.core.splice import encode_prefix, write_request_body

FLIPS_PER_CASE = 20
SLOWEST_SECONDS = 3.0
INFO_BITS = 0xFFFF


class MismatchError(AssertionError):
    """What came out is not what went in."""


def check_splice(seed: int) -> int:
    """Scan random notifications, build the WriteRequest and decode it; returns the values."""
    notifications = Samples(seed).notifications(12)
    result = scan_publish_response(publish_response(data_change(notifications)))
    newest = dict(notifications)
    if result.values.keys() != newest.keys():
        raise MismatchError(f"Seed {seed}: other handles than were sent")
    prefixes = {handle: encode_prefix(pack("<BBH", 1, 0, handle)) for handle in newest}
    body = write_request_body(pack("<BBH", 1, 0, 673) + NULL_HEADER, prefixes, result.values)
    request = struct_from_binary(ua.WriteRequest, Buffer(body))
    for write in request.Parameters.NodesToWrite:
        handle = write.NodeId.Identifier
        _compare(seed, newest[handle], write.Value, is_special=handle in result.special)
    return len(newest)


NULL_HEADER = pack("<BBqIIiI", 0, 0, TICKS, 1, 0, -1, 0) + bytes(3)


def _compare(seed: int, sent: Sample, got: ua.DataValue, *, is_special: bool) -> None:
    if sent.is_special != is_special:
        raise MismatchError(f"Seed {seed}: {sent} is special: {is_special}")
    assert got.StatusCode is not None
    if got.StatusCode.value != sent.written_status:
        raise MismatchError(f"Seed {seed}: {sent} has the status {got.StatusCode} now")
    ticks = None if got.SourceTimestamp is None else ua.datetime_to_win_epoch(got.SourceTimestamp)
    if ticks is None or sent.source_ticks is None:
        if ticks is not sent.source_ticks:
            raise MismatchError(f"Seed {seed}: {sent} has the source timestamp {ticks} now")
    elif ticks // 10 != sent.source_ticks // 10:  # asyncua's datetime counts microseconds
        raise MismatchError(f"Seed {seed}: {sent} has the source timestamp {ticks} now")
    if sent.variant is not None and repr(got.Value) != repr(_variant(sent.variant)):
        raise MismatchError(f"Seed {seed}: {sent} has the value {got.Value} now")


def _variant(data: bytes) -> ua.Variant:
    decoded = struct_from_binary(ua.DataValue, Buffer(b"\x01" + data)).Value
    assert decoded is not None
    if decoded.VariantType is not ua.VariantType.ExtensionObject and decoded.Value is not None:
        assert variant_to_binary(decoded) == data
    return decoded


def check_truncation(seed: int) -> int:
    """A message that ends too early is refused, wherever it ends; returns the refusals."""
    body = publish_response(data_change(Samples(seed).notifications(3)))
    for length in range(len(body)):
        result = _scan(body[:length])
        if result is not None:
            raise MismatchError(
                f"Seed {seed}: {length} of {len(body)} bytes were taken as a message"
            )
    return len(body)


def check_flips(seed: int) -> int:
    """A message with wrong bits is refused or read as asyncua does; returns the refusals."""
    random = Random(seed)
    original = publish_response(data_change(Samples(seed).notifications(3)))
    refused = 0
    for _ in range(FLIPS_PER_CASE):
        body = bytearray(original)
        for _ in range(random.choice((1, 1, 2, 5))):
            body[random.randrange(len(body))] ^= 1 << random.randrange(8)
        result = _scan(bytes(body))
        if result is None:
            refused += 1
        else:
            _check_as_asyncua(seed, bytes(body), result)
    return refused


def _scan(body: bytes) -> PublishResult | None:
    try:
        return scan_publish_response(body)
    except ScanError:
        return None


def _check_as_asyncua(seed: int, body: bytes, result: PublishResult) -> None:
    mine = {
        handle: _essence(struct_from_binary(ua.DataValue, Buffer(data)))
        for handle, data in result.values.items()
        if handle not in result.special
    }
    theirs = _newest_by_asyncua(body)
    if theirs is None:
        return
    if result.values.keys() != theirs.keys():
        raise MismatchError(f"Seed {seed}: {body.hex()} has other handles for asyncua")
    for handle, essence in mine.items():
        if essence != _essence(theirs[handle]):
            raise MismatchError(
                f"Seed {seed}: {body.hex()}: {essence} differs from {theirs[handle]}"
            )


def _essence(value: ua.DataValue) -> tuple[str, int, str]:
    assert value.StatusCode is not None
    status = value.StatusCode.value & ~INFO_BITS
    return repr(value.Value), status, repr(value.SourceTimestamp)


def _newest_by_asyncua(body: bytes) -> dict[int, ua.DataValue] | None:
    """None where asyncua gives up on a special value or on what it does not allow."""
    try:
        response = struct_from_binary(ua.PublishResponse, Buffer(body))
        if response.ResponseHeader.ServiceResult.value & 0x80000000:
            return {}
        return {
            item.ClientHandle: item.Value
            for data in response.Parameters.NotificationMessage.NotificationData or ()
            if isinstance(data, ua.DataChangeNotification)
            for item in data.MonitoredItems
        }
    except Exception:  # noqa: BLE001 - any error of the other decoder means "cannot judge"
        return None


@bench("fuzz")
def fuzz(options: Options) -> Report:
    """Run the checks on fresh seeds for ``options.seconds``; and hostile messages against time."""
    checks = (check_splice, check_truncation, check_flips)
    counts = {check.__name__.removeprefix("check_"): 0 for check in checks}
    differences = 0
    seed = options.seed
    ends = perf_counter() + options.seconds
    while seed == options.seed or perf_counter() < ends:
        for check in checks:
            try:
                counts[check.__name__.removeprefix("check_")] += check(seed)
            except MismatchError as mismatch:
                differences += 1
                print(mismatch)
        seed += 1
    slowest = max(map(_seconds_of, hostile_messages().values()))
    return Report(
        "fuzz",
        "values, refusals",
        {"mirrorsite": {"seeds": seed - options.seed, **counts}},
        demands=(
            Demand.at_most("differences", 0, differences),
            Demand.at_most("slowest hostile message, seconds", SLOWEST_SECONDS, slowest),
        ),
    )


def _seconds_of(body: bytes) -> float:
    begun = perf_counter()
    _scan(body)
    return perf_counter() - begun


def hostile_messages(size: int = 16 * 2**20) -> dict[str, bytes]:
    """Messages of up to ``size`` bytes made to cost as much as possible, by what they try.

    Most stay just below the limit of elements, above which a message is refused at once.
    """
    most = MAX_ELEMENTS - 10

    def one_value(variant: bytes) -> bytes:
        return publish_response(
            data_change([(1, Sample(b"\x01" + variant, variant, None, None, False))])
        )

    def filled(head: bytes, element: bytes) -> bytes:
        count = min(size // len(element), most)
        return head + pack("<i", count) + element * count

    def items(*kinds: bytes) -> bytes:
        block = b"".join(pack("<I", index) + kind for index, kind in enumerate(kinds))
        count = min(size // len(block), most // len(kinds))
        body = pack("<i", count * len(kinds)) + block * count + pack("<i", -1)
        return publish_response(extension_object(811, body))

    double, boolean, empty = b"\x01\x0b" + bytes(8), b"\x01\x01\x01", b"\x00"
    return {
        "null variants": one_value(filled(b"\x98", b"\x00")),
        "null strings": one_value(filled(b"\x8c", b"\xff" * 4)),
        "empty texts": one_value(filled(b"\x95", b"\x00")),
        "many dimensions": one_value(b"\xc1" + pack("<iB", 1, 1) + filled(b"", pack("<i", 1))),
        "huge array": one_value(b"\x8b" + pack("<i", 2**31 - 1)),
        "alternating layouts": items(double, boolean),
        "pairs of layouts": items(double, double, boolean, boolean),
        "statuses": items(*(b"\x03\x01\x01" + pack("<I", status << 16) for status in (0, 1, 2, 0))),
        "no values": items(empty),
        "no value, then one": items(empty, boolean),
        "notifications": publish_response(*[extension_object(811, b"\xff" * 8)] * (size // 17)),
        "nested": one_value(filled(b"\x98", b"\x18" * 13 + b"\x06" + bytes(4))),
        "nested diagnostics": one_value(filled(b"\x99", b"\x40" * 15 + b"\x00")),
        "sequence numbers": publish_response(available=range(size // 4)),
    }
