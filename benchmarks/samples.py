"""Random and canned notifications as bytes, the load of the codec benches and of their tests.

Variants are encoded by asyncua; what stands around them is put together here, because asyncua
writes the picoseconds of a DataValue in another order than Part 6 does.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from struct import pack
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import variant_to_binary

TICKS = 133_600_000_000_000_000
"""An instant of May 2024 in 100 ns since 1601."""

SPECIAL_TYPES = frozenset(
    {
        ua.VariantType.Null,
        ua.VariantType.NodeId,
        ua.VariantType.ExpandedNodeId,
        ua.VariantType.QualifiedName,
        ua.VariantType.ExtensionObject,
        ua.VariantType.DataValue,
        ua.VariantType.Variant,
        ua.VariantType.DiagnosticInfo,
    }
)
"""Types whose values cannot be copied to another server as they are."""

STATUSES = (
    0x00000000,  # Good
    0x00000480,  # Good, with overflow
    0x00300000,  # GoodClamped
    0x40940000,  # UncertainSubNormal (and its neighbours)
    0x40900481,  # UncertainSensorNotAccurate with info bits
    0x80310000,  # BadNoCommunication
    0x808C0300,  # BadSensorFailure at its limit
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One DataValue: its parts and its encoding."""

    data: bytes
    variant: bytes | None
    status: int | None
    source_ticks: int | None
    is_special: bool

    @property
    def written_status(self) -> int:
        """The status without info bits, as a target may get it."""
        return (self.status or 0) & 0xFFFF0000


def make_sample(
    variant: bytes | None,
    status: int | None = None,
    source_ticks: int | None = None,
    server_ticks: int | None = None,
    source_pico: int | None = None,
    server_pico: int | None = None,
) -> Sample:
    """Encode a DataValue field by field (Part 6, 5.2.2.17)."""
    fields = (
        (1, variant, lambda field: field),
        (2, status, lambda field: pack("<I", field)),
        (4, source_ticks, lambda field: pack("<q", field)),
        (16, source_pico, lambda field: pack("<H", field)),
        (8, server_ticks, lambda field: pack("<q", field)),
        (32, server_pico, lambda field: pack("<H", field)),
    )
    mask = sum(bit for bit, field, _ in fields if field is not None)
    data = b"".join(encode(field) for _, field, encode in fields if field is not None)
    is_special = variant is None or ua.VariantType(variant[0] & 0x3F) in SPECIAL_TYPES
    return Sample(bytes((mask,)) + data, variant, status, source_ticks, is_special)


def encode(value: Any, kind: ua.VariantType, dimensions: list[int] | None = None) -> bytes:
    """A Variant by asyncua."""
    data: bytes = variant_to_binary(ua.Variant(value, kind, dimensions))
    return data


