"""Who reads and who writes which node, over all pipes: what loops and conflicts are found in.

A *place* is a node of a server, as text: servers that are the same count as one, and a node has one
spelling. Only what is switched on moves values: item, pipe and both servers enabled, and the pipe
no dry run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipes.core.configuration import Configuration
from pipes.core.endpoint_identity import representatives
from pipes.core.fields import Body
from pipes.core.node_ids import NodeIdError, to_uri_form

#: Cannot be in the name of a server or pipe: it stands between server and node in a place.
BETWEEN: Final = "/"

Tables = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Spelling:
    """How nodes of a server with a known namespace table are spelled.

    An index that moves becomes its URI; the server's own URI is index 1 (Part 5, 6.3.1). Only
    nodes that begin with one of ``prefixes`` may be spelled otherwise.
    """

    table: Sequence[str]
    prefixes: tuple[str, ...]

    def of(self, node: str) -> str:
        if not node.startswith(self.prefixes):
            return node
        try:
            return to_uri_form(node, self.table)
        except NodeIdError:
            return node


Side = tuple[str, str, Spelling | None, Spelling | None]
"""Of a pipe that moves values: what stands before its nodes, and how they are spelled."""


@dataclass(frozen=True, slots=True)
class Move:
    """One direction of an item. ``part`` is the index range that it reads or writes at a place."""

    item: int
    reads: str
    writes: str
    read_part: str = ""
    written_part: str = ""
    is_both: bool = False


@dataclass(slots=True)
class Moves:
    """``writers`` and ``readers`` are items by place; `of` gives the moves of an item."""

    configuration: Configuration
    sides: Mapping[str, Side]
    writers: dict[str, int] = field(default_factory=dict)
    more_writers: dict[str, list[int]] = field(default_factory=dict)
    readers: set[str] = field(default_factory=set)
    onto_itself: list[int] = field(default_factory=list)

    def of(self, item: int) -> Iterator[Move]:
        body = self.configuration.items[item]
        source, target = places(body, self.sides[str(body["pipe"])])
        direction = body.get("direction", "forward")
        part = str(body.get("index_range", ""))
        is_both = direction == "both"
        if direction != "reverse":
            yield Move(item, source, target, part, "", is_both)
        if direction != "forward":
            yield Move(item, target, source, "", part, is_both)

    def all_writers(self, place: str) -> list[int]:
        first = self.writers.get(place)
        return [] if first is None else [first, *self.more_writers.get(place, ())]

    def read_as_well_as_written(self) -> set[str]:
        return self.readers & self.writers.keys()


def places(body: Body, side: Side) -> tuple[str, str]:
    """Source and target of an item as places."""
    before_source, before_target, source_spelling, target_spelling = side
    (source,) = _spelled([body["source_node"]], source_spelling)
    (target,) = _spelled([body["target_node"]], target_spelling)
    return before_source + source, before_target + target


def meeting_items(configuration: Configuration, tables: Tables | None = None) -> list[int]:
    """The items that write a node which is read, or written, by any item; in order.

    No others can be part of a loop or a conflict. Few items do, and 30,000 are asked with every
    save: so this compares whole lists of nodes, and looks at no item by itself.
    """
    sides = _sides(configuration, tables or {})
    read: defaultdict[str, set[str]] = defaultdict(set)
    written: defaultdict[str, set[str]] = defaultdict(set)
    shared: defaultdict[str, set[str]] = defaultdict(set)
    writing: list[tuple[str, list[int], list[str]]] = []
    for (pipe, direction), (numbers, sources, targets) in _grouped(configuration, sides).items():
        before_source, before_target, source_spelling, target_spelling = sides[pipe]
        ends = [
            (before_source, _spelled(sources, source_spelling)),
            (before_target, _spelled(targets, target_spelling)),
        ]
        for (reads, from_nodes), (writes, to_nodes) in _turned(ends, direction):
            read[reads].update(from_nodes)
            nodes = set(to_nodes)
            shared[writes] |= nodes & written[writes]
            if len(nodes) < len(to_nodes):
                shared[writes] |= {node for node, count in Counter(to_nodes).items() if count > 1}
            written[writes] |= nodes
            writing.append((writes, numbers, to_nodes))
    for server, nodes in written.items():
        shared[server] |= nodes & read[server]
    return sorted(
        {
            number
            for server, numbers, to_nodes in writing
            if (meeting := shared[server])
            for number, node in zip(numbers, to_nodes, strict=True)
            if node in meeting
        }
    )


_Group = tuple[list[int], list[Any], list[Any]]


def _grouped(
    configuration: Configuration, sides: Mapping[str, Side]
) -> dict[tuple[str, object], _Group]:
    """Items that are switched on, their source and their target nodes, by pipe and direction."""
    groups: defaultdict[tuple[Any, object], _Group] = defaultdict(lambda: ([], [], []))
    for number, body in configuration.items.items():
        if body.get("enabled", True) is not False:
            numbers, sources, targets = groups[body["pipe"], body.get("direction")]
            numbers.append(number)
            sources.append(body["source_node"])
            targets.append(body["target_node"])
    return {key: group for key, group in groups.items() if key[0] in sides}


def _spelled(nodes: list[Any], spelling: Spelling | None) -> list[str]:
    if spelling is None:
        return nodes
    prefixes, spell = spelling.prefixes, spelling.of
    return [spell(node) if node.startswith(prefixes) else node for node in nodes]


End = tuple[str, list[str]]


def _turned(ends: list[End], direction: object) -> Iterator[tuple[End, End]]:
    """What is read and what is written, once for each way of the direction."""
    source, target = ends
    if direction != "reverse":
        yield source, target
    if direction not in {None, "forward"}:
        yield target, source


def moves_of(
    configuration: Configuration,
    tables: Tables | None = None,
    items: Iterable[int] | None = None,
) -> Moves:
    """All that moves values, or what these ``items`` move.

    ``tables`` are the namespace tables of servers that are known.
    """
    moves = Moves(configuration, _sides(configuration, tables or {}))
    sides, writers, readers = moves.sides, moves.writers, moves.readers
    for number in configuration.items if items is None else items:
        body = configuration.items[number]
        side = sides.get(body["pipe"])  # type: ignore[arg-type]
        if side is None or body.get("enabled", True) is False:
            continue
        source, target = places(body, side)
        if source == target:
            moves.onto_itself.append(number)
            continue
        direction = body.get("direction")
        if direction != "reverse":
            readers.add(source)
            if writers.setdefault(target, number) != number:
                moves.more_writers.setdefault(target, []).append(number)
        if direction is not None and direction != "forward":
            readers.add(target)
            if writers.setdefault(source, number) != number:
                moves.more_writers.setdefault(source, []).append(number)
    return moves


def _sides(configuration: Configuration, tables: Tables) -> dict[str, Side]:
    """By pipe that moves values."""
    same = representatives(configuration.servers)
    known: dict[str, Sequence[str]] = {}
    for name, table in tables.items():
        if name in same:
            known.setdefault(same[name], table)
    spellings = {name: _spelling(table) for name, table in known.items()}
    sides = {}
    for name, pipe in configuration.pipes.items():
        ends = [str(pipe["source"]), str(pipe["target"])]
        if not is_moving(configuration, pipe):
            continue
        source, target = (same[end] for end in ends)
        sides[name] = (
            source + BETWEEN, target + BETWEEN, spellings.get(source), spellings.get(target),
        )  # fmt: skip
    return sides


def is_moving(configuration: Configuration, pipe: Body) -> bool:
    """Whether a pipe writes: it and its servers are enabled, and it is no dry run."""
    servers = (configuration.servers.get(str(pipe[end])) for end in ("source", "target"))
    return (
        pipe.get("enabled", True) is not False
        and not pipe.get("dry_run", False)
        and all(server is not None and server.get("enabled", True) for server in servers)
    )


def _spelling(table: Sequence[str]) -> Spelling:
    own = (f"nsu={table[1]};",) if len(table) > 1 else ()
    return Spelling(table, ("ns=", *own))


def overlap(one: str, other: str) -> bool:
    """Whether two index ranges have an element in common; "" is the whole value."""
    if not one or not other:
        return True
    return all(
        low <= other_high and other_low <= high
        for (low, high), (other_low, other_high) in zip(_bounds(one), _bounds(other), strict=False)
    )


def _bounds(text: str) -> Iterator[tuple[int, int]]:
    for dimension in text.split(","):
        low, _, high = dimension.partition(":")
        yield int(low), int(high or low)
