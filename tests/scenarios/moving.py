"""A station whose values never stand still, judged by what arrives at the target server."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.scenarios.plants import Plant, node_id
from tests.scenarios.stations import Station, server_body
from tests.scenarios.waiting import eventually

#: How often every value of the source changes, in seconds.
PERIOD = 0.25


@dataclass
class Window:
    """What was seen at the servers between two instants of the monotonic clock."""

    began: float = 0.0
    ended: float = 0.0
    moved: int = 0
    written: int = 0
    on_the_way: int = 0
    requests: list[tuple[float, int, str]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Values written for each value that moved; one change of each may be on its way."""
        return (self.written + self.on_the_way) / max(self.moved, 1)

    def longest_gap(self, names: Sequence[str] = ()) -> float:
        """The longest time in which none of ``names`` (or nothing at all) was written."""
        known = frozenset(names)
        at = [when for when, _, first in self.requests if not known or first in known]
        edges = [self.began, *at, self.ended]
        return max(later - before for before, later in pairwise(edges))


class Moving:
    """Two pipes, one for each pipe worker, over ``tags`` that all move every `PERIOD`."""

    def __init__(self, station: Station, source: Plant, target: Plant, tags: Sequence[str]) -> None:
        self.station = station
        self.source = source
        self.target = target
        half = len(tags) // 2
        self.tags = list(tags)
        self.pipes = {"P1": self.tags[:half], "P2": self.tags[half:]}

    def configure(self) -> Moving:
        self.station.put_configuration(
            {
                "servers": [server_body("SRC", self.source), server_body("TGT", self.target)],
                "pipes": [{"name": name, "source": "SRC", "target": "TGT"} for name in self.pipes],
                "items": [
                    {"pipe": name, "source_node": node_id(tag), "target_node": node_id(tag)}
                    for name, tags in self.pipes.items()
                    for tag in tags
                ],
            }
        )
        return self

    def start(self, *, within: float = 30.0) -> None:
        """Let the values move, and wait until they arrive."""
        self.target.ask("traffic")
        self.source.ask("move", nodes=self.tags, seconds=PERIOD)
        eventually(self.arrives, within=within, what="values arrive at the target")

    def stop(self, *, within: float = 15.0) -> None:
        """Hold the values still: the target must become equal to the source."""
        self.source.ask("move", nodes=[])
        eventually(
            lambda: self.source.values(self.tags) == self.target.values(self.tags),
            within=within,
            what="the target equals the source",
        )

    def arrives(self, *, after: float = 0.0) -> bool:
        """Whether all pipes wrote within the last second and after an instant."""
        since = max(after, time.monotonic() - 1.0)
        recent = self.target.ask("traffic", since=since)["requests"]
        written = {first for _, _, first in recent}
        return all(written & set(tags) for tags in self.pipes.values())

    def last_write(self, *, since: float) -> float:
        """The instant of the newest Write request after ``since``; ``since`` if there is none."""
        requests = self.target.ask("traffic", since=since)["requests"]
        return float(requests[-1][0]) if requests else since

    @contextmanager
    def window(self) -> Iterator[Window]:
        """Watch the servers; the yielded window is complete at the end of the block."""
        found = Window(began=time.monotonic(), on_the_way=len(self.tags))
        before = self._counts(found.began)
        yield found
        after = self._counts(found.began)
        found.ended = time.monotonic()
        found.moved = after["moved"] - before["moved"]
        found.written = after["written"] - before["written"]
        found.requests = [tuple(request) for request in after["requests"]]

    def _counts(self, since: float) -> dict[str, Any]:
        there = self.target.ask("traffic", since=since)
        return {**there, "moved": self.source.ask("traffic", since=since)["moved"]}
