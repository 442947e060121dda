from __future__ import annotations

from datetime import UTC, datetime
from struct import pack
from typing import ClassVar

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from benchmarks.samples import (
    TICKS,
    Sample,
    data_change,
    encode,
    extension_object,
    make_sample,
    publish_response,
    response_header,
)
from pipes.core.scan import ScanError, scan_publish_response

OVERFLOW = 0x00000480
UNCERTAIN = 0x40900000
BAD = 0x80310000
NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def double(number: float, *fields: int | None) -> Sample:
    return make_sample(encode(number, ua.VariantType.Double), *fields)


def text(letters: str | None, *fields: int | None) -> Sample:
    return make_sample(encode(letters, ua.VariantType.String), *fields)


def node(number: int, *fields: int | None) -> Sample:
    return make_sample(encode(ua.NodeId(number), ua.VariantType.NodeId), *fields)


def missing(*fields: int | None) -> Sample:
    return make_sample(None, *fields)


def scan(*notifications: tuple[int, Sample]):
    return scan_publish_response(publish_response(data_change(notifications)))


def without_rest(sample: Sample, mask: int, *parts: bytes) -> bytes:
    return bytes((mask,)) + (sample.variant or b"") + b"".join(parts)


class TestMessage:
    def test_the_parameters_are_read(self) -> None:
        body = publish_response(data_change([(3, double(1.5))]), available=(7, 8, 9))

        result = scan_publish_response(body)

        assert (result.request_handle, result.service_result) == (7, 0)
        assert (result.subscription_id, result.sequence_number) == (5, 9)
        assert result.available == (7, 8, 9)
        assert result.publish_time == TICKS
        assert result.values == {3: double(1.5).data}
        assert result.more is False
        assert result.is_keep_alive is False
        assert result.status_change is None
        assert result.special == set()

    def test_a_message_of_asyncua_is_read(self) -> None:
        values = {
            1: ua.DataValue(ua.Variant(1.5), None, NOW, NOW),
            2: ua.DataValue(ua.Variant(2.5), ua.StatusCode(UNCERTAIN), NOW),
            3: ua.DataValue(ua.Variant(["a", None], ua.VariantType.String), None),
        }
        response = ua.PublishResponse()
        response.Parameters.MoreNotifications = True
        response.Parameters.SubscriptionId = 44
        response.Parameters.NotificationMessage.NotificationData = [
            ua.DataChangeNotification(
                [ua.MonitoredItemNotification(handle, value) for handle, value in values.items()]
            )
        ]

        result = scan_publish_response(struct_to_binary(response))

        assert result.subscription_id == 44
        assert result.more is True
        for handle, value in values.items():
            decoded = struct_from_binary(ua.DataValue, Buffer(result.values[handle]))
            assert decoded.Value == value.Value
            assert decoded.SourceTimestamp == value.SourceTimestamp
            assert decoded.ServerTimestamp is None

    @pytest.mark.parametrize("nothing", [0, -1], ids=["empty", "null"])
    def test_a_keep_alive_has_no_notifications(self, nothing: int) -> None:
        body = publish_response().replace(pack("<qi", TICKS, 0), pack("<qi", TICKS, nothing))

        result = scan_publish_response(body)

        assert result.is_keep_alive
        assert result.values == {}

    def test_a_status_change_is_reported(self) -> None:
        timeout = extension_object(820, pack("<IB", 0x800A0000, 0))

        result = scan_publish_response(publish_response(timeout))

        assert result.status_change == 0x800A0000
        assert not result.is_keep_alive

    def test_events_are_passed_over(self) -> None:
        events = extension_object(916, b"whatever they say")

        result = scan_publish_response(publish_response(events, data_change([(3, double(1.5))])))

        assert result.values == {3: double(1.5).data}

    def test_notifications_are_read_in_their_order(self) -> None:
        older, newer = data_change([(3, double(1.0))]), data_change([(3, double(2.0))])

        result = scan_publish_response(publish_response(older, newer))

        assert result.values == {3: double(2.0).data}

    def test_a_fault_has_a_result_and_no_values(self) -> None:
        result = scan_publish_response(response_header(397, 12, 0x80250000))

        assert (result.request_handle, result.service_result) == (12, 0x80250000)
        assert result.values == {}
        assert not result.is_keep_alive


