"""Files of tables: CSV and XLSX to rows of cells and back. What the cells mean is not known here.

Everything that comes in is limited (bytes, rows, the length of a line and of a cell; `workbook` has
more): a file is an upload of somebody who may not mean well, or a wrong file of somebody who does.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Final

from pipes import workbook
from pipes.core.cells import Cell, csv_text
from pipes.core.problems import FieldError
from pipes.refusals import Invalid, TooLarge
from pipes.workbook import MOST_ROWS

MOST_BYTES: Final = 64 * 1024 * 1024
#: A line of text: a table of 40 columns with long notes has a few thousand characters.
LONGEST_LINE: Final = 1024 * 1024
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
    reader = csv.reader(_short_lines(text), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        heading = next(reader, [])
        rows.extend(enumerate(islice(reader, MOST_ROWS), 2))
        has_more = next(reader, None) is not None
    except csv.Error as error:
        raise Invalid([_csv_error(str(error), len(rows), reader.line_num)]) from error
    if has_more:
        raise Invalid([FieldError("file", f"has more than {MOST_ROWS} rows; split it")])
    return Table([name.strip() for name in heading], rows, separator == ";")


def _short_lines(text: str) -> Iterator[str]:
    """The lines of ``text``; one of a million separators would become a million cells."""
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if len(line) > LONGEST_LINE:
            message = f"has a line of more than {LONGEST_LINE} characters"
            raise Invalid([FieldError("file", message, row=number)])
        yield line


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
    """The sheets of a workbook by name.

    Raises:
        Invalid: it is no XLSX file, or one that must not be opened.
        TooLarge: it unpacks to too much.

    """
    try:
        sheets = workbook.read(content)
    except workbook.TooDenseError as error:
        raise TooLarge(f"the file {error}") from error
    except workbook.WorkbookError as error:
        raise Invalid([FieldError("file", str(error))]) from error
    return {title: _table(rows) for title, rows in sheets.items()}


def _table(rows: list[workbook.Row]) -> Table:
    if not rows or rows[0][0] != 1:
        return Table([], rows)
    heading = ["" if cell is None else str(cell).strip() for cell in rows[0][1]]
    while heading and not heading[-1]:
        heading.pop()
    return Table(heading, rows[1:])


def any_cell(line: Sequence[Any]) -> bool:
    """Whether a line has anything in it."""
    return any(cell is not None and cell != "" for cell in line)


def lines(table: Table) -> Iterator[Row]:
    """The rows that have anything in them."""
    return (row for row in table.rows if any_cell(row[1]))
