from __future__ import annotations

from django.apps import AppConfig


class PipesConfig(AppConfig):
    name = "pipes"
    default_auto_field = "django.db.models.BigAutoField"
