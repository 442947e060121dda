"""REST of bulk mapping: the browse cache of a server, and items by one rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import address_spaces, schemas, selectors
from pipes.core import checks
from pipes.core.problems import WrongError
from pipes.generating import generate, read_rule
from pipes.models import Server
from pipes.refusals import Invalid
from pipes.rest import body_object, flag, if_match, invalid, only_fields, reason, with_revision
from pipes.views.common import PipesView, check_base, rows, user_name

MOST_NODES: Final = 1_000_000
USUAL_NODES: Final = 200_000


class BrowseCacheView(PipesView):
    """The browse of a server in the background, and the cache that it leaves."""

    required_roles: ClassVar[Mapping[str, str]] = {
        "GET": "viewer",
        "POST": "engineer",
        "DELETE": "engineer",
    }

    @extend_schema(**schemas.answered("BrowseState"))
    def get(self, _: Request, name: str) -> Response:
        return Response(address_spaces.state(selectors.server_row(name)))

    @extend_schema(**schemas.browse_started())
    def post(self, request: Request, name: str) -> Response:
        server = selectors.server_row(name)
        body = body_object(request)
        only_fields(body, ["node", "max_nodes"])
        node, most = body.get("node"), body.get("max_nodes", USUAL_NODES)
        if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_NODES:
            raise invalid("max_nodes", most, f"max_nodes takes a whole number, 1 to {MOST_NODES}")
        begins_at = address_spaces.OBJECTS if node is None else _node(node)
        return Response(address_spaces.start(server, begins_at, most), 202)

    @extend_schema(**schemas.browse_cancelled())
    def delete(self, _: Request, name: str) -> Response:
        return Response(address_spaces.cancel(selectors.server_row(name)))


class GenerateView(PipesView):
    """Items by a rule over the browse caches of the pipe's servers."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}

    @extend_schema(**schemas.generated())
    def post(self, request: Request) -> Response:
        check_base(if_match(request))
        made = generate(
            read_rule(body_object(request)),
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
            dry_run=flag(request, "dry_run"),
            rows=rows(request),
        )
        plan = made.plan
        revision = plan.revision if plan.revision is not None else plan.base_revision
        return with_revision(Response(made.body()), revision)


def cached_page(
    server: Server, node: str, depth: int, search: str, limit: int, continuation: str
) -> Response:
    """``GET /servers/{name}/browse?cached=true``: a page of the cache."""
    if not (continuation == "" or (continuation.isdecimal() and len(continuation) < 16)):
        text = "continuation is what the answer before gave; leave it out to begin anew"
        raise invalid("continuation", continuation[:40], text)
    with address_spaces.cache_of(server) as cache:
        try:
            found = address_spaces.page(cache, node, depth, search, limit, continuation)
        except address_spaces.NotInCache as error:
            raise invalid("node", node, f"node {error}") from error
    return Response(found)


def _node(value: Any) -> str:
    try:
        return str(checks.node_id(value))
    except WrongError as error:
        raise Invalid([each.below("node") for each in error.errors]) from error
