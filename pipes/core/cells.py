"""Tables: which columns a kind has, and how a cell's text and a field's value become each other.

A cell is text (CSV) or text and numbers (a spreadsheet). What a cell cannot be read as stays text,
so that the field's own check refuses it and says what it wants. Text that a spreadsheet would take
for a formula is written with a leading ``'``, and reading takes exactly that one away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core.fields import FIELDS, Body, Kind, flatten
from pipes.core.wanted import Json

Cell = str | int | float | None

#: Text of this form gets one more ``'`` when written and loses one when read.
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_DECIMAL_COMMA: Final = re.compile(r"[^,.]*,[^,.]*")
_JSON_LIKE: Final = re.compile(r'[-+.0-9"]|true$|false$|yes$|no$', re.IGNORECASE)
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_ESCAPED: Final = re.compile(r"\\(.)|([|=])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``name`` is ``field`` or ``field.child``."""

    name: str
    field: str
    child: str
    form: str
    allowed: tuple[str, ...]
    default: Json


def _columns(kind: Kind) -> Mapping[str, Column]:
    columns = {}
    if kind is Kind.ITEM:
        columns["id"] = Column("id", "id", "", "number", (), None)
    for field in FIELDS[kind].values():
        for child in field.children.values():
            name = f"{field.name}.{child.name}"
            columns[name] = Column(
                name, field.name, child.name, child.form, child.allowed, child.default
            )
        if not field.children:
            columns[field.name] = Column(
                field.name, field.name, "", field.form, field.allowed, field.default
            )
    return columns


#: The columns of each kind in the order in which they are written.
COLUMNS: Final[Mapping[Kind, Mapping[str, Column]]] = {kind: _columns(kind) for kind in Kind}


def read_cell(column: Column, cell: Cell, *, decimal_comma: bool = False) -> Json:
    """The raw value of a cell; None for an empty one, which means the default."""
    if cell is None or cell == "":
        return None
    if not isinstance(cell, str):
        return cell if column.form in {"number", "any"} else _number_text(cell)
    if column.form in {"number", "boolean"} or column.allowed:
        cell = cell.strip()
    if column.form == "text":
        return unguarded(cell)
    if column.form == "number":
        return read_number(cell, decimal_comma=decimal_comma)
    if column.form == "boolean":
        return _read_boolean(cell)
    return _read_composed(column.form, unguarded(cell), decimal_comma=decimal_comma)


def _read_composed(form: str, text: str, *, decimal_comma: bool) -> Json:
    if form == "list":
        return [_unescaped(part) for part in _split(text, "|")]
    if form == "table":
        return _read_table(text, decimal_comma=decimal_comma)
    return _read_any(text, decimal_comma=decimal_comma)


def write_cell(column: Column, value: Json) -> Cell:
    """A value as a spreadsheet's cell: numbers stay numbers, the rest is (guarded) text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, list):
        return guarded("|".join(_escaped(str(entry)) for entry in value))
    if isinstance(value, dict):
        return guarded(
            "|".join(
                f"{_escaped(key)}={_escaped(_any_text(entry))}" for key, entry in value.items()
            )
        )
    return guarded(_any_text(value) if column.form == "any" else value)


def csv_text(cell: Cell, *, decimal_comma: bool = False) -> str:
    """A cell of `write_cell` as text."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    text = _number_text(cell)
    return text.replace(".", ",") if decimal_comma else text


def row_cells(kind: Kind, body: Body) -> list[Cell]:
    """The cells of a trimmed body in the order of `COLUMNS`.

    A choice, a flag or a number shows its default, so that a reader sees what holds; the children
    of an object show themselves only where they belong to it.
    """
    flat = flatten(kind, body)
    cells: list[Cell] = []
    for name, column in COLUMNS[kind].items():
        if name in flat:
            cells.append(write_cell(column, flat[name]))
        elif column.child and column.field in body:
            cells.append(None)
        else:
            cells.append(_DEFAULT_CELLS[kind][name])
    return cells


def guarded(text: str) -> str:
    """``text`` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def read_number(text: str, *, decimal_comma: bool = False) -> Json:
    """The number that ``text`` is, or the text."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        text_with_point = text.replace(",", ".")
    else:
        text_with_point = text
    return float(text_with_point) if _DECIMAL.fullmatch(text_with_point) else text


def _read_boolean(text: str) -> Json:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else text


def _read_any(text: str, *, decimal_comma: bool) -> Json:
    """A scalar: a number, true, false, text, or text in quotes that looks like one of these."""
    if text.startswith('"'):
        try:
            quoted = json.loads(text)
        except ValueError:
            return text
        return quoted if isinstance(quoted, str) else text
    if text.lower() in {"true", "yes"}:
        return True
    if text.lower() in {"false", "no"}:
        return False
    return read_number(text, decimal_comma=decimal_comma)


def _any_text(value: Json) -> str:
    if isinstance(value, str):
        is_plain = value and not _JSON_LIKE.match(value)  # an empty cell would be the default
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number_text(value) if isinstance(value, int | float) else str(value)


def _number_text(value: float) -> str:
    return repr(value)


def _read_table(text: str, *, decimal_comma: bool) -> Json:
    table: dict[str, Json] = {}
    for pair in _split(text, "|"):
        key, *rest = _split(pair, "=")
        if len(rest) != 1:
            return text
        table[_unescaped(key)] = _read_any(_unescaped(rest[0]), decimal_comma=decimal_comma)
    return table


def _escaped(text: str) -> str:
    return re.sub(r"([\\|=])", r"\\\1", text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _split(text: str, separator: str) -> list[str]:
    """Split at separators that no backslash protects; the parts stay escaped."""
    parts, start = [], 0
    for found in _ESCAPED.finditer(text):
        if found.group(2) == separator:
            parts.append(text[start : found.start()])
            start = found.end()
    return [*parts, text[start:]]


def _default_cell(column: Column) -> Cell:
    is_shown = not column.child or column.child in {"type", "kind", "mode"}
    has_one = column.default not in ("", None, [], {})
    return write_cell(column, column.default) if is_shown and has_one else None


_DEFAULT_CELLS: Final[Mapping[Kind, Mapping[str, Cell]]] = {
    kind: {name: _default_cell(column) for name, column in columns.items()}
    for kind, columns in COLUMNS.items()
}
