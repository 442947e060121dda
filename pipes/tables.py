"""Files of tables: CSV and XLSX to rows of cells and back. What the cells mean is not known here.

Everything that comes in is limited before it is looked at (`MOST_BYTES`, the unpacked size of a
spreadsheet, its ratio, no document types or entities in its XML), since a file is an upload of
somebody who may not mean well, or a wrong file of somebody who does.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final
from xml.parsers import expat

from pipes.core.cells import Cell, csv_text
from pipes.core.problems import FieldError
from pipes.refusals import Invalid, TooLarge

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_UNPACKED_BYTES: Final = 200 * 1024 * 1024
#: An honest sheet of 30,000 rows has 14; a zip bomb has thousands.
HIGHEST_RATIO: Final = 100
#: Below this an archive may be as dense as it likes (an empty sheet is mostly zeros).
SMALL_UNPACKED_BYTES: Final = 1024 * 1024
MOST_COLUMNS: Final = 256
LONGEST_CELL: Final = 131_072
SEPARATORS: Final = (",", ";", "\t")

Content = bytes | IO[bytes]
Row = tuple[int, Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Table:
    """Column names and rows of cells with their line number (the heading is line 1)."""

    heading: Sequence[str]
    rows: Sequence[Row]
    decimal_comma: bool = False


def read_content(content: Content) -> bytes:
    """The bytes of an upload.

    Raises:
        TooLarge: it is longer than `MOST_BYTES`.
    """
    whole = content if isinstance(content, bytes) else content.read(MOST_BYTES + 1)
    if len(whole) > MOST_BYTES:
        raise TooLarge(f"the file is larger than {MOST_BYTES // 2**20} MiB; split it")
    return whole


def read_csv(content: bytes, known: Iterable[str]) -> Table:
    """A CSV table; the separator is the one that makes the most ``known`` columns.

    Raises:
        Invalid: the bytes are no such table; the error names the row.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "is not UTF-8 text; save the file as CSV UTF-8"
        raise Invalid([FieldError("file", message, row=line)]) from error
    separator = _sniff(text.partition("\n")[0], frozenset(known))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        heading = next(reader, [])
        rows.extend(enumerate(reader, 2))
    except csv.Error as error:
        raise Invalid([_csv_error(str(error), len(rows), reader.line_num)]) from error
    return Table([name.strip() for name in heading], rows, separator == ";")


def _csv_error(text: str, read: int, line: int) -> FieldError:
    if "field limit" in text:
        return FieldError("file", f"has a cell of more than {LONGEST_CELL} characters", row=line)
    return FieldError("file", f"is no CSV table: {text}", row=max(line, read + 1))


def _sniff(line: str, known: frozenset[str]) -> str:
    def count(separator: str) -> int:
        return sum(name.strip(' \r"') in known for name in line.split(separator))

    return max(SEPARATORS, key=count)


def write_csv(heading: Sequence[str], rows: Iterable[Sequence[Cell]], separator: str) -> bytes:
    """A CSV table as Excel opens it by a double click: BOM and CRLF; ``;`` has decimal commas."""
    decimal_comma = separator == ";"
    target = io.StringIO(newline="")
    target.write("\ufeff")
    writer = csv.writer(target, delimiter=separator, lineterminator="\r\n")
    writer.writerow(heading)
    writer.writerows([csv_text(cell, decimal_comma=decimal_comma) for cell in row] for row in rows)
    return target.getvalue().encode()


def read_xlsx(content: bytes) -> dict[str, Table]:
    """The sheets of a spreadsheet by name.

    Raises:
        Invalid: it is no XLSX file, or one that must not be opened.
    """
    _check_archive(content)
    from openpyxl import load_workbook  # 0.25 s, which only an import has to pay

    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        return {sheet.title: _read_sheet(sheet) for sheet in book.worksheets}
    except Exception as error:  # whatever a damaged file makes of the reader
        message = f"is damaged or no XLSX file ({type(error).__name__})"
        raise Invalid([FieldError("file", message)]) from error


def _read_sheet(sheet: Any) -> Table:
    sheet.reset_dimensions()  # what the file says of its size need not be so
    lines = sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS)
    heading = [_heading(cell) for cell in _stripped(next(lines, ()))]
    rows = [
        (row, [_cell(cell) for cell in line]) for row, line in enumerate(lines, 2) if any_cell(line)
    ]
    return Table(heading, rows)


def any_cell(line: Sequence[Any]) -> bool:
    """Whether a line has anything in it."""
    return any(cell is not None and cell != "" for cell in line)


def _stripped(line: Sequence[Any]) -> Sequence[Any]:
    end = len(line)
    while end and line[end - 1] in (None, ""):
        end -= 1
    return line[:end]


def _heading(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _cell(cell: Any) -> Cell:
    """Spreadsheets also know truth and dates: these become the text that a person sees."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return cell
    return str(cell)


def _check_archive(content: bytes) -> None:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError) as error:
        message = "is no XLSX file; save it as an Excel workbook (.xlsx) without a password"
        raise Invalid([FieldError("file", message)]) from error
    with archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        packed = sum(member.compress_size for member in members)
        if unpacked > MOST_UNPACKED_BYTES:
            raise TooLarge(f"the file unpacks to more than {MOST_UNPACKED_BYTES // 2**20} MiB")
        if unpacked > SMALL_UNPACKED_BYTES and unpacked > HIGHEST_RATIO * packed:
            raise TooLarge(f"the file is packed more than {HIGHEST_RATIO} times; save it again")
        for member in members:
            if member.filename.endswith((".xml", ".rels")):
                _check_xml(archive, member)


class _PrologEnd(Exception):  # noqa: N818 - the regular way out of the parser
    """The first element has begun: nothing may be declared any more."""


def _check_xml(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse document types, and with them entities, before any parser expands one."""

    def refuse(*_: Any) -> None:
        raise Invalid([FieldError("file", f"declares a document type in {member.filename}")])

    def stop(*_: Any) -> None:
        raise _PrologEnd

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = stop
    try:
        with archive.open(member) as file:
            parser.ParseFile(file)
    except _PrologEnd:
        return
    except (expat.ExpatError, zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
        raise Invalid([FieldError("file", f"is damaged in {member.filename}")]) from error


def write_xlsx(sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Cell]]]]) -> bytes:
    """A spreadsheet of the given sheets, each with a heading that stays in sight."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for title, (heading, rows) in sheets.items():
        sheet = book.create_sheet(title)
        sheet.freeze_panes = "A2"
        sheet.append(list(heading))
        for row in rows:
            sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def lines(table: Table) -> Iterator[Row]:
    """The rows that have anything in them."""
    return (row for row in table.rows if any_cell(row[1]))
