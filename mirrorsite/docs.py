"""The OpenAPI description and its page, from this station alone: nothing is fetched elsewhere."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from pipes import schemas


class SchemaView(SpectacularAPIView):
    required_roles: Final = {"GET": "viewer"}


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI with its script in a file of its own, for a strict content security policy."""

    required_roles: Final = {"GET": "viewer"}
    template_name = "api_docs.html"


def add_components(result: dict[str, Any], generator: object, **_: object) -> dict[str, Any]:
    """A spectacular hook: the bodies that views refer to by name."""
    del generator
    result["components"].setdefault("schemas", {}).update(schemas.components())
    return result
