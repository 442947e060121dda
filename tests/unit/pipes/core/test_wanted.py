from __future__ import annotations

from pipes.core.wanted import Pipe, Server, Wanted


def test_a_pipe_runs_if_it_and_both_of_its_servers_are_enabled() -> None:
    servers = {
        name: Server(name, "opc.tcp://127.0.0.1:1", enabled=name != "OFF")
        for name in ["A", "B", "OFF"]
    }
    pipes = {
        "P2": Pipe("P2", "A", "B", {}),
        "P1": Pipe("P1", "B", "A", {}),
        "P3": Pipe("P3", "A", "B", {}, enabled=False),
        "P4": Pipe("P4", "OFF", "B", {}),
        "P5": Pipe("P5", "A", "OFF", {}),
    }

    assert Wanted(1, servers, pipes).running == ["P1", "P2"]
