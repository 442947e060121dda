"""REST of station, pair, diagnostics tree, chronicle, switchovers and logs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from diagnostics import bodies, log_files, services, sources
from diagnostics.core.log_lines import LEVELS
from diagnostics.core.tree import as_answer, build, find
from diagnostics.records import as_answer as event_answer
from diagnostics.requests import chronicle_query, only_parameters
from diagnostics.selectors import Listing
from diagnostics.streaming import csv_pieces, json_pieces, stream
from pipes.listing import MOST_LIMIT, Bounds, bounds, page, page_of
from pipes.rest import choice, invalid, not_found, number

#: Says which parts a chronicle listing was made of; ``spool`` alone: the database is away.
CHRONICLE_HEADER: Final = "X-Mirrorsite-Chronicle"
DEPTH: Final = 1
MOST_DEPTH: Final = 10
ITEMS_LIMIT: Final = 200
LOG_LINES: Final = 200
_MOST_ID: Final = 2**53

_ITEMS_PATH: Final = re.compile(r"[^/]+/[^/]+/mirror/pipes/(?P<pipe>[^/]+)(?P<rest>/items(/\d+)?)?")


class StationView(APIView):
    required_roles: Final = {"GET": "viewer"}

    @extend_schema(responses=bodies.StationBody)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        return Response(sources.station())


class PairView(APIView):
    required_roles: Final = {"GET": "viewer"}

    @extend_schema(responses=bodies.PairBody)
    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        return Response(sources.pair())


class DiagnosticsView(APIView):
    """One node and, with ``?depth=``, what lies below; items come 200 at a time."""

    required_roles: Final = {"GET": "viewer"}

    @extend_schema(
        parameters=bodies.DIAGNOSTICS_PARAMETERS,
        responses=bodies.NodeBody,
    )
    def get(self, request: Request, path: str = "") -> Response:
        only_parameters(request, ("depth", "limit", "offset"))
        depth = number(request, "depth", DEPTH, 0, MOST_DEPTH)
        part = Bounds(
            number(request, "limit", ITEMS_LIMIT, 1, MOST_LIMIT),
            number(request, "offset", 0, 0, _MOST_ID),
        )
        root = build(sources.document(wanted_items(path, depth, part)))
        node = find(root, path)
        if node is None:
            raise not_found("diagnostics path", path)
        return Response(as_answer(node, depth))


def wanted_items(path: str, depth: int, part: Bounds) -> dict[str, Sequence[int] | slice]:
    """Which items the asked part of the tree shows: one, a part of a pipe's, or none."""
    matched = _ITEMS_PATH.fullmatch(path.strip("/"))
    if matched is None:
        return {}
    rest = matched["rest"] or ""
    item = rest.removeprefix("/items").strip("/")
    if item:
        return {matched["pipe"]: [int(item)] if int(item) < _MOST_ID else []}
    levels_to_items = 1 if rest else 2
    if depth < levels_to_items:
        return {}
    return {matched["pipe"]: slice(part.offset, part.offset + part.limit)}


class ChronicleView(APIView):
    """Newest first; ``?format=csv|json`` sends all that match as a file."""

    required_roles: Final = {"GET": "viewer"}

    @extend_schema(parameters=bodies.CHRONICLE_PARAMETERS, responses=bodies.EventPage)
    def get(self, request: Request) -> HttpResponseBase:
        query = chronicle_query(request)
        form = choice(request, "format", ("", "csv", "json"), "")
        part = bounds(request)
        listing = Listing(query)
        response: HttpResponseBase
        if form:
            response = self._file(request, listing, form)
        else:
            found = listing[part.offset : part.offset + part.limit]
            results = [event_answer(record) for record in found]
            response = Response(page(request, part, listing.count(), results))
        is_alone = listing.is_spool_only
        response.headers[CHRONICLE_HEADER] = "spool" if is_alone else "database, spool"
        return response

    @staticmethod
    def _file(request: Request, listing: Listing, form: str) -> HttpResponseBase:
        name = f"chronicle-{settings.STATION.name}.{form}"
        inner = request._request  # noqa: SLF001 - the only way to Django's own request
        if form == "csv":
            return stream(inner, csv_pieces(listing), "text/csv; charset=utf-8", name)
        return stream(inner, json_pieces(listing), "application/json", name)


class AcknowledgeView(APIView):
    required_roles: Final = {"POST": "operator"}

    @extend_schema(request=None, responses=bodies.EventBody)
    def post(self, request: Request, event_id: int) -> Response:
        try:
            record = services.acknowledge(event_id, request.user.get_username())
        except services.EventNotFoundError as error:
            raise not_found("event", event_id) from error
        return Response(event_answer(record))


class SwitchoversView(APIView):
    """A station without a pair has nobody to switch over to: the list is empty."""

    required_roles: Final = {"GET": "viewer"}

    @extend_schema(responses=bodies.SwitchoverPage, operation_id="switchovers_list")
    def get(self, request: Request) -> Response:
        return Response(page_of(request, []))


class SwitchoverView(APIView):
    required_roles: Final = {"GET": "viewer"}

    @extend_schema(responses=bodies.SwitchoverBody)
    def get(self, request: Request, switchover_id: int) -> Response:  # noqa: ARG002 - DRF's signature
        raise not_found("switchover", switchover_id)


class LogsView(APIView):
    """The newest lines of the station's logs; ``?level=`` is the least urgent one shown."""

    required_roles: Final = {"GET": "admin"}

    @extend_schema(parameters=bodies.LOG_PARAMETERS, responses=bodies.LogPage)
    def get(self, request: Request) -> Response:
        only_parameters(request, ("process", "level", "limit"))
        processes = log_files.log_processes()
        process = request.query_params.get("process", "")
        if process and process not in processes:
            text = f"process takes {', '.join(processes) or 'nothing yet: there is no log'}"
            raise invalid("process", process[:80], text, processes)
        level = choice(request, "level", ("", *LEVELS), "") or None
        limit = number(request, "limit", LOG_LINES, 1, MOST_LIMIT)
        results = log_files.newest_lines([process] if process else processes, level, limit)
        answer: dict[str, Any] = {"count": len(results), "next": None, "previous": None}
        return Response(answer | {"results": results})
