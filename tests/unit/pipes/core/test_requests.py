from __future__ import annotations

from struct import pack

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samples import TICKS, response_header
from pipes.core.choices import Trigger
from pipes.core.requests import (
    CREATE_MONITORED_ITEMS,
    DELETE_MONITORED_ITEMS,
    PUBLISH,
    ScanError,
    ServiceFaultError,
    create_monitored_items_body,
    delete_monitored_items_body,
    encode_monitored_item,
    publish_request_body,
    request_header,
    scan_create_monitored_items_response,
)

UINT32 = st.integers(0, 2**32 - 1)
TEXT = st.text(max_size=20)
BYTES = st.binary(max_size=16)
NODE_IDS = st.one_of(
    st.builds(ua.NodeId, UINT32, st.integers(0, 2**16 - 1)),
    st.builds(ua.NodeId, TEXT, st.integers(0, 2**16 - 1)),
    st.builds(ua.NodeId, BYTES, st.integers(0, 2**16 - 1)),
    st.builds(ua.NodeId, st.uuids(), st.integers(0, 2**16 - 1)),
)
INSTANTS = st.integers(TICKS // 10 - 10**15, TICKS // 10 + 10**15).map(lambda micros: micros * 10)
HEADERS = st.tuples(NODE_IDS, INSTANTS, UINT32, UINT32)
TRIGGERS = {
    Trigger.STATUS: ua.DataChangeTrigger.Status,
    Trigger.STATUS_VALUE: ua.DataChangeTrigger.StatusValue,
    Trigger.STATUS_VALUE_TIMESTAMP: ua.DataChangeTrigger.StatusValueTimestamp,
}
ITEMS = st.fixed_dictionaries(
    {
        "handle": UINT32,
        "node_id": NODE_IDS,
        "sampling_interval_ms": st.floats(-1, 1e9),
        "queue_size": UINT32,
        "trigger": st.sampled_from(Trigger),
        "absolute_deadband": st.none() | st.floats(0, 1e9),
        "percent_deadband": st.none() | st.floats(0, 100),
        "index_range": st.sampled_from(("", "3", "1:4", "0:1,2:3")),
    }
)
BAD_NODE_ID_UNKNOWN = 0x80340000
BAD_SESSION_ID = 0x80250000


def fill_header(request, header) -> bytes:
    """Give asyncua's request the same header and return ours."""
    token, timestamp, handle, timeout = header
    request.RequestHeader.AuthenticationToken = token
    request.RequestHeader.Timestamp = ua.win_epoch_to_datetime(timestamp)
    request.RequestHeader.RequestHandle = handle
    request.RequestHeader.TimeoutHint = timeout
    type_id = request.TypeId.Identifier
    return request_header(type_id, nodeid_to_binary(token), timestamp, handle, timeout)


def ours(item: dict) -> bytes:
    options = dict(item)
    node_id = nodeid_to_binary(options.pop("node_id"))
    return encode_monitored_item(
        options.pop("handle"), node_id, options.pop("sampling_interval_ms"), **options
    )


def theirs(item: dict) -> ua.MonitoredItemCreateRequest:
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor.NodeId = item["node_id"]
    request.ItemToMonitor.AttributeId = ua.AttributeIds.Value
    request.ItemToMonitor.IndexRange = item["index_range"] or None
    request.MonitoringMode = ua.MonitoringMode.Reporting
    parameters = request.RequestedParameters
    parameters.ClientHandle = item["handle"]
    parameters.SamplingInterval = item["sampling_interval_ms"]
    parameters.QueueSize = item["queue_size"]
    parameters.DiscardOldest = True
    kind, deadband = ua.DeadbandType.None_, 0.0
    if item["absolute_deadband"] is not None:
        kind, deadband = ua.DeadbandType.Absolute, item["absolute_deadband"]
    elif item["percent_deadband"] is not None:
        kind, deadband = ua.DeadbandType.Percent, item["percent_deadband"]
    if item["trigger"] is not Trigger.STATUS_VALUE or kind is not ua.DeadbandType.None_:
        parameters.Filter = ua.DataChangeFilter(TRIGGERS[item["trigger"]], kind, deadband)
    return request


class TestBodiesEqualThoseOfAsyncua:
    @given(HEADERS, UINT32, st.lists(ITEMS, max_size=5), st.booleans())
    def test_create_monitored_items(self, header, subscription, items, stamped) -> None:
        request = ua.CreateMonitoredItemsRequest()
        head = fill_header(request, header)
        request.Parameters.SubscriptionId = subscription
        request.Parameters.TimestampsToReturn = (
            ua.TimestampsToReturn.Source if stamped else ua.TimestampsToReturn.Neither
        )
        request.Parameters.ItemsToCreate = list(map(theirs, items))

        body = create_monitored_items_body(
            head, subscription, list(map(ours, items)), source_timestamp=stamped
        )

        assert body == struct_to_binary(request)

    @given(HEADERS, st.lists(st.tuples(UINT32, UINT32), max_size=5))
    def test_publish(self, header, acks) -> None:
        request = ua.PublishRequest()
        head = fill_header(request, header)
        request.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(*ack) for ack in acks
        ]

        assert publish_request_body(head, acks) == struct_to_binary(request)

    @given(HEADERS, UINT32, st.lists(UINT32, max_size=5))
    def test_delete_monitored_items(self, header, subscription, ids) -> None:
        request = ua.DeleteMonitoredItemsRequest()
        head = fill_header(request, header)
        request.Parameters.SubscriptionId = subscription
        request.Parameters.MonitoredItemIds = ids

        assert delete_monitored_items_body(head, subscription, ids) == struct_to_binary(request)


