r"""How a rule of bulk mapping makes the target's name of the source's.

``pattern`` is a regular expression of Python. It is searched, not matched whole: every place where
it occurs is replaced by ``replace``, in which ``\1`` to ``\99`` and ``\g<name>`` stand for groups
and ``\\`` for a backslash. ``^`` and ``$`` tie it to the ends.

A pattern can need time that grows exponentially with the text, and nothing in a process can stop
it: see `pipes.patterns`, which runs this module where it can be stopped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

LONGEST_PATTERN: Final = 500
#: As long as a NodeId's identifier can be (Part 3, 8.2.4), and so any text of use.
LONGEST_RESULT: Final = 4096


class RuleError(ValueError):
    """``field`` (pattern or replace) cannot be used; the message says why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message


def rename_all(pattern: str, replace: str, texts: Sequence[str]) -> list[str | None]:
    """Each text with the pattern replaced; None where the pattern does not occur.

    Raises:
        RuleError: one of the two is no such expression, or makes a text longer than any name.
    """
    for field, text in (("pattern", pattern), ("replace", replace)):
        if len(text) > LONGEST_PATTERN:
            raise RuleError(field, f"must have at most {LONGEST_PATTERN} characters")
    compiled = _compiled(pattern, replace)
    return [_renamed(compiled, replace, text) for text in texts]


def _compiled(pattern: str, replace: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise RuleError("pattern", f"is no regular expression: {error}") from error
    try:
        # One more way to match, the empty one, so that the replacement is read in any case.
        re.compile(f"{pattern}\n|").sub(replace, "")
    except (re.error, IndexError) as error:
        message = f"does not fit the pattern: {error}; write a backslash as two"
        raise RuleError("replace", message) from error
    return compiled


def _renamed(compiled: re.Pattern[str], replace: str, text: str) -> str | None:
    renamed, places = compiled.subn(replace, text)
    if len(renamed) > LONGEST_RESULT:
        raise RuleError("replace", f"makes a name of more than {LONGEST_RESULT} characters")
    return renamed if places else None
