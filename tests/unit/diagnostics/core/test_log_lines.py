from __future__ import annotations

import json
from typing import Any

import pytest

from diagnostics.core.log_lines import LEVELS, instant_key, is_at_least, parse_log_line


def test_a_line_of_ours_keeps_all_its_fields() -> None:
    line = json.dumps(
        {"at": "2026-11-24T09:00:00Z", "level": "error", "event": "lost", "server": "PLC1"}
    )

    entry = parse_log_line(line, "pipes-1")
    assert entry == {
        "at": "2026-11-24T09:00:00Z",
        "level": "error",
        "process": "pipes-1",
        "event": "lost",
        "server": "PLC1",
    }


@pytest.mark.parametrize(
    "line", ["Traceback (most recent call last):", "[1]", "{", "5", "[" * 100_000]
)
def test_any_other_line_is_its_own_event(line: str) -> None:
    assert parse_log_line(line, "web") == {
        "at": None,
        "level": None,
        "process": "web",
        "event": line,
    }


def test_a_number_that_is_not_json_becomes_a_text() -> None:
    assert (
        json.loads(json.dumps(parse_log_line('{"lag": NaN}', "web"), allow_nan=False))["lag"]
        == "NaN"
    )


@pytest.mark.parametrize(
    ("level", "wanted", "shown"),
    [
        ("error", "warning", True),
        ("warning", "warning", True),
        ("info", "warning", False),
        (None, "debug", False),
        (5, "debug", False),
        ("shouting", "debug", False),
    ],
)
def test_lines_below_the_wanted_level_are_left_out(level: Any, wanted: str, shown: bool) -> None:
    assert is_at_least({"level": level}, wanted) is shown
    assert wanted in LEVELS


def test_lines_without_an_instant_come_before_all_others() -> None:
    entries = [{"at": "2026-11-24T09:00:00Z"}, {"at": None}]

    assert min(entries, key=instant_key)["at"] is None
