"""Configuration from and to files: items as CSV, XLSX or JSON, the whole as JSON or XLSX."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from pipes import drafting, services, store, tables, workbook_writer
from pipes.core import configuration as core
from pipes.core.cells import COLUMNS, Cell, row_cells
from pipes.core.configuration import Configuration
from pipes.core.draft import Draft
from pipes.core.fields import Body, Kind, complete, kind_on
from pipes.core.plan import MOST_ROWS, Plan
from pipes.core.problems import FieldError
from pipes.core.wanted import Json
from pipes.refusals import Invalid, NotFound
from pipes.sheets import put_sheet
from pipes.tables import Content, Table

CSV: Final = "csv"
XLSX: Final = "xlsx"
JSON: Final = "json"
FORMATS: Final = (CSV, XLSX, JSON)
SEPARATORS: Final[Mapping[str, str]] = {",": ",", ";": ";", "tab": "\t"}
SHEETS: Final[Mapping[str, Kind]] = {part: kind for kind, part in drafting.PARTS.items()}
ITEMS: Final = "items"

Fill = Callable[[Draft], None]


# Items


def plan_import(
    content: Content, form: str, *, mode: str = drafting.MERGE, rows: int = MOST_ROWS
) -> Plan:
    """What `apply_import` would do.

    Raises:
        Invalid: the file cannot be read at all; wrong rows are rows of the plan.
        TooLarge: it is beyond the limits of `pipes.tables`.

    """
    fill = _items_filler(content, form, mode)
    return services.commit(fill, user="", reason="", dry_run=True, rows=rows)


def apply_import(
    content: Content,
    form: str,
    *,
    user: str,
    reason: str,
    mode: str = drafting.MERGE,
    base_revision: int | None = None,
    rows: int = MOST_ROWS,
) -> Plan:
    """Add and change items by a file, all or nothing; see `services.apply_items` for the modes."""
    fill = _items_filler(content, form, mode)
    return services.commit(fill, user=user, reason=reason, base_revision=base_revision, rows=rows)


def _items_filler(content: Content, form: str, mode: str) -> Fill:
    """Read the file once; what it says can then be drafted as often as needed."""
    drafting.check_mode(mode)
    _check_format(form)
    raw = tables.read_content(content)
    with store.without_collection():
        return _items_of(raw, form, mode)


def _items_of(raw: bytes, form: str, mode: str) -> Fill:
    if form == JSON:
        listed = _json_items(_decode(raw))
        return lambda draft: drafting.put_item_rows(draft, enumerate(listed, 1), mode)
    if form == CSV:
        return _sheet_filler(tables.read_csv(raw, COLUMNS[Kind.ITEM]), mode)
    sheets = tables.read_xlsx(raw)
    return _sheet_filler(sheets.get(ITEMS) or _first(sheets), mode)


def _first(sheets: Mapping[str, Table]) -> Table:
    if not sheets:
        raise Invalid([FieldError("file", "has no sheet")])
    return next(iter(sheets.values()))


def _sheet_filler(table: Table, mode: str) -> Fill:
    def fill(draft: Draft) -> None:
        pipes = put_sheet(draft, Kind.ITEM, table)
        if mode == drafting.REPLACE:
            drafting.delete_others(draft, pipes)

    return fill


def _json_items(whole: Json) -> list[Mapping[str, Json]]:
    """A list of items, or an object (the configuration document, for one) that has ``items``."""
    listed = whole.get(ITEMS) if isinstance(whole, dict) else whole
    if not isinstance(listed, list) or not all(isinstance(body, dict) for body in listed):
        raise Invalid([FieldError("file", "must be a list of items, or an object with items")])
    return [body for body in listed if isinstance(body, dict)]


def _decode(raw: bytes) -> Json:
    try:
        decoded: Json = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid([FieldError("file", f"is no JSON text: {error}")]) from error
    return decoded


def _check_format(form: str) -> None:
    if form not in FORMATS:
        raise Invalid([FieldError("format", "must be csv, xlsx or json", form, FORMATS)])


def export_items(form: str, pipe: str | None = None, separator: str = ",") -> bytes:
    """The items (of one pipe) as a file that `apply_import` reads.

    Raises:
        NotFound: there is no such pipe.

    """
    _check_format(form)
    if separator not in SEPARATORS:
        raise Invalid(
            [FieldError("separator", "must be , or ; or tab", separator, tuple(SEPARATORS))]
        )
    with services.database():
        configuration = store.read().configuration
    bodies = _with_kinds(configuration, _items(configuration, pipe))
    if form == JSON:
        whole = [complete(Kind.ITEM, body) for body in bodies]
        return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"
    rows = (row_cells(Kind.ITEM, body) for body in bodies)
    return _write(form, rows, SEPARATORS[separator])


def _with_kinds(configuration: Configuration, items: Iterable[Body]) -> Iterable[Body]:
    """Items that show the kind that they have on their pipe, as answers do."""
    pipes = configuration.pipes
    for body in items:
        yield {**body, "kind": str(kind_on(body, pipes[str(body["pipe"])]))}


def _items(configuration: Configuration, pipe: str | None) -> Iterable[Body]:
    items = [configuration.items[key] for key in sorted(configuration.items)]
    if pipe is None:
        return items
    named = Draft(configuration).find_named(Kind.PIPE, pipe)
    if named is None:
        raise NotFound("pipe", pipe)
    return [body for body in items if body["pipe"] == named]


def _write(form: str, rows: Iterable[Sequence[Cell]], separator: str) -> bytes:
    heading = list(COLUMNS[Kind.ITEM])
    if form == CSV:
        return tables.write_csv(heading, rows, separator)
    return workbook_writer.write({ITEMS: (heading, rows)})


# The whole configuration


def export_configuration(form: str = JSON) -> bytes:
    """The document as JSON, all of it as a spreadsheet, or the items as CSV."""
    _check_format(form)
    if form == CSV:
        return export_items(CSV)
    with services.database():
        configuration = store.read().configuration
    if form == JSON:
        text = core.encode(core.document(configuration)).encode()
        return msgspec.json.format(text, indent=1) + b"\n"
    whole = core.document(configuration)
    sheets: dict[str, tuple[Sequence[str], Iterable[Sequence[Cell]]]] = {}
    for title, kind in SHEETS.items():
        bodies = whole[title]
        listed = bodies if isinstance(bodies, list) else []
        objects: Iterable[Body] = (body for body in listed if isinstance(body, dict))
        if kind is Kind.ITEM:
            objects = _with_kinds(configuration, objects)
        rows = [row_cells(kind, body) for body in objects]
        sheets[title] = (list(COLUMNS[kind]), rows)
    return workbook_writer.write({**sheets, "points": (("name",), [])})


def configuration_filler(content: Content, form: str, mode: str | None = None) -> tuple[Fill, str]:
    """How a file of the whole configuration is drafted, and its mode.

    Without a mode JSON replaces and tables merge (contract, section 4).
    """
    _check_format(form)
    mode = mode or (drafting.REPLACE if form == JSON else drafting.MERGE)
    drafting.check_mode(mode)
    if form == CSV:
        return _items_filler(content, form, mode), mode
    raw = tables.read_content(content)
    if form == XLSX:
        return _book_filler(tables.read_xlsx(raw), mode), mode
    whole = _decode(raw)
    if not isinstance(whole, dict):
        raise Invalid([FieldError("file", "must be a configuration document (a JSON object)")])
    return _document_filler(whole, mode), mode


def _document_filler(whole: Mapping[str, Json], mode: str) -> Fill:
    return lambda draft: drafting.put_document(draft, whole, mode)


def _book_filler(sheets: Mapping[str, Table], mode: str) -> Fill:
    """Sheets by name; a book without any of them is a table of items."""
    parts = {kind: sheets[title] for title, kind in SHEETS.items() if title in sheets}
    if not parts:
        return _sheet_filler(_first(sheets), mode)
    if "points" in sheets and any(True for _ in tables.lines(sheets["points"])):
        raise Invalid([FieldError("points", "is not supported by this version; leave it empty")])

    def fill(draft: Draft) -> None:
        for kind, table in parts.items():
            put_sheet(draft, kind, table)
            if mode == drafting.REPLACE:
                draft.delete_unclaimed(kind, lambda _: True)

    return fill
