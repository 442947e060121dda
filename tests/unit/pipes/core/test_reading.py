"""Read requests and answers as bytes, held against asyncua's codec."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from pipes.core.binary import decode_data_value
from pipes.core.node_ids import encode
from pipes.core.reading import READ, read_back_body, read_request_body, scan_read_response
from pipes.core.requests import request_header
from pipes.core.skip import ScanError, ServiceFaultError
from pipes.core.splice import encode_prefix
from pipes.core.values import NULL, NodeId, Variant, VariantType


def response(*values: ua.DataValue) -> bytes:
    message = ua.ReadResponse()
    message.Results = list(values)
    return struct_to_binary(message)


def test_a_request_is_what_asyncua_would_send():
    request = ua.ReadRequest()
    request.RequestHeader.Timestamp = datetime(1601, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    request.RequestHeader.RequestHandle = 7
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    for name, attribute in (("T1", ua.AttributeIds.Value), ("T2", ua.AttributeIds.DataType)):
        node = ua.ReadValueId(NodeId=ua.NodeId(name, 2), AttributeId=attribute)
        request.Parameters.NodesToRead.append(node)

    header = request_header(READ, b"\0\0", 0, 7)
    body = read_request_body(header, [(encode(NodeId(2, "T1")), 13), (encode(NodeId(2, "T2")), 14)])

    assert body == struct_to_binary(request)


def test_what_was_written_is_read_back_with_its_index_range():
    request = ua.ReadRequest()
    request.RequestHeader.Timestamp = datetime(1601, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    request.RequestHeader.RequestHandle = 7
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    for name, index_range in (("T1", None), ("T2", "1:3")):
        node = ua.ReadValueId(ua.NodeId(name, 2), ua.AttributeIds.Value, index_range)
        request.Parameters.NodesToRead.append(node)

    header = request_header(READ, b"\0\0", 0, 7)
    prefixes = [
        encode_prefix(encode(NodeId(2, "T1"))),
        encode_prefix(encode(NodeId(2, "T2")), "1:3"),
    ]

    assert read_back_body(header, prefixes) == struct_to_binary(request)


def test_values_come_without_server_timestamp_and_in_order():
    stamped = ua.DataValue(
        ua.Variant(1.5),
        SourceTimestamp=datetime(2026, 1, 1, tzinfo=UTC),
        ServerTimestamp=datetime(2026, 1, 2, tzinfo=UTC),
    )
    missing = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))

    first, second = map(decode_data_value, scan_read_response(response(stamped, missing), 2))

    assert first.variant == Variant(VariantType.DOUBLE, 1.5)
    assert first.source_timestamp is not None
    assert first.server_timestamp is None
    assert second.variant in (None, NULL)
    assert second.status == ua.StatusCodes.BadNodeIdUnknown


def test_a_refused_call_names_its_status():
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTooManyOperations)

    with pytest.raises(ServiceFaultError) as refusal:
        scan_read_response(struct_to_binary(fault), 1)

    assert refusal.value.status == ua.StatusCodes.BadTooManyOperations


def test_damage_is_an_error_and_delivers_nothing():
    body = response(ua.DataValue(ua.Variant(1.5)), ua.DataValue(ua.Variant("text")))

    for damaged in (body + b"\0", *(body[:end] for end in range(len(body)))):
        with pytest.raises(ScanError):
            scan_read_response(damaged, 2)


def test_another_number_of_results_is_an_error():
    with pytest.raises(ScanError, match="1 results for 2 nodes"):
        scan_read_response(response(ua.DataValue(ua.Variant(1.5))), 2)


def test_an_unknown_mask_is_an_error():
    body = bytearray(response(ua.DataValue(ua.Variant(1.5))))
    body[body.rindex(b"\x0b") - 1] = 0x41

    with pytest.raises(ScanError, match="unknown mask"):
        scan_read_response(bytes(body), 1)
