"""Browse a whole address space behind the transfer's back: slowly, in pieces, into a store.

One request is under way at a time, small enough that reading its answer holds the loop up for a few
milliseconds, and as long as that took the crawl then rests. Memory is that of one answer: what was
found and what is still to be browsed is the store's. So a crawl goes on with another session where
the last one was lost, and a node that lies in two folders, or in itself, is browsed once.

A continuation point that the server has forgotten (Part 4, 5.9.3) makes its node be browsed again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol, TypeVar

from pipes.browse_writer import BROWSED, REFUSED, Described, Found
from pipes.core.binary import DecodeError, decode_data_value
from pipes.core.conversion import AbstractType
from pipes.core.node_ids import NodeIdError, encode, format_node_id
from pipes.core.skip import ServiceFaultError
from pipes.core.status_codes import code_of, name_of
from pipes.core.values import NodeId, VariantType, is_bad, type_name
from pipes.opcua import wire
from pipes.opcua.batching import STUMBLED, TOO_LARGE, TOO_LARGE_HERE
from pipes.opcua.browse import (
    HIERARCHICAL,
    NO_POINTS,
    learn_type_names,
    local_node,
    release,
    type_text,
)
from pipes.opcua.errors import RequestTooLarge
from pipes.opcua.reading import read_raw
from pipes.opcua.session import VALUE, Session
from pipes.opcua.splicelane import read_answer
from pipes.opcua.written import built_in_type

PAGE_SIZE: Final = 200
#: Folders and variables in one Browse: a variable has few nodes below it, a folder many.
MOST_FOLDERS: Final = 10
MOST_VARIABLES: Final = 100
BELOW_A_VARIABLE: Final = 20
VARIABLES_PER_READ: Final = 60
CALL_SECONDS: Final = 15.0
#: A node is browsed again so often, each time with pages so many times as large: whoever forgets
#: continuation points gets fewer of them to keep.
ATTEMPTS: Final = 4
GROWTH: Final = 5
#: The crawl rests as long as it made the loop work, and at least so long.
SHORTEST_REST: Final = 0.002
KEPT_REFUSALS: Final = 20

INVALID_POINT: Final = code_of("BadContinuationPointInvalid")
_HAS_PROPERTY: Final = NodeId(0, 46)
_MOST_POINTS: Final = encode(NodeId(0, 2735))
_DATA_TYPE, _VALUE_RANK, _USER_ACCESS = 14, 15, 18
_NO_SERVER_LIMIT: Final = 0
_ALL_ACCESS: Final = 3

Result = TypeVar("Result")


class TooManyNodes(Exception):  # noqa: N818 - a limit, named as one
    """More nodes than the browse was allowed."""


class Store(Protocol):
    """Where a crawl keeps what it finds; `pipes.browse_writer.CacheWriter` is one.

    Its methods block for milliseconds; they are called in a thread, one at a time.
    """

    @property
    def nodes(self) -> int: ...

    def to_browse(self, most: int, most_variables: int) -> list[tuple[int, str]]: ...

    def to_describe(self, most: int) -> list[tuple[int, str]]: ...

    def add(self, parent: int, found: Sequence[Found]) -> int: ...

    def mark(self, keys: Sequence[int], state: int) -> None: ...

    def describe(self, described: Sequence[Described]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Node:
    """A node under way: its id in the store, and as text and bytes."""

    key: int
    text: str
    encoded: bytes


class Crawl:
    """One address space into one store, with one session after the other."""

    def __init__(self, store: Store, most_nodes: int) -> None:
        self.resumed = 0
        self.refusals: list[str] = []  # the first few, as sentences
        self._store = store
        self._most_nodes = most_nodes
        self._attempts: dict[int, int] = {}  # of the nodes that failed just now
        self._points = 1
        self._batch = MOST_VARIABLES
        self._worked = 0.0

    async def run(self, session: Session) -> None:
        """Browse until the store has nothing left to browse; it can go on where it stopped.

        Raises:
            TooManyNodes: the limit is reached.
            ConnectionError, TimeoutError: of this session; try again with another.
            OSError, sqlite3.Error: as of the store.
        """
        await self._learn_limits(session)
        while True:
            due = await self._ask(self._store.to_describe, VARIABLES_PER_READ)
            if len(due) < VARIABLES_PER_READ:
                nodes = await self._ask(
                    self._store.to_browse, min(self._points, self._batch), self._batch
                )
                if nodes:
                    await self._browse(session, await self._encoded(session, nodes))
                    continue
            if not due:
                return
            await self._describe(session, due)

    async def _learn_limits(self, session: Session) -> None:
        """How many continuation points and nodes in one call (Part 5, 6.3.1 and 6.3.11)."""
        (answer,) = await read_raw(session, [(_MOST_POINTS, VALUE)])
        points = _value(answer)
        most = MOST_FOLDERS if points == _NO_SERVER_LIMIT else points
        self._points = max(1, min(most if isinstance(most, int) else 1, MOST_FOLDERS))
        self._batch = min(self._batch, session.limits.browse or MOST_VARIABLES)

    async def _ask(self, ask: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.to_thread(ask, *arguments)

    async def _rest(self) -> None:
        worked, self._worked = self._worked, 0.0
        await asyncio.sleep(max(SHORTEST_REST, worked))

    async def _encoded(self, session: Session, nodes: Sequence[tuple[int, str]]) -> list[_Node]:
        """What this session calls the nodes; those of a namespace that is gone are given up."""
        known = []
        for key, text in nodes:
            try:
                known.append(_Node(key, text, session.encode_node(text)))
            except NodeIdError as error:
                await self._refuse(key, str(error))
        return known

    async def _refuse(self, key: int, sentence: str) -> None:
        self._attempts.pop(key, None)
        if len(self.refusals) < KEPT_REFUSALS:
            self.refusals.append(sentence)
        await self._ask(self._store.mark, [key], REFUSED)

    # --- references ---

    async def _browse(self, session: Session, nodes: Sequence[_Node]) -> None:
        nodes = next(([node] for node in nodes if node.key in self._attempts), nodes)
        if not nodes:
            return
        try:
            pages = await self._first_pages(session, nodes)
        except ServiceFaultError as fault:
            await self._call_refused(nodes, fault.status)
            return
        except RequestTooLarge:
            await self._call_refused(nodes, TOO_LARGE_HERE)
            return
        points = {page.continuation for page in pages if page.continuation}
        try:
            done: list[int] = []
            for node, page in zip(nodes, pages, strict=True):
                if page.status == NO_POINTS and len(nodes) > 1:
                    self._points, self._batch = 1, max(1, len(nodes) // 2)
                elif await self._take(session, node, page, points):
                    done.append(node.key)
            await self._ask(self._store.mark, done, BROWSED)
            await self._rest()
        finally:
            if points:
                release(session, sorted(points))

    async def _call_refused(self, nodes: Sequence[_Node], status: int) -> None:
        """Smaller calls for a server that stumbles over them; a single node is given up."""
        if status not in TOO_LARGE | STUMBLED:
            raise ConnectionError(f"the server does not browse now: {name_of(status)}")
        if len(nodes) > 1:
            self._batch = max(1, len(nodes) // 2)
        else:
            await self._refuse(nodes[0].key, f"{nodes[0].text}: {name_of(status)}")

    async def _first_pages(self, session: Session, nodes: Sequence[_Node]) -> list[wire.BrowsePage]:
        most = max(BELOW_A_VARIABLE, PAGE_SIZE // len(nodes))
        most *= GROWTH ** self._attempts.get(nodes[0].key, 0)
        body = await session.request(
            wire.BROWSE,
            lambda header: wire.browse_all_body(
                header, [node.encoded for node in nodes], HIERARCHICAL, most
            ),
            CALL_SECONDS,
        )
        return self._read(session, lambda: wire.browse_responses(body, len(nodes)))

    def _read(self, session: Session, read: Callable[[], Result]) -> Result:
        began = time.perf_counter()
        result = read_answer(session.calls, read)
        self._worked += time.perf_counter() - began
        return result

    async def _take(
        self, session: Session, node: _Node, page: wire.BrowsePage, points: set[bytes]
    ) -> bool:
        """Take all pages of one node; True if it is done, False if it is to be browsed again."""
        taken = 0
        while True:
            if is_bad(page.status):
                return await self._once_more(node, page.status)
            await self._keep(session, node, page.references)
            taken += len(page.references)
            point = page.continuation
            if not point:
                self._attempts.pop(node.key, None)
                return True
            if not page.references or taken > self._most_nodes:
                why = "the server repeats its continuation points"
                await self._refuse(node.key, f"{node.text}: {why}")
                return False
            await self._rest()
            following = await self._next(session, point)
            points.discard(point)
            if following.continuation:
                points.add(following.continuation)
            if following == page:
                await self._refuse(node.key, f"{node.text}: the server repeats a page of it")
                return False
            page = following

    async def _next(self, session: Session, point: bytes) -> wire.BrowsePage:
        body = await session.request(
            wire.BROWSE_NEXT,
            lambda header: wire.browse_next_body(header, [point], release=False),
            CALL_SECONDS,
        )
        try:
            return self._read(session, lambda: wire.browse_response(body, is_next=True))
        except ServiceFaultError as fault:
            return wire.BrowsePage(fault.status, b"", ())

    async def _once_more(self, node: _Node, status: int) -> bool:
        """Browse a node again later, a few times: points run out and are forgotten."""
        is_passing = status in (NO_POINTS, INVALID_POINT)
        attempt = self._attempts.get(node.key, 0) + 1
        if is_passing and attempt < ATTEMPTS:
            self._attempts[node.key] = attempt
            self.resumed += 1
        else:
            await self._refuse(node.key, f"{node.text}: {name_of(status)}")
        return False

    async def _keep(
        self, session: Session, node: _Node, references: Sequence[wire.Reference]
    ) -> None:
        if references:
            found = [one for each in references if (one := _found(each, session)) is not None]
            await self._ask(self._store.add, node.key, found)
            if self._store.nodes > self._most_nodes:
                raise TooManyNodes

    # --- attributes of variables ---

    async def _describe(self, session: Session, due: Sequence[tuple[int, str]]) -> None:
        nodes: list[_Node] = []
        described: list[Described] = []
        for key, text in due:
            try:
                nodes.append(_Node(key, text, session.encode_node(text)))
            except NodeIdError:
                described.append(Described(key, None, "", None, 0))
        attributes = (_DATA_TYPE, _VALUE_RANK, _USER_ACCESS)
        answers = await read_raw(
            session, [(node.encoded, attribute) for node in nodes for attribute in attributes]
        )
        began = time.perf_counter()
        types = [_value(answer) for answer in answers[:: len(attributes)]]
        await learn_type_names(session, [kind for kind in types if isinstance(kind, NodeId)])
        for place, node in enumerate(nodes):
            data_type, rank, access = answers[3 * place : 3 * place + 3]
            kind = types[place]
            shown = type_text(session, kind if isinstance(kind, NodeId) else None)
            built_in = _name(await built_in_type(session, data_type)) if shown else ""
            described.append(
                Described(node.key, shown, built_in, _number(rank), _number(access, _ALL_ACCESS))
            )
        self._worked += time.perf_counter() - began
        await self._ask(self._store.describe, described)
        await self._rest()


@lru_cache(maxsize=1024)  # thousands of nodes answer the same few bytes
def _value(answer: bytes) -> Any:
    try:
        variant = decode_data_value(answer).variant
    except DecodeError:
        return None
    return variant.value if variant is not None else None


def _number(answer: bytes, otherwise: int | None = None) -> Any:
    value = _value(answer)
    return value if isinstance(value, int) else otherwise


def _name(kind: VariantType | AbstractType) -> str:
    return str(kind) if isinstance(kind, AbstractType) else type_name(kind)


def _found(reference: wire.Reference, session: Session) -> Found | None:
    """None if the node is on another server."""
    node = local_node(reference.node_id, session.namespaces)
    if node is None:
        return None
    name = reference.browse_name.name or ""
    return Found(
        node_id=format_node_id(node, session.namespaces),
        space=reference.browse_name.namespace_index,
        name=name,
        shown=reference.display_name.text or name,
        node_class=reference.node_class,
        is_property=reference.reference_type == _HAS_PROPERTY,
    )
