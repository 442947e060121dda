"""Lists over REST: ``?limit=&offset=&search=&ordering=`` and filters by field name.

A view says with a `Listing` what can be searched, sorted and filtered; what else stands in the
query is refused by name, so that a misspelt filter never answers with everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Final, TypeVar

from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from pipes.rest import invalid, number

DEFAULT_LIMIT: Final = 100
MOST_LIMIT: Final = 1000
_MOST_OFFSET: Final = 2**53
_OWN: Final = frozenset({"limit", "offset", "search", "ordering"})
_MOST_SEARCH: Final = 200

Body = Mapping[str, Any]
AnyModel = TypeVar("AnyModel", bound=Model)


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: the look-up or condition it becomes, and how its text is read; a ValueError
    refuses it.
    """

    lookup: str | Callable[[Any], Q]
    parse: Callable[[str], Any] = str
    takes: str = "text"


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list can be asked for; ``ordering`` maps the field's name to the column."""

    search: Sequence[str]
    ordering: Mapping[str, str]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    default_order: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which part of a list is asked for."""

    limit: int
    offset: int


def whole(text: str) -> int:
    """A whole number that a database column can hold."""
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


def boolean(text: str) -> bool:
    if text.lower() not in {"true", "false", "1", "0"}:
        raise ValueError(text)
    return text.lower() in {"true", "1"}


def one_of(allowed: Iterable[str]) -> Callable[[str], str]:
    """Reads one of a closed list."""
    values = [str(value) for value in allowed]

    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return parse


def number_text(text: str) -> float:
    """A finite number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def select(request: Request, rows: QuerySet[AnyModel], listing: Listing) -> QuerySet[AnyModel]:
    """``rows`` filtered, searched and sorted as the query asks.

    Raises:
        Problem: 400 for a parameter that the list does not have or a value that it cannot read.
    """
    _refuse_unknown(request, listing.filters)
    for name, each in listing.filters.items():
        if name in request.query_params:
            value = _parsed(name, request.query_params[name], each)
            rows = rows.filter(
                each.lookup(value) if callable(each.lookup) else Q(**{each.lookup: value})
            )
    rows = _searched(request, rows, listing)
    return rows.order_by(*_order(request, listing))


def pick(
    request: Request,
    bodies: Sequence[Body],
    search: Sequence[str],
    filters: Mapping[str, Filter],
) -> list[Body]:
    """The same of a short list that is in memory: ``filters`` and orders are fields of the bodies,
    texts compare without regard to case.

    Raises:
        Problem: as `select`.
    """
    _refuse_unknown(request, filters)
    found = list(bodies)
    for name, each in filters.items():
        if name in request.query_params:
            value = _parsed(name, request.query_params[name], each)
            found = [body for body in found if _plain(_value(body, name)) == _plain(value)]
    text = _search_text(request).casefold()
    found = [body for body in found if any(text in _plain(body[name]) for name in search)]
    for name in reversed(_order_names(request, filters)):
        key = name.removeprefix("-")
        found.sort(key=lambda body: _sort_key(_value(body, key)), reverse=name.startswith("-"))
    return found


def asked(request: Request, filters: Mapping[str, Filter]) -> dict[str, Any]:
    """The filters that the query has, read; for lists that are neither rows nor in memory.

    Raises:
        Problem: as `select`.
    """
    _refuse_unknown(request, filters)
    return {
        name: _parsed(name, request.query_params[name], each)
        for name, each in filters.items()
        if name in request.query_params
    }


def searched(
    request: Request, rows: QuerySet[AnyModel], fields: Sequence[str]
) -> QuerySet[AnyModel] | None:
    """The ``rows`` with the text of ``?search=`` in one of ``fields``; None without a text."""
    if _search_text(request) == "":
        return None
    return _searched(request, rows, Listing(fields, {}))


def _refuse_unknown(request: Request, filters: Iterable[str]) -> None:
    allowed = sorted(_OWN | set(filters))
    for name in request.query_params:
        if name not in allowed:
            text = f"{name} is not a parameter of this list; there are {', '.join(allowed)}"
            raise invalid(name, request.query_params[name], text, allowed)


def _value(body: Body, name: str) -> Any:
    return body["status"]["state"] if name == "state" else body[name]


def _plain(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _sort_key(value: Any) -> tuple[bool, Any]:
    """Orders texts without regard to case, and what is null first."""
    return (value is not None, _plain(value) if value is not None else 0)


def bounds(request: Request) -> Bounds:
    """``?limit=`` (default 100, most 1000) and ``?offset=``."""
    limit = number(request, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT)
    return Bounds(limit, number(request, "offset", 0, 0, _MOST_OFFSET))


def page(request: Request, part: Bounds, count: int, results: Sequence[Any]) -> dict[str, Any]:
    """The contract's form of a list: ``{count, next, previous, results}``."""
    following = part.offset + part.limit
    before = max(part.offset - part.limit, 0)
    return {
        "count": count,
        "next": _link(request, part.limit, following) if following < count else None,
        "previous": _link(request, part.limit, before) if part.offset > 0 else None,
        "results": list(results),
    }


def page_of(request: Request, rows: Sequence[Any]) -> dict[str, Any]:
    """A page of a list that is in memory as a whole."""
    part = bounds(request)
    return page(request, part, len(rows), rows[part.offset : part.offset + part.limit])


def _parsed(name: str, text: str, each: Filter) -> Any:
    try:
        return each.parse(text)
    except ValueError as error:
        raise invalid(name, text, f"{name} takes {each.takes}") from error


def _searched(request: Request, rows: QuerySet[AnyModel], listing: Listing) -> QuerySet[AnyModel]:
    text = _search_text(request)
    if text == "":
        return rows
    return rows.filter(reduce(or_, (Q(**{f"{each}__icontains": text}) for each in listing.search)))


def _search_text(request: Request) -> str:
    text = request.query_params.get("search", "").strip()
    if len(text) > _MOST_SEARCH:
        raise invalid("search", text[:40], f"search takes at most {_MOST_SEARCH} characters")
    return text


def _order(request: Request, listing: Listing) -> list[str]:
    """The columns to sort by; the primary key last, so that pages never overlap."""
    columns = []
    for name in _order_names(request, listing.ordering):
        sign = "-" if name.startswith("-") else ""
        columns.append(sign + listing.ordering[name.removeprefix("-")])
    return [*(columns or listing.default_order), "pk"]


def _order_names(request: Request, allowed: Iterable[str]) -> list[str]:
    known = sorted(allowed)
    names = [name.strip() for name in request.query_params.get("ordering", "").split(",")]
    for name in filter(None, names):
        if name.removeprefix("-") not in known:
            text = f"ordering takes {', '.join(known)}, with - before to descend"
            raise invalid("ordering", name, text, known)
    return [name for name in names if name]


def _link(request: Request, limit: int, offset: int) -> str:
    query = request.query_params.copy()
    query["limit"], query["offset"] = str(limit), str(offset)
    return str(request.build_absolute_uri(f"{request.path}?{query.urlencode()}"))
