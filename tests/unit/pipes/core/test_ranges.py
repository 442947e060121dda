from __future__ import annotations

import math
import struct

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from pipes.core.binary import encode_data_value
from pipes.core.node_ids import encode
from pipes.core.ranges import (
    TRANSLATE,
    Range,
    range_of,
    scan_translate_response,
    translate_body,
)
from pipes.core.requests import request_header
from pipes.core.skip import ScanError, ServiceFaultError
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue, ExtensionObject, NodeId, Variant, VariantType

NODE = NodeId(2, "Tank.Level")
PROPERTY = ua.NodeId(77, 2)


@pytest.mark.parametrize(
    ("low", "high", "percent", "width"),
    [
        (0.0, 200.0, 5.0, 10.0),
        (-50.0, 50.0, 100.0, 100.0),
        (0.0, 0.0, 5.0, None),
        (10.0, 0.0, 5.0, None),
        (-math.inf, 0.0, 5.0, None),
        (math.nan, 1.0, 5.0, None),
    ],
)
def test_percent_are_of_the_span(low: float, high: float, percent: float, width: float) -> None:
    assert Range(low, high).width(percent) == width


def test_the_request_is_what_the_reference_library_reads() -> None:
    header = request_header(TRANSLATE, encode(NodeId(0, 0)), 0, 5)
    buffer = Buffer(translate_body(header, [encode(NODE), encode(NodeId(0, 85))]))
    assert ua_binary.nodeid_from_binary(buffer).Identifier == TRANSLATE
    ua_binary.struct_from_binary(ua.RequestHeader, buffer)
    assert ua_binary.Primitives.Int32.unpack(buffer) == 2
    paths = [ua_binary.struct_from_binary(ua.BrowsePath, buffer) for _ in range(2)]
    assert len(buffer) == 0
    assert [path.StartingNode for path in paths] == [ua.NodeId("Tank.Level", 2), ua.NodeId(85)]
    (element,) = paths[0].RelativePath.Elements
    assert element.ReferenceTypeId == ua.NodeId(46)
    assert (element.IsInverse, element.IncludeSubtypes) == (False, True)
    assert element.TargetName == ua.QualifiedName("EURange", 0)


def response(*results: ua.BrowsePathResult, status: int = 0) -> bytes:
    answer = ua.TranslateBrowsePathsToNodeIdsResponse()
    answer.ResponseHeader.ServiceResult = ua.StatusCode(status)
    answer.Results = list(results)
    return ua_binary.struct_to_binary(answer)


def result(*targets: ua.ExpandedNodeId, status: int = 0, left: int = 2**32 - 1):
    found = ua.BrowsePathResult()
    found.StatusCode = ua.StatusCode(status)
    found.Targets = [ua.BrowsePathTarget(target, left) for target in targets]
    return found


def test_the_property_of_each_node_is_found() -> None:
    there = ua.ExpandedNodeId(77, 2)
    body = response(
        result(there),
        result(status=code_of("BadNoMatch")),
        result(there, left=1),
        result(ua.ExpandedNodeId(77, 0, NamespaceUri="urn:x"), there),
        result(ua.ExpandedNodeId(77, 2, ServerIndex=1)),
        result(there, status=code_of("BadTooManyMatches")),
    )
    property_node = encode(NodeId(2, 77))
    assert scan_translate_response(body, 6) == [
        property_node, None, None, property_node, None, None,
    ]  # fmt: skip


def test_damaged_and_refused_answers_are_told_apart() -> None:
    body = response(result(ua.ExpandedNodeId(77, 2)))
    with pytest.raises(ScanError, match="1 results for 2"):
        scan_translate_response(body, 2)
    with pytest.raises(ScanError):
        scan_translate_response(body[:-9], 1)
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(code_of("BadServiceUnsupported"))
    with pytest.raises(ServiceFaultError):
        scan_translate_response(ua_binary.struct_to_binary(fault), 1)


def range_value(type_id: int = 886, body: bytes | None = None, status: int = 0) -> bytes:
    content = struct.pack("<dd", 0.0, 200.0) if body is None else body
    extension = ExtensionObject(NodeId(0, type_id), content, 1)
    return encode_data_value(DataValue(Variant(VariantType.EXTENSION_OBJECT, extension), status))


def test_the_range_is_read_out_of_its_structure() -> None:
    assert range_of(range_value()) == Range(0.0, 200.0)


@pytest.mark.parametrize(
    "value",
    [
        range_value(type_id=884),
        range_value(body=b"\0" * 15),
        range_value(status=code_of("BadTimeout")),
        encode_data_value(DataValue(None, code_of("BadNodeIdUnknown"))),
        encode_data_value(DataValue(Variant(VariantType.DOUBLE, 1.0))),
        encode_data_value(
            DataValue(
                Variant(VariantType.EXTENSION_OBJECT, ExtensionObject(NodeId(0, 886), None, 0))
            )
        ),
        b"\x01\x16",
    ],
    ids=["other type", "short", "bad", "no value", "number", "no body", "damaged"],
)
def test_what_is_no_range_is_none(value: bytes) -> None:
    assert range_of(value) is None
