"""Our binary codec: lossless, in agreement with asyncua's, and safe against damaged bytes."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipes.core import binary
from pipes.core.binary import DecodeError
from pipes.core.values import (
    FLOAT_TYPES,
    INTEGER_RANGES,
    DataValue,
    NodeId,
    Variant,
    VariantType,
    is_good,
)
from tests.properties.values import (
    DATA_VALUES,
    NODE_IDS,
    PLAIN_SCALARS,
    UINT32,
    VARIANTS,
    data_values,
    variants_of,
)

CALM = settings(max_examples=150, deadline=None, database=None)

# What asyncua holds without loss: it cuts DateTime to microseconds and reads structures.
SHARED = {
    kind: PLAIN_SCALARS[kind]
    for kind in (
        *INTEGER_RANGES,
        *sorted(FLOAT_TYPES),
        VariantType.BOOLEAN,
        VariantType.STRING,
        VariantType.GUID,
        VariantType.BYTE_STRING,
    )
}
SHARED_VARIANTS = st.sampled_from(sorted(SHARED)).flatmap(
    lambda kind: variants_of(kind, SHARED[kind])
)


@CALM
@given(DATA_VALUES)
def test_every_value_comes_back_as_it_was(value: DataValue) -> None:
    assert binary.decode_data_value(binary.encode_data_value(value)) == value


@CALM
@given(SHARED_VARIANTS)
def test_asyncua_reads_what_we_write(variant: Variant) -> None:
    decoded = ua_binary.variant_from_binary(Buffer(binary.encode_variant(variant)))
    assert decoded.VariantType.value == variant.type
    assert decoded.is_array == variant.is_array
    expected = variant.value
    if isinstance(expected, tuple):
        assert tuple(ua.flatten(decoded.Value)) == expected
    else:
        assert decoded.Value == expected


@CALM
@given(SHARED_VARIANTS)
def test_we_read_what_asyncua_writes(variant: Variant) -> None:
    value: Any = list(variant.value) if isinstance(variant.value, tuple) else variant.value
    dimensions = list(variant.dimensions) if variant.dimensions else None
    theirs = ua.Variant(
        value, ua.VariantType(int(variant.type)), dimensions, is_array=variant.is_array
    )
    decoded = binary.decode_variant(ua_binary.variant_to_binary(theirs))
    assert decoded == variant


@CALM
@given(
    SHARED_VARIANTS,
    UINT32,
    st.integers(1, 2**40).map(lambda micros: micros * 10),
    st.none() | st.integers(1, 2**40).map(lambda micros: micros * 10),
    st.none() | st.integers(0, 9999),
)
def test_data_values_agree_with_asyncua(
    variant: Variant, status: int, source: int, server: int | None, picoseconds: int | None
) -> None:
    # asyncua writes the source picoseconds after the server timestamp, against Part 6, 5.2.2.17.
    assume(server is None or picoseconds is None)
    ours = DataValue(variant, status, source, picoseconds, server)
    theirs = ua_binary.struct_from_binary(ua.DataValue, Buffer(binary.encode_data_value(ours)))
    assert (theirs.StatusCode.value if theirs.StatusCode else 0) == status
    assert theirs.SourceTimestamp == ua.win_epoch_to_datetime(source)
    assert theirs.SourcePicoseconds == picoseconds
    assert binary.decode_data_value(ua_binary.struct_to_binary(theirs)) == ours


@CALM
@given(NODE_IDS)
def test_node_ids_agree_with_asyncua(node_id: NodeId) -> None:
    encoded = binary.encode_scalar(VariantType.NODE_ID, node_id)
    theirs = ua_binary.nodeid_from_binary(Buffer(encoded))
    assert (theirs.NamespaceIndex, theirs.Identifier) == (
        node_id.namespace_index,
        node_id.identifier,
    )
    assert binary.Decoder(ua_binary.nodeid_to_binary(theirs)).node_id() == node_id


@CALM
@given(DATA_VALUES, st.data())
def test_a_value_that_is_cut_short_is_refused(value: DataValue, data: st.DataObject) -> None:
    encoded = binary.encode_data_value(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        binary.decode_data_value(encoded[:cut])


@settings(max_examples=400, deadline=None, database=None)
@given(DATA_VALUES.map(binary.encode_data_value), st.data())
def test_damaged_bytes_raise_a_decode_error_or_nothing(encoded: bytes, data: st.DataObject) -> None:
    damaged = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for question in (
        binary.decode_data_value,
        binary.value_part,
        binary.status_of,
        binary.source_timestamp,
        binary.comparable,
        binary.peek_type,
        lambda value: binary.replace_status(value, 0x80340000),
    ):
        try:
            question(bytes(damaged))
        except DecodeError:
            continue


@settings(max_examples=400, deadline=None, database=None)
@given(st.binary(max_size=60))
def test_any_bytes_raise_a_decode_error_or_nothing(raw: bytes) -> None:
    try:
        decoded = binary.decode_data_value(raw)
    except DecodeError:
        return
    encoded = binary.encode_data_value(decoded)
    assert binary.encode_data_value(binary.decode_data_value(encoded)) == encoded


@CALM
@given(DATA_VALUES, UINT32)
def test_the_quick_answers_agree_with_the_full_decoding(value: DataValue, status: int) -> None:
    encoded = binary.encode_data_value(value)
    variant = value.variant
    assert binary.peek_type(encoded) == (
        None if variant is None else (variant.type, variant.is_array)
    )
    assert binary.value_part(encoded) == (
        b"" if variant is None else binary.encode_variant(variant)
    )
    assert binary.status_of(encoded) == value.status
    assert binary.source_timestamp(encoded) == value.source_timestamp
    replaced = binary.decode_data_value(binary.replace_status(encoded, status))
    assert replaced.status == status
    assert binary.replace_status(binary.replace_status(encoded, status), value.status) == encoded


@CALM
@given(DATA_VALUES, st.booleans(), st.booleans())
def test_a_shaped_value_keeps_just_what_the_target_takes(
    value: DataValue, with_status: bool, with_timestamp: bool
) -> None:
    encoded = binary.encode_data_value(value)
    shaped = binary.decode_data_value(
        binary.shaped(encoded, with_status=with_status, with_timestamp=with_timestamp)
    )
    assert shaped.variant == value.variant
    assert shaped.status == (value.status & 0xFFFF0000 if with_status else 0)
    assert shaped.source_timestamp == (value.source_timestamp if with_timestamp else None)
    assert shaped.server_timestamp is None
    assert shaped.source_picoseconds is None


@CALM
@given(data_values(VARIANTS), st.none() | st.integers(0, 2**40))
def test_comparable_bytes_leave_out_time_and_info_bits(
    value: DataValue, timestamp: int | None
) -> None:
    later = DataValue(value.variant, value.status ^ 0x0480, timestamp)
    same = binary.comparable(binary.encode_data_value(value))
    assert binary.comparable(binary.encode_data_value(later)) == same
    assert binary.comparable(same) == same
    worse = DataValue(value.variant, value.status ^ 0x80000000)
    assert binary.comparable(binary.encode_data_value(worse)) != same
    assert is_good(value.status) or binary.status_of(same) != 0
