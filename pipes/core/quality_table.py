"""The ``quality_table`` of a pipe: source status to what is written for it.

A key is a StatusCode by name, or the class ``Uncertain`` or ``Bad``; the exact code comes before
its class. A value is a policy (``propagate``, ``hold``, ``substitute``, ``stop``) or the name of
the StatusCode that is written instead, ``Good`` included. The code ``Good`` itself is no key: an
ordinary value is always written, and costs no look at a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipes.core.choices import Quality
from pipes.core.problems import FieldError, WrongError, wrong
from pipes.core.status_codes import CODES, UnknownStatusNameError, code_of, name_of
from pipes.core.values import StatusSeverity, severity, without_info_bits
from pipes.core.wanted import Json

MOST_ROWS: Final = 300
GOOD: Final = "Good"

Ruling = Quality | int
"""A policy, or the StatusCode that is written."""

_POLICIES: Final = tuple(str(policy) for policy in Quality)
_CLASSES: Final = (str(StatusSeverity.UNCERTAIN), str(StatusSeverity.BAD))
_BY_FOLDED: Final = {name.casefold(): name for name in CODES}


@dataclass(frozen=True, slots=True, eq=False)
class QualityTable:
    """Compiled; equal tables are the same object, see `compile_table`."""

    codes: Mapping[int, Ruling]
    classes: Mapping[StatusSeverity, Ruling]

    def __bool__(self) -> bool:
        return bool(self.codes or self.classes)

    def ruling(self, status: int) -> Ruling | None:
        """What this status asks for; None leaves it to the policy."""
        exact = self.codes.get(without_info_bits(status))
        return self.classes.get(severity(status)) if exact is None else exact


NO_TABLE: Final = QualityTable({}, {})


def table_of(rows: Mapping[str, Json]) -> QualityTable:
    """Compile rows that `check_quality_table` has passed."""
    return compile_table(tuple((key, str(value)) for key, value in rows.items()))


@lru_cache(maxsize=64)  # one object for the thousands of items of a pipe
def compile_table(rows: tuple[tuple[str, str], ...]) -> QualityTable:
    """As `table_of`.

    Raises:
        ValueError: a row is none, as if another version had written it.
    """
    if not rows:
        return NO_TABLE
    codes: dict[int, Ruling] = {}
    classes: dict[StatusSeverity, Ruling] = {}
    for key, value in rows:
        ruling: Ruling = Quality(value) if value in _POLICIES else code_of(value)
        if key in _CLASSES:
            classes[StatusSeverity(key)] = ruling
        else:
            codes[code_of(key)] = ruling
    return QualityTable(codes, classes)


def check_quality_table(value: Json) -> Json:
    """The table in its one spelling; names are taken with any case, and with underscores.

    Raises:
        WrongError: each row that is wrong, by its key.
    """
    if not isinstance(value, dict):
        raise wrong("must be a table such as Bad=hold|BadSensorFailure=UncertainSubNormal", None)
    if len(value) > MOST_ROWS:
        raise wrong(f"has {len(value)} rows; at most {MOST_ROWS} are allowed", None)
    table: dict[str, Json] = {}
    errors: list[FieldError] = []
    for raw_key, raw_ruling in value.items():
        try:
            key = _key(raw_key)
            if key in table:
                raise wrong(f"stands in the table twice, as {key}", raw_ruling)
            table[key] = _ruling(raw_ruling)
        except WrongError as error:
            errors.extend(each.below(raw_key[:64]) for each in error.errors)
    if errors:
        raise WrongError(*errors)
    return table


def _key(text: str) -> str:
    name = _status_name(text)
    if name is None:
        raise wrong(
            "must be Uncertain, Bad or the name of a StatusCode such as BadSensorFailure", text
        )
    if name == GOOD:
        raise wrong(
            "must not be Good: a Good value is always written; name another status, such as "
            "GoodLocalOverride",
            text,
        )
    return name


def _ruling(value: Json) -> str:
    if isinstance(value, str):
        if value.casefold() in _POLICIES:
            return value.casefold()
        name = _status_name(value)
        if name is not None:
            return name
    raise wrong(
        f"must be {', '.join(_POLICIES)} or the name of the StatusCode to write, such as "
        "UncertainSubNormal",
        value,
    )


def _status_name(text: str) -> str | None:
    folded = text.strip().replace("_", "").casefold()
    known = _BY_FOLDED.get(folded)
    if known is not None:
        return known
    try:
        return name_of(code_of(text.strip()))
    except UnknownStatusNameError:
        return None
