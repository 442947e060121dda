"""XLSX: the sheets of a workbook as rows of cells, read as a stream (`workbook_writer` writes).

openpyxl needs 8 s and 4 s of CPU for the 30,000 rows that this needs 1 s and 0.5 s for; besides, a
table has no formats, formulas or charts. What is read (ECMA-376 Part 1, 18.3): numbers, shared and
inline texts, truth, errors, results of formulas; what is written: numbers and inline texts.

A workbook is somebody's upload: `check_archive` limits it before anything is read, no document type
is accepted in any of its parts, and the size of what is kept is bounded by rows and columns.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element
from xml.parsers import expat

from defusedxml.ElementTree import fromstring

from pipes.core.cells import Cell

MOST_UNPACKED_BYTES: Final = 200 * 1024 * 1024
#: An honest sheet of 30,000 rows has 14; a zip bomb has thousands.
HIGHEST_RATIO: Final = 100
#: Below this an archive may be as dense as it likes (an empty sheet is mostly zeros).
SMALL_UNPACKED_BYTES: Final = 1024 * 1024
MOST_MEMBERS: Final = 1000
MOST_COLUMNS: Final = 64
MOST_ROWS: Final = 200_000
#: A part that is read as a tree: lists of sheets and of relations.
LARGEST_INDEX: Final = 1024 * 1024

ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_LETTERS: Final = re.compile(r"[A-Z]{1,3}")

Row = tuple[int, list[Cell]]


class WorkbookError(ValueError):
    """The file is no workbook, or one that must not be opened; the text follows "the file"."""


class TooDenseError(WorkbookError):
    """It unpacks to more than a table can honestly need."""


def check_archive(archive: zipfile.ZipFile) -> None:
    """Look at what a zip file says of itself before any of it is unpacked.

    Raises:
        TooDenseError: it would unpack to too much.

    """
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if unpacked > MOST_UNPACKED_BYTES or len(members) > MOST_MEMBERS:
        raise TooDenseError(f"unpacks to more than {MOST_UNPACKED_BYTES // 2**20} MiB")
    if unpacked > SMALL_UNPACKED_BYTES and unpacked > HIGHEST_RATIO * packed:
        raise TooDenseError(f"is packed more than {HIGHEST_RATIO} times; save it again")


def read(content: bytes) -> dict[str, list[Row]]:
    """The sheets by name, each as its rows that have cells (``(row number, cells)``).

    Raises:
        WorkbookError: it is no workbook, damaged, too large or not safe to open.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_archive(archive)
            parts = _parts(archive)
            shared = _read_shared(archive, parts.get("sharedStrings", [""])[0])
            return {
                name: _read_sheet(archive, path, shared)
                for name, path in _sheets(archive, parts["workbook"][0])
            }
    except WorkbookError:
        raise
    except zipfile.BadZipFile as error:
        raise WorkbookError(
            "is no XLSX file; save it as an Excel workbook (.xlsx) without a password"
        ) from error
    except (KeyError, IndexError, ValueError, OSError, RuntimeError, expat.ExpatError) as error:
        raise WorkbookError(f"is damaged ({type(error).__name__}: {error})") from error
    except (SyntaxError, EOFError, NotImplementedError) as error:
        raise WorkbookError(f"is damaged ({type(error).__name__})") from error


# The parts of a workbook