class TestDamage:
    CASES: ClassVar = {
        "another message": response_header(676),
        "bytes behind the end": publish_response(data_change([(3, double(1.5))])) + b"\0",
        "a notification in XML": publish_response(b"\x01\x00\x2b\x03\x02" + pack("<i", 0)),
        "an unknown notification": publish_response(extension_object(812, b"")),
        "a notification of negative length": publish_response(
            b"\x01\x00\x2b\x03\x01" + pack("<i", -1)
        ),
        "a notification longer than the message": publish_response(
            b"\x01\x00\x2b\x03\x01" + pack("<i", 1000)
        ),
        "a notification that ends too late": publish_response(
            extension_object(811, pack("<ii", 0, -1) + b"\0")
        ),
        "a value that leaves its notification": publish_response(
            extension_object(811, pack("<iI", 1, 3) + b"\x01\x0b" + bytes(4))
        ),
        "a run that leaves its notification": publish_response(
            b"\x01\x00\x2b\x03\x01" + pack("<ii", 20, 3) + 3 * (bytes(4) + b"\x01\x01\x01")
        ),
        "more values than bytes": publish_response(extension_object(811, pack("<ii", 99, -1))),
        "an unknown mask": publish_response(
            data_change([(3, Sample(b"\x41\x01\x01", b"", 0, 0, False))])
        ),
        "an unknown mask without value": publish_response(
            data_change([(3, Sample(b"\x40\x01\x01", b"", 0, 0, False))])
        ),
        "a string of negative length": publish_response(
            data_change([(3, Sample(b"\x01\x0c" + pack("<i", -3), b"", 0, 0, False))])
        ),
        "a string longer than the message": publish_response(
            data_change([(3, Sample(b"\x01\x0c" + pack("<i", 300), b"", 0, 0, False))])
        ),
    }

    @pytest.mark.parametrize("body", CASES.values(), ids=CASES)
    def test_it_is_refused(self, body: bytes) -> None:
        with pytest.raises(ScanError):
            scan_publish_response(body)


SCALARS = {
    "double": lambda *fields: double(2.5, *fields),
    "string": lambda *fields: text("open", *fields),
    "array": lambda *fields: make_sample(encode([1.0, 2.0], ua.VariantType.Float), *fields),
    "texts": lambda *fields: make_sample(encode(["a", "b"], ua.VariantType.String), *fields),
}
STATUS, BARE_TIME = pack("<I", UNCERTAIN), pack("<q", TICKS)


@pytest.mark.parametrize("make", SCALARS.values(), ids=SCALARS)
@pytest.mark.parametrize("length", [1, 2, 3, 20, 200, 3000])
class TestEachLayoutAloneAndInRuns:
    def check(self, make, length: int, fields: tuple, mask: int, *parts: bytes) -> None:
        result = scan(*((handle, make(*fields)) for handle in range(length)))

        expected = without_rest(make(), mask, *parts)
        assert result.values == dict.fromkeys(range(length), expected)
        assert result.special == set()

    def test_a_plain_value_is_copied(self, make, length: int) -> None:
        self.check(make, length, (None, TICKS), 0x05, BARE_TIME)
        self.check(make, length, (), 0x01)

    def test_server_time_and_picoseconds_are_dropped(self, make, length: int) -> None:
        self.check(make, length, (None, TICKS, TICKS, 1, 2), 0x05, BARE_TIME)
        self.check(make, length, (None, None, TICKS), 0x01)
        self.check(make, length, (None, None, None, 3, None), 0x01)

    def test_a_status_that_is_not_good_stays(self, make, length: int) -> None:
        self.check(make, length, (UNCERTAIN, TICKS, TICKS), 0x07, STATUS, BARE_TIME)
        self.check(make, length, (UNCERTAIN,), 0x03, STATUS)

    def test_a_good_status_is_dropped(self, make, length: int) -> None:
        self.check(make, length, (0, TICKS), 0x05, BARE_TIME)
        self.check(make, length, (0, None, TICKS), 0x01)

    def test_the_info_bits_of_a_status_are_dropped(self, make, length: int) -> None:
        self.check(make, length, (UNCERTAIN | OVERFLOW, TICKS), 0x07, STATUS, BARE_TIME)
        self.check(make, length, (OVERFLOW, TICKS), 0x05, BARE_TIME)


