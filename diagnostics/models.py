"""The chronicle: what happened, in the order in which it happened."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from django.db import models

from redundancy.core.events import EventKind, Severity


def _choices(values: type[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class ChronicleEvent(models.Model):
    """One event. Its id is made from its origin, so the same event is never stored twice."""

    id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    station = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=_choices(EventKind))
    code = models.CharField(max_length=64)
    severity = models.CharField(max_length=8, choices=_choices(Severity))
    source = models.CharField(max_length=200)
    message = models.CharField(max_length=2_000)
    user = models.CharField(max_length=150, blank=True)
    details = models.JSONField(default=dict)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    process = models.CharField(max_length=64)
    boot = models.CharField(max_length=32)
    seq = models.BigIntegerField()

    class Meta:
        ordering = ("-at", "-seq", "-id")
        indexes: ClassVar = [
            models.Index(fields=("-at", "-seq", "-id"), name="chronicle_newest_first"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("process", "boot", "seq"), name="chronicle_unique_origin"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.code}: {self.message}"


class SpoolOffset(models.Model):
    """Up to which byte a spool file is in the chronicle; ``boot`` tells files of one name apart."""

    name = models.CharField(max_length=100, primary_key=True)
    boot = models.CharField(max_length=32)
    offset = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.name} to byte {self.offset}"
