from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import check_flips, check_splice, check_truncation, hostile_messages
from pipes.core.scan import ScanError, scan_publish_response

SEEDS = st.integers(0, 2**32)
SECONDS_FOR_A_HOSTILE_MESSAGE = 10.0  # generous: shared machines; measured below 0.6


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_data_value_comes_out_as_it_went_in(seed: int) -> None:
    assert check_splice(seed) > 0


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_a_truncated_message_is_refused_wherever_it_ends(seed: int) -> None:
    assert check_truncation(seed) > 0


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_message_with_wrong_bits_is_refused_or_read_as_asyncua_does(seed: int) -> None:
    assert check_flips(seed) >= 0


@pytest.mark.parametrize("seed", range(40))
def test_known_seeds_hold(seed: int) -> None:
    assert check_splice(seed) > 0
    assert check_flips(seed) >= 0


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(ScanError):
        scan_publish_response(noise)


@pytest.mark.parametrize("body", hostile_messages(4 * 2**20).items(), ids=lambda pair: pair[0])
def test_a_hostile_message_costs_no_more_than_its_size(body: tuple[str, bytes]) -> None:
    begun = time.process_time()
    with suppress(ScanError):
        scan_publish_response(body[1])
    assert time.process_time() - begun < SECONDS_FOR_A_HOSTILE_MESSAGE
