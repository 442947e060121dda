from __future__ import annotations

from typing import Any

import pytest

from pipes.core import wanted
from pipes.core.choices import (
    DeadbandType,
    Direction,
    Failover,
    Quality,
    SecurityMode,
    ServerSetMode,
)
from pipes.core.configuration import Configuration
from pipes.core.loading import LoadingError, wanted_from

SERVERS = {
    "A": {"name": "A", "endpoint": "opc.tcp://h:1", "note": "north"},
    "B": {"name": "B", "endpoint": "opc.tcp://h:2", "security_mode": "Sign", "native": True},
}
PIPES: dict[str, Any] = {
    "P": {"name": "P", "source": "A", "target": "B", "quality": "hold", "hold_seconds": 5}
}
ITEM = {"id": 4, "pipe": "P", "source_node": "i=1", "target_node": "i=2"}
MORE = {
    "id": 5,
    "pipe": "P",
    "source_node": "i=3",
    "target_node": "i=4",
    "direction": "both",
    "deadband": {"type": "absolute", "value": 1},
    "transform": {"kind": "linear", "gain": 2, "offset": 0},
}


def test_what_is_left_out_has_the_default_of_the_type() -> None:
    loaded = wanted_from(Configuration(SERVERS, PIPES, {4: ITEM}, 7), {"B": "secret"})
    assert loaded.revision == 7
    assert loaded.servers["A"] == wanted.Server("A", "opc.tcp://h:1")
    assert loaded.servers["B"].password == "secret"
    assert loaded.servers["B"].security_mode is SecurityMode.SIGN
    assert loaded.pipes["P"].items == {4: wanted.Item(4, "i=1", "i=2")}
    assert loaded.pipes["P"].quality is Quality.HOLD
    assert type(loaded.pipes["P"].hold_seconds) is float


def test_values_have_the_types_that_hosts_run() -> None:
    item = wanted_from(Configuration(SERVERS, PIPES, {5: MORE}), {}).pipes["P"].items[5]
    assert item.direction is Direction.BOTH
    assert item.deadband == wanted.Deadband(DeadbandType.ABSOLUTE, 1.0)
    assert item.transform == {"kind": "linear", "gain": 2, "offset": 0}


@pytest.mark.parametrize(
    "broken",
    [
        Configuration({"A": {"name": "A"}}),
        Configuration({"A": {**SERVERS["A"], "auth": "kerberos"}}),
        Configuration(SERVERS, {"P": {"name": "P", "source": "A"}}),
        Configuration(SERVERS, {"P": {**PIPES["P"], "target": "X"}}),
        Configuration(SERVERS, {}, {4: ITEM}),
        Configuration(SERVERS, PIPES, {4: {**ITEM, "deadband": 5}}),
        Configuration(SERVERS, PIPES, {4: {**ITEM, "refresh_seconds": "x"}}),
    ],
)
def test_a_broken_configuration_is_a_defined_failure(broken: Configuration) -> None:
    with pytest.raises(LoadingError):
        wanted_from(broken, {})


def test_a_server_set_is_loaded_with_its_endpoints() -> None:
    server_set = {"mode": "manual", "endpoints": ["opc.tcp://h:2"], "failover": "hot"}
    body = {"name": "S", "endpoint": "opc.tcp://h:1", "server_set": server_set}

    loaded = wanted_from(Configuration({"S": body}, {}, {}, 1, 1), {}).servers["S"]

    assert loaded.server_set == wanted.ServerSet(
        ServerSetMode.MANUAL, ("opc.tcp://h:2",), Failover.HOT
    )
