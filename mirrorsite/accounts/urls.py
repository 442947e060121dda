"""REST paths of accounts, below /api/v1."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from mirrorsite.accounts import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("setup", views.SetupView.as_view()),
    path("users", views.UsersView.as_view()),
    path("users/me", views.MeView.as_view()),
    path("users/<str:name>", views.UserView.as_view()),
    path("tokens", views.TokensView.as_view()),
    path("tokens/<int:number>", views.TokenView.as_view()),
]
