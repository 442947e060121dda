"""What OpenAPI says of this app's parameters and answers."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from diagnostics.core.log_lines import LEVELS
from redundancy.core.events import EventKind, Severity
from redundancy.core.health import HealthState

Body = serializers.Serializer[Any]

_STATION_STATES: Final = ["starting", "standby", "active", "failed", "maintenance"]


class ReasonBody(Body):
    code = serializers.CharField()
    message = serializers.CharField()


class HealthBody(Body):
    component = serializers.CharField()
    state = serializers.ChoiceField(choices=[str(state) for state in HealthState])
    reason = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)


class StationRevisionBody(Body):
    saved = serializers.IntegerField(allow_null=True)
    applied = serializers.IntegerField(allow_null=True)
    digest = serializers.CharField(allow_null=True)


class StationBody(Body):
    name = serializers.CharField()
    pair = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=_STATION_STATES)
    detail = serializers.CharField()
    ready = serializers.BooleanField()
    reasons = ReasonBody(many=True)
    simplex = serializers.BooleanField()
    term = serializers.IntegerField(allow_null=True)
    lease_ms = serializers.IntegerField()
    url = serializers.CharField()
    version = serializers.CharField()
    started_at = serializers.DateTimeField(allow_null=True)
    service_level = serializers.IntegerField(min_value=0, max_value=255)
    redundancy_enabled = serializers.BooleanField()
    revision = StationRevisionBody()
    health = HealthBody(many=True)
    peer = serializers.DictField(allow_null=True)
    link = serializers.DictField(allow_null=True)


class BlockerBody(ReasonBody):
    station = serializers.CharField()


class PairBody(Body):
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=["redundant", "simplex", "no_active"])
    active = serializers.CharField(allow_null=True)
    standby = serializers.CharField(allow_null=True)
    switchover_available = serializers.BooleanField()
    switchover_blockers = BlockerBody(many=True)
    stations = StationBody(many=True)


class ParameterBody(Body):
    name = serializers.CharField()
    value = serializers.JSONField()
    unit = serializers.CharField()
    help = serializers.CharField()


class NodeBody(Body):
    path = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment] # the contract's name for it
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=[str(state) for state in HealthState])
    own_state = serializers.ChoiceField(choices=[str(state) for state in HealthState])
    reason = serializers.CharField()
    parameters = ParameterBody(many=True)
    children_count = serializers.IntegerField()
    children = serializers.ListField(child=serializers.DictField())


class EventBody(Body):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    station = serializers.CharField()
    kind = serializers.ChoiceField(choices=[str(kind) for kind in EventKind])
    code = serializers.CharField()
    severity = serializers.ChoiceField(choices=[str(severity) for severity in Severity])
    source = serializers.CharField()  # type: ignore[assignment] # the contract's name for it
    message = serializers.CharField()
    user = serializers.CharField()
    details = serializers.DictField()
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField()


class _Page(Body):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class EventPage(_Page):
    results = EventBody(many=True)


class SwitchoverBody(Body):
    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=["running", "done", "aborted"])
    at = serializers.DateTimeField()


class SwitchoverPage(_Page):
    results = SwitchoverBody(many=True)


class LogLineBody(Body):
    at = serializers.DateTimeField(allow_null=True)
    level = serializers.ChoiceField(choices=LEVELS, allow_null=True)
    process = serializers.CharField()
    event = serializers.CharField()


class LogPage(_Page):
    results = LogLineBody(many=True)


def _text(name: str, description: str, allowed: Any = None) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, description=description, enum=allowed)


def _number(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.INT, description=description)


CHRONICLE_PARAMETERS: Final = [
    _text("kind", "One or more kinds, comma separated"),
    _text("code", "One or more codes, comma separated"),
    _text("severity", "One or more severities, comma separated"),
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="Not before this instant"),
    OpenApiParameter("until", OpenApiTypes.DATETIME, description="Not after this instant"),
    _text("search", "In message, source, code and user"),
    _text("ordering", "Newest first by default", ["-at", "at"]),
    _text("format", "All that match, as a file", ["csv", "json"]),
    _number("limit", "Default 100, most 1000"),
    _number("offset", "Default 0"),
]
DIAGNOSTICS_PARAMETERS: Final = [
    _number("depth", "Levels of children, 0 to 10; default 1"),
    _number("limit", "Items of a pipe shown at a time; default 200, most 1000"),
    _number("offset", "Items of the pipe to leave out"),
]
LOG_PARAMETERS: Final = [
    _text("process", "One process; default all"),
    _text("level", "The least urgent level shown", list(LEVELS)),
    _number("limit", "Default 200, most 1000"),
]
