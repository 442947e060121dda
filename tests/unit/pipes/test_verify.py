"""Items whose writes are read back: what is read, when, and what becomes of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipes.core.binary import encode_data_value
from pipes.core.choices import Direction, ItemState
from pipes.core.incidents import Trouble
from pipes.core.ledger import Query, find
from pipes.core.status_codes import code_of
from pipes.core.values import DataValue
from pipes.core.verification import PATIENCE_SECONDS, SETTLE_SECONDS
from pipes.status import item_state, item_status, pipe_status
from tests.unit.pipes.flows import (
    PlayedFlow,
    double,
    item,
    play_reads,
    play_targets,
    settle,
)

NOT_READABLE = encode_data_value(DataValue(None, code_of("BadNotReadable")))


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    play_targets(monkeypatch)
    play_reads(monkeypatch)


async def connected(*items, **more):
    played = PlayedFlow(*items, **more)
    await played.connect_reader()
    return played, await played.connect_writer()


def verified(played):
    """Of each write in the ledger, newest first: item and whether it was verified."""
    page = find([played.flow.writer.ledger], Query(), 0, 1000).page
    return [(entry.handle, entry.verified) for _, entry in page]


def runner(played):
    idle = PlayedFlow()
    return SimpleNamespace(
        pipe=played.flow.pipe,
        flows=(played.flow, idle.flow),
        forward=played.flow,
        reverse=idle.flow,
        state=(SimpleNamespace(value="running"), ""),
        writes=0,
        rate=SimpleNamespace(per_second=lambda now, writes: 0.0),
    )


async def write(played, server, number, handle=1):
    played.come(**{f"i{handle}": double(number)})
    server.answer()
    await settle()


async def test_an_acknowledged_write_is_read_back_and_verified():
    played, server = await connected(item(1, verify=True), item(2))
    played.come(i1=double(5.0), i2=double(6.0))
    assert server.reads == []
    server.answer()
    await settle()
    prefixes, _ = server.reads[0]
    assert prefixes == [played.flow.targets.prefixes[1]], "only the item that asks for it"

    await server.answer_read(double(5.0))

    assert sorted(verified(played)) == [(1, True), (2, None)]
    assert item_status(runner(played), item(1, verify=True))["verified"] is True
    assert item_status(runner(played), item(2))["verified"] is None


async def test_nothing_is_read_where_no_item_asks_for_it():
    played, server = await connected(item(1))
    await write(played, server, 5.0)
    await played.tick(5.0)
    assert server.reads == []
    assert played.flow.writer.read_back is None


async def contradicted(played, server, wrote=150.0, holds=100.0):
    await write(played, server, wrote)
    await server.answer_read(double(holds))
    await played.tick(SETTLE_SECONDS)
    await server.answer_read(double(holds))


async def contradicted_again(played, server):
    """The target is known to alter values: there is no second look."""
    await write(played, server, 160.0)
    await server.answer_read(double(100.0))


async def test_another_value_on_the_target_is_an_error_of_the_item_and_an_event():
    played, server = await connected(item(1, verify=True))
    await contradicted(played, server)

    state, reason = item_state(runner(played), item(1, verify=True))
    assert state is ItemState.ERROR
    assert reason == (
        "wrote 150.0, but TGT holds 100.0: another client writes the node or the server alters "
        "values; the next change is written again"
    )
    assert verified(played) == [(1, False)]
    (incident,), _ = played.flow.incidents.take()
    assert (incident.trouble, incident.value, incident.found) == (
        Trouble.MISMATCH,
        double(150.0),
        double(100.0),
    )
    status = item_status(runner(played), item(1, verify=True))
    assert (status["verified"], status["errors"]) == (False, 1)
    assert status["last_error"]["message"] == reason
    assert played.flow.failing() == [(1, reason)]
    assert not server.sent, "it is reported, and not written again"


async def test_the_next_change_is_written_and_ends_the_error():
    played, server = await connected(item(1, verify=True))
    await contradicted(played, server)
    await write(played, server, 50.0)
    assert item_state(runner(played), item(1, verify=True))[0] is ItemState.ERROR
    await server.answer_read(double(50.0))
    assert item_state(runner(played), item(1, verify=True))[0] is ItemState.GOOD
    assert verified(played) == [(1, True), (1, False)]
    assert played.flow.failing() == []


async def test_a_contradiction_that_goes_on_is_one_event():
    played, server = await connected(item(1, verify=True))
    await contradicted(played, server)
    await contradicted_again(played, server)
    incidents, _ = played.flow.incidents.take()
    assert len(incidents) == 1
    assert played.flow.faults.last[1].count == 1
    await contradicted_again(played, server)
    assert played.flow.faults.last[1].count == 2, "the same once more"
    assert played.flow.faults.total == 3


async def test_a_newer_write_of_ours_ends_the_look_at_the_older():
    played, server = await connected(item(1, verify=True))
    await write(played, server, 5.0)
    played.come(i1=double(6.0))
    await server.answer_read(double(6.0))
    assert verified(played) == [(1, None)]
    server.answer()
    await settle()
    await server.answer_read(double(6.0))
    assert verified(played) == [(1, True), (1, None)]


async def test_one_round_of_reads_is_on_its_way_at_a_time():
    played, server = await connected(item(1, verify=True), item(2, verify=True))
    await write(played, server, 5.0, handle=1)
    await write(played, server, 6.0, handle=2)
    assert len(server.reads) == 1
    await server.answer_read(double(5.0))
    await server.answer_read(double(6.0))
    assert sorted(verified(played)) == [(1, True), (2, True)]


async def test_a_target_too_slow_to_be_read_leaves_writes_unverified_and_counted():
    played, server = await connected(item(1, verify=True))
    await write(played, server, 5.0)
    await played.tick(PATIENCE_SECONDS + 1)
    await server.answer_read(double(5.0))
    assert verified(played) == [(1, None)]
    body = pipe_status(runner(played))
    assert (body["verified"], body["mismatched"], body["unverified"]) == (0, 0, 1)


async def test_a_read_that_failed_is_tried_again():
    played, server = await connected(item(1, verify=True))
    await write(played, server, 5.0)
    await server.answer_read()
    assert server.reads == []
    await played.tick(SETTLE_SECONDS)
    await server.answer_read(double(5.0))
    assert verified(played) == [(1, True)]


async def test_a_node_that_cannot_be_read_is_said_and_is_no_error():
    played, server = await connected(item(1, verify=True))
    await write(played, server, 5.0)
    await server.answer_read(NOT_READABLE)
    assert item_state(runner(played), item(1, verify=True)) == (
        ItemState.GOOD,
        "written, but TGT does not let it be read back: BadNotReadable",
    )
    assert verified(played) == [(1, None)]


async def test_a_lost_session_ends_the_looks():
    played, server = await connected(item(1, verify=True))
    await write(played, server, 5.0)
    played.lose_writer()
    await settle()
    server = await played.connect_writer()
    await played.tick(SETTLE_SECONDS)
    assert played.flow.read_back.checks.unverified == 1
    while server.sent:
        server.answer()
    await settle()
    assert len(server.reads) == 1, "what is written in the new session is looked at"


async def test_what_the_target_of_both_directions_changes_is_no_error():
    played, server = await connected(item(1, verify=True, direction=Direction.BOTH))
    played.flow.echoes._guards.clear()  # the guard has tests of its own
    await write(played, server, 150.0)
    await server.answer_read(double(100.0))
    await played.tick(SETTLE_SECONDS)
    await server.answer_read(double(100.0))
    assert verified(played) == [(1, None)]
    assert played.flow.failing() == []


async def test_an_item_that_is_taken_out_leaves_nothing_behind():
    played, server = await connected(item(1, verify=True))
    await contradicted(played, server)
    await write(played, server, 160.0)
    played.flow.remove([1])
    await server.answer_read(double(100.0))
    assert played.flow.failing() == []
    await played.tick(SETTLE_SECONDS)
    assert server.reads == []


async def test_a_node_that_is_being_read_anew_is_looked_at_later():
    played, server = await connected(item(1, verify=True))
    played.come(i1=double(5.0))
    prefix = played.flow.targets.prefixes.pop(1)
    server.answer()
    await settle()
    assert server.reads == []
    played.flow.targets.prefixes[1] = prefix
    await played.tick(SETTLE_SECONDS)
    await server.answer_read(double(5.0))
    assert verified(played) == [(1, True)]


async def test_the_status_of_the_pipe_counts_its_ledger():
    played, server = await connected(item(1, verify=True), item(2))
    played.come(i1=double(5.0), i2=double(6.0))
    server.answer(0, code_of("BadOutOfRange"))
    await settle()
    await server.answer_read(double(5.0))
    body = pipe_status(runner(played))
    assert (body["rejected"], body["verified"], body["ledger_values"]) == (1, 1, 2)
    assert body["ledger_dropped"] == 0
    assert body["ledger_since"].endswith("Z")
