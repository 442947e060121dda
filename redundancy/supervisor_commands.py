"""What the supervisor answers at its socket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from redundancy.command import CommandError, Handler
from redundancy.core.stations import SHOWN

if TYPE_CHECKING:
    from redundancy.supervisor import Supervisor


def handlers(supervisor: Supervisor) -> Mapping[str, Handler]:
    """The commands of one supervisor by name."""

    async def status(_: dict[str, Any]) -> Any:
        return station_status(supervisor)

    async def configuration_changed(params: dict[str, Any]) -> Any:
        """Always a new generation: hosts also look at the trust list again."""
        revision = params.get("revision", 0)
        if not isinstance(revision, int):
            raise CommandError("invalid", "revision is the number of a revision")
        return {"generation": supervisor.revisions.poke(revision)}

    async def stop(_: dict[str, Any]) -> Any:
        supervisor.stop()
        return {}

    async def rejoin(params: dict[str, Any]) -> Any:
        if not await supervisor.rejoin(str(params.get("user", ""))):
            raise CommandError("not_available", f"{supervisor.setup.station} has not failed")
        return {}

    return {
        "status": status,
        "configuration_changed": configuration_changed,
        "stop": stop,
        "rejoin": rejoin,
    }


def station_status(supervisor: Supervisor) -> dict[str, Any]:
    """The station as its supervisor sees it now."""
    board = supervisor.board
    return {
        "station": supervisor.setup.station,
        "state": SHOWN[supervisor.state],
        "detail": supervisor.state,
        "reason": {"code": supervisor.reason.name, "message": supervisor.reason.value},
        "term": supervisor.term.term,
        "lease_ms": supervisor.lease_left_ns // 1_000_000,
        "started_at": _instant(supervisor.started_at_ns),
        "generation": board.generation,
        "revision_newest": supervisor.revisions.newest,
        "revision_applied": supervisor.applied_revision(),
        "health": [
            {
                "component": row.component,
                "state": row.state,
                "reason": row.reason,
                "since": _instant(row.since_ns),
            }
            for row in supervisor.health.rows()
        ],
    }


def _instant(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns // 1_000_000 / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
