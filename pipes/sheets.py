"""A table of objects to proposals.

A table is read column by column: the cells of a column are few different texts (or NodeIds, which
are checked once each), so each text is read once and remembered. That is what makes a plan of
30,000 rows a matter of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from pipes import drafting
from pipes.core.cells import COLUMNS, Cell, Column, read_cell
from pipes.core.configuration import Key, encode
from pipes.core.draft import Draft
from pipes.core.fields import FIELDS, Kind
from pipes.core.problems import FieldError, WrongError
from pipes.core.wanted import Json
from pipes.tables import Row, Table, any_cell, lines

#: Columns without which no row can be placed.
IDENTIFYING: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.SERVER: ("name",),
    Kind.PIPE: ("name",),
    Kind.ITEM: ("pipe", "source_node", "target_node"),
}
#: The child that says which other children an object has.
_DISCRIMINATORS: Final = ("kind", "type", "mode")


class _Refused(tuple[FieldError, ...]):
    """What stands for a value that is refused."""

    __slots__ = ()


class _Memo(dict[Any, Any]):
    """Each different content of a column is read once."""

    def __init__(self, read: Callable[[Any], Json]) -> None:
        super().__init__()
        self.read = read
        self.has_refused = False

    def __missing__(self, cell: Any) -> Any:
        value: Any
        try:
            value = self.read(cell)
        except WrongError as error:
            value = _Refused(error.errors)
            self.has_refused = True
        self[cell] = value
        return value


@dataclass(frozen=True, slots=True)
class _Group:
    """The columns of one object field that the table has."""

    name: str
    columns: Sequence[Column]
    take: Callable[[Sequence[Cell]], tuple[Cell, ...]]
    is_whole: bool
    memo: _Memo
    patched: dict[tuple[str, tuple[Cell, ...]], Any]
    read: Callable[[Mapping[str, Json], Sequence[Cell]], Json]

    def value(self, present: Mapping[str, Json], cells: Sequence[Cell]) -> Any:
        """The field's new value; what the table has no column for stays as it is."""
        own = self.take(cells)
        base = {} if self.is_whole else present.get(self.name)
        if not isinstance(base, dict) or not base:
            return self.memo[own]
        key = (encode(base), own)
        if key not in self.patched:
            try:
                self.patched[key] = self.read(base, own)
            except WrongError as error:
                self.patched[key] = _Refused(error.errors)
        return self.patched[key]


@dataclass(slots=True)
class _Sheet:
    kind: Kind
    width: int
    names: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    memos: list[_Memo] = field(default_factory=list)
    groups: list[_Group] = field(default_factory=list)
    id_place: int | None = None


def put_sheet(draft: Draft, kind: Kind, table: Table) -> set[Json]:
    """Propose every row of a table; the pipes that rows of items name are returned.

    A wrong heading is an error of row 1, and then no row is looked at.
    """
    errors = _check_heading(kind, table.heading)
    if errors:
        draft.refuse(kind, None, errors, 1)
        return set()
    sheet = _plan_reading(kind, table)
    padded = (_padded(row, sheet.width) for row in lines(table))
    rows = [row for row in padded if not _is_comment(sheet, row[1])]
    columns = list(zip(*(cells[: sheet.width] for _, cells in rows), strict=True))
    values = [
        list(map(memo.__getitem__, columns[place] if columns else ()))
        for memo, place in zip(sheet.memos, sheet.places, strict=True)
    ]
    flagged = any(memo.has_refused for memo in sheet.memos)
    for (row, cells), simple in zip(rows, _transposed(values, len(rows)), strict=True):
        patch = dict(zip(sheet.names, simple, strict=True))
        refused = _take_refused(patch) if flagged else []
        _put_row(draft, sheet, row, cells, patch, refused)
    place = sheet.names.index("pipe") if "pipe" in sheet.names else None
    return set() if place is None else {v for v in values[place] if isinstance(v, str)}


def _is_comment(sheet: _Sheet, cells: Sequence[Cell]) -> bool:
    """A row of items whose id begins with ``#``: an id is a number, so nothing is meant by it."""
    if sheet.id_place is None:
        return False
    text = cells[sheet.id_place]
    return isinstance(text, str) and text.lstrip().startswith("#")


def _transposed(values: list[list[Any]], count: int) -> Iterable[Sequence[Any]]:
    return zip(*values, strict=True) if values else [()] * count


