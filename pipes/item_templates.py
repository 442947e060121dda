"""Tables to begin with: every column, examples that are comments, and what the columns mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from pipes import tables, workbook_writer
from pipes.core import configuration as core
from pipes.core.cells import COLUMNS, Cell, Column, row_cells
from pipes.core.fields import Kind
from pipes.core.wanted import Json

#: Rows whose id begins so are passed over by the import.
COMMENT: Final = "# example"
ADVICE: Final = "# a row whose id begins with # is a comment; clear the id of an example to use it"
EXAMPLES: Final[Sequence[Mapping[str, Json]]] = (
    {
        "pipe": "P1",
        "source_node": "nsu=urn:plant:a;s=Area1.Temperature",
        "target_node": "nsu=urn:plant:b;s=Area1.Temperature",
    },
    {
        "pipe": "P1",
        "source_node": "ns=2;s=Area1.Level",
        "target_node": "ns=3;s=Area1.Level",
        "sampling_interval_ms": 250,
        "deadband": {"type": "absolute", "value": 0.5},
        "transform": {"kind": "linear", "gain": 0.1, "offset": -40},
        "note": "tenths of a percent to percent, a change of half a percent counts",
    },
    {
        "pipe": "P1",
        "source_node": "ns=2;s=Area1.Setpoint",
        "target_node": "ns=3;i=1001",
        "direction": "both",
        "enabled": False,
        "note": "moves both ways once it is enabled",
    },
)
_HEADING: Final = ("column", "what it says", "an empty cell means", "allowed")
MEANINGS: Final[Mapping[str, str]] = {
    "id": "the number that the station gave the item",
    "pipe": "the pipe's name",
    "source_node": "the NodeId on the pipe's source: nsu=<namespace URI>;s=Name or ns=2;s=Name",
    "target_node": "the NodeId on the pipe's target",
    "direction": "forward: source to target; reverse: target to source; both: whichever changes",
    "enabled": "whether it moves",
    "kind": "state: only the newest value counts; queue: every one; event: written at most once",
    "sampling_interval_ms": "how often the source looks at the value, in milliseconds",
    "minimum_interval_ms": "the shortest time between two writes, in milliseconds",
    "trigger": "what counts as a change",
    "deadband": "how large a change must be",
    "transform": "what becomes of the value on its way",
    "condition": "moves only while this node of the source has this value",
    "quality": "what is written when the source is not good",
    "substitute": "the value that quality substitute writes",
    "refresh_seconds": "written again after so many seconds without a change; 0 is never",
    "verify": "read back after each write",
    "index_range": "a part of an array, such as 0:3",
    "note": "anything",
}


def csv() -> bytes:
    return tables.write_csv(list(COLUMNS[Kind.ITEM]), _rows(), ",")


def workbook() -> bytes:
    """Sheet ``items`` to fill in, and sheet ``help`` with a line for each column."""
    return workbook_writer.write(
        {"items": (list(COLUMNS[Kind.ITEM]), _rows()), "help": (_HEADING, _help())}
    )


def json() -> bytes:
    """An object whose ``items`` are imported; ``examples`` are not."""
    whole = {"items": [], "examples": list(EXAMPLES)}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def _rows() -> list[list[Cell]]:
    advice: list[Cell] = [ADVICE, *[None] * (len(COLUMNS[Kind.ITEM]) - 1)]
    return [advice, *([COMMENT, *row_cells(Kind.ITEM, body)[1:]] for body in EXAMPLES)]


def _help() -> Iterable[Sequence[Cell]]:
    for column in COLUMNS[Kind.ITEM].values():
        meaning = MEANINGS.get(column.field, "")
        yield (column.name, meaning, _default_text(column), ", ".join(column.allowed))


def _default_text(column: Column) -> str:
    if column.name in {"pipe", "source_node", "target_node"}:
        return "(required)"
    if column.name == "id":
        return "the item with the same pipe and nodes, or a new one"
    return "" if column.default is None else core.encode(column.default).strip('"')
