from __future__ import annotations

from struct import pack

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samples import TICKS, encode, make_sample, response_header
from pipes.core.requests import WRITE, request_header
from pipes.core.splice import (
    ScanError,
    WriteResult,
    encode_prefix,
    scan_delete_monitored_items_response,
    scan_write_response,
    strip_source_timestamp,
    strip_source_timestamps,
    strip_status,
    strip_statuses,
    tail_status,
    write_request_body,
)

UNCERTAIN = 0x40900000
BAD_NOT_WRITABLE = 0x803B0000
BAD_SESSION_ID = 0x80250000
LEVEL, FLOW = ua.NodeId("Tank.Level", 2), ua.NodeId(7, 3)
HEADER = request_header(WRITE, nodeid_to_binary(ua.NodeId(1)), TICKS, 1)


def value(number: float, *fields: int | None) -> bytes:
    return make_sample(encode(number, ua.VariantType.Double), *fields).data


def response(*results: int, type_id: int = 676) -> bytes:
    return (
        response_header(type_id)
        + pack(f"<i{len(results)}I", len(results), *results)
        + pack("<i", -1)
    )


class TestWriteRequest:
    def test_asyncua_reads_what_was_spliced(self) -> None:
        prefixes = {
            1: encode_prefix(nodeid_to_binary(LEVEL)),
            2: encode_prefix(nodeid_to_binary(FLOW), "1:3"),
        }
        batch = {2: value(2.5, None, TICKS), 1: value(1.5, UNCERTAIN)}

        body = write_request_body(HEADER, prefixes, batch)

        request = struct_from_binary(ua.WriteRequest, Buffer(body))
        flow, level = request.Parameters.NodesToWrite
        assert (flow.NodeId, level.NodeId) == (FLOW, LEVEL)
        assert {flow.AttributeId, level.AttributeId} == {ua.AttributeIds.Value}
        assert (flow.IndexRange, level.IndexRange) == ("1:3", None)
        assert (flow.Value.Value.Value, level.Value.Value.Value) == (2.5, 1.5)
        assert level.Value.StatusCode.value == UNCERTAIN

    @given(st.dictionaries(st.integers(0, 50), st.floats(allow_nan=False), max_size=20))
    def test_the_body_equals_that_of_asyncua(self, numbers: dict[int, float]) -> None:
        nodes = {handle: ua.NodeId(f"Node {handle}", 4) for handle in range(51)}
        prefixes = {handle: encode_prefix(nodeid_to_binary(n)) for handle, n in nodes.items()}
        request = ua.WriteRequest()
        request.RequestHeader.AuthenticationToken = ua.NodeId(1)
        request.RequestHeader.Timestamp = ua.win_epoch_to_datetime(TICKS)
        request.RequestHeader.RequestHandle = 1
        request.Parameters.NodesToWrite = [
            ua.WriteValue(
                nodes[handle],
                ua.AttributeIds.Value,
                Value=ua.DataValue(ua.Variant(number), None),
            )
            for handle, number in numbers.items()
        ]

        batch = {handle: value(number) for handle, number in numbers.items()}

        assert write_request_body(HEADER, prefixes, batch) == struct_to_binary(request)

    def test_a_handle_without_prefix_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            write_request_body(HEADER, {}, {1: value(1.5)})


class TestWriteResponse:
    def test_all_good_is_told_in_short(self) -> None:
        assert scan_write_response(response(0, 0, 0), 3) == WriteResult(0, None)

    def test_each_result_is_told_if_one_is_not_good(self) -> None:
        assert scan_write_response(response(0, BAD_NOT_WRITABLE), 2) == WriteResult(
            0, [0, BAD_NOT_WRITABLE]
        )

    def test_a_response_of_asyncua_is_read(self) -> None:
        answer = ua.WriteResponse()
        answer.Results = [ua.StatusCode(0), ua.StatusCode(BAD_NOT_WRITABLE)]
        answer.DiagnosticInfos = [ua.DiagnosticInfo(), ua.DiagnosticInfo(AdditionalInfo="why")]

        result = scan_write_response(struct_to_binary(answer), 2)

        assert result.results == [0, BAD_NOT_WRITABLE]

    def test_a_fault_judges_the_whole_call(self) -> None:
        fault = response_header(397, service_result=BAD_SESSION_ID)

        assert scan_write_response(fault, 2) == WriteResult(BAD_SESSION_ID, None)

    def test_deleting_is_answered_in_the_same_form(self) -> None:
        answer = response(0, BAD_NOT_WRITABLE, type_id=784)

        assert scan_delete_monitored_items_response(answer, 2).results == [0, BAD_NOT_WRITABLE]
        with pytest.raises(ScanError):
            scan_write_response(answer, 2)

    def test_another_number_of_results_is_damage(self) -> None:
        with pytest.raises(ScanError, match="2 results for 3 items"):
            scan_write_response(response(0, 0), 3)

    def test_bytes_behind_the_end_are_damage(self) -> None:
        with pytest.raises(ScanError, match="its fields end at"):
            scan_write_response(response(0, 0) + b"\0", 2)

    def test_a_truncated_response_is_damage_wherever_it_ends(self) -> None:
        whole = response(0, 0, 0)

        for length in range(len(whole)):
            with pytest.raises(ScanError):
                scan_write_response(whole[:length], 3)


FULL = value(1.5, UNCERTAIN, TICKS)
TIMED, JUDGED, BARE = value(1.5, None, TICKS), value(1.5, UNCERTAIN), value(1.5)


class TestStripping:
    def test_a_status_is_cut_off(self) -> None:
        assert list(map(strip_status, (FULL, TIMED, JUDGED, BARE))) == [TIMED, TIMED, BARE, BARE]

    def test_a_source_timestamp_is_cut_off(self) -> None:
        stripped = list(map(strip_source_timestamp, (FULL, TIMED, JUDGED, BARE)))

        assert stripped == [JUDGED, BARE, JUDGED, BARE]

    def test_a_status_is_read(self) -> None:
        statuses = list(map(tail_status, (FULL, TIMED, JUDGED, BARE)))

        assert statuses == [UNCERTAIN, 0, UNCERTAIN, 0]

    @given(
        st.lists(st.sampled_from((FULL, TIMED, JUDGED, BARE, b"\0", value(2.5, 1 << 31, 7)))),
        st.booleans(),
    )
    def test_a_batch_is_stripped_like_its_values(self, values: list[bytes], alike: bool) -> None:
        batch = dict(enumerate(values[:1] * 9 if alike else values))

        timeless, unjudged = strip_source_timestamps(batch), strip_statuses(batch)

        assert timeless == {n: strip_source_timestamp(data) for n, data in batch.items()}
        assert unjudged == {n: strip_status(data) for n, data in batch.items()}

    def test_a_batch_keeps_its_order(self) -> None:
        batch = {5: value(5, UNCERTAIN, TICKS), 3: value(3, UNCERTAIN, TICKS)}

        assert strip_statuses(batch) == {5: value(5, None, TICKS), 3: value(3, None, TICKS)}
        assert list(strip_statuses(batch)) == list(strip_source_timestamps(batch)) == [5, 3]