def _check_heading(kind: Kind, heading: Sequence[str]) -> list[FieldError]:
    known = COLUMNS[kind]
    errors = [
        FieldError(
            name or f"column {place}",
            "is no known column" if name else "has no name",
            name,
            tuple(known),
        )
        for place, name in enumerate(heading, 1)
        if name not in known
    ]
    errors += [
        FieldError(name, "is there twice", name)
        for name in dict.fromkeys(heading)
        if name in known and heading.count(name) > 1
    ]
    if not (kind is Kind.ITEM and "id" in heading):
        errors += [
            FieldError(name, "is a required column", None)
            for name in IDENTIFYING[kind]
            if name not in heading
        ]
    return errors


def _plan_reading(kind: Kind, table: Table) -> _Sheet:
    sheet = _Sheet(kind, len(table.heading))
    grouped: dict[str, list[tuple[Column, int]]] = {}
    for place, name in enumerate(table.heading):
        column = COLUMNS[kind][name]
        if name == "id":
            sheet.id_place = place
        elif column.child:
            grouped.setdefault(column.field, []).append((column, place))
        else:
            sheet.names.append(name)
            sheet.places.append(place)
            sheet.memos.append(_Memo(_reader(kind, column, decimal_comma=table.decimal_comma)))
    sheet.groups = [
        _group(kind, name, found, decimal_comma=table.decimal_comma)
        for name, found in grouped.items()
    ]
    return sheet


def _reader(kind: Kind, column: Column, *, decimal_comma: bool) -> Callable[[Cell], Json]:
    known = FIELDS[kind][column.field]
    return lambda cell: known.read(read_cell(column, cell, decimal_comma=decimal_comma))


def _group(
    kind: Kind, name: str, found: Sequence[tuple[Column, int]], *, decimal_comma: bool
) -> _Group:
    known = FIELDS[kind][name]
    columns = [column for column, _ in found]

    def read(base: Mapping[str, Json], cells: Sequence[Cell]) -> Json:
        given = {
            column.child: read_cell(column, cell, decimal_comma=decimal_comma)
            for column, cell in zip(columns, cells, strict=True)
        }
        return known.read(_merged(base, given, known.children))

    return _Group(
        name,
        columns,
        _taker([place for _, place in found]),
        len(columns) == len(known.children),
        _Memo(lambda cells: read({}, cells)),
        {},
        read,
    )


def _taker(places: Sequence[int]) -> Callable[[Sequence[Cell]], tuple[Cell, ...]]:
    if len(places) == 1:
        place = places[0]
        return lambda cells: (cells[place],)
    return itemgetter(*places)


def _merged(
    base: Mapping[str, Json], given: Mapping[str, Json], children: Mapping[str, Any]
) -> Json:
    """The object with the given children; of another kind nothing of the present one is left."""
    for name in _DISCRIMINATORS:
        if name in given and (given[name] or children[name].default) != base.get(name):
            base = {}
    merged = {name: value for name, value in (base | given).items() if value is not None}  # type: ignore[operator]
    return merged or None


def _padded(row: Row, width: int) -> Row:
    number, cells = row
    missing = width - len(cells)
    return (number, [*cells, *[None] * missing]) if missing > 0 else row


def _take_refused(patch: dict[str, Any]) -> list[FieldError]:
    refused = [name for name, value in patch.items() if isinstance(value, _Refused)]
    return [error for name in refused for error in patch.pop(name)]


def _put_row(
    draft: Draft,
    sheet: _Sheet,
    row: int,
    cells: Sequence[Cell],
    patch: dict[str, Any],
    errors: list[FieldError],
) -> None:
    key, wrong = _key(draft, sheet, cells, patch)
    errors += wrong
    if sheet.groups:
        present = {} if key is None else draft.current.of(sheet.kind).get(key, {})
        for group in sheet.groups:
            patch[group.name] = group.value(present, cells)
        errors += _take_refused(patch)
    if len(cells) > sheet.width and any_cell(cells[sheet.width :]):
        errors.append(FieldError("row", "has more cells than the heading has columns"))
    draft.propose(sheet.kind, key, patch, errors, row=row)


def _key(
    draft: Draft, sheet: _Sheet, cells: Sequence[Cell], patch: Mapping[str, Any]
) -> tuple[Key | None, list[FieldError]]:
    if sheet.kind is not Kind.ITEM:
        return draft.find_named(sheet.kind, patch.get("name")), []
    key: Key | None = None
    errors: list[FieldError] = []
    if sheet.id_place is not None:
        cell = read_cell(COLUMNS[Kind.ITEM]["id"], cells[sheet.id_place])
        if cell is not None:
            key, errors = drafting.read_id(cell)
    if key is None and not errors:
        key = draft.find_item(patch)
    return key, errors
