"""The ``pattern`` of the transforms format and parse: text around one place for a value.

``{}`` takes any value as it is; ``{:.2f}`` and the like are the number forms of Python's format
language, without attribute, index or nested field. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipes.core.elements import DECIMAL, float_text

Number = int | float
Plain = bool | int | float | str

_PLACE: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_SPEC: Final = re.compile(
    r"(?P<align>[<>^=]?)(?P<sign>[+ -]?)0?(?P<width>[0-9]{0,2})"
    r"(?:\.(?P<precision>[0-9]{1,2}))?(?P<type>[dxXobeEfFgGs%]?)"
)
_MOST_WIDTH: Final = 64
_MOST_PRECISION: Final = 30
_INTEGERS: Final[Mapping[str, int]] = {"d": 10, "x": 16, "X": 16, "o": 8, "b": 2}
_REALS: Final = frozenset("eEfFgG%")
#: Wider than what is written for 64 bits, with zeros up to the most width. ASCII digits alone: what
#: else Python takes for a number, such as 1_000, is none for an engineer.
_DIGITS: Final[Mapping[int, re.Pattern[str]]] = {
    10: re.compile(r"[+-]?[0-9]{1,80}"),
    16: re.compile(r"[+-]?[0-9a-fA-F]{1,80}"),
    8: re.compile(r"[+-]?[0-7]{1,80}"),
    2: re.compile(r"[+-]?[01]{1,80}"),
}
_NOT_FINITE: Final = re.compile(r"([+-]?)0*(nan|inf|infinity)", re.IGNORECASE)
_APART: Final = re.compile(r"([+-]) +")


class PatternError(ValueError):
    """The pattern is not one; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class TextPattern:
    prefix: str
    spec: str
    suffix: str

    @property
    def form(self) -> str:
        """The letter at the end of the format: how the value is written; "" is as it is."""
        last = self.spec[-1:]
        return last if last.isalpha() or last == "%" else ""

    def write(self, value: Plain) -> str:
        """The text for a value.

        Raises:
            ValueError: the value is not of the kind that the pattern writes.
        """
        return f"{self.prefix}{format(self._fitted(value), self.spec)}{self.suffix}"

    def _fitted(self, value: Plain) -> Plain:
        if self.form == "s" or not self.spec:
            return _words(value)
        if isinstance(value, str):
            raise ValueError("it is text, and the pattern writes numbers")  # noqa: TRY004 - of a value
        if self.form not in _INTEGERS:
            return float(value) if self.form or "." in self.spec else value + 0
        if value != value // 1:
            raise ValueError("it is no whole number, and the pattern writes whole numbers")
        return int(value)

    def read(self, text: str) -> Plain:
        """The value in a text; blanks between the parts do not matter.

        Raises:
            ValueError: the text is not of this pattern.
        """
        inner = text.strip()
        prefix, suffix = self.prefix.strip(), self.suffix.strip()
        fits = len(inner) >= len(prefix) + len(suffix)
        if not (fits and inner.startswith(prefix) and inner.endswith(suffix)):
            raise ValueError(f"it is not of the form {self.prefix}…{self.suffix}")
        return self._read_value(inner[len(prefix) : len(inner) - len(suffix)].strip())

    def _read_value(self, text: str) -> Plain:
        if not self.spec or self.form == "s":
            return text
        joined = _APART.sub(r"\1", text, count=1)  # the align = fills after the sign
        if self.form in _INTEGERS:
            return _whole(joined, _INTEGERS[self.form])
        if self.form == "%":
            return _real(joined.removesuffix("%"), "number in %") / 100
        return _real(joined, "number")


def _words(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return float_text(value) if isinstance(value, float) else str(value)


def _whole(text: str, base: int) -> int:
    if not _DIGITS[base].fullmatch(text):
        where = "" if base == 10 else f" of base {base}"
        raise ValueError(f"{text[:40]!r} is no whole number{where}")
    return int(text, base)


def _real(text: str, what: str) -> float:
    not_finite = _NOT_FINITE.fullmatch(text)  # a width with zeros writes 000inf
    if not_finite is not None:
        return float("".join(not_finite.groups()))
    if not DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no {what}")
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]!r} does not fit Double")
    return number


def compile_pattern(pattern: str) -> TextPattern:
    """Raises:
    PatternError: no place for the value, more than one, or a format that is not allowed.
    """
    literals, spec = [""], None
    position = 0
    for found in _PLACE.finditer(pattern):
        literals[-1] += pattern[position : found.start()]
        position = found.end()
        token = found.group()
        if token in ("{{", "}}"):
            literals[-1] += token[0]
        elif len(token) == 1:
            raise PatternError(f"{token} stands alone; write {token}{token} for the character")
        elif spec is not None:
            raise PatternError("there is more than one place for the value; use one {}")
        else:
            spec = _spec(token[1:-1])
            literals.append("")
    literals[-1] += pattern[position:]
    if spec is None:
        raise PatternError("there is no place for the value; use {} or one such as {:.2f}")
    return TextPattern(literals[0], spec, literals[1])


def _spec(inner: str) -> str:
    if not inner:
        return ""
    found = _SPEC.fullmatch(inner[1:]) if inner.startswith(":") else None
    if found is None:
        raise PatternError(
            f"{{{inner}}} is not allowed; use {{}} or {{:[sign][0][width][.precision][dxobefg%s]}}"
        )
    if int(found["width"] or 0) > _MOST_WIDTH or int(found["precision"] or 0) > _MOST_PRECISION:
        raise PatternError(f"{{{inner}}} is too wide; at most {_MOST_WIDTH}.{_MOST_PRECISION}")
    if found["type"] in _INTEGERS and found["precision"]:
        raise PatternError(f"{{{inner}}}: a whole number has no precision")
    if (found["type"] == "s") and (found["sign"] or found["align"] == "="):
        raise PatternError(f"{{{inner}}}: text has no sign")
    return inner[1:]
