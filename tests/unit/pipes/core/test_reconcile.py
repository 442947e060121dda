"""Changing one thing disturbs that thing only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipes.core.choices import CodecName
from pipes.core.reconcile import PipeChange, changed_servers, pipe_change
from pipes.core.wanted import Item, Pipe, Server

TEMPERATURE = Item(id=1, source_node="ns=2;s=T", target_node="ns=2;s=T")
PRESSURE = Item(id=2, source_node="ns=2;s=P", target_node="ns=2;s=P")
FLOW = Item(id=3, source_node="ns=2;s=F", target_node="ns=2;s=F")
PIPE = Pipe("P1", source="PLC", target="DCS", items={1: TEMPERATURE, 2: PRESSURE})


def with_items(*items: Item) -> Pipe:
    return replace(PIPE, items={item.id: item for item in items})


def test_an_equal_pipe_is_left_alone():
    change = pipe_change(PIPE, with_items(TEMPERATURE, PRESSURE))

    assert change == PipeChange()
    assert change.is_nothing


def test_a_new_item_is_added_and_a_missing_one_removed():
    change = pipe_change(PIPE, with_items(TEMPERATURE, FLOW))

    assert change == PipeChange(removed=frozenset({2}), added=(FLOW,))
    assert not change.is_nothing


def test_a_changed_item_is_taken_out_and_put_in_again():
    slower = replace(PRESSURE, minimum_interval_ms=500)

    change = pipe_change(PIPE, with_items(TEMPERATURE, slower))

    assert change == PipeChange(removed=frozenset({2}), added=(slower,))


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "PLC2"},
        {"publishing_interval_ms": 500},
        {"codec": CodecName.DECODE},
    ],
    ids=str,
)
def test_a_change_of_the_pipe_itself_restarts_it(changes):
    change = pipe_change(PIPE, replace(PIPE, **changes))

    assert change == PipeChange(restart=True)
    assert not change.is_nothing


def test_servers_that_differ_or_are_gone_are_named():
    plc, dcs, skid = (
        Server(n, f"opc.tcp://127.0.0.1:{p}") for n, p in [("PLC", 1), ("DCS", 2), ("SKID", 3)]
    )
    actual = {"PLC": plc, "DCS": dcs, "SKID": skid}
    wanted = {"PLC": plc, "DCS": replace(dcs, username="anna")}

    assert changed_servers(actual, wanted) == {"DCS", "SKID"}
