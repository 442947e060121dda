"""Why a write of the configuration was not done. Edges turn these into problems or exit texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipes.core.plan import Plan
from pipes.core.problems import FieldError
from pipes.core.wanted import Json

MOST_ERRORS: Final = 1000


class RefusedError(Exception):
    """Nothing was changed."""


class Invalid(RefusedError):  # noqa: N818 - the words of the contract
    """The content is wrong; ``plan`` is there if the rows of a file or list were."""

    def __init__(self, errors: Sequence[FieldError], plan: Plan | None = None) -> None:
        self.errors: list[FieldError] = list(errors)[:MOST_ERRORS]
        self.plan = plan
        first = self.errors[0]
        row = "" if first.row is None else f"row {first.row}: "
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{row}{first.field} {first.message}{more}")


class Stale(RefusedError):  # noqa: N818
    """What the writer saw is no longer so; ``current`` is the object (or document) of now."""

    def __init__(self, revision: int, current: Mapping[str, Json] | None = None) -> None:
        super().__init__(f"the configuration has changed; the present revision is {revision}")
        self.revision = revision
        self.current = current


class Conflict(RefusedError):  # noqa: N818
    """It is right in itself but not possible now; ``code`` names why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Referenced(Conflict):
    """What is to be deleted is still used; ``by`` names some of those that use it."""

    def __init__(self, message: str, by: Sequence[str]) -> None:
        super().__init__("referenced", message)
        self.by = list(by)


class NotFound(RefusedError):  # noqa: N818
    """There is no such object."""

    def __init__(self, kind: str, key: object) -> None:
        super().__init__(f"there is no {kind} {key}")
        self.kind = kind
        self.key = key


class TooLarge(RefusedError):  # noqa: N818
    """A file beyond the limits (413)."""


class Unavailable(RefusedError):  # noqa: N818
    """The database cannot do it now; trying again later helps."""


class Busy(Unavailable):
    """Somebody else holds the database's lock."""
