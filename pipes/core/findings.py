"""What the mapping linter says of a configuration: one record for plans, REST and commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipes.core.wanted import Json

#: How many names a sentence lists before it counts the rest.
NAMED: Final = 5


class Severity(StrEnum):
    ERROR = "error"
    """It cannot work, or harms: it is not saved, if it can be known when it is saved."""
    WARNING = "warning"
    """It may be meant."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is for programs and never changes; ``items`` are the ids that it is about."""

    severity: Severity
    rule: str
    message: str
    items: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, frozenset[int] | str]:
        """What makes it the same finding in another revision, however its sentence reads."""
        return self.rule, frozenset(self.items) if self.items else self.message

    def body(self) -> dict[str, Json]:
        """The contract's form."""
        return {
            "severity": str(self.severity),
            "rule": self.rule,
            "message": self.message,
            "items": list(self.items),
        }


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first; within a severity as they were found."""
    return sorted(findings, key=lambda finding: finding.severity is Severity.WARNING)


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """``a, b and c``, or ``a, b, c and 7 more``."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
