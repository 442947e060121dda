"""Whatever a value holds: said there and back it is the same, and damage is only ever named."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.binary import DecodeError, encode_data_value, encode_scalar
from pipes.core.index_range import parse
from pipes.core.remap import UnknownTypeError, UnmappedError, remap_between, remapped
from pipes.core.structures import FieldLayout, Layout, StructureKind, Structures
from pipes.core.values import (
    DataValue,
    ExpandedNodeId,
    ExtensionObject,
    NodeId,
    QualifiedName,
    Variant,
    VariantType,
)
from tests.properties.values import DATA_VALUES, PLAIN_SCALARS, data_values, variants_of

UA = "http://opcfoundation.org/UA/"
URIS = ("urn:a", "urn:b", "urn:c", "urn:d")
TABLES = st.permutations(URIS).map(lambda order: (UA, *order))
INDICES = st.integers(0, len(URIS))
TYPE, ENCODING = NodeId(1, 3000), NodeId(1, 5000)

NODE_IDS = st.builds(
    NodeId, INDICES, st.integers(0, 2**32 - 1) | st.text(max_size=5) | st.uuids() | st.binary()
)
NAMES = st.builds(QualifiedName, INDICES, st.none() | st.text(max_size=5))
EXPANDED = st.builds(ExpandedNodeId, NODE_IDS)
SCALARS = {
    **PLAIN_SCALARS,
    VariantType.NODE_ID: NODE_IDS,
    VariantType.EXPANDED_NODE_ID: EXPANDED,
    VariantType.QUALIFIED_NAME: NAMES,
}
for kind in (VariantType.EXTENSION_OBJECT, VariantType.DIAGNOSTIC_INFO):
    del SCALARS[kind]  # type: ignore[attr-defined]
PLAIN = st.sampled_from(sorted(SCALARS)).flatmap(lambda kind: variants_of(kind, SCALARS[kind]))


@st.composite
def laid_out(draw: st.DrawFn, depth: int = 0) -> tuple[Layout, bytes]:
    """A layout and a body of it."""
    kind = draw(st.sampled_from(StructureKind))
    fields, parts, mask, bit = [], [], 0, 1
    for _ in range(draw(st.integers(1, 4))):
        type_ = draw(st.sampled_from(sorted(SCALARS)))
        rank = draw(st.sampled_from((0, 0, 1, 2)))
        count = 1 if rank == 0 else draw(st.integers(0, 3))
        body = b"".join(encode_scalar(type_, draw(SCALARS[type_])) for _ in range(count))
        head = {
            0: b"",
            1: count.to_bytes(4, "little"),
            2: b"\x02\0\0\0" + count.to_bytes(4, "little") + b"\x01\0\0\0",
        }[rank]
        is_optional = kind is StructureKind.OPTIONAL_FIELDS and draw(st.booleans())
        is_there = not is_optional or draw(st.booleans())
        if is_optional:
            mask |= bit * is_there
            bit <<= 1
        fields.append(FieldLayout("f", type_, rank, is_optional))
        parts.append(head + body if is_there else b"")
    layout = Layout(kind, tuple(fields))
    if kind.is_union:
        switch = draw(st.integers(0, len(fields)))
        return layout, switch.to_bytes(4, "little") + (parts[switch - 1] if switch else b"")
    prefix = mask.to_bytes(4, "little") if kind is StructureKind.OPTIONAL_FIELDS else b""
    return layout, prefix + b"".join(parts)


def known(layout: Layout, encoding: NodeId = ENCODING) -> Structures:
    return Structures({encoding: TYPE}, {TYPE: layout})


@given(
    data_values(
        PLAIN
        | variants_of(VariantType.VARIANT, PLAIN)
        | variants_of(VariantType.DATA_VALUE, data_values(PLAIN))
    ),
    TABLES,
    TABLES,
)
def test_there_and_back_is_the_same(value: DataValue, here: Any, there: Any) -> None:
    raw = encode_data_value(value)
    away = remapped(raw, remap_between(here, there), Structures())
    assert remapped(away, remap_between(there, here), Structures()) == raw


@given(laid_out(), TABLES, TABLES)
def test_a_structure_there_and_back_is_the_same(
    made: tuple[Layout, bytes], here: Any, there: Any
) -> None:
    layout, body = made
    to_there, to_here = remap_between(here, there), remap_between(there, here)
    encoding_there = NodeId(to_there.index(1), 5000)
    raw = encode_data_value(
        DataValue(Variant(VariantType.EXTENSION_OBJECT, ExtensionObject(ENCODING, body, 1)))
    )
    away = remapped(raw, to_there, known(layout))
    assert remapped(away, to_here, known(layout, encoding_there)) == raw


@given(laid_out(), st.binary(max_size=40), st.integers(0, 60), TABLES)
def test_a_damaged_body_is_refused_and_never_read_beyond_its_end(
    made: tuple[Layout, bytes], noise: bytes, place: int, there: Any
) -> None:
    layout, body = made
    damaged = body[:place] + noise + body[place + len(noise) // 2 :]
    behind = NodeId(3, "what follows the body")
    objects = (
        ExtensionObject(ENCODING, damaged, 1),
        ExtensionObject(NodeId(0, 0)),
    )
    variants = (
        Variant(VariantType.EXTENSION_OBJECT, objects),
        Variant(VariantType.NODE_ID, (behind,)),
    )
    raw = encode_data_value(DataValue(Variant(VariantType.VARIANT, variants)))
    remap = remap_between((UA, *URIS), there)
    with suppress(DecodeError, UnmappedError, UnknownTypeError):
        away = remapped(raw, remap, known(layout))
        behind_there = encode_scalar(VariantType.NODE_ID, NodeId(remap.index(3), behind.identifier))
        assert away.endswith(behind_there)


@given(DATA_VALUES, st.binary(max_size=20), st.integers(0, 60), TABLES)
def test_a_damaged_value_is_refused_and_nothing_worse(
    value: DataValue, noise: bytes, place: int, there: Any
) -> None:
    raw = encode_data_value(value)
    damaged = raw[:place] + noise + raw[place:]
    with suppress(DecodeError, UnmappedError, UnknownTypeError):
        remapped(damaged, remap_between((UA, *URIS), there), Structures())
    parse("1:2,0").cut(damaged, is_whole=True)
    parse("1").cut(damaged, is_whole=False)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.data(),
)
def test_a_part_of_a_part_is_the_part_and_fills_its_own_range(
    shape: list[int], data: st.DataObject
) -> None:
    count = 1
    for size in shape:
        count *= size
    dimensions = tuple(shape) if len(shape) > 1 else None
    whole = Variant(VariantType.INT32, tuple(range(count)), dimensions)
    bounds = []
    for size in shape:
        first = data.draw(st.integers(0, size - 1))
        bounds.append((first, data.draw(st.integers(first, size - 1))))
    text = ",".join(f"{a}:{b}" if b > a else str(a) for a, b in bounds)
    part = parse(text).part(whole)
    assert part is not None
    assert parse(text).filled(part) == part
    assert part.value == tuple(
        number
        for number in range(count)
        if all(a <= at <= b for at, (a, b) in zip(_place(number, shape), bounds, strict=True))
    )


def _place(number: int, shape: list[int]) -> list[int]:
    place = []
    for size in reversed(shape):
        number, rest = divmod(number, size)
        place.insert(0, rest)
    return place
