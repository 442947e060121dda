"""GET /ledger over the real sockets of two pipe workers, whose ledgers are real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipes import ledger_answer
from pipes.core.binary import encode_data_value
from pipes.core.choices import Direction
from pipes.core.ledger import LEAST_VALUES, Batch, Ledger
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue, Variant, VariantType
from pipes.ledger_pages import read_ledger
from redundancy.command import CommandError, CommandServer
from tests.integration.rest_client import Rest, rest_as, rest_of_nobody

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


def double(number: float) -> bytes:
    return encode_data_value(DataValue(Variant(VariantType.DOUBLE, number)))


class PlayedPipe:
    """A pipe of a worker, as far as its ledger: writes are entered by the test."""

    def __init__(self, name: str, *items: int) -> None:
        self.pipe = SimpleNamespace(name=name, items=dict.fromkeys(items))
        self.ledger = Ledger(START)
        flow = SimpleNamespace(
            pipe=self.pipe,
            direction=Direction.FORWARD,
            writer=SimpleNamespace(ledger=self.ledger),
        )
        self.flows = (flow,)

    def sent(self, second: float, **values: float) -> Batch:
        wire = {int(name[1:]): double(number) for name, number in values.items()}
        return self.ledger.sending(START + int(second * SECOND), wire, None, {})

    def acked(self, second: float, **values: float) -> Batch:
        batch = self.sent(second, **values)
        self.ledger.acked(batch)
        return batch


class Workers:
    """Pipe workers' sockets, served by a loop in a thread of its own."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[CommandServer] = []

    def start(self, index: int, *pipes: Any, handler: Callable[..., Any] | None = None) -> None:
        async def handle(params: dict[str, Any]) -> Any:
            return (handler or ledger_answer.answer)(pipes, params)

        server = CommandServer(self._run_dir / f"pipes-{index}.sock", {"ledger": handle})
        self._await(server.start())
        self._servers.append(server)

    def stop(self) -> None:
        for server in self._servers:
            self._await(server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _await(self, work: Any) -> None:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(5)


@pytest.fixture
def workers(settings: Any, tmp_path: Path) -> Iterator[Workers]:
    settings.STATION = replace(settings.STATION, run_dir=tmp_path, pipe_workers=2)
    workers = Workers(tmp_path)
    yield workers
    workers.stop()


@pytest.fixture
def viewer(db: None) -> Rest:
    return rest_as("viewer")


def ask(viewer: Rest, query: str = "") -> dict[str, Any]:
    answer = viewer.get(f"/ledger{query}")
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def rows(body: dict[str, Any]) -> list[tuple[str, int, float]]:
    return [(row["at"][17:19], row["item"], row["sent"]["value"]) for row in body["results"]]


@pytest.fixture
def two(workers: Workers) -> tuple[PlayedPipe, PlayedPipe]:
    """Two pipes on two workers, whose writes took turns."""
    one, other = PlayedPipe("P1", 1, 2), PlayedPipe("P2", 3)
    for second in (0, 2, 4):
        one.acked(second, i1=second, i2=second + 100)
        other.acked(second + 1, i3=second + 1)
    workers.start(1, one)
    workers.start(2, other)
    return one, other


ALL = [
    ("05", 3, 5.0),
    ("04", 1, 4.0),
    ("04", 2, 104.0),
    ("03", 3, 3.0),
    ("02", 1, 2.0),
    ("02", 2, 102.0),
    ("01", 3, 1.0),
    ("00", 1, 0.0),
    ("00", 2, 100.0),
]


@pytest.mark.usefixtures("two")
class TestPages:
    def test_writes_of_all_workers_come_newest_first(self, viewer: Rest) -> None:
        body = ask(viewer)
        assert rows(body) == ALL
        assert (body["count"], body["next"], body["previous"]) == (9, None, None)

    @pytest.mark.parametrize("limit", [1, 2, 4, 9])
    def test_pages_put_together_are_the_whole_list(self, viewer: Rest, limit: int) -> None:
        found, query = [], f"?limit={limit}"
        while query:
            body = ask(viewer, query)
            assert body["count"] == 9
            found += rows(body)
            query = body["next"] and body["next"].partition("/ledger")[2]
        assert found == ALL

    def test_an_offset_behind_the_end_is_an_empty_page(self, viewer: Rest) -> None:
        assert (ask(viewer, "?offset=50")["results"], ask(viewer, "?offset=50")["count"]) == ([], 9)

    def test_a_row_has_the_fields_of_the_contract(self, viewer: Rest) -> None:
        row = ask(viewer, "?limit=1")["results"][0]
        assert row == {
            "at": "2027-01-15T08:00:05.000000Z",
            "item": 3,
            "pipe": "P2",
            "direction": "forward",
            "requested": {"value": 5.0, "status": "Good", "source_timestamp": None},
            "sent": {"value": 5.0, "status": "Good", "source_timestamp": None},
            "outcome": "acked",
            "status": "Good",
            "verified": None,
            "reason": "",
        }


class TestFilters:
    @pytest.fixture(autouse=True)
    def _writes(self, workers: Workers) -> None:
        pipe = PlayedPipe("P1", 1, 2)
        pipe.acked(0, i1=0)
        pipe.ledger.refused(pipe.sent(1, i1=1), {1: code_of("BadOutOfRange")})
        pipe.ledger.unanswered(pipe.sent(2, i2=2), "connection lost")
        read = pipe.acked(3, i1=3, i2=4)
        pipe.ledger.verified(read, 1)
        pipe.ledger.contradicted(read, read.part((2,)), "holds 100.0")
        workers.start(1, pipe)
        workers.start(2, PlayedPipe("P2", 3))

    @pytest.mark.parametrize(
        ("query", "values"),
        [
            ("item=1", [3, 1, 0]),
            ("item=99", []),
            ("pipe=p1&item=2", [4, 2]),
            ("pipe=P2", []),
            ("pipe=nobody", []),
            ("outcome=acked", [3, 4, 0]),
            ("outcome=rejected", [1]),
            ("outcome=unknown", [2]),
            ("verified=true", [3]),
            ("verified=false", [4]),
            ("outcome=rejected&item=2", []),
            ("ordering=-at&limit=1", [3]),
        ],
    )
    def test_a_filter_leaves_what_was_asked_for(
        self, viewer: Rest, query: str, values: list[float]
    ) -> None:
        body = ask(viewer, f"?{query}")
        assert [row["sent"]["value"] for row in body["results"]] == values

    def test_what_went_wrong_says_why(self, viewer: Rest) -> None:
        reasons = {row["sent"]["value"]: row["reason"] for row in ask(viewer)["results"]}
        assert reasons[1] == "the server refuses the value as out of range; the next value is tried"
        assert reasons[2] == "connection lost"
        assert reasons[4] == "holds 100.0"

    @pytest.mark.parametrize(
        "query",
        ["item=x", "outcome=perhaps", "verified=maybe", "ordering=at", "limit=0", "colour=red"],
    )
    def test_a_wrong_parameter_is_named(self, viewer: Rest, query: str) -> None:
        answer = viewer.get(f"/ledger?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == query.partition("=")[0]

    def test_search_looks_for_the_items_nodes_notes_and_pipes(self, viewer: Rest) -> None:
        engineer = rest_as("engineer")
        for name in ("SRC", "TGT"):
            engineer.post(
                "/servers",
                {
                    "name": name,
                    "endpoint": f"opc.tcp://127.0.0.1:1/{name}",
                    "security_policy": "None",
                    "security_mode": "None",
                },
            )
        engineer.post("/pipes", {"name": "P1", "source": "SRC", "target": "TGT"})
        for node in ("ns=1;s=Boiler", "ns=1;s=Pump"):
            made = engineer.post("/items", {"pipe": "P1", "source_node": node, "target_node": node})
            assert made.status_code == 201, made.content
        boiler = engineer.get("/items?search=boiler").json()["results"][0]["id"]
        found = ask(viewer, "?search=boiler")["results"]
        assert {row["item"] for row in found} <= {boiler}
        assert ask(viewer, f"?search=boiler&item={boiler + 1}")["results"] == []
        assert ask(viewer, "?search=nothing+like+it")["count"] == 0


class TestAway:
    def test_a_worker_that_is_away_is_named(self, workers: Workers, viewer: Rest) -> None:
        pipe = PlayedPipe("P1", 1)
        pipe.acked(0, i1=5)
        workers.start(1, pipe)
        body = ask(viewer)
        assert len(body["results"]) == 1
        assert body["notes"] == [
            "pipe worker 2 does not answer; what its pipes wrote is not in this list",
            "complete since 2027-01-15T08:00:00.000Z, when the last of these pipes began to run",
        ]

    def test_a_worker_that_goes_between_two_questions_is_named(
        self, workers: Workers, viewer: Rest
    ) -> None:
        pipe = PlayedPipe("P1", 1)
        pipe.acked(0, i1=5)

        def once(pipes: Any, params: dict[str, Any]) -> Any:
            if params["limit"]:
                raise CommandError("internal", "gone")
            return ledger_answer.answer(pipes, params)

        workers.start(1, pipe, handler=once)
        workers.start(2)
        body = ask(viewer)
        assert (body["results"], body["count"]) == ([], 1)
        assert body["notes"][0].startswith("pipe worker 1 does not answer")

    def test_without_any_worker_it_is_a_503_that_says_so(
        self, workers: Workers, viewer: Rest
    ) -> None:
        answer = viewer.get("/ledger")
        assert answer.status_code == 503
        assert answer.headers["Retry-After"]
        assert "no pipe worker answers" in answer.json()["detail"]

    def test_workers_without_a_pipe_have_no_writes_and_nothing_to_note(
        self, workers: Workers, viewer: Rest
    ) -> None:
        workers.start(1)
        workers.start(2)
        assert (ask(viewer)["results"], ask(viewer)["notes"]) == ([], [])

    def test_what_was_dropped_is_said(self, workers: Workers, viewer: Rest) -> None:
        pipe = PlayedPipe("P1", 1)
        for second in range(LEAST_VALUES + 3):
            pipe.acked(second, i1=second)
        workers.start(1, pipe)
        workers.start(2)
        body = ask(viewer, "?limit=1")
        assert body["count"] == LEAST_VALUES
        (note,) = body["notes"]
        assert note == (
            "complete since 2027-01-15T08:00:02.000Z; 3 older writes were dropped to bound the "
            "memory"
        )


def test_what_is_written_between_the_questions_does_not_shift_the_page(workers: Workers) -> None:
    pipe = PlayedPipe("P1", 1)
    for second in range(4):
        pipe.acked(second, i1=second)

    def writing(pipes: Any, params: dict[str, Any]) -> Any:
        answer = ledger_answer.answer(pipes, params)
        pipe.acked(100, i1=100)
        return answer

    workers.start(1, pipe, handler=writing)
    page = read_ledger({}, 1, 2)
    assert [row["sent"]["value"] for row in page.rows] == [2.0, 1.0]


def test_a_ledger_needs_a_viewer(db: None) -> None:
    assert rest_of_nobody().get("/ledger").status_code == 401
