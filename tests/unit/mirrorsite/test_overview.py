"""How the overview writes values and ages."""

from __future__ import annotations

from typing import Any

import pytest

from mirrorsite.overview import ITEM_SYMBOLS, PIPE_SYMBOLS, age_text, value_text
from pipes.core.choices import ItemState, PipeState


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "true"),
        (-3, "−3"),
        (123456789, "123456789"),
        (1 / 3, "0.333333"),
        (-40.0, "−40"),
        ("open", "open"),
        ("18446744073709551615", "18446744073709551615"),
        ([1, 2], "[1,2]"),
        ("x" * 41, "x" * 39 + "…"),
    ],
)
def test_a_value_is_short_and_keeps_its_sign(value: Any, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "never"),
        (200, "0.2 s"),
        (48_900, "48 s"),
        (16 * 60_000, "16 min"),
        (91 * 60_000, "1 h 31 min"),
        (50 * 3_600_000, "2 days"),
        (-2400, "2.4 s ahead"),
    ],
)
def test_an_age_is_said_in_words_of_one_or_two_parts(milliseconds: Any, text: str) -> None:
    assert age_text(milliseconds) == text


def test_every_state_has_its_symbol() -> None:
    assert set(PIPE_SYMBOLS) == set(PipeState)
    assert set(ITEM_SYMBOLS) == set(ItemState)
