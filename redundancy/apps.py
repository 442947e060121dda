from __future__ import annotations

from django.apps import AppConfig


class RedundancyConfig(AppConfig):
    name = "redundancy"
    default_auto_field = "django.db.models.BigAutoField"
