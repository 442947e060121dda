"""What a pipe host is asked to do: one revision of the configuration, frozen.

The names and defaults are those of the contract's bodies. A password is here in clear: objects of
this module stay in the memory of a pipe host and are never logged, stored or sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

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
    kind_on_pipe,
)

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


#: What most items have; one object for all of them.
NO_TRANSFORM: Final[Mapping[str, Json]] = {"kind": "none"}


@dataclass(frozen=True, slots=True)
class ServerSet:
    """The other endpoints of a redundant server, and how ready its spare members are kept."""

    mode: ServerSetMode = ServerSetMode.NONE
    endpoints: tuple[str, ...] = ()
    failover: Failover = Failover.WARM


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    endpoint: str
    security_policy: SecurityPolicy = SecurityPolicy.BASIC256SHA256
    security_mode: SecurityMode = SecurityMode.SIGN_AND_ENCRYPT
    auth: Auth = Auth.ANONYMOUS
    username: str = ""
    password: str = field(default="", repr=False)
    enabled: bool = True
    server_set: ServerSet = ServerSet()


@dataclass(frozen=True, slots=True)
class Deadband:
    type: DeadbandType = DeadbandType.NONE
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Item:
    """One source node to one target node. ``transform`` is the contract's object, checked.

    ``kind`` None is what the pipe gives, see `kind_of`.
    """

    id: int
    source_node: str
    target_node: str
    direction: Direction = Direction.FORWARD
    enabled: bool = True
    kind: ItemKind | None = None
    sampling_interval_ms: int | None = None
    minimum_interval_ms: int = 0
    trigger: Trigger = Trigger.STATUS_VALUE
    deadband: Deadband = Deadband()
    transform: Mapping[str, Json] = field(default_factory=lambda: NO_TRANSFORM)
    condition: Mapping[str, Json] | None = None
    quality: Quality | None = None
    substitute: Json = None
    refresh_seconds: float = 0.0
    verify: bool = False
    index_range: str = ""


@dataclass(frozen=True, slots=True)
class Pipe:
    name: str
    source: str
    target: str
    items: Mapping[int, Item]
    enabled: bool = True
    publishing_interval_ms: int = 100
    overflow: Overflow = Overflow.LATEST
    queue_limit: int = 100
    queue_age_seconds: float = 60.0
    quality: Quality = Quality.PROPAGATE
    hold_seconds: float | None = None
    quality_table: Mapping[str, Json] = field(default_factory=dict)
    timestamps: Timestamps = Timestamps.AUTO
    initial_write: InitialWrite = InitialWrite.IF_DIFFERENT
    dry_run: bool = False
    codec: CodecName = CodecName.SPLICE


def kind_of(item: Item, pipe: Pipe) -> ItemKind:
    """The kind that an item has on its pipe."""
    return kind_on_pipe(item.kind, item.direction, pipe.overflow)


@dataclass(frozen=True)
class Wanted:
    revision: int
    servers: Mapping[str, Server]
    pipes: Mapping[str, Pipe]

    @cached_property
    def running(self) -> list[str]:
        """The pipes that are to run, in the order of their names."""
        return [name for name in sorted(self.pipes) if self._is_enabled(self.pipes[name])]

    def _is_enabled(self, pipe: Pipe) -> bool:
        ends = (self.servers[pipe.source], self.servers[pipe.target])
        return pipe.enabled and all(server.enabled for server in ends)
