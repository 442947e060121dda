"""REST of servers: configuration, connection test, browse, read, certificate, discovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import UserRateThrottle

from pipes import certificates, commands, schemas, selectors, services
from pipes.core import checks, endpoints
from pipes.core.fields import Kind
from pipes.core.problems import FieldError, WrongError
from pipes.listing import page_of, pick
from pipes.refusals import Invalid
from pipes.rest import (
    body_object,
    flag,
    if_match,
    invalid,
    number,
    only_fields,
    reason,
    with_revision,
)
from pipes.views.common import (
    PipesView,
    body_filters,
    check_base,
    forbid,
    may,
    single_write_only,
    user_name,
)
from pipes.views.generate import cached_page

MOST_NODES: Final = 1000
MOST_RESULTS: Final = 1000
DEEPEST: Final = 10
DEEPEST_CACHED: Final = 64
_BROWSE_QUERY: Final = ("node", "depth", "search", "limit", "continuation", "cached")
_FILTERS: Final = body_filters(Kind.SERVER)
_ACTIONS: Final = {"propose": "engineer", "trust": "admin", "reject": "admin"}


class ConnectThrottle(UserRateThrottle):
    """Connections on demand, to addresses that somebody types: half a one a second."""

    rate = "30/min"
    scope = "connect"


class ServersView(PipesView):
    """The OPC UA servers of the configuration."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer", "POST": "engineer"}

    @extend_schema(**schemas.listed("Server", _FILTERS))
    def get(self, request: Request) -> Response:
        revision = services.current_revision()
        found = pick(request, selectors.servers(), ["name", "endpoint", "note"], _FILTERS)
        return with_revision(Response(page_of(request, found)), revision)

    @extend_schema(**schemas.written("Server", 201))
    def post(self, request: Request) -> Response:
        single_write_only(request)
        check_base(if_match(request))
        made = services.create_server(
            body_object(request), user=user_name(request), reason=reason(request)
        )
        return with_revision(Response(selectors.server(made.name).body, 201), made.revision)


class ServerView(PipesView):
    """One server."""

    required_roles: ClassVar[Mapping[str, str]] = {
        "GET": "viewer",
        "PATCH": "engineer",
        "DELETE": "engineer",
    }

    @extend_schema(**schemas.answered("Server"))
    def get(self, _: Request, name: str) -> Response:
        found = selectors.server(name)
        return with_revision(Response(found.body), found.revision)

    @extend_schema(**schemas.changed("Server"))
    def patch(self, request: Request, name: str) -> Response:
        single_write_only(request)
        changed = services.change_server(
            name,
            body_object(request),
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
        )
        return with_revision(Response(selectors.server(changed.name).body), changed.revision)

    @extend_schema(**schemas.deleted())
    def delete(self, request: Request, name: str) -> Response:
        single_write_only(request)
        services.delete_server(
            name, user=user_name(request), reason=reason(request), base_revision=if_match(request)
        )
        return Response(status=204)


class ServerTestView(PipesView):
    """Connect to the server now and say how that went."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}
    throttle_classes = (ConnectThrottle,)

    @extend_schema(**schemas.commanded("ServerTest"))
    def post(self, _: Request, name: str) -> Response:
        server = selectors.server_row(name)
        return Response(commands.run("pipes.test_server", server=server.name))


class BrowseView(PipesView):
    """What stands below a node of the server's address space."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.browsed())
    def get(self, request: Request, name: str) -> Response:
        server = selectors.server_row(name)
        query = request.query_params
        only_fields(dict(query.items()), _BROWSE_QUERY)
        is_cached = flag(request, "cached")
        node = query.get("node", "")
        node = _node("node", node) if node else ""
        depth = number(request, "depth", 1, 1, DEEPEST_CACHED if is_cached else DEEPEST)
        search = _short("search", query.get("search", ""), 200)
        limit = number(request, "limit", 100, 1, MOST_RESULTS)
        continuation = _short("continuation", query.get("continuation", ""), 2000)
        if is_cached:
            return cached_page(server, node, depth, search, limit, continuation)
        return Response(
            commands.run(
                "pipes.browse",
                server=server.name,
                node=node or None,
                depth=depth,
                search=search,
                limit=limit,
                continuation=continuation or None,
            )
        )


class ReadView(PipesView):
    """The present values of some nodes, read from the server now."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "viewer"}

    @extend_schema(**schemas.read_nodes())
    def post(self, request: Request, name: str) -> Response:
        server = selectors.server_row(name)
        body = body_object(request)
        only_fields(body, ["nodes"])
        nodes = body.get("nodes")
        if not isinstance(nodes, list) or not 1 <= len(nodes) <= MOST_NODES:
            raise invalid("nodes", None, f"nodes takes a list of 1 to {MOST_NODES} NodeIds")
        return Response(commands.run("pipes.read_nodes", server=server.name, nodes=_nodes(nodes)))


class ServerCertificateView(PipesView):
    """The certificate that the server showed, and whether the station trusts it."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer", "POST": "engineer"}

    @extend_schema(**schemas.answered("Certificate"))
    def get(self, _: Request, name: str) -> Response:
        return Response(certificates.of_server(selectors.server_row(name).name))

    @extend_schema(**schemas.decided())
    def post(self, request: Request, name: str) -> Response:
        server = selectors.server_row(name).name
        body = body_object(request)
        only_fields(body, ["action", "thumbprint"])
        action, thumbprint = body.get("action"), body.get("thumbprint")
        if action not in _ACTIONS:
            raise invalid("action", action, f"action takes {', '.join(_ACTIONS)}", _ACTIONS)
        if not isinstance(thumbprint, str):
            raise invalid("thumbprint", None, "thumbprint takes 40 hexadecimal digits")
        if not may(request, _ACTIONS[action]):
            raise forbid("Engineers propose certificates; admins trust and reject them")
        by = user_name(request)
        if action == "propose":
            return Response(certificates.propose(server, thumbprint, by=by))
        if action == "trust":
            return Response(certificates.trust(server, thumbprint, by=by))
        return Response(certificates.reject(server, thumbprint, by=by))


class DiscoveryView(PipesView):
    """The endpoints that a server offers, asked without a session."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}
    throttle_classes = (ConnectThrottle,)

    @extend_schema(**schemas.discovered())
    def post(self, request: Request) -> Response:
        body = body_object(request)
        only_fields(body, ["url"])
        try:
            url = endpoints.endpoint(body.get("url"))
        except WrongError as error:
            raise Invalid([each.below("url") for each in error.errors]) from error
        return Response(commands.run("pipes.discover", url=url))


def _nodes(given: list[Any]) -> list[str]:
    errors: list[FieldError] = []
    nodes: list[str] = []
    for row, value in enumerate(given, 1):
        try:
            nodes.append(str(checks.node_id(value)))
        except WrongError as error:
            errors += [each.below("nodes").at_row(row) for each in error.errors]
    if errors:
        raise Invalid(errors)
    return nodes


def _node(field: str, value: str) -> str:
    try:
        return str(checks.node_id(value))
    except WrongError as error:
        raise Invalid([each.below(field) for each in error.errors]) from error


def _short(field: str, text: str, most: int) -> str:
    if len(text) > most:
        raise invalid(field, text[:40], f"{field} takes at most {most} characters")
    return text
