"""The OpenAPI description and its page, from this station alone: nothing is fetched elsewhere."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseRedirect
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from mirrorsite.rest import as_problem, problem_response
from pipes import schemas


class SchemaView(SpectacularAPIView):
    required_roles: Final = {"GET": "viewer"}


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI with its script in a file of its own, for a strict content security policy."""

    required_roles: Final = {"GET": "viewer"}
    template_name = "api_docs.html"

    def handle_exception(  # type: ignore[override] # DRF finishes any HttpResponse
        self, exc: Exception
    ) -> HttpResponse:
        """Lead a browser to the login, as pages do; tell programs what is wrong as REST does."""
        if not isinstance(exc, NotAuthenticated | AuthenticationFailed):
            return super().handle_exception(exc)
        if "text/html" in self.request.headers.get("Accept", ""):
            query = urlencode({"next": self.request.get_full_path()}, safe="/")
            return HttpResponseRedirect(f"/login/?{query}")
        return problem_response(as_problem(exc), self.request.path)


def add_components(result: dict[str, Any], generator: object, **_: object) -> dict[str, Any]:
    """A spectacular hook: the bodies that views refer to by name."""
    del generator
    result["components"].setdefault("schemas", {}).update(schemas.components())
    return result
