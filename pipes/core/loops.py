"""Loops in the moves of values: a way that leads from a node back to it, through any pipes.

An item of both directions is a way there and a way back, and no loop by itself: its echo is
suppressed. So a loop needs different items. Within a set of nodes that reach each other (strongly
connected, Tarjan 1972) there is one if any item goes one way only, or if there are as many items of
both directions as nodes; else they are a tree, which is how one value is kept equal at many nodes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipes.core.moves import Move, Moves, overlap

#: Where parts of arrays are moved, ways are tried one by one; so many steps, then it is given up.
MOST_STEPS: Final = 200_000

Loop = tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Untold:
    """Items that move parts of arrays in too many ways to tell whether they are a loop."""

    items: tuple[int, ...]


class _GaveUpError(Exception):
    """The steps are used up; never leaves this module."""


def find_loops(moves: Moves, most_steps: int = MOST_STEPS) -> Iterator[Loop | Untold]:
    """One loop of each set of nodes that reach each other, the shortest through one of its items.

    A set that cannot be told within ``most_steps`` is told to be `Untold`.
    """
    for group in _groups(_ways(moves)):
        if any(move.read_part or move.written_part for move in group):
            try:
                loop = _loop_of_parts(group, most_steps)
            except _GaveUpError:
                yield Untold(tuple(sorted({move.item for move in group})))
                continue
        else:
            loop = _loop(group)
        if loop is not None:
            yield loop


def _ways(moves: Moves) -> dict[str, list[Move]]:
    """The moves that can be part of a loop, by the place that they read."""
    between = moves.read_as_well_as_written()
    ways: dict[str, list[Move]] = {}
    for item in sorted(_candidates(moves, between)):
        for move in moves.of(item):
            if move.reads in between and move.writes in between:
                ways.setdefault(move.reads, []).append(move)
    return ways


def _candidates(moves: Moves, between: set[str]) -> set[int]:
    """The items that write these places, without those that stand alone.

    An item of both directions that alone writes both of its places is met by no other.
    """
    alone = Counter(moves.writers[place] for place in between - moves.more_writers.keys())
    shared = (moves.all_writers(place) for place in between & moves.more_writers.keys())
    return {item for item, count in alone.items() if count < 2}.union(*shared)


def _groups(ways: Mapping[str, Sequence[Move]]) -> Iterator[list[Move]]:
    """The moves within each set of places that reach each other."""
    for component in _components(ways):
        if len(component) > 1:
            places = set(component)
            yield [
                move for place in component for move in ways.get(place, ()) if move.writes in places
            ]


def _components(ways: Mapping[str, Sequence[Move]]) -> Iterator[list[str]]:
    """The sets of places that reach each other."""
    search = _Search(ways)
    for root in ways:
        if root not in search.order:
            yield from search.components_from(root)


class _Search:
    """Tarjan's algorithm without recursion."""

    def __init__(self, ways: Mapping[str, Sequence[Move]]) -> None:
        self.order: dict[str, int] = {}
        self._ways = ways
        self._lowest: dict[str, int] = {}
        self._stack: list[str] = []
        self._on_stack: set[str] = set()
        self._visits: list[tuple[str, Iterator[Move]]] = []

    def components_from(self, root: str) -> Iterator[list[str]]:
        self._enter(root)
        while self._visits:
            place, left = self._visits[-1]
            if self._goes_deeper(place, left):
                continue
            self._visits.pop()
            if self._visits:
                above = self._visits[-1][0]
                self._lowest[above] = min(self._lowest[above], self._lowest[place])
            if self._lowest[place] == self.order[place]:
                yield list(self._popped(place))

    def _enter(self, place: str) -> None:
        self.order[place] = self._lowest[place] = len(self.order)
        self._stack.append(place)
        self._on_stack.add(place)
        self._visits.append((place, iter(self._ways.get(place, ()))))

    def _goes_deeper(self, place: str, left: Iterator[Move]) -> bool:
        """Follow the moves that are left until one reaches a new place."""
        for move in left:
            if move.writes not in self.order:
                self._enter(move.writes)
                return True
            if move.writes in self._on_stack:
                self._lowest[place] = min(self._lowest[place], self.order[move.writes])
        return False

    def _popped(self, last: str) -> Iterator[str]:
        while True:
            place = self._stack.pop()
            self._on_stack.discard(place)
            yield place
            if place == last:
                return


def _loop(group: Sequence[Move]) -> Loop | None:
    one_way = [move for move in group if not move.is_both]
    if one_way:
        return _through(min(one_way, key=lambda move: move.item), group)
    closing = _closing(group)
    return None if closing is None else _through(closing, group)


def _through(first: Move, group: Iterable[Move]) -> Loop:
    others = (move for move in group if move.item != first.item)
    return (first, *_shortest(others, first.writes, first.reads))


def _closing(group: Iterable[Move]) -> Move | None:
    """The first item of both directions that joins two places which others join already."""
    joined: dict[str, str] = {}

    def root(place: str) -> str:
        while joined.setdefault(place, place) != place:
            joined[place] = place = joined[joined[place]]
        return place

    seen: set[int] = set()
    for move in sorted(group, key=lambda move: move.item):
        if move.item in seen:
            continue
        seen.add(move.item)
        one, other = root(move.reads), root(move.writes)
        if one == other:
            return move
        joined[one] = other
    return None


def _shortest(group: Iterable[Move], start: str, end: str) -> list[Move]:
    """The shortest way from place to place; there is one."""
    ways = _by_place_read(group)
    came_by: dict[str, Move] = {}
    waiting = deque([start])
    while waiting:
        for move in ways.get(waiting.popleft(), ()):
            if move.writes not in came_by:
                came_by[move.writes] = move
                waiting.append(move.writes)
    way: list[Move] = []
    place = end
    while place != start:
        way.append(came_by[place])
        place = came_by[place].reads
    return way[::-1]


def _loop_of_parts(group: Sequence[Move], most_steps: int) -> Loop | None:
    """A loop where it counts which part of an array is moved.

    From move to move: one follows another if it reads what that one writes, and is another item.

    Raises:
        _GaveUpError: more steps than allowed.
    """
    ways = _by_place_read(group)
    done: set[Move] = set()
    budget = iter(range(most_steps))
    for start in sorted(group, key=lambda move: (move.item, move.reads)):
        path: dict[Move, Iterator[Move]] = {}  # in order: a move, and what is left to try after it
        following: Move | None = start
        while following is not None or path:
            if following is None:
                done.add(path.popitem()[0])
            elif following in path:
                way = list(path)
                return tuple(way[way.index(following) :])
            else:
                path[following] = iter(ways.get(following.writes, ()))
            following = _next_of(path, done, budget)
    return None


def _next_of(
    path: dict[Move, Iterator[Move]], done: Collection[Move], budget: Iterator[int]
) -> Move | None:
    """The next move that may follow the last one of the path."""
    if not path:
        return None
    last = next(reversed(path))
    for move in path[last]:
        if next(budget, None) is None:
            raise _GaveUpError
        if move not in done and _follows(last, move):
            return move
    return None


def _by_place_read(group: Iterable[Move]) -> dict[str, list[Move]]:
    ways: dict[str, list[Move]] = {}
    for move in group:
        ways.setdefault(move.reads, []).append(move)
    return ways


def _follows(before: Move, after: Move) -> bool:
    return before.item != after.item and overlap(before.written_part, after.read_part)
