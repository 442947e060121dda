from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnostics.core.chronicle import (
    AT_NS_LIMIT,
    LineError,
    Origin,
    Query,
    Record,
    decode_line,
    encode_line,
    escape,
    in_order,
    make_record,
    merged,
    order_key,
    stored_window,
    window,
)
from redundancy.core.events import Event, EventKind, Severity

ORIGIN = Origin("pipes-1", "0123456789abcdef", 7)
EVENT = Event(
    1_764_000_000_123_456_789,
    EventKind.PIPE,
    "SERVER_LOST",
    Severity.HIGH,
    "P1",
    "PLC1 does not answer",
    "anna",
    {"attempts": 3, "since": 1.5, "again": True, "cause": None},
)


def record(at_us: int, seq: int = 1, **changes: Any) -> Record:
    made = make_record(EVENT, "REDOPC", Origin("pipes-1", "b", seq))
    return replace(made, at_ns=at_us * 1000, **changes)


class TestLine:
    def test_a_line_brings_back_the_whole_event(self) -> None:
        made = make_record(EVENT, "REDOPC", ORIGIN)

        line = encode_line(made)

        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert decode_line(line) == made

    @given(
        message=st.text(),
        source=st.text(max_size=300),
        detail=st.one_of(
            st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary()
        ),
    )
    def test_any_event_becomes_one_line_without_control_characters(
        self, message: str, source: str, detail: Any
    ) -> None:
        event = replace(EVENT, message=message, source=source, details={"it": detail})
        made = make_record(event, "REDOPC", ORIGIN)

        line = encode_line(made)

        assert decode_line(line) == made
        assert all(0x20 <= byte < 0x7F for byte in line[:-1])
        assert not any(ord(letter) < 0x20 for letter in made.message + made.source)
        made.message.encode()

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a\nb", "a\\x0ab"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("\u202egnp.exe", "\\u202egnp.exe"),
            ("\ud800", "\\ud800"),
            ("Wärme", "Wärme"),
        ],
    )
    def test_control_characters_are_shown_not_obeyed(self, text: str, shown: str) -> None:
        assert escape(text, 100) == shown

    def test_a_long_text_is_cut_with_a_mark(self) -> None:
        assert escape("x" * 11, 10) == "x" * 9 + "…"

    @pytest.mark.parametrize(
        ("value", "kept"),
        [
            (math.nan, "nan"),
            (math.inf, "inf"),
            (2**63 - 1, 2**63 - 1),
            (2**70, hex(2**70)),
            (b"\x00", "b'\\x00'"),
            (True, True),
        ],
    )
    def test_details_become_plain_json(self, value: Any, kept: object) -> None:
        made = make_record(replace(EVENT, details={"it": value}), "REDOPC", ORIGIN)

        assert made.details == {"it": kept}

    def test_details_without_an_end_are_cut(self) -> None:
        many = {f"name {number}": number for number in range(1000)}

        assert len(make_record(replace(EVENT, details=many), "REDOPC", ORIGIN).details) == 64

    @pytest.mark.parametrize(
        ("at_ns", "kept"), [(-5, 0), (2**62, 2**62), (10**21, AT_NS_LIMIT - 1)]
    )
    def test_an_instant_stays_one_that_can_be_named(self, at_ns: int, kept: int) -> None:
        assert make_record(replace(EVENT, at_ns=at_ns), "REDOPC", ORIGIN).at_ns == kept

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"seq": -1}, "seq"),
            ({"seq": True}, "seq"),
            ({"at_ns": "now"}, "at_ns"),
            ({"kind": "gossip"}, "gossip"),
            ({"severity": "mild"}, "mild"),
            ({"message": 5}, "message"),
            ({"details": []}, "details"),
        ],
    )
    def test_a_line_with_a_wrong_field_is_refused_by_its_name(
        self, change: dict[str, object], says: str
    ) -> None:
        document = json.loads(encode_line(make_record(EVENT, "REDOPC", ORIGIN))) | change

        with pytest.raises(LineError, match=says):
            decode_line(json.dumps(document).encode())

    @pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b"[" * 200_000, b"9" * 5000])
    def test_what_is_no_event_is_refused(self, line: bytes) -> None:
        with pytest.raises(LineError):
            decode_line(line)


class TestOrigin:
    def test_an_id_is_positive_exact_in_json_and_always_the_same(self) -> None:
        assert ORIGIN.id == Origin("pipes-1", "0123456789abcdef", 7).id
        assert 0 < ORIGIN.id < 2**53

    def test_other_origins_have_other_ids(self) -> None:
        ids = {Origin(f"p{process}", "b", seq).id for process in range(10) for seq in range(1000)}

        assert len(ids) == 10_000


class TestQuery:
    @pytest.mark.parametrize(
        "query",
        [
            Query(),
            Query(kinds=frozenset({EventKind.PIPE})),
            Query(codes=frozenset({"SERVER_LOST"})),
            Query(severities=frozenset({Severity.HIGH, Severity.LOW})),
            Query(since_ns=5_000, until_ns=5_000),
            Query(search="ANSWER"),
            Query(search="p1"),
            Query(search="server_l"),
            Query(search="anna"),
        ],
    )
    def test_a_fitting_event_passes(self, query: Query) -> None:
        assert query.matches(record(5))

    @pytest.mark.parametrize(
        "query",
        [
            Query(kinds=frozenset({EventKind.LINK})),
            Query(codes=frozenset({"CLOCK_STEP"})),
            Query(severities=frozenset({Severity.INFO})),
            Query(since_ns=5_001),
            Query(until_ns=4_999),
            Query(search="nowhere"),
        ],
    )
    def test_another_event_does_not(self, query: Query) -> None:
        assert not query.matches(record(5))


class TestOrder:
    def test_newest_come_first_and_equal_instants_by_number(self) -> None:
        records = [record(1, 1), record(2, 2), record(2, 3)]

        newest = in_order(records, Query())
        oldest = in_order(records, Query(newest_first=False))

        assert [each.origin.seq for each in newest] == [3, 2, 1]
        assert newest == oldest[::-1]

    @given(
        fresh=st.sets(st.integers(0, 40)),
        stored=st.sets(st.integers(0, 40)),
        start=st.integers(0, 50),
        length=st.integers(0, 20),
        newest_first=st.booleans(),
    )
    def test_a_window_is_a_slice_of_all_there_is(
        self, fresh: set[int], stored: set[int], start: int, length: int, newest_first: bool
    ) -> None:
        query = Query(newest_first=newest_first)
        kept = in_order([record(at, 1) for at in fresh], query)
        rows = in_order([record(at, 2) for at in stored], query)
        first, last = stored_window(start, start + length, len(kept))

        found = window(kept, rows[first:last], start, start + length, query)

        everything = sorted([*kept, *rows], key=order_key, reverse=newest_first)
        assert found == everything[start : start + length]
        assert list(merged(kept, rows, query)) == everything