def _parts(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """The paths of the workbook and of its shared strings, by the last word of their relation."""
    book = next(
        path for kind, _, path in _relations(archive, "_rels/.rels", "") if kind == "officeDocument"
    )
    parts = {"workbook": [book]}
    for kind, _, path in _relations(archive, _rels_of(book), posixpath.dirname(book)):
        parts.setdefault(kind, []).append(path)
    return parts


def _rels_of(path: str) -> str:
    folder, name = posixpath.split(path)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def _relations(archive: zipfile.ZipFile, path: str, base: str) -> Iterator[tuple[str, str, str]]:
    for relation in _tree(archive, path):
        target = relation.get("Target", "")
        full = target[1:] if target.startswith("/") else posixpath.join(base, target)
        kind = relation.get("Type", "").rpartition("/")[2]
        yield kind, relation.get("Id", ""), posixpath.normpath(full)


def _sheets(archive: zipfile.ZipFile, book: str) -> Iterator[tuple[str, str]]:
    paths = {
        number: path
        for kind, number, path in _relations(archive, _rels_of(book), posixpath.dirname(book))
        if kind == "worksheet"
    }
    for element in _tree(archive, book).iter():
        if element.tag.rpartition("}")[2] == "sheet":
            number = next((v for k, v in element.attrib.items() if k.endswith("}id")), "")
            if number in paths:
                yield element.get("name", ""), paths[number]


def _tree(archive: zipfile.ZipFile, path: str) -> Element:
    """A small part as a tree; declarations of entities are refused by the parser."""
    if archive.getinfo(path).file_size > LARGEST_INDEX:
        raise WorkbookError(f"has an unlikely large {path}")
    tree: Element = fromstring(archive.read(path), forbid_dtd=True)
    return tree


# The cells


class _Parser:
    """What sheets and shared strings have in common: texts, prefixes, no document type."""

    def __init__(self) -> None:
        self.prefix = ""
        self.parts: list[str] | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartElementHandler = self._root
        self.parser.CharacterDataHandler = self._text

    def parse(self, archive: zipfile.ZipFile, path: str) -> None:
        with archive.open(path) as file:
            self.parser.ParseFile(file)

    def _root(self, name: str, _: Mapping[str, str]) -> None:
        """The root tells the prefix of all names; from here on the real handlers work."""
        prefix, colon, _name = name.rpartition(":")
        self.prefix = prefix + colon
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end

    def _text(self, text: str) -> None:
        if self.parts is not None:
            self.parts.append(text)

    def start(self, name: str, attributes: Mapping[str, str], /) -> None:
        raise NotImplementedError

    def end(self, name: str) -> None:
        raise NotImplementedError


def _refuse_doctype(*_: Any) -> None:
    raise WorkbookError("declares a document type, which no workbook needs")


class _SharedStrings(_Parser):
    """Texts that cells refer to by number (18.4); phonetic hints are no part of them."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._whole: list[str] = []
        self._is_hint = False

    def start(self, name: str, _: Mapping[str, str], /) -> None:
        name = name.removeprefix(self.prefix)
        if name == "t" and not self._is_hint:
            self.parts = []
        elif name == "si":
            self._whole = []
        elif name == "rPh":
            self._is_hint = True

    def end(self, name: str) -> None:
        name = name.removeprefix(self.prefix)
        if name == "t" and self.parts is not None:
            self._whole += self.parts
            self.parts = None
        elif name == "si":
            self.texts.append(_unescaped("".join(self._whole)))
        elif name == "rPh":
            self._is_hint = False


def _read_shared(archive: zipfile.ZipFile, path: str) -> list[str]:
    if not path:
        return []
    reader = _SharedStrings()
    reader.parse(archive, path)
    return reader.texts


class _Sheet(_Parser):
    """The rows of one sheet (18.3.1)."""

    def __init__(self, shared: Sequence[str]) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._shared = shared
        self._columns: dict[str, int] = {}
        self._number = 0
        self._cells: list[Cell] = []
        self._column = -1
        self._type = ""
        self._value: list[str] = []

    def start(self, name: str, attributes: Mapping[str, str], /) -> None:
        if self.prefix:
            name = name.removeprefix(self.prefix)
        if name == "c":
            self._type = attributes.get("t", "n")
            place = attributes.get("r")
            self._column = self._column + 1 if place is None else self._place(place)
            self._value = []
        elif name in {"v", "t"}:
            self.parts = []
        elif name == "row":
            self._number = int(attributes.get("r", self._number + 1))
            self._cells, self._column = [], -1

    def end(self, name: str) -> None:
        if self.prefix:
            name = name.removeprefix(self.prefix)
        if name in {"v", "t"}:
            self._value += self.parts or ()
            self.parts = None
        elif name == "c":
            if self._value:
                self._put(self._read("".join(self._value)))
        elif name == "row" and self._cells:
            if len(self.rows) >= MOST_ROWS:
                raise WorkbookError(f"has more than {MOST_ROWS} rows; split it")
            self.rows.append((self._number, self._cells))

    def _place(self, place: str) -> int:
        letters = place.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            column = self._columns[letters] = _column_of(letters)
        return column

    def _put(self, cell: Cell) -> None:
        if self._column >= MOST_COLUMNS:
            raise WorkbookError(f"has more than {MOST_COLUMNS} columns")
        missing = self._column - len(self._cells)
        if missing > 0:
            self._cells.extend([None] * missing)
        self._cells.append(cell)

    def _read(self, text: str) -> Cell:
        kind = self._type
        if kind == "s":
            return self._shared[int(text)]
        if kind == "n":
            number = float(text)
            return int(number) if number.is_integer() and abs(number) < 2**53 else number
        if kind == "b":
            return "true" if text == "1" else "false"
        return _unescaped(text)


def _column_of(letters: str) -> int:
    if not _LETTERS.fullmatch(letters):
        raise WorkbookError(f"is damaged (a cell is at {letters[:20]!r})")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return column - 1


def _read_sheet(archive: zipfile.ZipFile, path: str, shared: Sequence[str]) -> list[Row]:
    reader = _Sheet(shared)
    reader.parse(archive, path)
    return reader.rows


def _unescaped(text: str) -> str:
    """Text with characters that XML cannot carry written as ``_x000D_`` (22.9.2.19)."""
    return ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text
