from __future__ import annotations

from typing import Any

import pytest

from pipes.core.endpoint_identity import representatives
from pipes.core.endpoints import normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("opc.tcp://PLC1:4840", "opc.tcp://plc1:4840"),
        ("opc.tcp://plc1:4840/", "opc.tcp://plc1:4840"),
        ("opc.tcp://plc1.plant.:4840/a/", "opc.tcp://plc1.plant:4840/a"),
        ("opc.tcp://localhost:4840", "opc.tcp://127.0.0.1:4840"),
        ("opc.tcp://127.0.0.1:4840", "opc.tcp://127.1.2.3:4840"),
        ("opc.tcp://[::1]:4840", "opc.tcp://a.localhost:4840"),
        ("opc.tcp://[2001:db8:0:0::5]:4840", "opc.tcp://[2001:DB8::5]:4840"),
        ("opc.tcp://[::ffff:10.0.0.5]:4840", "opc.tcp://10.0.0.5:4840"),
    ],
)
def test_spellings_of_one_address_are_the_same(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    "other",
    [
        "opc.tcp://plc2:4840",
        "opc.tcp://plc1:4841",
        "opc.tcp://plc1:4840/b",
        "opc.tcp://plc1:4840/A",
    ],
)
def test_other_hosts_ports_and_paths_are_other_servers(other: str) -> None:
    assert normalised("opc.tcp://plc1:4840/a") != normalised(other)


def server(endpoint: str, standby: str = "", **more: Any) -> dict[str, Any]:
    return (
        {"endpoint": f"opc.tcp://{endpoint}:4840"}
        | more
        | ({"standby_endpoint": f"opc.tcp://{standby}:4840"} if standby else {})
    )


def test_servers_of_one_address_have_one_representative() -> None:
    servers = {"B": server("PLC"), "A": server("plc"), "C": server("other")}
    assert representatives(servers) == {"A": "A", "B": "A", "C": "C"}


def test_servers_that_meet_on_the_standby_alone_are_the_same() -> None:
    """On the standby station B is reached where A is."""
    servers = {"A": server("plc1"), "B": server("plc2", standby="plc1"), "C": server("plc2")}
    assert representatives(servers) == {"A": "A", "B": "A", "C": "A"}


def test_stations_that_exchange_two_servers_see_two() -> None:
    servers = {"A": server("plc1", standby="plc2"), "B": server("plc2", standby="plc1")}
    assert representatives(servers) == {"A": "A", "B": "B"}


def test_a_member_of_a_set_is_the_set() -> None:
    members = {"mode": "manual", "endpoints": ["opc.tcp://plc1:4840", "opc.tcp://plc2:4840"]}
    servers = {"A": server("plc9", server_set=members), "B": server("plc2")}
    assert representatives(servers) == {"A": "A", "B": "A"}
