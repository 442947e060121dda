"""How much goes into one write request, and what is too large for a server."""

from __future__ import annotations

from pipes.core.binary import encode_data_value
from pipes.core.sizes import ValueLimits
from pipes.core.values import DataValue, Variant, VariantType
from pipes.request_sizes import LARGEST_REQUEST, MOST_LOSSES, SUSPICIOUS_SIZE, RequestSizes


def blob(size: int) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.BYTE_STRING, bytes(size))))


SMALL, LARGE = blob(10), blob(SUSPICIOUS_SIZE)


def lost(sizes: RequestSizes, batch: dict[int, bytes], times: int) -> None:
    for _ in range(times):
        sizes.lost(batch)


class TestOneRequest:
    def test_it_takes_all_that_fits(self) -> None:
        batch = {1: SMALL, 2: SMALL}
        part, rest = RequestSizes().first_part(batch)
        assert part is batch
        assert not rest

    def test_what_does_not_fit_is_left_for_the_next_one(self) -> None:
        half = blob(LARGEST_REQUEST // 2)
        part, rest = RequestSizes().first_part({1: half, 2: half, 3: SMALL})
        assert (list(part), list(rest)) == ([1], [2, 3])

    def test_a_value_that_never_fits_goes_alone(self) -> None:
        whole = blob(LARGEST_REQUEST)
        part, rest = RequestSizes().first_part({1: whole, 2: SMALL})
        assert (list(part), list(rest)) == ([1], [2])

    def test_a_server_of_small_messages_gets_small_requests(self) -> None:
        sizes = RequestSizes()
        sizes.limits = ValueLimits(message=2 * len(SMALL))
        part, rest = sizes.first_part(dict.fromkeys((1, 2, 3), SMALL))
        assert (list(part), list(rest)) == ([1, 2], [3])


class TestTooLarge:
    def test_a_server_that_names_no_limit_gets_everything(self) -> None:
        assert RequestSizes().too_large({1: LARGE}) == {}

    def test_a_value_beyond_a_limit_is_named_and_the_others_are_not(self) -> None:
        sizes = RequestSizes()
        sizes.limits = ValueLimits(byte_string=100)
        assert list(sizes.too_large({1: SMALL, 2: LARGE})) == [2]

    def test_a_value_that_ends_session_after_session_is_blamed(self) -> None:
        sizes = RequestSizes()
        lost(sizes, {1: LARGE}, MOST_LOSSES - 1)
        assert sizes.too_large({1: LARGE}) == {}
        lost(sizes, {1: LARGE}, 1)
        assert f"ended {MOST_LOSSES} times" in sizes.too_large({1: LARGE, 2: LARGE})[1]

    def test_a_smaller_value_of_a_blamed_item_is_tried(self) -> None:
        sizes = RequestSizes()
        lost(sizes, {1: LARGE}, MOST_LOSSES)
        assert sizes.too_large({1: LARGE[:-1]}) == {}

    def test_small_values_and_company_are_not_suspicious(self) -> None:
        sizes = RequestSizes()
        lost(sizes, {1: SMALL}, MOST_LOSSES)
        lost(sizes, {1: LARGE, 2: LARGE}, MOST_LOSSES)
        assert sizes.too_large({1: LARGE, 2: LARGE}) == {}

    def test_a_value_that_is_written_after_all_is_forgiven(self) -> None:
        sizes = RequestSizes()
        lost(sizes, {1: LARGE}, MOST_LOSSES)
        sizes.written({1: SMALL, 2: SMALL})
        assert sizes.too_large({1: LARGE}) == {}

    def test_nothing_is_left_of_a_handle_that_is_taken_out(self) -> None:
        sizes = RequestSizes()
        sizes.bulky.add(1)
        lost(sizes, {1: LARGE}, MOST_LOSSES)
        sizes.forget([1, 2])
        assert not sizes.bulky
        assert sizes.too_large({1: LARGE}) == {}