class Samples:
    """A source of random DataValues of every built-in type, as scalars, arrays and matrices."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._scalars = self._makers()

    def _makers(self) -> dict[ua.VariantType, Callable[[], Any]]:
        random, kinds = self.random, ua.VariantType
        integers = {"SByte": 8, "Int16": 16, "Int32": 32, "Int64": 64}
        naturals = {"Byte": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64}
        makers: dict[ua.VariantType, Callable[[], Any]] = {
            kinds.Boolean: lambda: random.random() < 0.5,
            kinds.Float: lambda: float(random.randrange(-9999, 9999)),
            kinds.Double: lambda: random.choice((random.gauss(0, 1e9), float("inf"), -0.0)),
            kinds.String: lambda: random.choice((None, self.text())),
            kinds.XmlElement: lambda: ua.XmlElement(self.text()),
            kinds.ByteString: lambda: random.choice((None, random.randbytes(random.randrange(9)))),
            kinds.DateTime: self.instant,
            kinds.Guid: lambda: uuid.UUID(bytes=random.randbytes(16)),
            kinds.StatusCode: lambda: ua.StatusCode(random.choice(STATUSES)),
            kinds.NodeId: self.node_id,
            kinds.ExpandedNodeId: lambda: ua.ExpandedNodeId(
                self.text(), 1, NamespaceUri=random.choice((None, "urn:a")), ServerIndex=3
            ),
            kinds.QualifiedName: lambda: ua.QualifiedName(self.text(), random.randrange(9)),
            kinds.LocalizedText: lambda: ua.LocalizedText(
                random.choice((None, self.text())), random.choice((None, "en"))
            ),
            kinds.ExtensionObject: lambda: random.choice(
                (None, ua.Argument(self.text()), ua.Range(1.0, 2.0))
            ),
            kinds.DataValue: lambda: ua.DataValue(ua.Variant(random.randrange(9), kinds.Int16)),
            kinds.Variant: lambda: ua.Variant(self.text(), kinds.String),
            kinds.DiagnosticInfo: lambda: ua.DiagnosticInfo(SymbolicId=7, AdditionalInfo="why"),
        }
        for name, bits in integers.items():
            makers[kinds[name]] = partial(random.randrange, -(2 ** (bits - 1)), 0)
        for name, bits in naturals.items():
            makers[kinds[name]] = partial(random.randrange, 2**bits)
        return makers

    def text(self) -> str:
        return "".join(self.random.choices("abcde äöü€", k=self.random.randrange(12)))

    def instant(self) -> datetime:
        return datetime.fromtimestamp(self.random.randrange(2**31), UTC)

    def node_id(self) -> ua.NodeId:
        random = self.random
        return random.choice(
            (
                ua.NodeId(random.randrange(256)),
                ua.NodeId(random.randrange(65536), random.randrange(256)),
                ua.NodeId(random.randrange(2**32), random.randrange(65536)),
                ua.NodeId(self.text(), 2),
                ua.NodeId(random.randbytes(4), 3),
                ua.NodeId(uuid.UUID(bytes=random.randbytes(16)), 4),
            )
        )

    def variant(self) -> bytes:
        random = self.random
        if random.random() < 0.03:
            return encode(None, ua.VariantType.Null)
        kind, make = random.choice(tuple(self._scalars.items()))
        shape = random.choice(("scalar", "scalar", "array", "matrix"))
        if shape == "scalar":
            return encode(make(), kind)
        rows, columns = random.randrange(1, 4), random.randrange(1, 4)
        if shape == "array":
            return encode([make() for _ in range(rows * columns - 1)], kind)
        matrix = [[make() for _ in range(columns)] for _ in range(rows)]
        return encode(matrix, kind, [rows, columns])

    def sample(self) -> Sample:
        random = self.random
        return make_sample(
            self.variant() if random.random() < 0.95 else None,
            random.choice((None, None, *STATUSES)),
            random.choice((None, TICKS + random.randrange(10**9))),
            random.choice((None, None, TICKS)),
            random.choice((None, None, None, 99)),
            random.choice((None, None, None, 1)),
        )

    def notifications(self, runs: int) -> list[tuple[int, Sample]]:
        """Random samples, most of them in runs of one layout, with some handles used again."""
        random = self.random
        result = []
        for _ in range(runs):
            sample = self.sample()
            for _ in range(random.choice((1, 1, 1, 2, 3, 40))):
                result.append((random.randrange(1, 60), sample))
                if random.random() < 0.5:
                    sample = self._again(sample)
        return result

    def _again(self, sample: Sample) -> Sample:
        """Another sample of the same layout, with another status and timestamp."""
        random = self.random
        mask = sample.data[0]
        return make_sample(
            sample.variant,
            random.choice(STATUSES) if mask & 2 else None,
            TICKS + random.randrange(10**9) if mask & 4 else None,
            TICKS if mask & 8 else None,
            5 if mask & 16 else None,
            6 if mask & 32 else None,
        )


def data_change(notifications: Iterable[tuple[int, Sample]]) -> bytes:
    """A DataChangeNotification as an ExtensionObject."""
    items = [pack("<I", handle) + sample.data for handle, sample in notifications]
    body = pack("<i", len(items)) + b"".join(items) + pack("<i", -1)
    return extension_object(811, body)


def extension_object(type_id: int, body: bytes) -> bytes:
    return pack("<BBHBi", 1, 0, type_id, 1, len(body)) + body


def response_header(type_id: int, request_handle: int = 7, service_result: int = 0) -> bytes:
    """Type id and ResponseHeader with nothing optional in it."""
    return pack("<BBHqIIBiHB", 1, 0, type_id, TICKS, request_handle, service_result, 0, -1, 0, 0)


def publish_response(*notification_data: bytes, available: Sequence[int] = (1,)) -> bytes:
    """The body of a PublishResponse of subscription 5, sequence number 9."""
    return (
        response_header(829)
        + pack(f"<Ii{len(available)}I", 5, len(available), *available)
        + pack("<BIqi", 0, 9, TICKS, len(notification_data))
        + b"".join(notification_data)
        + pack("<iIi", 1, 0, -1)
    )
