"""Every bridge of the bench carries values between two load servers, the product's worker too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.bridges import OURS, Bridge, all_bridges, has_node_opcua
from benchmarks.rig import LoadServer, wire_pair
from benchmarks.station import document, running_station
from benchmarks.trial import COST, DIFFERENCES, P50, P99, Load, one_run

ITEMS = 50

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[LoadServer, LoadServer]]:
    with wire_pair(ITEMS, kind="mixed") as pair:
        yield pair


@pytest.fixture(scope="module")
def bridges(servers: tuple[LoadServer, LoadServer]) -> Iterator[dict[str, Bridge]]:
    source, sink = servers
    with running_station(document(source.url, sink.url, ITEMS)) as station:
        yield {bridge.name: bridge for bridge in all_bridges(station, source, sink, ITEMS)}


@pytest.mark.parametrize(
    "name",
    [
        OURS,
        "asyncua_batch",
        "asyncua_tuned",
        pytest.param(
            "node_opcua",
            marks=[
                pytest.mark.node,
                pytest.mark.skipif(not has_node_opcua(), reason="node-opcua is not installed"),
            ],
        ),
    ],
)
def test_a_bridge_leaves_both_sides_equal(
    name: str, bridges: dict[str, Bridge], servers: tuple[LoadServer, LoadServer]
) -> None:
    source, sink = servers

    figures = one_run(bridges[name], source, sink, Load(rate=500.0, seconds=0.5, warm_up=0.3))

    assert figures[DIFFERENCES] == 0
    assert figures["confirmed/s"] > 0
    assert figures[COST] > 0
    assert 0 < figures[P50] <= figures[P99]
