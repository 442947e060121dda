"""REST paths of this app, below /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from redundancy import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("redundancy/settings", views.SettingsView.as_view()),
    path("redundancy/switchover", views.SwitchoverView.as_view()),
    path("redundancy/rejoin", views.RejoinView.as_view()),
    path("redundancy/maintenance", views.MaintenanceView.as_view()),
    path("redundancy/force", views.ForceView.as_view()),
    path("redundancy/enable", views.EnableView.as_view()),
    path("redundancy/disable", views.EnableView.as_view()),
]
