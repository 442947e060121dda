"""REST of the configuration as a whole: the document, and its numbered revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import linting, schemas, selectors, services
from pipes.drafting import MODES, REPLACE
from pipes.listing import Filter, Listing, boolean, bounds, page, select
from pipes.models import Revision
from pipes.rest import (
    body_object,
    choice,
    flag,
    if_match,
    not_found,
    only_fields,
    reason,
    with_revision,
)
from pipes.views.common import PipesView, check_base, plan_answer, rows, user_name

_REVISIONS: Final = Listing(
    search=["user", "reason"],
    ordering={"revision": "number", "at": "at", "user": "user"},
    filters={
        "user": Filter("user__iexact"),
        "conflict": Filter("conflict", boolean, "true or false"),
    },
    default_order=["-number"],
)


class ConfigurationView(PipesView):
    """The whole configuration as one canonical document."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer", "PUT": "engineer"}

    @extend_schema(**schemas.answered("Configuration"))
    def get(self, _: Request) -> HttpResponse:
        text, revision = selectors.document_text()
        answer = HttpResponse(text, content_type="application/json")
        answer.headers["ETag"] = f'"{revision}"'
        return answer

    @extend_schema(**schemas.put_document())
    def put(self, request: Request) -> Response:
        whole = body_object(request)
        mode = choice(request, "mode", MODES, REPLACE)
        if flag(request, "dry_run"):
            check_base(if_match(request))
            return plan_answer(services.plan_document(whole, mode, rows(request)))
        plan = services.apply_document(
            whole,
            user=user_name(request),
            reason=reason(request),
            mode=mode,
            base_revision=if_match(request),
            rows=rows(request),
        )
        return plan_answer(plan)


class LintView(PipesView):
    """What is wrong, or looks wrong, with the configuration as it is."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.linted())
    def get(self, request: Request) -> Response:
        only_fields(dict(request.query_params.items()), ["facts", "pipe"])
        with_facts = choice(request, "facts", ("true", "false"), "true") == "true"
        revision = services.current_revision()
        findings = linting.lint_present(
            with_facts=with_facts, pipe=request.query_params.get("pipe")
        )
        return with_revision(Response([finding.body() for finding in findings]), revision)


class RevisionsView(PipesView):
    """Who changed what, when and why; newest first."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.listed("Revision", _REVISIONS.filters))
    def get(self, request: Request) -> Response:
        revision = services.current_revision()
        part = bounds(request)
        found = select(request, Revision.objects.defer("changes"), _REVISIONS)
        shown = [
            selectors.revision_body(each) for each in found[part.offset : part.offset + part.limit]
        ]
        return with_revision(Response(page(request, part, found.count(), shown)), revision)


class RevisionView(PipesView):
    """One revision with its diff."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.answered("RevisionDetail"))
    def get(self, request: Request, number: int) -> Response:
        made = Revision.objects.defer("changes").filter(number=number).first()
        if made is None:
            raise not_found("revision", number)
        diff = services.revision_rows(number, rows(request)).body()
        body = selectors.revision_body(made) | {
            "rows": diff["rows"],
            "rows_left_out": diff["rows_left_out"],
        }
        return with_revision(Response(body), number)


class RestoreView(PipesView):
    """Make a former revision the newest one again."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "engineer"}

    @extend_schema(**schemas.planned())
    def post(self, request: Request, number: int) -> Response:
        if flag(request, "dry_run"):
            check_base(if_match(request))
            return plan_answer(services.plan_restore(number, rows(request)))
        plan = services.restore(
            number,
            user=user_name(request),
            reason=reason(request),
            base_revision=if_match(request),
        )
        return plan_answer(plan)
