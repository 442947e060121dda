"""Where the status of a station comes from: its supervisor, its pipe hosts, its own look around.

Whatever is away is left out and said so: every function here answers, within seconds, with reasons
instead of errors.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import psutil
import redis
from django.conf import settings
from django.db import DatabaseError, connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from diagnostics.core.station import StationFacts, pair_body, station_body
from diagnostics.core.tree import Document, Parameter
from diagnostics.patience import short_patience
from diagnostics.records import instant, iso
from pipes import live, selectors, services
from pipes.models import Item
from redundancy.command import CommandError, CommandUnavailable, call
from redundancy.core.health import MEBIBYTE, HealthState, HealthTable, is_disk_full

SUPERVISOR_SECONDS: Final = 1.0
REDIS_SECONDS: Final = 1.0
DATABASE_MS: Final = 1_000

Body = dict[str, Any]
Check = Callable[[], str]

#: Since when each of this process's own findings has been so.
_own_findings: Final = HealthTable()
_own_lock: Final = threading.Lock()


def ask_supervisor() -> Mapping[str, Any] | None:
    """The supervisor's view of the station; None if it does not answer."""
    try:
        answer = call(settings.STATION.supervisor_socket, "status", timeout=SUPERVISOR_SECONDS)
    except (CommandUnavailable, CommandError):
        return None
    return answer if isinstance(answer, dict) else None


def station() -> Body:
    """The contract's body of this station."""
    saved, digest, database = _newest_revision()
    facts = StationFacts(
        name=settings.STATION.name,
        url=settings.STATION.public_url,
        version=settings.VERSION,
        pipe_workers=settings.STATION.pipe_workers,
        supervisor=ask_supervisor(),
        saved=saved,
        digest=digest,
    )
    return station_body(replace(facts, checks=_own_checks(facts.supervisor, database)))


def pair() -> Body:
    """The contract's body of the pair."""
    return pair_body(station())


def document(wanted_items: Mapping[str, Sequence[int] | slice] | None = None) -> Document:
    """What the diagnostics tree is made of; ``wanted_items`` names the items to load by pipe."""
    body = station()
    servers, pipes, fault = _configuration()
    items = {} if fault else _items(wanted_items or {})
    return Document(body, servers, pipes, items, _host_parameters(), fault)


def database_reason() -> str:
    """Why the database cannot be used now; empty if it can."""
    try:
        with short_patience(DATABASE_MS), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"the database cannot be used now: {error}"
    return ""


def redis_reason() -> str:
    """Why Redis cannot be used now; empty if it can."""
    try:
        _redis(settings.REDIS_URL).ping()
    except (redis.RedisError, OSError) as error:
        return f"Redis does not answer: {error}"
    return ""


@lru_cache(maxsize=4)
def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
        max_connections=8,
    )


def _newest_revision() -> tuple[int | None, str | None, str]:
    try:
        with short_patience(DATABASE_MS):
            return services.current_revision(), services.digest(), ""
    except services.Unavailable as error:
        return None, None, str(error)


def _own_checks(supervisor: Mapping[str, Any] | None, database: str) -> list[Body]:
    """What this process sees itself, for the parts that the supervisor says nothing about."""
    known = {row["component"] for row in (supervisor or {}).get("health", ())}
    checks: dict[str, Check] = {
        "web": str,  # it is answering
        "database": lambda: database,
        "redis": redis_reason,
        "disk": _disk_reason,
    }
    for component, check in checks.items():
        if component not in known:
            _enter(component, check())
    with _own_lock:
        rows = [row for row in _own_findings.rows() if row.component not in known]
    return [
        {
            "component": row.component,
            "state": row.state.value,
            "reason": row.reason,
            "since": iso(instant(row.since_ns)),
        }
        for row in rows
    ]


def _enter(component: str, reason: str) -> None:
    state = HealthState.FAILED if reason else HealthState.GOOD
    with _own_lock:
        _own_findings.report(component, state, reason, time.time_ns())


def _disk_reason() -> str:
    try:
        usage = shutil.disk_usage(settings.STATION.data_dir)
    except OSError as error:
        return str(error)
    if is_disk_full(usage.free, usage.total, was_full=False):
        return f"only {usage.free // MEBIBYTE} MiB are free for the station's data"
    return ""


def _configuration() -> tuple[list[Body], list[Body], str]:
    """Servers and pipes with their status; by name alone if the database is away."""
    try:
        with short_patience(DATABASE_MS):
            return selectors.servers(), selectors.pipes(), ""
    except DatabaseError as error:
        now = live.ask_about_pipes()
        servers = [{"name": name, "status": now.servers[name]} for name in sorted(now.servers)]
        pipes = [{"name": name, "status": now.pipes[name]} for name in sorted(now.pipes)]
        return servers, pipes, f"the configuration cannot be read: {error}"


def _items(wanted: Mapping[str, Sequence[int] | slice]) -> dict[str, list[Body]]:
    found: dict[str, list[Body]] = {}
    for name, which in wanted.items():
        rows = Item.objects.filter(pipe__name=name).order_by("id")
        rows = rows[which] if isinstance(which, slice) else rows.filter(pk__in=which)
        found[name] = selectors.items(rows)
    return found


def _host_parameters() -> tuple[Parameter, ...]:
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(settings.STATION.data_dir)
    load = psutil.getloadavg()[0]
    return (
        Parameter("Processors", psutil.cpu_count() or 1),
        Parameter("Load", round(load, 2), "", "Processes that want to run, mean of one minute"),
        Parameter("Memory", memory.total // MEBIBYTE, "MiB"),
        Parameter("Memory available", memory.available // MEBIBYTE, "MiB"),
        Parameter("Disk", disk.total // MEBIBYTE, "MiB", "Where the station's data is"),
        Parameter("Disk free", disk.free // MEBIBYTE, "MiB", "Where the station's data is"),
        Parameter("Running since", iso(instant(round(psutil.boot_time()) * 10**9))),
    )
