"""What is wrong with a field: one record for forms, tables, REST bodies and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipes.core.wanted import Json

#: A value in an error is shown, not stored: long ones are cut.
LONGEST_VALUE: Final = 200


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field or cell; ``row`` is the line of the file (its heading is line 1)."""

    field: str
    message: str
    value: Json = None
    allowed: tuple[str, ...] = ()
    row: int | None = None
    column: str | None = None

    def body(self) -> dict[str, Json]:
        """The contract's form, an entry of a problem's ``errors``."""
        shown: dict[str, Json] = {"field": self.field}
        if self.row is not None:
            shown["row"] = self.row
        shown["column"] = self.column if self.column is not None else self.field
        shown["value"] = shortened(self.value)
        shown["message"] = self.message
        if self.allowed:
            shown["allowed"] = list(self.allowed)
        return shown

    def at_row(self, row: int | None) -> FieldError:
        return replace(self, row=row)

    def below(self, parent: str) -> FieldError:
        """The same error of a child field: ``gain`` becomes ``transform.gain``."""
        return replace(self, field=f"{parent}.{self.field}" if self.field else parent)


class WrongError(Exception):
    """A value that is refused; ``errors`` name the children that are wrong ("" is the value)."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors: Sequence[FieldError] = errors


def wrong(message: str, value: Json, allowed: Sequence[str] = ()) -> WrongError:
    """A refusal of one whole value."""
    return WrongError(FieldError("", message, value, tuple(allowed)))


def shortened(value: Json) -> Json:
    """``value`` as an error shows it: text of any length would make the answer as long."""
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return value[:LONGEST_VALUE] + "…"
    if isinstance(value, list | dict) and len(str(value)) > LONGEST_VALUE:
        return str(value)[:LONGEST_VALUE] + "…"
    return value
