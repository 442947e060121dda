"""Indices become URIs once a server's namespace table is known, in a revision by system."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pipes import namespaces, services
from pipes.models import Item, Revision, Server
from redundancy.command import CommandServer
from redundancy.loop_thread import LoopThread

TABLES = {
    "PLC": ["http://opcfoundation.org/UA/", "urn:plc:self", "urn:plant:a"],
    "DCS": ["http://opcfoundation.org/UA/", "urn:dcs:self", "urn:x", "urn:plant:b"],
}


@pytest.fixture
def configured(transactional_db):
    services.apply_document(
        {
            "format": "mirrorsite",
            "version": 1,
            "servers": [
                {
                    "name": name,
                    "endpoint": f"opc.tcp://127.0.0.1:{port}",
                    "security_policy": "None",
                    "security_mode": "None",
                }
                for name, port in (("PLC", 4841), ("DCS", 4842))
            ],
            "pipes": [{"name": "P1", "source": "PLC", "target": "DCS"}],
            "items": [
                {"pipe": "P1", "source_node": "ns=2;s=T1", "target_node": "ns=3;s=T1"},
                {"pipe": "P1", "source_node": "ns=1;s=T2", "target_node": "i=2258"},
                {"pipe": "P1", "source_node": "ns=9;s=T3", "target_node": "ns=3;s=T3"},
                {
                    "pipe": "P1",
                    "source_node": "i=2256",
                    "target_node": "i=2257",
                    "condition": {"node": "ns=2;s=Run", "equals": True},
                },
            ],
        },
        user="anna",
        reason="first",
    )


@pytest.fixture
def pipe_host(settings):
    """A host that knows the tables, at the socket where the first pipe worker answers."""
    path = settings.STATION.host_socket(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    serving = threading.Event()

    async def tables(_params):
        return TABLES

    async def serve():
        server = CommandServer(path, {"namespaces": tables})
        await server.start()
        serving.set()
        try:
            await asyncio.Event().wait()
        finally:
            await server.stop()

    loop = LoopThread("tables")
    loop.start(serve)
    assert serving.wait(5)
    yield
    loop.stop()
    path.unlink(missing_ok=True)


def nodes():
    return list(Item.objects.order_by("id").values_list("source_node", "target_node"))


def test_indices_are_kept_while_no_table_is_known(configured):
    assert namespaces.learn_and_replace() == 0
    assert nodes()[0] == ("ns=2;s=T1", "ns=3;s=T1")


def test_known_indices_are_replaced_in_a_revision_by_system(configured, pipe_host):
    assert namespaces.learn_and_replace() == 3

    assert nodes() == [
        ("nsu=urn:plant:a;s=T1", "nsu=urn:plant:b;s=T1"),
        ("ns=1;s=T2", "i=2258"),
        ("ns=9;s=T3", "nsu=urn:plant:b;s=T3"),
        ("i=2256", "i=2257"),
    ]
    condition = Item.objects.order_by("id").last().trimmed["condition"]
    assert condition == {"node": "nsu=urn:plant:a;s=Run", "equals": True}
    revision = Revision.objects.order_by("-number").first()
    assert (revision.user, revision.reason) == ("system", "namespace indices replaced by URIs")
    assert Server.objects.get(name="PLC").namespaces == TABLES["PLC"]


def test_a_second_turn_changes_nothing(configured, pipe_host):
    namespaces.learn_and_replace()
    revision = services.current_revision()

    assert namespaces.learn_and_replace() == 0
    assert services.current_revision() == revision
