"""What the linter knows of a node of a server: its attributes, as they were read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipes.core.matching import CAN_READ, CAN_WRITE
from pipes.core.values import is_bad
from pipes.core.wanted import Json


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """``status`` is Bad if there is no such node. ``type`` is the name of the built-in type or of
    an abstract one, "" if it is not known, as is a rank of None. ``minimum_sampling_ms`` is None
    where the server does not say; ``has_range`` is None where it was not asked.
    """

    status: int = 0
    type: str = ""
    rank: int | None = None
    access: int = CAN_READ | CAN_WRITE
    minimum_sampling_ms: float | None = None
    has_range: bool | None = None

    @property
    def is_missing(self) -> bool:
        return is_bad(self.status)

    def row(self) -> list[Json]:
        """As a pipe worker answers it."""
        return [
            self.status, self.type, self.rank, self.access, self.minimum_sampling_ms,
            self.has_range,
        ]  # fmt: skip


def from_row(row: Sequence[Json]) -> NodeFacts:
    """What `NodeFacts.row` was made of.

    Raises:
        ValueError: it is no such row.
    """
    match row:
        case [
            int(status),
            str(kind),
            int() | None as rank,
            int(access),
            int() | float() | None as sampling,
            bool() | None as has_range,
        ]:
            return NodeFacts(status, kind, rank, access, sampling, has_range)
        case _:
            raise ValueError(f"{row!r} is no row of facts")


@dataclass(frozen=True, slots=True)
class Known:
    """Facts by server and node, and why other nodes of a server could not be read."""

    nodes: Mapping[str, Mapping[str, NodeFacts]]
    unread: Mapping[str, tuple[int, str]]
    """By server how many nodes were not read, and why."""
    ignoring: Collection[str] = ()
    """Servers that ignore an IndexRange (Part 4, 7.27)."""