class TestRuns:
    def test_statuses_may_differ_within_a_run(self) -> None:
        samples = [double(n, (0, UNCERTAIN, OVERFLOW, BAD)[n % 4], TICKS + n) for n in range(50)]

        result = scan(*enumerate(samples))

        for n, sample in enumerate(samples):
            decoded = struct_from_binary(ua.DataValue, Buffer(result.values[n]))
            assert decoded.StatusCode.value == sample.written_status
            assert decoded.Value.Value == n
            assert result.values[n].endswith(pack("<q", TICKS + n))
            assert len(result.values[n]) == 18 + 4 * (n % 2)

    def test_the_newest_of_a_repeated_handle_wins(self) -> None:
        plain = [(n % 3, double(n)) for n in range(10)]
        judged = [(n % 3, double(n, UNCERTAIN if n < 5 else 0)) for n in range(10)]

        assert scan(*plain).values == {0: double(9).data, 1: double(7).data, 2: double(8).data}
        assert scan(*judged).values == {0: double(9).data, 1: double(7).data, 2: double(8).data}

    def test_runs_follow_each_other(self) -> None:
        notifications = [
            *((n, double(n)) for n in range(100)),
            *((n, text("t")) for n in range(100, 103)),
            *((n, double(n, 0, TICKS)) for n in range(103, 143)),
            (143, double(7.0)),
        ]

        result = scan(*notifications)

        assert list(result.values) == list(range(144))
        assert result.values[143] == double(7.0).data
        assert result.values[142] == double(142, None, TICKS).data


class TestSpecial:
    @pytest.mark.parametrize("length", [1, 20])
    def test_a_missing_value_is_special(self, length: int) -> None:
        result = scan(*((handle, missing(BAD, TICKS, TICKS)) for handle in range(length)))

        assert result.special == set(range(length))
        expected = b"\x06" + pack("<Iq", BAD, TICKS)
        assert result.values == dict.fromkeys(range(length), expected)

    def test_a_data_value_without_anything_is_special(self) -> None:
        result = scan((1, missing()), (2, missing()), (3, missing(None, TICKS)))

        assert result.special == {1, 2, 3}
        assert result.values == {1: b"\0", 2: b"\0", 3: b"\x04" + pack("<q", TICKS)}

    def test_a_null_value_is_special(self) -> None:
        result = scan((1, make_sample(b"\0", BAD)), (2, double(1.0)))

        assert result.special == {1}

    def test_a_value_that_must_be_decoded_is_special(self) -> None:
        result = scan((1, node(7)), (2, double(1.0)), (3, node(8, None, TICKS, TICKS)))

        assert result.special == {1, 3}
        assert result.values[3] == node(8, None, TICKS).data

    def test_a_newer_value_ends_or_begins_special(self) -> None:
        runs = [(n, double(1.0)) for n in range(5)]

        assert scan((1, node(7)), (1, double(1.0)), (2, text("x"))).special == set()
        assert scan((1, node(7)), (1, text("x"))).special == set()
        assert scan((1, node(7)), (1, text(None)), (8, node(1))).special == {8}
        assert scan((1, node(7)), (8, node(7)), *runs).special == {8}
        assert scan(*runs, (1, node(7))).special == {1}
        assert scan((1, text("x")), (1, missing())).special == {1}


class TestSamples:
    """A server that keeps a queue of an item sends several samples of it in one message."""

    @pytest.mark.parametrize("make", [double, lambda n, *fields: text(f"{n}", *fields), node])
    @pytest.mark.parametrize("fields", [(), (UNCERTAIN, TICKS)])
    def test_every_sample_comes_in_order(self, make, fields: tuple) -> None:
        samples = [(number % 3, make(number, *fields)) for number in range(40)]

        result = scan(*samples)

        everything = [*result.earlier, *result.values.items()]
        for handle in range(3):
            wanted = [scan((0, one)).values[0] for number, one in samples if number == handle]
            assert [value for number, value in everything if number == handle] == wanted

    def test_samples_of_several_notifications_count(self) -> None:
        older, newer = data_change([(3, double(1.0)), (4, double(9.0))]), [(3, double(2.0))]

        result = scan_publish_response(publish_response(older, data_change(newer)))

        assert result.earlier == [(3, double(1.0).data)]
        assert result.values == {3: double(2.0).data, 4: double(9.0).data}

    def test_a_message_without_repetitions_has_no_earlier_samples(self) -> None:
        assert scan(*((handle, double(1.0)) for handle in range(50))).earlier == []


class TestOverflow:
    @pytest.mark.parametrize("make", [double, lambda n, *fields: text(f"{n}", *fields)])
    @pytest.mark.parametrize("length", [1, 30])
    def test_the_handles_whose_queue_was_full_are_named(self, make, length: int) -> None:
        fields = [(UNCERTAIN | OVERFLOW if n % 2 == 0 else 0x0400, TICKS) for n in range(length)]

        result = scan(*((n, make(float(n), *more)) for n, more in enumerate(fields)))

        assert result.overflows == set(range(0, length, 2))

    @pytest.mark.parametrize("status", [0x0080, 0x0480 | 0x0800, 0x0500, UNCERTAIN])
    def test_other_info_bits_are_no_overflow(self, status: int) -> None:
        assert not scan((1, double(1.0, status, TICKS)), (2, double(1.0, status))).overflows
