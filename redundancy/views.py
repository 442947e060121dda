"""REST of the redundancy: what a station without a pair answers.

Thin: the supervisor is asked by its socket, so that all of this works with Redis away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from redundancy.command import CommandError, CommandUnavailable, call
from redundancy.core.blockers import Blocker
from redundancy.core.lease import MILLISECOND, PROFILES, Profile

PROBLEM: Final = "application/problem+json"


def _problem(
    request: Request, status: int, code: str, title: str, detail: str = "", **extra: Any
) -> Response:
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": request.path,
        **extra,
    }
    headers = {"Retry-After": "2"} if status == 503 else {}
    return Response(body, status, headers=headers, content_type=PROBLEM)


def _blocked(request: Request, title: str, *blockers: Blocker) -> Response:
    station = settings.STATION.name
    rows = [
        {"code": blocker.name, "message": blocker.value, "station": station} for blocker in blockers
    ]
    detail = rows[0]["message"]
    return _problem(request, 409, "not_available", title, detail, blockers=rows)


class SwitchoverView(APIView):
    """Manual switchover; a station without a pair has nobody to switch over to."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "operator"}

    def post(self, request: Request) -> Response:
        return _blocked(request, "Switchover not possible", Blocker.NO_PAIR)


class MaintenanceView(APIView):
    """Maintenance means: is not promoted; a station without a pair never is."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "admin"}

    def post(self, request: Request) -> Response:
        return _blocked(request, "Maintenance not possible", Blocker.NO_PAIR)


class ForceView(APIView):
    """Forced takeover needs somebody to take over from."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "admin"}

    def post(self, request: Request) -> Response:
        return _blocked(request, "Takeover not possible", Blocker.NO_PAIR)


class EnableView(APIView):
    """Enables or disables switchovers; there are none without a pair."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "admin"}

    def post(self, request: Request) -> Response:
        return _blocked(request, "There is no redundancy to enable or disable", Blocker.NO_PAIR)


class RejoinView(APIView):
    """Clears the failure of this station, when it has one."""

    required_roles: ClassVar[Mapping[str, str]] = {"POST": "admin"}

    def post(self, request: Request) -> Response:
        user = str(getattr(request.user, "username", ""))
        try:
            call(settings.STATION.supervisor_socket, "rejoin", {"user": user})
        except CommandError as refusal:
            if refusal.code == "not_available":
                return _blocked(request, "No station has failed", Blocker.NOT_FAILED)
            return _problem(request, 500, "fault", "Fault of the supervisor", refusal.message)
        except CommandUnavailable:
            detail = "The supervisor does not answer; it is restarted by itself"
            return _problem(request, 503, "supervisor_away", "Not available now", detail)
        return Response({}, 202)


class SettingsView(APIView):
    """The settings of the redundancy; without a pair they are defaults that cannot be changed."""

    required_roles: ClassVar[Mapping[str, str]] = {"GET": "viewer", "PATCH": "admin"}

    def get(self, request: Request) -> Response:  # noqa: ARG002 - DRF's signature
        return Response(default_settings())

    def patch(self, request: Request) -> Response:
        return _blocked(request, "Settings of the redundancy need a pair", Blocker.NO_PAIR)


def default_settings() -> dict[str, Any]:
    """The redundancy settings of a station that has no pair."""
    timing = PROFILES[Profile.STANDARD]
    return {
        "initial_active": settings.STATION.name,
        "initial_standby": None,
        "auto_rejoin": False,
        "reboot": False,
        "server_monitor": "off",
        "server_monitor_requires_better_standby": True,
        "timing": {
            "profile": Profile.STANDARD,
            "heartbeat_ms": timing.heartbeat // MILLISECOND,
            "silence_ms": timing.silence // MILLISECOND,
            "lease_ms": timing.lease // MILLISECOND,
            "write_timeout_ms": timing.write_timeout // MILLISECOND,
            "horizon_ms": timing.horizon // MILLISECOND,
        },
        "third_vote": "auto",
        "witness": {"servers": []},
        "hold_down_seconds": 30,
        "max_switchovers": 3,
        "triggers": [],
    }