def test_the_ids_of_the_requests_are_those_of_asyncua() -> None:
    ids = [
        request().TypeId.Identifier
        for request in (
            ua.CreateMonitoredItemsRequest,
            ua.DeleteMonitoredItemsRequest,
            ua.PublishRequest,
        )
    ]

    assert ids == [CREATE_MONITORED_ITEMS, DELETE_MONITORED_ITEMS, PUBLISH]


class TestCreateResponse:
    def answer(self) -> bytes:
        answer = ua.CreateMonitoredItemsResponse()
        answer.Results = [
            ua.MonitoredItemCreateResult(ua.StatusCode(0), 11, 100.0, 1),
            ua.MonitoredItemCreateResult(ua.StatusCode(BAD_NODE_ID_UNKNOWN), 0, 0.0, 0),
            ua.MonitoredItemCreateResult(ua.StatusCode(0), 12, 50.0, 1, ua.EventFilterResult()),
        ]
        return struct_to_binary(answer)

    def test_status_and_id_of_each_item_are_read(self) -> None:
        results = scan_create_monitored_items_response(self.answer(), 3)

        assert results == [(0, 11), (BAD_NODE_ID_UNKNOWN, 0), (0, 12)]

    def test_a_fault_is_raised_with_its_status(self) -> None:
        fault = response_header(397, service_result=BAD_SESSION_ID)

        with pytest.raises(ServiceFaultError) as caught:
            scan_create_monitored_items_response(fault, 3)

        assert caught.value.status == BAD_SESSION_ID

    def test_another_number_of_results_is_damage(self) -> None:
        with pytest.raises(ScanError, match="3 results for 4 items"):
            scan_create_monitored_items_response(self.answer(), 4)

    def test_bytes_behind_the_end_are_damage(self) -> None:
        with pytest.raises(ScanError, match="its fields end at"):
            scan_create_monitored_items_response(self.answer() + b"\0", 3)

    def test_a_truncated_answer_is_damage_wherever_it_ends(self) -> None:
        whole = self.answer()

        for length in range(len(whole)):
            with pytest.raises(ScanError):
                scan_create_monitored_items_response(whole[:length], 3)

    def test_more_results_than_bytes_are_damage(self) -> None:
        with pytest.raises(ScanError):
            scan_create_monitored_items_response(response_header(754) + pack("<i", 2**31 - 1), 3)
