"""What a flow knows of the nodes it writes: resolved and read once per session.

NodeIds are resolved by namespace URI in every session, since indices move when a server restarts.
DataType, ValueRank, AccessLevel and the present value are read once, in chunks, while others are
written already. A node that is missing is looked for again, alone, with back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from pipes.core.index_range import parse
from pipes.core.node_ids import NodeIdError
from pipes.core.splice import encode_prefix
from pipes.core.values import is_bad
from pipes.opcua.index_ranges import ignores_index_range
from pipes.opcua.reading import read_values
from pipes.opcua.session import Session
from pipes.opcua.written import TargetInfo, read_targets

log = logging.getLogger(__name__)

CHUNK: Final = 1_000
FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 4.0
BAD_NOT_WRITABLE: Final = 0x803B_0000
REPLACES_ALL: Final = (
    "the server does not apply index ranges (asked for one element of an array it gave all), so "
    "a write to {} would replace the whole array; map the whole array, or a node for each element"
)


class Owner(Protocol):
    """The flow, as its targets see it; calls are synchronous."""

    def targets_ready(self, handles: Collection[int]) -> None: ...

    def target_unusable(self, handle: int, status: int, message: str) -> None: ...


class Targets:
    def __init__(self, name: str, owner: Owner, now: Callable[[], float]) -> None:
        self.name = name
        self.prefixes: dict[int, bytes] = {}
        self.infos: dict[int, TargetInfo] = {}
        self.read_values = True
        self._owner = owner
        self._now = now
        self._nodes: dict[int, tuple[str, str]] = {}  # handle -> node text, index range
        self._missing: dict[int, tuple[float, int]] = {}  # handle -> when to try, attempt
        self._task: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def add(self, nodes: Mapping[int, tuple[str, str]]) -> None:
        self._nodes.update(nodes)
        self._missing.update(dict.fromkeys(nodes, (0.0, 0)))

    def remove(self, handles: Iterable[int]) -> None:
        for handle in handles:
            for known in (self._nodes, self._missing, self.prefixes, self.infos):
                known.pop(handle, None)

    def again(self, handle: int) -> None:
        """Read the node anew before it is written again: it is not what it was."""
        self.prefixes.pop(handle, None)
        if handle in self._nodes:
            self._missing.setdefault(handle, (0.0, 0))

    def connected(self) -> None:
        self.disconnected()
        self._missing = dict.fromkeys(self._nodes, (0.0, 0))

    def disconnected(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.prefixes.clear()

    def tick(self, session: Session, now: float) -> None:
        """Start reading the nodes that are due, one reader at a time."""
        if not self._missing or (self._task is not None and not self._task.done()):
            return
        due = [handle for handle, (when, _) in self._missing.items() if when <= now]
        if due:
            self._task = asyncio.create_task(self._read(session, due), name=f"targets {self.name}")

    async def _read(self, session: Session, handles: list[int]) -> None:
        try:
            for start in range(0, len(handles), CHUNK):
                await self._read_chunk(session, handles[start : start + CHUNK])
        except (ConnectionError, TimeoutError) as error:
            log.debug("%s: targets not read: %s", self.name, error)
            for handle in self._missing.keys() & set(handles):
                self._later(handle)
        except Exception as error:  # noqa: BLE001 - an answer that nobody foresaw
            for handle in self._missing.keys() & set(handles):
                self._unusable(handle, 0, f"its attributes cannot be read: {error}")

    async def _read_chunk(self, session: Session, handles: list[int]) -> None:
        nodes = self._resolve(session, handles)
        if any(self._nodes[handle][1] for handle in nodes):
            await ignores_index_range(session)
        infos = await read_targets(session, list(nodes.values()), values=self.read_values)
        ready = [
            handle
            for (handle, node), info in zip(nodes.items(), infos, strict=True)
            if self._usable(session, handle, node, info)
        ]
        if ready:
            self._owner.targets_ready(ready)

    def _resolve(self, session: Session, handles: list[int]) -> dict[int, bytes]:
        nodes: dict[int, bytes] = {}
        for handle in handles:
            if handle not in self._nodes:
                continue
            try:
                nodes[handle] = session.encode_node(self._nodes[handle][0])
            except NodeIdError as error:
                self._unusable(handle, 0, str(error))
        return nodes

    def _usable(self, session: Session, handle: int, node: bytes, info: TargetInfo) -> bool:
        if handle not in self._nodes:
            return False  # taken out of the configuration meanwhile
        if is_bad(info.status):
            self._unusable(handle, info.status, "")
            return False
        if not info.is_writable:
            self._unusable(handle, BAD_NOT_WRITABLE, "")
            return False
        index_range = self._nodes[handle][1]
        if index_range and session.ignores_index_range:
            self._unusable(handle, 0, REPLACES_ALL.format(index_range))
            return False
        self._missing.pop(handle, None)
        self.infos[handle] = self._part_of(info, index_range)
        self.prefixes[handle] = encode_prefix(node, index_range)
        return True

    @staticmethod
    def _part_of(info: TargetInfo, index_range: str) -> TargetInfo:
        """What is held in the range that is written."""
        if not index_range or info.value is None:
            return info
        return replace(info, value=parse(index_range).cut(info.value, is_whole=True))

    def _unusable(self, handle: int, status: int, message: str) -> None:
        self._later(handle)
        self._owner.target_unusable(handle, status, message)

    def _later(self, handle: int) -> None:
        attempt = self._missing.get(handle, (0.0, 0))[1]
        delay = min(LONGEST_RETRY, FIRST_RETRY * 2**attempt)
        self._missing[handle] = (self._now() + delay, min(attempt + 1, 16))

    # -- present values, on demand --------------------------------------------------------------

    def read_present(
        self,
        session: Session | None,
        handles: Collection[int],
        found: Callable[[int, bytes | None], None],
    ) -> None:
        """Read what these handles hold now and tell ``found``; None if it cannot be read."""
        task = asyncio.create_task(self._read_present(session, list(handles), found))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _present_part(self, handle: int, value: bytes) -> bytes:
        index_range = self._nodes.get(handle, ("", ""))[1]
        return parse(index_range).cut(value, is_whole=True) if index_range else value

    async def _read_present(
        self,
        session: Session | None,
        handles: list[int],
        found: Callable[[int, bytes | None], None],
    ) -> None:
        values: list[bytes] | list[None] = [None] * len(handles)
        if session is not None:
            try:
                nodes = [session.encode_node(self._nodes[handle][0]) for handle in handles]
                values = await read_values(session, nodes)
                values = [
                    self._present_part(handle, value)
                    for handle, value in zip(handles, values, strict=True)
                ]
            except Exception as error:  # noqa: BLE001 - it counts as not read
                log.debug("%s: present values not read: %s", self.name, error)
        for handle, value in zip(handles, values, strict=True):
            found(handle, value)
