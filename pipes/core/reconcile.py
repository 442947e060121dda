"""Wanted against actual: what has to change so that a host does what is wanted, and no more.

The smaller the answer, the less is disturbed: a pipe that is equal is not touched, an item that
changed is taken out and put in again, and only a change of the pipe's own settings or of one of
its servers restarts the pipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipes.core.wanted import Item, Pipe, Server


@dataclass(frozen=True, slots=True)
class PipeChange:
    """How one running pipe becomes what is wanted; ``restart`` makes the other two void."""

    restart: bool = False
    removed: frozenset[int] = frozenset()
    added: tuple[Item, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return not (self.restart or self.removed or self.added)


def pipe_change(actual: Pipe, wanted: Pipe) -> PipeChange:
    """Compare a running pipe with the wanted one of the same name."""
    if replace(actual, items={}) != replace(wanted, items={}):
        return PipeChange(restart=True)
    changed = {
        item_id
        for item_id in actual.items.keys() & wanted.items.keys()
        if actual.items[item_id] != wanted.items[item_id]
    }
    gone = actual.items.keys() - wanted.items.keys()
    new = wanted.items.keys() - actual.items.keys()
    return PipeChange(
        removed=frozenset(gone | changed),
        added=tuple(wanted.items[item_id] for item_id in sorted(new | changed)),
    )


def changed_servers(actual: Mapping[str, Server], wanted: Mapping[str, Server]) -> frozenset[str]:
    """Names of servers whose connection has to be made anew, or given up."""
    return frozenset(name for name, server in actual.items() if wanted.get(name) != server)
