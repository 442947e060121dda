"""XLSX: tables written as a workbook; only numbers and inline texts, no formats."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from pipes.core.cells import Cell
from pipes.workbook import ESCAPE, MOST_COLUMNS

#: How many texts the writer remembers.
MOST_WRITTEN: Final = 1000
MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"


def write(sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Cell]]]]) -> bytes:
    """A workbook of the given sheets, each with a heading that stays in sight."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for path, text in _frame(list(sheets)).items():
            archive.writestr(path, text)
        for number, (heading, rows) in enumerate(sheets.values(), 1):
            with archive.open(f"xl/worksheets/sheet{number}.xml", "w") as file:
                file.write(_SHEET_HEAD.encode())
                for chunk in _row_texts(heading, rows):
                    file.write(chunk.encode())
                file.write(b"</sheetData></worksheet>")
    return target.getvalue()


_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEET_HEAD: Final = (
    f'{_XML}<worksheet xmlns="{MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    "</sheetView></sheetViews><sheetData>"
)


def _frame(titles: Sequence[str]) -> dict[str, str]:
    """All parts but the sheets."""
    numbers = range(1, len(titles) + 1)
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        for number in numbers
    )
    relations = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" '
        f'Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    listed = "".join(
        f'<sheet name={quoteattr(title)} sheetId="{number}" r:id="rId{number}"/>'
        for number, title in enumerate(titles, 1)
    )
    return {
        "[Content_Types].xml": f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        f"{types}</Types>",
        "_rels/.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{MAIN}" xmlns:r="{_OFFICE}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
        f"{relations}</Relationships>",
    }


def _row_texts(heading: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    letters = [column_letters(place) for place in range(MOST_COLUMNS)]
    written: dict[str, str] = {}  # the few texts that most cells share
    yield _row_text(1, heading, letters, written)
    for number, row in enumerate(rows, 2):
        yield _row_text(number, row, letters, written)


def _row_text(
    number: int, row: Sequence[Cell], letters: Sequence[str], written: dict[str, str]
) -> str:
    cells = []
    for letter, cell in zip(letters, row, strict=False):
        if cell is None or cell == "":
            continue
        if isinstance(cell, str):
            text = written.get(cell)
            if text is None:
                text = _text_cell(cell)
                if len(written) < MOST_WRITTEN:
                    written[cell] = text
            cells.append(f'<c r="{letter}{number}" t="inlineStr">{text}</c>')
        else:
            cells.append(f'<c r="{letter}{number}"><v>{cell!r}</v></c>')
    return f'<row r="{number}">{"".join(cells)}</row>'


def _text_cell(text: str) -> str:
    escaped = escape(ESCAPE.sub(lambda found: f"_x005F{found[0]}", text))
    return f'<is><t xml:space="preserve">{escaped}</t></is>'


def column_letters(place: int) -> str:
    """0 is A, 26 is AA."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
