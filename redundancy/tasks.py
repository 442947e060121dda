"""Tasks of this app, run by the jobs worker."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from redundancy.station_probes import mark_alive


@shared_task(name="redundancy.canary", ignore_result=True)
def canary() -> None:
    """Leave the mark by which the supervisor sees that the jobs worker takes tasks."""
    mark_alive(settings.REDIS_URL, settings.STATION.name)
