"""Texts that spreadsheet programs may open: nothing in them runs as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

#: Written first, so that Excel reads the file as UTF-8.
BOM: Final = "\ufeff"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> str | int | float:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_row(cells: Iterable[object]) -> str:
    """One line of CSV (RFC 4180: comma, CRLF)."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([safe_cell(cell) for cell in cells])
    return buffer.getvalue()
