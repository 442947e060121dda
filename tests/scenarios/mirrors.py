"""One pipe between two plants on a station, as the scenarios configure and judge it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.scenarios.plants import Plant, node_id
from tests.scenarios.stations import Station, server_body
from tests.scenarios.waiting import eventually

#: A machine that is busy with other things may take so many times longer; 1 is the promise.
TIME_SCALE = float(os.environ.get("MIRRORSITE_TEST_TIME_SCALE", "1"))


class Mirror:
    """A pipe from ``source`` to ``target``; ``names`` maps source names to target names."""

    def __init__(
        self,
        station: Station,
        source: Plant,
        target: Plant,
        names: Mapping[str, str] | Sequence[str],
        *,
        pipe: Mapping[str, Any] | None = None,
        item: Mapping[str, Any] | None = None,
        items: Mapping[str, Mapping[str, Any]] | None = None,
        servers: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.station = station
        self.source = source
        self.target = target
        self.names = dict(names) if isinstance(names, Mapping) else {name: name for name in names}
        more, each = servers or {}, items or {}
        self.configuration: dict[str, Any] = {
            "servers": [
                server_body("SRC", source, **more.get("SRC", {})),
                server_body("TGT", target, **more.get("TGT", {})),
            ],
            "pipes": [{"name": "P1", "source": "SRC", "target": "TGT", **(pipe or {})}],
            "items": [
                {
                    "pipe": "P1",
                    "source_node": node_id(name),
                    "target_node": node_id(written),
                    **(item or {}),
                    **each.get(name, {}),
                }
                for name, written in self.names.items()
            ],
        }
        self._ids: dict[str, int] = {}

    def apply(self, *, within: float = 15.0) -> Mirror:
        """Configure the station with this pipe alone; returns when the hosts have it."""
        plan = self.station.put_configuration(self.configuration)
        if plan.get("revision") is not None:
            self.applied(plan["revision"], within=within)
        self._ids.clear()
        return self

    def applied(self, revision: int, *, within: float = 15.0) -> None:
        eventually(
            lambda: self.station.get("/station")["revision"]["applied"] >= revision,
            within=within,
            what=f"revision {revision} applied",
        )

    def item_id(self, name: str) -> int:
        """The id of the item whose source node is ``name``."""
        if not self._ids:
            rows = self.station.get("/items?pipe=P1&limit=1000")["results"]
            self._ids = {row["source_node"].partition(";s=")[2]: row["id"] for row in rows}
        return self._ids[name]

    def item(self, name: str) -> dict[str, Any]:
        return self.station.item(self.item_id(name))

    def wait_for_item(self, name: str, state: str, *, within: float = 10.0) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.clear()
            seen.update(self.item(name))
            return seen["state"] == state

        eventually(look, within=within * TIME_SCALE, what=f"{name} is {state}: {seen}")
        return seen

    def server(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.station.get(f"/servers/{name}")["status"]
        return status

    def wait_for_server(self, name: str, state: str, *, within: float = 10.0) -> dict[str, Any]:
        return eventually(
            lambda: (status := self.server(name))["state"] == state and status,
            within=within * TIME_SCALE,
            what=f"{name} is {state}",
        )

    def differences(self) -> list[str]:
        """What of value, status and source timestamp is not the same on both sides."""
        there = self.target.read(list(self.names.values()))
        found = []
        for name, shown in self.source.read(list(self.names)).items():
            written = there[self.names[name]]
            if _facts(shown) != _facts(written):
                found.append(f"{name}: source {_facts(shown)}, target {_facts(written)}")
        return found


def assert_equal_final_state(mirror: Mirror, *, within: float = 5.0, fault: str = "") -> float:
    """Every target has value, status and source timestamp of its source; returns the seconds."""
    return took(
        fault or "equal final state",
        lambda: not mirror.differences(),
        within=within,
        what=lambda: f"differences: {mirror.differences()[:5]}",
    )


def took(
    fault: str,
    look: Callable[[], Any],
    *,
    within: float,
    what: Callable[[], str] | str = "",
) -> float:
    """Wait until ``look`` is true; print and return the seconds, at most ``within`` (scaled)."""
    began = time.monotonic()
    try:
        eventually(look, within=within * TIME_SCALE, every=0.02)
    except AssertionError as error:
        raise AssertionError(f"{fault}: {what() if callable(what) else what}; {error}") from None
    seconds = time.monotonic() - began
    sys.stdout.write(f"MEASURED {fault}: {seconds:.2f} s (at most {within:g})\n")
    return seconds


def _facts(shown: Mapping[str, Any]) -> tuple[Any, ...]:
    stamp = shown["stamp"]
    value = shown["value"]
    if isinstance(value, float) and value != value:  # NaN is not itself
        value = "NaN"
    return value, shown["status"], None if stamp is None else stamp // 1000


@contextmanager
def disturbed(plant: Plant) -> Iterator[None]:
    """Stop a server like a debugger or a page fault does; it goes on when the block ends."""
    plant.pause()
    try:
        yield
    finally:
        plant.resume()
