"""What the ledger says of the writes of a flow, and which of them become events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipes import incidents as incidents_module
from pipes import ledger_answer
from pipes.core.choices import ItemKind, Timestamps
from pipes.core.incidents import MOST_TOLD
from pipes.core.ledger import Entry, Outcome, Query, find
from pipes.core.status_codes import code_of
from pipes.incidents import WriteEvents
from redundancy.command import CommandError
from redundancy.core.events import EventKind, Severity
from tests.unit.pipes.flows import PlayedFlow, double, item, number_in, play_targets

DENIED = code_of("BadUserAccessDenied")
OUT_OF_RANGE = code_of("BadOutOfRange")
CLAMPED = code_of("GoodClamped")
NOT_SUPPORTED = code_of("BadWriteNotSupported")


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)


async def connected(*items, **more):
    played = PlayedFlow(*items, **more)
    await played.connect_reader()
    return played, await played.connect_writer()


def entries(played: PlayedFlow, **query: Any) -> list[Entry]:
    return [e for _, e in find([played.flow.writer.ledger], Query(**query), 0, 1000).page]


def seen(played: PlayedFlow) -> list[tuple[int, float, str]]:
    return [(e.handle, number_in(e.sent), e.outcome.value) for e in entries(played)]


def ask(played: PlayedFlow, **params: Any) -> dict[str, Any]:
    return ledger_answer.answer([runner(played)], params)


def runner(played: PlayedFlow) -> Any:
    return SimpleNamespace(pipe=played.flow.pipe, flows=(played.flow,))


async def test_a_write_that_was_accepted_is_in_the_ledger():
    played, server = await connected(item(1))
    played.come(i1=double(5.0))
    assert entries(played) == [], "it is on its way"
    server.answer()
    assert seen(played) == [(1, 5.0, "acked")]


async def test_what_the_target_refused_and_accepted_stands_apart():
    played, server = await connected(item(1), item(2), item(3))
    played.come(i1=double(5.0), i2=double(6.0), i3=double(7.0))
    server.answer(CLAMPED, OUT_OF_RANGE, 0)
    assert {e.handle: (e.outcome.value, e.status) for e in entries(played)} == {
        1: ("acked", CLAMPED),
        2: ("rejected", OUT_OF_RANGE),
        3: ("acked", 0),
    }


async def test_a_write_without_an_answer_is_unknown_and_then_written_again():
    played, server = await connected(item(1))
    played.come(i1=double(5.0))
    played.lose_writer()
    server.answer(failure="connection lost")
    server = await played.connect_writer()
    server.answer()
    assert seen(played) == [(1, 5.0, "acked"), (1, 5.0, "unknown")]
    (unknown,) = entries(played, outcome=Outcome.UNKNOWN)
    assert unknown.why == "connection lost"


async def test_an_answer_that_comes_when_the_session_is_over_leaves_the_outcome_unknown():
    played, old = await connected(item(1))
    played.come(i1=double(5.0))
    played.lose_writer()
    await played.connect_writer()
    old.answer()
    (entry,) = entries(played)
    assert (entry.outcome, entry.why) == (
        Outcome.UNKNOWN,
        "the answer came when its session was over",
    )


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("BadTooManyOperations", "rejected"),
        ("BadServerTooBusy", "unknown"),
        ("BadSessionIdInvalid", "unknown"),
        ("BadServiceUnsupported", "rejected"),
    ],
)
async def test_a_refused_request_is_in_the_ledger_and_may_be_sent_again(status, outcome):
    played, server = await connected(item(1), item(2))
    played.come(i1=double(5.0), i2=double(6.0))
    server.answer(service_result=code_of(status))
    assert [row[2] for row in seen(played)] == [outcome, outcome]


async def test_what_was_requested_is_shown_with_its_timestamp_where_the_target_takes_none():
    played, server = await connected(item(1), pipe={"timestamps": Timestamps.NONE})
    played.come(i1=double(5.0, stamp=1234))
    server.answer()
    (entry,) = entries(played)
    assert entry.requested == double(5.0, stamp=1234)
    assert entry.sent == double(5.0, stamp=None)


async def test_a_refused_timestamp_is_a_rejected_write_and_the_next_one_keeps_the_request():
    played, server = await connected(item(1))
    played.come(i1=double(5.0, stamp=1234))
    server.answer(NOT_SUPPORTED)
    server.answer()
    accepted, rejected = entries(played)
    assert (rejected.outcome, rejected.sent) == (Outcome.REJECTED, double(5.0, stamp=1234))
    assert (accepted.requested, accepted.sent) == (
        double(5.0, stamp=1234),
        double(5.0, stamp=None),
    )


async def test_what_was_requested_is_the_source_value_before_its_transform():
    scaled = item(1, transform={"kind": "linear", "gain": 2.0, "offset": 1.0})
    played, server = await connected(scaled, item(2))
    for number in (5.0, 6.0):
        played.come(i1=double(number), i2=double(number))
        server.answer()
    assert [
        (number_in(e.requested), number_in(e.sent)) for e in entries(played, handles=frozenset({1}))
    ] == [(6.0, 13.0), (5.0, 11.0)]
    assert 2 not in played.flow.writer.origins, "an item without a rule needs no further table"


async def test_writes_of_an_item_that_was_taken_out_stay_in_the_ledger():
    played, server = await connected(item(1), item(2))
    played.come(i1=double(5.0))
    server.answer()
    played.flow.remove([1])
    played.flow.pipe = SimpleNamespace(name="P1", items={2: item(2)})
    assert [row["item"] for row in ask(played, items=[1])["results"]] == [1]


async def test_a_dry_run_writes_nothing_and_has_no_ledger():
    played, _ = await connected(item(1), pipe={"dry_run": True})
    played.come(i1=double(5.0))
    await played.flow.writer.idle()
    assert played.flow.writer.would_write == 1
    assert entries(played) == []
    played.come(i1=double(6.0))
    played.lose_writer()
    await played.tick()
    assert entries(played) == []


class TestAnswers:
    async def test_a_row_has_what_the_contract_says(self):
        played, server = await connected(item(1))
        played.come(i1=double(5.0, status=0x4000_0000, stamp=133_000_000_000_000_000))
        server.answer(DENIED)
        answer = ask(played)
        (row,) = answer["results"]
        assert row["at"].endswith("Z")
        assert {name: row[name] for name in row if name not in ("at", "at_ns")} == {
            "item": 1,
            "pipe": "P1",
            "direction": "forward",
            "requested": {
                "value": 5.0,
                "status": "Uncertain",
                "source_timestamp": "2022-06-18T04:26:40Z",
            },
            "sent": {
                "value": 5.0,
                "status": "Uncertain",
                "source_timestamp": "2022-06-18T04:26:40Z",
            },
            "outcome": "rejected",
            "status": "BadUserAccessDenied",
            "verified": None,
            "reason": "the user of the connection may not do this; give it the right",
        }
        assert answer["count"] == 1
        assert answer["at"] == [(row["at_ns"], 1)]
        assert answer["dropped"] == 0
        assert answer["complete_since_ns"] <= row["at_ns"]

    async def test_questions_select(self):
        played, server = await connected(item(1), item(2))
        played.come(i1=double(5.0), i2=double(6.0))
        server.answer(0, DENIED)
        assert ask(played, pipe="p1")["count"] == 2
        assert ask(played, pipe="P2")["count"] == 0
        assert [row["item"] for row in ask(played, items=[1])["results"]] == [1]
        assert [row["item"] for row in ask(played, outcome="rejected")["results"]] == [2]
        assert ask(played, verified=True)["count"] == 0
        assert len(ask(played, limit=1)["results"]) == 1
        assert ask(played, skip=1, limit=5)["at"][0][1] == 1
        assert ask(played, until_ns=0)["count"] == 0
        assert ledger_answer.answer([], {})["complete_since_ns"] is None

    @pytest.mark.parametrize(
        "params", [{"outcome": "maybe"}, {"items": ["x"]}, {"items": 5}, {"limit": "many"}]
    )
    async def test_a_question_that_makes_no_sense_is_refused(self, params):
        played, _ = await connected(item(1))
        with pytest.raises(CommandError, match="not a question about the ledger"):
            ask(played, **params)

    async def test_a_value_that_cannot_be_decoded_is_shown_as_such(self):
        played, _ = await connected(item(1))
        ledger = played.flow.writer.ledger
        ledger.acked(ledger.sending(1, {1: b"\x01\x0b"}, None, {}))
        (row,) = ask(played)["results"]
        assert row["sent"]["status"] == "BadDecodingError"


class TestEvents:
    @pytest.fixture(autouse=True)
    def _heard(self, monkeypatch):
        self.events: list[tuple[Any, ...]] = []

        def emit(kind, code, severity, source, message, **details):
            self.events.append((kind, code, severity, source, message, details))

        monkeypatch.setattr(incidents_module, "emit", emit)
        self.told = WriteEvents()

    def report(self, played: PlayedFlow) -> list[str]:
        """The messages that are new."""
        before = len(self.events)
        self.told.report(played.flow.pipe, [played.flow], played.now)
        return [event[4] for event in self.events[before:]]

    async def test_a_refused_write_names_item_value_status_and_remedy(self):
        played, server = await connected(item(7))
        played.come(i7=double(5.0))
        server.answer(OUT_OF_RANGE)
        (message,) = self.report(played)
        assert message == (
            "item 7 of P1: TGT refuses 5.0 for nsu=urn:plant;s=T7: BadOutOfRange: the server "
            "refuses the value as out of range; the next value is tried"
        )
        kind, code, severity, source, _, details = self.events[0]
        assert (kind, code, severity, source) == (
            EventKind.ITEM,
            "WRITE_REFUSED",
            Severity.HIGH,
            "7",
        )
        assert details == {"pipe": "P1", "status": "BadOutOfRange", "value_status": "Good"}

    async def test_only_the_edge_is_told(self):
        played, server = await connected(item(1))
        for _ in range(4):
            played.come(i1=double(5.0))
            server.answer(OUT_OF_RANGE)
            await played.tick(2.0)
        assert len(self.report(played)) == 1
        played.come(i1=double(6.0))
        server.answer(DENIED)
        (message,) = self.report(played)
        assert "BadUserAccessDenied" in message, "another reason is another event"
        await played.tick(10.0)
        played.come(i1=double(7.0))
        server.answer()
        await played.tick(10.0)
        played.come(i1=double(8.0))
        server.answer(DENIED)
        assert len(self.report(played)) == 1, "it was well in between"

    async def test_what_is_learned_from_a_refusal_is_no_event(self):
        played, server = await connected(item(1))
        played.come(i1=double(5.0))
        server.answer(NOT_SUPPORTED)
        server.answer()
        assert self.report(played) == []

    async def test_an_unknown_outcome_is_an_event(self):
        played, server = await connected(item(1))
        played.come(i1=double(5.0))
        played.lose_writer()
        server.answer(failure="connection lost")
        (message,) = self.report(played)
        assert message == (
            "item 1 of P1: nobody knows whether TGT took 5.0 for nsu=urn:plant;s=T1: "
            "connection lost; the newest value is written again"
        )

    async def test_an_event_item_of_unknown_outcome_is_told_of_elsewhere_and_once(self):
        played, server = await connected(item(1, kind=ItemKind.EVENT), item(2))
        played.come(i1=double(1.0), i2=double(1.0))  # an event is a change: the first is none
        server.answer()
        played.come(i1=double(2.0), i2=double(2.0))
        played.lose_writer()
        server.answer(failure="connection lost")
        (message,) = self.report(played)
        assert message.startswith("item 2 of P1")
        assert [handle for handle, _ in played.flow.unknown_events()] == [1]
        assert {e.handle for e in entries(played, outcome=Outcome.UNKNOWN)} == {1, 2}

    async def test_a_flood_is_told_in_a_few_events_and_one_that_counts(self):
        items = [item(number) for number in range(1, 501)]
        played, server = await connected(*items)
        played.come(**{f"i{one.id}": double(1.0) for one in items})
        played.lose_writer()
        server.answer(failure="connection lost")
        assert len(self.report(played)) == MOST_TOLD
        played.now += 5
        (message,) = self.report(played)
        assert message == (
            f"{500 - MOST_TOLD} more writes of P1 failed: {500 - MOST_TOLD} without an answer; "
            "the ledger names them"
        )
        assert self.report(played) == []

    async def test_an_item_that_is_gone_is_still_told_of(self):
        played, server = await connected(item(1))
        played.come(i1=double(5.0))
        server.answer(OUT_OF_RANGE)
        played.flow.remove([1])
        (message,) = self.report(played)
        assert "a node that is not mapped any more" in message
