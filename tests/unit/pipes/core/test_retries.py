from __future__ import annotations

import pytest

from pipes.core import retries
from pipes.core.retries import Retry
from pipes.core.status_codes import code_of
from pipes.core.values import is_bad


@pytest.mark.parametrize(
    ("name", "retry"),
    [
        ("Good", Retry.DONE),
        ("GoodClamped", Retry.DONE),
        ("UncertainInitialValue", Retry.DONE),
        ("BadNodeIdUnknown", Retry.RETRY_LATER),
        ("BadCommunicationError", Retry.RETRY_LATER),
        ("BadWaitingForInitialData", Retry.RETRY_LATER),
        ("BadWriteNotSupported", Retry.RETRY_NOW_WITHOUT),
        ("BadTypeMismatch", Retry.CONVERT_AGAIN),
        ("BadNotWritable", Retry.GIVE_UP_UNTIL_CHANGE),
        ("BadUserAccessDenied", Retry.GIVE_UP_UNTIL_CHANGE),
        ("BadOutOfRange", Retry.GIVE_UP_UNTIL_CHANGE),
        ("BadTooManyOperations", Retry.SPLIT_BATCH),
        ("BadEncodingLimitsExceeded", Retry.SPLIT_BATCH),
        ("BadRequestTooLarge", Retry.SPLIT_BATCH),
        ("BadSessionIdInvalid", Retry.RECONNECT),
        ("BadSessionClosed", Retry.RECONNECT),
        ("BadSecureChannelIdInvalid", Retry.RECONNECT),
    ],
)
def test_the_table_says_whether_trying_again_helps(name: str, retry: Retry) -> None:
    advice = retries.advise(code_of(name))
    assert advice.retry is retry
    assert advice.sentence


def test_info_bits_do_not_hide_a_code() -> None:
    assert retries.advise(0x803B0480).retry is Retry.GIVE_UP_UNTIL_CHANGE


def test_an_unknown_bad_code_is_tried_again_later_and_named() -> None:
    advice = retries.advise(0x8ABC0000)
    assert advice.retry is Retry.RETRY_LATER
    assert "0x8ABC0000" in advice.sentence


def test_every_row_is_a_bad_code_with_one_advice() -> None:
    tables = (
        retries._LATER,
        retries._WITHOUT,
        retries._CONVERT,
        retries._GIVE_UP,
        retries._SPLIT,
        retries._RECONNECT,
    )
    assert sum(map(len, tables)) == len(retries.ADVICE)
    assert all(map(is_bad, retries.ADVICE))
