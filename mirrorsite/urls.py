"""Every path of the web process, by app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path

from mirrorsite import docs, pages
from mirrorsite.rest import UnknownPath

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("mirrorsite.accounts.urls")),
    path("api/v1/", include("pipes.urls")),
    path("api/v1/", include("redundancy.urls")),
    path("api/v1/", include("diagnostics.urls")),
    path("api/schema", docs.SchemaView.as_view(), name="schema"),
    path("api/docs", docs.DocsView.as_view(url_name="schema"), name="docs"),
    re_path(r"^api/(?P<rest>.*)$", UnknownPath.as_view()),
    re_path(r"^login/?$", pages.sign_in, name="login"),
    re_path(r"^logout/?$", pages.sign_out, name="logout"),
    re_path(r"^setup/?$", pages.set_up, name="setup"),
    path("", include("diagnostics.health_urls")),
    path("", pages.show_overview, name="overview"),
]

handler400 = "mirrorsite.pages.bad_request"
handler404 = "mirrorsite.pages.not_found"
handler500 = "mirrorsite.pages.fault"
