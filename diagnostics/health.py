"""Health for machines: load balancers, service managers, Prometheus. No secrets in any answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.request import Request
from rest_framework.views import APIView

from diagnostics import metrics, sources
from diagnostics.core.station import processes
from redundancy.core.health import HealthState

OK: Final = 200
AWAY: Final = 503
_READERS: Final = frozenset({"GET", "HEAD"})


async def healthz(request: HttpRequest) -> HttpResponse:
    """The web process lives; it asks nobody."""
    return _only_read(request) or JsonResponse({"status": "ok"}, headers=_FRESH)


def readyz(request: HttpRequest) -> HttpResponse:
    """200 if this station's processes, database and Redis answer, else 503 with reasons."""
    refusal = _only_read(request)
    if refusal is not None:
        return refusal
    checks = _checks()
    ready = all(check["ok"] for check in checks)
    body = {"ready": ready, "station": settings.STATION.name, "checks": checks, "peer": None}
    return _answer(body, is_good=ready)


def role(request: HttpRequest) -> HttpResponse:
    """200 only on the active station."""
    refusal = _only_read(request)
    if refusal is not None:
        return refusal
    seen = sources.ask_supervisor()
    state = str(seen["state"]) if seen else "failed"
    body = {"station": settings.STATION.name, "state": state}
    return _answer(body, is_good=state == "active")


class MetricsView(APIView):
    """Prometheus text format; needs a viewer's token."""

    required_roles: Final = {"GET": "viewer"}

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, operation_id="metrics")
    def get(self, request: Request) -> HttpResponse:  # noqa: ARG002 - DRF's signature
        text = metrics.exposition(sources.document())
        return HttpResponse(text, content_type=CONTENT_TYPE_LATEST, headers=_FRESH)


_FRESH: Final = {"Cache-Control": "no-store"}


def _only_read(request: HttpRequest) -> HttpResponse | None:
    if request.method in _READERS:
        return None
    return HttpResponse(status=405, headers={"Allow": ", ".join(sorted(_READERS))})


def _answer(body: Mapping[str, Any], *, is_good: bool) -> HttpResponse:
    response = JsonResponse(body, status=OK if is_good else AWAY, headers=_FRESH)
    # Django logs each 503; a machine that asks every second would fill the log with one state.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response


def _checks() -> list[dict[str, Any]]:
    """One row for each process and thing; texts are general, as nobody had to log in."""
    seen = sources.ask_supervisor()
    rows = processes((seen or {}).get("health", ()))
    checks = [
        _check(str(row["component"]), lambda row=row: _process_reason(row))  # type: ignore[misc]
        for row in rows
        if row["component"] != "web"  # it is answering
    ]
    if seen is None:
        checks.append(_check("supervisor", lambda: "does not answer"))
    checks.append(_check("database", lambda: "cannot be used" if sources.database_reason() else ""))
    checks.append(_check("redis", lambda: "does not answer" if sources.redis_reason() else ""))
    return checks


def _process_reason(row: Mapping[str, Any]) -> str:
    if row["state"] == HealthState.GOOD:
        return ""
    return "is starting" if row["state"] == HealthState.CHECK else "does not work"


def _check(component: str, find_reason: Callable[[], str]) -> dict[str, Any]:
    reason = find_reason()
    return {"component": component, "ok": not reason, "reason": reason}
