"""REST paths of this app, below /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from diagnostics import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("station", views.StationView.as_view()),
    path("pair", views.PairView.as_view()),
    path("diagnostics", views.DiagnosticsView.as_view()),
    path("diagnostics/<path:path>", views.DiagnosticsView.as_view()),
    path("chronicle", views.ChronicleView.as_view()),
    path("chronicle/<int:event_id>/acknowledge", views.AcknowledgeView.as_view()),
    path("switchovers", views.SwitchoversView.as_view()),
    path("switchovers/<int:switchover_id>", views.SwitchoverView.as_view()),
    path("switchovers/<int:switchover_id>/evidence", views.SwitchoverView.as_view()),
    path("logs", views.LogsView.as_view()),
]
