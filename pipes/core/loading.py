"""A configuration as the frozen types that pipe hosts run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipes.core import wanted
from pipes.core.choices import (
    Auth,
    CodecName,
    DeadbandType,
    Direction,
    Failover,
    InitialWrite,
    ItemKind,
    Overflow,
    Quality,
    SecurityMode,
    SecurityPolicy,
    ServerSetMode,
    Timestamps,
    Trigger,
)
from pipes.core.configuration import Configuration
from pipes.core.fields import Body

Readers = Mapping[str, Callable[[Any], Any]]


class LoadingError(ValueError):
    """A stored configuration is none: it was damaged, or another version wrote it."""


def _same(value: Any) -> Any:
    return value


def _deadband(value: Any) -> wanted.Deadband:
    return wanted.Deadband(DeadbandType(value["type"]), float(value["value"]))


def _server_set(value: Any) -> wanted.ServerSet:
    return wanted.ServerSet(
        ServerSetMode(value["mode"]), tuple(value["endpoints"]), Failover(value["failover"])
    )


_SERVER: Final[Readers] = {
    "name": _same,
    "endpoint": _same,
    "security_policy": SecurityPolicy,
    "security_mode": SecurityMode,
    "auth": Auth,
    "username": _same,
    "enabled": _same,
    "server_set": _server_set,
}
_PIPE: Final[Readers] = {
    "name": _same,
    "source": _same,
    "target": _same,
    "enabled": _same,
    "publishing_interval_ms": _same,
    "overflow": Overflow,
    "queue_limit": _same,
    "queue_age_seconds": float,
    "quality": Quality,
    "hold_seconds": float,
    "quality_table": _same,
    "timestamps": Timestamps,
    "initial_write": InitialWrite,
    "dry_run": _same,
    "codec": CodecName,
}
_ITEM: Final[Readers] = {
    "id": _same,
    "source_node": _same,
    "target_node": _same,
    "direction": Direction,
    "enabled": _same,
    "kind": ItemKind,
    "sampling_interval_ms": _same,
    "minimum_interval_ms": _same,
    "trigger": Trigger,
    "deadband": _deadband,
    "transform": _same,
    "condition": _same,
    "quality": Quality,
    "substitute": _same,
    "refresh_seconds": float,
    "verify": _same,
    "index_range": _same,
}


def wanted_from(configuration: Configuration, passwords: Mapping[str, str]) -> wanted.Wanted:
    """What a host runs. ``passwords`` are in clear, by the server's name.

    Raises:
        LoadingError: an object lacks a field, has a value of another version or refers to nothing.

    """
    try:
        servers = {
            name: wanted.Server(password=passwords.get(name, ""), **_read(body, _SERVER))
            for name, body in configuration.servers.items()
        }
        items: dict[str, dict[int, wanted.Item]] = {name: {} for name in configuration.pipes}
        for key, body in configuration.items.items():
            items[str(body["pipe"])][key] = wanted.Item(**_read(body, _ITEM))
        pipes = {
            name: wanted.Pipe(items=items[name], **_read(body, _PIPE))
            for name, body in configuration.pipes.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LoadingError(f"the configuration cannot be read: {error!r}") from error
    for pipe in pipes.values():
        if pipe.source not in servers or pipe.target not in servers:
            raise LoadingError(f"pipe {pipe.name} refers to a server that is not there")
    return wanted.Wanted(configuration.revision, servers, pipes)


def _read(body: Body, readers: Readers) -> dict[str, Any]:
    """The fields of a trimmed body that hosts know; all others keep the type's default."""
    return {name: readers[name](value) for name, value in body.items() if name in readers}
