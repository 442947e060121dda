"""One pipe with real flows, on connections that were never started."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from pipes.connections import ServerConnection
from pipes.core.wanted import Item, Pipe, Server
from pipes.pki import Pki
from pipes.runner import ITEMS_A_STEP, PipeRunner


async def test_a_pipe_gives_signs_of_life_while_it_takes_thousands_of_items_in(tmp_path):
    """The supervisor kills a worker whose loop stands still, and building all takes longer."""
    items = {
        number: Item(number, "nsu=urn:plant;s=T", "nsu=urn:plant;s=T")
        for number in range(1, 2 * ITEMS_A_STEP + 2)
    }
    pki = Pki(tmp_path)
    servers = (Server(name, "opc.tcp://127.0.0.1:1") for name in ("A", "B"))
    source, target = (ServerConnection(server, pki, "urn:TEST") for server in servers)
    gate: Any = SimpleNamespace(target=lambda _: SimpleNamespace(may_write=lambda: False))
    signs: list[None] = []

    runner = PipeRunner(
        Pipe("P", "A", "B", items), source, target, gate, partial(signs.append, None)
    )

    assert len(signs) == 3
    assert runner.forward.items.keys() == items.keys()
