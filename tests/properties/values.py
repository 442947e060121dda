"""Hypothesis strategies for values of every built-in type."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from hypothesis import strategies as st

from pipes.core.values import (
    INTEGER_RANGES,
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Variant,
    VariantType,
)

INT32 = st.integers(*INTEGER_RANGES[VariantType.INT32])
UINT16 = st.integers(0, 2**16 - 1)
UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(*INTEGER_RANGES[VariantType.INT64])
TEXT = st.none() | st.text(max_size=12)
RAW_TEXT = TEXT | st.binary(max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape"))

NODE_IDS = st.builds(
    NodeId, UINT16, UINT32 | st.text(max_size=12) | st.uuids() | st.binary(max_size=8)
)
EXPANDED_NODE_IDS = st.builds(ExpandedNodeId, NODE_IDS, TEXT, UINT32)
QUALIFIED_NAMES = st.builds(QualifiedName, UINT16, TEXT)
LOCALIZED_TEXTS = st.builds(LocalizedText, TEXT, TEXT)
EXTENSION_OBJECTS = st.builds(ExtensionObject, NODE_IDS) | st.builds(
    ExtensionObject, NODE_IDS, st.none() | st.binary(max_size=12), st.sampled_from((1, 2))
)
OPTIONAL_INT32 = st.none() | INT32
DIAGNOSTIC_INFOS = st.recursive(
    st.builds(DiagnosticInfo),
    lambda inner: st.builds(
        DiagnosticInfo,
        OPTIONAL_INT32,
        OPTIONAL_INT32,
        OPTIONAL_INT32,
        OPTIONAL_INT32,
        TEXT,
        st.none() | UINT32,
        st.none() | inner,
    ),
    max_leaves=4,
)

PLAIN_SCALARS: Mapping[VariantType, st.SearchStrategy[Any]] = {
    VariantType.BOOLEAN: st.booleans(),
    **{kind: st.integers(low, high) for kind, (low, high) in INTEGER_RANGES.items()},
    VariantType.FLOAT: st.floats(width=32, allow_nan=False),
    VariantType.DOUBLE: st.floats(allow_nan=False),
    VariantType.STRING: RAW_TEXT,
    VariantType.DATE_TIME: INT64,
    VariantType.GUID: st.uuids(),
    VariantType.BYTE_STRING: st.none() | st.binary(max_size=12),
    VariantType.XML_ELEMENT: TEXT,
    VariantType.NODE_ID: NODE_IDS,
    VariantType.EXPANDED_NODE_ID: EXPANDED_NODE_IDS,
    VariantType.STATUS_CODE: UINT32,
    VariantType.QUALIFIED_NAME: QUALIFIED_NAMES,
    VariantType.LOCALIZED_TEXT: LOCALIZED_TEXTS,
    VariantType.EXTENSION_OBJECT: EXTENSION_OBJECTS,
    VariantType.DIAGNOSTIC_INFO: DIAGNOSTIC_INFOS,
}


@st.composite
def arrays(draw: st.DrawFn, kind: VariantType, elements: st.SearchStrategy[Any]) -> Variant:
    shape = draw(st.sampled_from((None, (), (2,), (2, 3), (0, 4), (2, 1, 2))))
    if shape is None:
        return Variant(kind, tuple(draw(st.lists(elements, max_size=5))))
    if shape == ():
        return Variant(kind, None, ())
    count = prod(shape)
    values = draw(st.lists(elements, min_size=count, max_size=count))
    return Variant(kind, tuple(values), shape)


def variants_of(kind: VariantType, elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Variant]:
    return st.builds(Variant, st.just(kind), elements) | arrays(kind, elements)


PLAIN_VARIANTS = st.just(Variant(VariantType.NULL)) | st.sampled_from(
    sorted(PLAIN_SCALARS)
).flatmap(lambda kind: variants_of(kind, PLAIN_SCALARS[kind]))


def data_values(variants: st.SearchStrategy[Variant]) -> st.SearchStrategy[DataValue]:
    return st.builds(
        DataValue,
        st.none() | variants,
        st.sampled_from((0, 0x80340000, 0x40920000, 0x00000480)) | UINT32,
        st.none() | INT64,
        st.none() | UINT16,
        st.none() | INT64,
        st.none() | UINT16,
    )


VARIANTS = st.recursive(
    PLAIN_VARIANTS,
    lambda inner: (
        variants_of(VariantType.VARIANT, inner)
        | variants_of(VariantType.DATA_VALUE, data_values(inner))
    ),
    max_leaves=4,
)
DATA_VALUES = data_values(VARIANTS)
