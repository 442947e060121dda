"""What a request asks of the chronicle."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, TypeVar

from rest_framework.request import Request

from diagnostics.core.chronicle import Query
from diagnostics.records import nanoseconds
from pipes.rest import choice, invalid
from redundancy.core.events import EventKind, Severity

FILTERS: Final = ("kind", "code", "severity", "since", "until", "search")
OTHERS: Final = ("limit", "offset", "ordering", "format")
_MOST_SEARCH: Final = 200
_MOST_VALUES: Final = 50

Value = TypeVar("Value")


def chronicle_query(request: Request) -> Query:
    """
    Raises:
        Problem: 400 for a parameter that the chronicle does not have or cannot read.

    """
    only_parameters(request, (*FILTERS, *OTHERS))
    search = request.query_params.get("search", "").strip()
    if len(search) > _MOST_SEARCH:
        raise invalid("search", search[:40], f"search takes at most {_MOST_SEARCH} characters")
    until = _instant(request, "until")
    return Query(
        kinds=_several(request, "kind", _one_of(EventKind)),
        codes=_several(request, "code", str),
        severities=_several(request, "severity", _one_of(Severity)),
        since_ns=_instant(request, "since"),
        until_ns=None if until is None else until + 999,  # the whole microsecond
        search=search,
        newest_first=choice(request, "ordering", ("-at", "at"), "-at") == "-at",
    )


def only_parameters(request: Request, known: Iterable[str]) -> None:
    """Refuse what is not a parameter here: a misspelt filter must not answer with everything."""
    allowed = sorted(known)
    for name, value in request.query_params.items():
        if name not in allowed:
            text = f"{name} is not a parameter here; there are {', '.join(allowed)}"
            raise invalid(name, value, text, allowed)


def _several(request: Request, name: str, read: Callable[[str], Value]) -> frozenset[Value]:
    """Comma-separated values, or the parameter several times."""
    given = ",".join(request.query_params.getlist(name))
    words = [word.strip() for word in given.split(",") if word.strip()]
    if len(words) > _MOST_VALUES:
        raise invalid(name, given[:40], f"{name} takes at most {_MOST_VALUES} values")
    found: set[Value] = set()
    for word in words:
        try:
            found.add(read(word))
        except ValueError as error:
            allowed = str(error).split(",")
            raise invalid(name, word, f"{name} takes {', '.join(allowed)}", allowed) from error
    return frozenset(found)


Choice = TypeVar("Choice", bound=StrEnum)


def _one_of(values: type[Choice]) -> Callable[[str], Choice]:
    def read(text: str) -> Choice:
        try:
            return values(text)
        except ValueError:
            raise ValueError(",".join(values)) from None

    return read


def _instant(request: Request, name: str) -> int | None:
    """An ISO 8601 instant in nanoseconds; without a zone it is UTC."""
    text = request.query_params.get(name, "").strip()
    if not text:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
        return nanoseconds(at if at.tzinfo else at.replace(tzinfo=dt.UTC))
    except (ValueError, OverflowError) as error:
        message = f"{name} takes an instant such as 2026-11-24T09:00:00Z"
        raise invalid(name, text[:40], message) from error
