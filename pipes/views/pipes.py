"""REST of pipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import schemas, selectors, services
from pipes.core.fields import Kind
from pipes.listing import page_of, pick
from pipes.rest import body_object, flag, if_match, reason, with_revision
from pipes.views.common import (
    PipesView,
    body_filters,
    check_base,
    forbid,
    may,
    single_write_only,
    user_name,
)

_FILTERS: Final = body_filters(Kind.PIPE)


class PipesListView(PipesView):
    """The pipes of the configuration, with what they are doing."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer", "POST": "engineer"}

    @extend_schema(**schemas.listed("Pipe", _FILTERS))
    def get(self, request: Request) -> Response:
        revision = services.current_revision()
        found = pick(request, selectors.pipes(), ["name", "source", "target", "note"], _FILTERS)
        return with_revision(Response(page_of(request, found)), revision)

    @extend_schema(**schemas.written("Pipe", 201))
    def post(self, request: Request) -> Response:
        single_write_only(request)
        check_base(if_match(request))
        made = services.create_pipe(
            body_object(request), user=user_name(request), reason=reason(request)
        )
        return with_revision(Response(selectors.pipe(made.name).body, 201), made.revision)


class PipeView(PipesView):
    """One pipe; operators switch it on and off."""

    required_roles: ClassVar[Mapping[str, str]] = {
        "GET": "viewer",
        "PATCH": "operator",
        "DELETE": "engineer",
    }

    @extend_schema(**schemas.answered("Pipe"))
    def get(self, _: Request, name: str) -> Response:
        found = selectors.pipe(name)
        return with_revision(Response(found.body), found.revision)

    @extend_schema(**schemas.changed("Pipe"))
    def patch(self, request: Request, name: str) -> Response:
        single_write_only(request)
        patch = body_object(request)
        if not may(request, "engineer"):
            fields = services.changed_fields(Kind.PIPE, name, patch)
            if not fields <= {"enabled"}:
                raise forbid("Operators change enabled only; engineers change the rest of a pipe")
        changed = services.change_pipe(
            name,
            patch,
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
        )
        return with_revision(Response(selectors.pipe(changed.name).body), changed.revision)

    @extend_schema(**schemas.deleted("with_items"))
    def delete(self, request: Request, name: str) -> Response:
        single_write_only(request)
        services.delete_pipe(
            name,
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
            with_items=flag(request, "with_items"),
        )
        return Response(status=204)
