"""What it costs to turn a PublishResponse into a WriteRequest, in process, per value.

Ours scans and splices; the peer is asyncua's own decoder and encoder with nothing in between.
Both do the same canned messages, interleaved; CPU time counts, and of the rounds the median. The
bytes that come out are compared with those of a careful asyncua script before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from statistics import median
from time import process_time

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary, struct_to_binary

from benchmarks.report import Demand, Options, Report, bench
from benchmarks.samples import (
    TICKS,
    Sample,
    data_change,
    encode,
    make_sample,
    publish_response,
)
from pipes.core.requests import WRITE, request_header
from pipes.core.scan import scan_publish_response
from pipes.core.splice import (
    encode_prefix,
    strip_source_timestamps,
    strip_statuses,
    write_request_body,
)

SIZE = 1000
"""Values in a message."""

NODE_IDS = [ua.NodeId(f"Area03.Unit12.T{index:06}.PV", 2) for index in range(SIZE)]
PREFIXES = {index: encode_prefix(nodeid_to_binary(node)) for index, node in enumerate(NODE_IDS)}
HEADER = request_header(WRITE, nodeid_to_binary(ua.NodeId(1)), TICKS, 1)
UNCERTAIN = 0x40900000


def double_run(mask: int = 5) -> bytes:
    """Doubles of one layout; ``mask`` as in a DataValue."""
    return _message(
        make_sample(
            encode(index * 1.5, ua.VariantType.Double),
            0 if mask & 2 else None,
            TICKS + index * 10 if mask & 4 else None,
            TICKS if mask & 8 else None,
            7 if mask & 16 else None,
            7 if mask & 32 else None,
        )
        for index in range(SIZE)
    )


def mixed() -> bytes:
    """Five types in turn, so that there is no run; one value in a hundred is Uncertain."""
    kinds = ua.VariantType
    makers: tuple[Callable[[int], bytes], ...] = (
        lambda index: encode(index * 1.5, kinds.Double),
        lambda index: encode(index, kinds.Int32),
        lambda index: encode(index % 2 == 0, kinds.Boolean),
        lambda index: encode(f"batch {index}", kinds.String),
        lambda index: encode([float(index)] * 10, kinds.Float),
    )
    return _message(
        make_sample(
            makers[index % 5](index), None if index % 100 else UNCERTAIN, TICKS + index * 10
        )
        for index in range(SIZE)
    )


def _message(samples: Iterable[Sample]) -> bytes:
    return publish_response(data_change(enumerate(samples)))


def splice(body: bytes) -> bytes:
    return write_request_body(HEADER, PREFIXES, scan_publish_response(body).values)


def asyncua_pass_on(body: bytes) -> bytes:
    """Decode, hand the DataValues on as they are, encode: the least that a script can do."""
    response = struct_from_binary(ua.PublishResponse, Buffer(body))
    (data,) = response.Parameters.NotificationMessage.NotificationData
    return _encode([(item.ClientHandle, item.Value) for item in data.MonitoredItems])


def asyncua_careful(body: bytes) -> bytes:
    """The same with what may not be written taken out."""
    response = struct_from_binary(ua.PublishResponse, Buffer(body))
    (data,) = response.Parameters.NotificationMessage.NotificationData
    values = []
    for item in data.MonitoredItems:
        got = item.Value
        status = got.StatusCode if got.StatusCode.value else None
        values.append((item.ClientHandle, ua.DataValue(got.Value, status, got.SourceTimestamp)))
    return _encode(values)


def _encode(values: list[tuple[int, ua.DataValue]]) -> bytes:
    request = ua.WriteRequest()
    request.RequestHeader.AuthenticationToken = ua.NodeId(1)
    request.RequestHeader.RequestHandle = 1
    request.RequestHeader.Timestamp = ua.win_epoch_to_datetime(TICKS)
    request.Parameters.NodesToWrite = [
        ua.WriteValue(NODE_IDS[handle], AttributeIds.Value, Value=value) for handle, value in values
    ]
    data: bytes = struct_to_binary(request)
    return data


class Stopwatch:
    """CPU microseconds per value of several steps, measured in turn, so that noise hits all."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._steps: dict[str, Callable[[], object]] = {}

    def add(self, name: str, step: Callable[[], object]) -> None:
        self._steps[name] = step

    def run(self) -> dict[str, float]:
        share = self._options.seconds / self._options.rounds / len(self._steps)
        repeats = {name: self._repeats(step, share) for name, step in self._steps.items()}
        taken: dict[str, list[float]] = {name: [] for name in self._steps}
        for _ in range(self._options.rounds):
            for name, step in self._steps.items():
                taken[name].append(_time(step, repeats[name]))
        return {name: median(times) * 1e6 / SIZE for name, times in taken.items()}

    @staticmethod
    def _repeats(step: Callable[[], object], seconds: float) -> int:
        step()
        return max(int(seconds / max(_time(step, 3), 1e-6)), 3)


def _time(step: Callable[[], object], repeats: int) -> float:
    begun = process_time()
    for _ in range(repeats):
        step()
    return (process_time() - begun) / repeats


MASKS = {
    "value": 0x01,
    "value, status": 0x03,
    "value, status, source time": 0x07,
    "value, both times": 0x0D,
    "value, status, both times": 0x0F,
    "everything": 0x3F,
}
"""Layouts that are compared with the plain one, value and source time."""


@bench("codec")
def codec(options: Options) -> Report:
    """Demands of the codec: its cost against asyncua, and of each layout against the plain one."""
    doubles, various = double_run(), mixed()
    wrong = sum(
        splice(body) != asyncua_careful(body) for body in (doubles, various, double_run(15))
    )
    watch = Stopwatch(options)
    for name, body in (("Double run", doubles), ("mixed", various)):
        watch.add(name, partial(splice, body))
        watch.add(f"asyncua {name}", partial(asyncua_pass_on, body))
    watch.add("scan value, source time", lambda: scan_publish_response(doubles))
    for name, mask in MASKS.items():
        body = double_run(mask)
        watch.add(f"scan {name}", partial(scan_publish_response, body))
    stamped = scan_publish_response(double_run(0x05)).values
    watch.add("strip source time", lambda: strip_source_timestamps(stamped))
    judged = {
        handle: b"\x07" + value[1:-8] + b"\0\0\x90\x40" + value[-8:]
        for handle, value in stamped.items()
    }
    watch.add("strip status", lambda: strip_statuses(judged))
    return _report(watch.run(), wrong)


def _report(took: dict[str, float], wrong: int) -> Report:
    peer = {name: took.pop(f"asyncua {name}") for name in ("Double run", "mixed")}
    double, various = (cost / took[name] for name, cost in peer.items())
    plain = took["scan value, source time"]
    layouts = (
        Demand.at_most(f"times the plain scan: {name}", 1.5, took[f"scan {name}"] / plain)
        for name in MASKS
    )
    return Report(
        "codec",
        "us CPU per value",
        {"mirrorsite": took, "asyncua": peer},
        {"asyncua_double": double, "asyncua_mixed": various},
        (
            Demand.at_most("messages that differ", 0, wrong),
            Demand.at_least("times cheaper, Double run", 30, double),
            Demand.at_least("times cheaper, mixed", 10, various),
            *layouts,
        ),
    )
