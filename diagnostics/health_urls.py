"""Paths at the root of the web server that machines ask."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from diagnostics import health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("role", health.role, name="role"),
    path("metrics", health.MetricsView.as_view(), name="metrics"),
]
