"""REST of the station's own certificate and its trust list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from pipes import certificates, schemas
from pipes.views.common import PipesView, user_name


class CertificatesView(PipesView):
    """Own, trusted and rejected certificates with their expiry."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.answered("Certificates"))
    def get(self, _: Request) -> Response:
        return Response(certificates.overview())


class OwnCertificateView(PipesView):
    """The station's own certificate as a DER file, to be trusted by servers."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer"}

    @extend_schema(**schemas.file("application/pkix-cert"))
    def get(self, _: Request) -> HttpResponse:
        answer = HttpResponse(certificates.own().der, content_type="application/pkix-cert")
        answer.headers["Content-Disposition"] = 'attachment; filename="mirrorsite.der"'
        return answer


class RenewView(PipesView):
    """A new own certificate and key; servers must trust it anew."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "admin"}

    @extend_schema(**schemas.commanded("Certificates"))
    def post(self, request: Request) -> Response:
        certificates.renew_own(by=user_name(request))
        return Response(certificates.overview())
