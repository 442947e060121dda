"""Every path of the web process, by app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("mirrorsite.accounts.urls")),
    path("api/v1/", include("pipes.urls")),
    path("api/v1/", include("redundancy.urls")),
    path("api/v1/", include("diagnostics.urls")),
]
