"""The mapping linter: what is wrong, or looks wrong, with a configuration as a whole.

Rules of this module and of `lint_settings` need nothing but the configuration: they run with every
plan, 30,000 items in about a tenth of a second, and their errors are not saved. What needs to know
the servers' nodes is in `lint_facts`.

Errors: ``loop`` (a value would go round for ever), ``same_node`` (an item writes what it reads),
``two_writers`` (two items write one node and none knows of the other). Two writers are a warning
where they may be meant: items of both directions, which keep several nodes equal, and items with
conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

from pipes.core.configuration import Configuration
from pipes.core.fields import Body
from pipes.core.findings import Finding, Severity, in_order, listed
from pipes.core.lint_settings import settings_findings
from pipes.core.loops import Loop, Untold, find_loops
from pipes.core.moves import BETWEEN, Moves, Tables, meeting_items, moves_of, overlap

LOOP: Final = "loop"
LOOP_NOT_CHECKED: Final = "loop_not_checked"
SAME_NODE: Final = "same_node"
TWO_WRITERS: Final = "two_writers"

#: The longest way that a sentence tells step by step.
MOST_TOLD_STEPS: Final = 8
#: Writers of one node that are compared two by two.
MOST_COMPARED: Final = 100

Call = Callable[[int], str]
"""How a sentence calls an item: a row of a file, for one, whose item has no id yet."""


def call_by_id(item: int) -> str:
    return f"item {item}"


def lint(
    configuration: Configuration, tables: Tables | None = None, call: Call = call_by_id
) -> list[Finding]:
    """All findings that need no server, errors first.

    ``tables`` are known namespace tables by server: with them ``ns=2;s=X`` and its URI form are
    the same node.
    """
    return in_order(
        [*_move_findings(configuration, tables, call), *settings_findings(configuration)]
    )


def lint_pipe(
    configuration: Configuration, name: str, tables: Tables | None = None
) -> tuple[Configuration, list[Finding]]:
    """What would be said of pipe ``name`` if it were switched on now, and the pipe by itself.

    The latter is the pipe, switched on, with its servers and items and nothing else.
    """
    pipe = {**configuration.pipes[name], "enabled": True, "dry_run": False}
    on = replace(configuration, pipes={**configuration.pipes, name: pipe})
    alone = Configuration(
        {str(pipe[end]): configuration.servers[str(pipe[end])] for end in ("source", "target")},
        {name: pipe},
        {key: body for key, body in configuration.items.items() if body["pipe"] == name},
    )
    moving = _move_findings(on, tables, call_by_id)
    own = alone.items.keys()
    found = [finding for finding in moving if not own.isdisjoint(finding.items)]
    return alone, in_order([*found, *settings_findings(alone)])


def _move_findings(
    configuration: Configuration, tables: Tables | None, call: Call
) -> Iterator[Finding]:
    moves = moves_of(configuration, tables, meeting_items(configuration, tables))
    yield from _onto_itself(moves, call)
    yield from _loops(moves, call)
    yield from _two_writers(moves, call)


def _onto_itself(moves: Moves, call: Call) -> Iterator[Finding]:
    for item in moves.onto_itself:
        node = str(moves.configuration.items[item]["source_node"])
        message = f"{call(item)} writes the node that it reads, {node}"
        yield Finding(Severity.ERROR, SAME_NODE, message, (item,))


def _loops(moves: Moves, call: Call) -> Iterator[Finding]:
    for found in find_loops(moves):
        if isinstance(found, Untold):
            message = (
                f"{len(found.items)} items move parts of arrays to and fro in so many ways that"
                " it was not checked whether they are a loop"
            )
            yield Finding(Severity.WARNING, LOOP_NOT_CHECKED, message, found.items)
            continue
        message = f"a value would go round for ever: {_told(moves, found, call)}"
        yield Finding(Severity.ERROR, LOOP, message, tuple(sorted({each.item for each in found})))


def _told(moves: Moves, loop: Loop, call: Call) -> str:
    """The way of a loop in words."""
    words = [place_in_words(moves, loop[0].item, loop[0].reads)]
    for move in loop[:MOST_TOLD_STEPS]:
        pipe = moves.configuration.items[move.item]["pipe"]
        place = place_in_words(moves, move.item, move.writes)
        words.append(f"by {call(move.item)} of pipe {pipe} to {place}")
    left = len(loop) - MOST_TOLD_STEPS
    return ", ".join(words) + (f", and {left} steps more back to the first" if left > 0 else "")


def place_in_words(moves: Moves, item: int, place: str) -> str:
    """A place with the name that the pipe of ``item`` has for its server."""
    server, _, node = place.partition(BETWEEN)
    body = moves.configuration.items[item]
    pipe = moves.configuration.pipes[str(body["pipe"])]
    before_source = moves.sides[str(body["pipe"])][0]
    end = "source" if before_source == server + BETWEEN else "target"
    return f"{node} of {pipe[end]}"


def _two_writers(moves: Moves, call: Call) -> Iterator[Finding]:
    for place, others in moves.more_writers.items():
        writers = [moves.writers[place], *others]
        severity = _conflict(moves, place, writers)
        if severity is None:
            continue
        names = [call(item) for item in sorted(writers)]
        where = place_in_words(moves, writers[0], place)
        message = f"{listed(names)} write the same node, {where}; {_ADVICE[severity]}"
        yield Finding(severity, TWO_WRITERS, message, tuple(sorted(writers)))


_ADVICE: Final = {
    Severity.ERROR: "whichever comes last wins: keep one of them",
    Severity.WARNING: "whichever comes last wins; see that this is meant",
}


def _conflict(moves: Moves, place: str, writers: Sequence[int]) -> Severity | None:
    """How bad it is that these items write one place; None if they never meet."""
    bodies = [moves.configuration.items[item] for item in writers]
    if len(writers) > MOST_COMPARED:
        return Severity.ERROR
    parts = {
        item: [move.written_part for move in moves.of(item) if move.writes == place]
        for item in writers
    }
    meeting = [
        (one, other)
        for one, other in combinations(writers, 2)
        if any(overlap(a, b) for a in parts[one] for b in parts[other])
        and not _exclude_each_other(moves, one, other)
    ]
    if not meeting:
        return None
    if all(body.get("direction") == "both" for body in bodies):
        return Severity.WARNING
    if all(body.get("condition") for body in bodies):
        return Severity.WARNING
    return Severity.ERROR


def _exclude_each_other(moves: Moves, one: int, other: int) -> bool:
    """Two conditions on one node that are never true together."""
    first, second = (_condition(moves, item) for item in (one, other))
    return (
        first is not None
        and second is not None
        and first[0] == second[0]
        and type(first[1]) is type(second[1])
        and first[1] != second[1]
    )


def _condition(moves: Moves, item: int) -> tuple[str, object] | None:
    """The place and the value of an item's condition, which is on its source."""
    body: Body = moves.configuration.items[item]
    condition = body.get("condition")
    if not isinstance(condition, dict):
        return None
    before_source, _, spelling, _ = moves.sides[str(body["pipe"])]
    node = str(condition.get("node"))
    place = before_source + (node if spelling is None else spelling.of(node))
    return place, condition.get("equals")
