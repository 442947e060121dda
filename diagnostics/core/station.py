"""A station, and the pair that people see, as one document (the contract's ``GET /station``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from diagnostics.core.states import parse_state
from redundancy.core.health import HealthState

Body = dict[str, Any]
Row = Mapping[str, Any]

#: Word for a station whose supervisor does not answer: nobody extends its lease.
UNKNOWN: Final = "UNKNOWN"
_SUPERVISOR_AWAY: Final = "the supervisor does not answer; the launcher starts it again"
_NOT_KNOWN: Final = "not known while the supervisor does not answer"
#: What takes part in writing to targets; the rest of a station may fail and transfer goes on.
_NEEDED: Final = ("supervisor", "pipes/")

#: OPC UA ServiceLevel (Part 4, 6.6.2.4.2): Maintenance 0, NoData 1, Degraded to 199, Healthy.
SERVICE_MAINTENANCE: Final = 0
SERVICE_NO_DATA: Final = 1
SERVICE_DEGRADED: Final = 199
SERVICE_STANDBY: Final = 200
SERVICE_HEALTHY: Final = 255


@dataclass(frozen=True, slots=True)
class StationFacts:
    """What is known of a station now.

    ``supervisor`` is the answer of its ``status``, None if there was none; ``checks`` are the
    health rows that the asking process found by itself; ``saved`` and ``digest`` are of the newest
    revision, None if the database does not say.
    """

    name: str
    url: str
    version: str
    pipe_workers: int
    supervisor: Mapping[str, Any] | None = None
    checks: Sequence[Row] = ()
    saved: int | None = None
    digest: str | None = None


def station_body(facts: StationFacts) -> Body:
    """The contract's body of a station without a pair."""
    seen = facts.supervisor or {}
    state = str(seen.get("state", "failed"))
    health = _health(facts)
    reasons = _reasons(state, seen, health)
    return {
        "name": facts.name,
        "pair": None,
        "state": state,
        "detail": str(seen.get("detail", UNKNOWN)),
        "ready": not reasons,
        "reasons": reasons,
        "simplex": True,
        "term": seen.get("term"),
        "lease_ms": seen.get("lease_ms", 0),
        "url": facts.url,
        "version": facts.version,
        "started_at": seen.get("started_at"),
        "service_level": service_level(state, health),
        "redundancy_enabled": False,
        "revision": {
            "saved": facts.saved,
            "applied": seen.get("revision_applied"),
            "digest": facts.digest,
        },
        "health": health,
        "peer": None,
        "link": None,
    }


def pair_body(station: Row) -> Body:
    """The pair object of a station that has no pair: simplex, or without an active."""
    is_active = station["state"] == "active"
    blocker = {
        "code": "NO_PAIR",
        "message": "This station has no pair; there is no other station.",
        "station": station["name"],
    }
    return {
        "name": station["name"],
        "state": "simplex" if is_active else "no_active",
        "active": station["name"] if is_active else None,
        "standby": None,
        "switchover_available": False,
        "switchover_blockers": [blocker],
        "stations": [station],
    }


def service_level(state: str, health: Iterable[Row]) -> int:
    """The station's OPC UA ServiceLevel."""
    if state == "maintenance":
        return SERVICE_MAINTENANCE
    if state not in {"active", "standby"}:
        return SERVICE_NO_DATA
    if any(parse_state(row["state"]) is HealthState.FAILED for row in health):
        return SERVICE_DEGRADED
    return SERVICE_HEALTHY if state == "active" else SERVICE_STANDBY


def processes(health: Iterable[Row]) -> list[Row]:
    """The rows that are processes of the station, not things that they stand on."""
    return [row for row in health if row["component"] not in {"database", "redis", "disk", "clock"}]


def _health(facts: StationFacts) -> list[Body]:
    found = _reported(facts)
    known = {row["component"] for row in found}
    found += [dict(row) for row in facts.checks if row["component"] not in known]
    return found


def _reported(facts: StationFacts) -> list[Body]:
    if facts.supervisor is not None:
        return [dict(row) for row in facts.supervisor.get("health", ())]
    workers = [f"pipes/{index}" for index in range(1, facts.pipe_workers + 1)]
    return [
        _row("supervisor", HealthState.FAILED, _SUPERVISOR_AWAY),
        *(
            _row(component, HealthState.CHECK, _NOT_KNOWN)
            for component in [*workers, "jobs", "clock"]
        ),
    ]


def _row(component: str, state: HealthState, reason: str) -> Body:
    return {"component": component, "state": state.value, "reason": reason, "since": None}


def _reasons(state: str, seen: Mapping[str, Any], health: Iterable[Row]) -> list[Body]:
    """Why the station may not take over, or not go on; empty if it may."""
    reasons: list[Body] = []
    if not seen:
        reasons.append({"code": "SUPERVISOR_AWAY", "message": _SUPERVISOR_AWAY})
    elif state not in {"active", "standby"}:
        why = seen.get("reason") or {}
        code = str(why.get("code") or state.upper())
        reasons.append({"code": code, "message": str(why.get("message") or f"is {state}")})
    for row in health:
        component = str(row["component"])
        is_failed = parse_state(row["state"]) is HealthState.FAILED
        if seen and is_failed and component.startswith(_NEEDED):
            message = f"{component}: {row['reason']}"
            reasons.append({"code": "COMPONENT_FAILED", "message": message})
    return reasons
