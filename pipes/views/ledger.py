"""REST of the write ledger: what was asked for, what went out, what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import schemas
from pipes.core.ledger import Outcome
from pipes.ledger_pages import HostsAway, read_ledger
from pipes.listing import Filter, asked, boolean, bounds, one_of, page, searched, whole
from pipes.models import Item
from pipes.rest import invalid, unavailable
from pipes.views.common import ITEM_SEARCH, PipesView

FILTERS: Final[Mapping[str, Filter]] = {
    "item": Filter("items", whole, "the id of an item"),
    "pipe": Filter("pipe"),
    "outcome": Filter("outcome", one_of(Outcome), ", ".join(Outcome)),
    "verified": Filter("verified", boolean, "true or false"),
}
NEWEST_FIRST: Final = "-at"


class LedgerView(PipesView):
    """The newest writes of every pipe, as far as they are kept; newest first."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.ledger())
    def get(self, request: Request) -> Response:
        part = bounds(request)
        query = _query(request)
        try:
            found = read_ledger(query, part.offset, part.limit)
        except HostsAway as away:
            raise unavailable("workers_away", f"{away}, and only they know the ledger") from away
        body = page(request, part, found.count, found.rows)
        return Response({**body, "notes": found.notes})


def _query(request: Request) -> dict[str, Any]:
    order = request.query_params.get("ordering", "") or NEWEST_FIRST
    if order != NEWEST_FIRST:
        text = f"the ledger comes newest first: ordering takes {NEWEST_FIRST}"
        raise invalid("ordering", order, text, [NEWEST_FIRST])
    query = asked(request, FILTERS)
    items = None if "item" not in query else {query.pop("item")}
    found = searched(request, Item.objects.all(), ITEM_SEARCH)
    if found is not None:
        ids = set(found.values_list("pk", flat=True))
        items = ids if items is None else ids & items
    return query if items is None else {**query, "items": sorted(items)}
