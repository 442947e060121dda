"""The address space as the pages and REST show it: browse, search, read.

A server is not believed: pages, references and time of one browse are bounded, a continuation
point that repeats is noticed, and what is left open on the server is released. Nodes are browsed
one at a time, since continuation points are few on small servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from pipes.core.json_values import data_value_to_json
from pipes.core.node_classes import node_class_name
from pipes.core.node_ids import decode, encode, format_node_id
from pipes.core.skip import ServiceFaultError
from pipes.core.status_codes import name_of
from pipes.core.values import (
    DataValue,
    ExpandedNodeId,
    NodeId,
    QualifiedName,
    VariantType,
    is_bad,
    type_name,
)
from pipes.opcua import wire
from pipes.opcua.batching import BatchSize, in_batches
from pipes.opcua.errors import RequestFailed
from pipes.opcua.session import Session
from pipes.opcua.splicelane import read_answer

BROWSE_SECONDS: Final = 8.0
PAGE_SECONDS: Final = 5.0
MOST_PAGES: Final = 1000
MOST_REFERENCES: Final = 50_000
PAGE_SIZE: Final = 1000
DEEPEST: Final = 16
LARGEST_LIMIT: Final = 1000
NODES_PER_CALL: Final = 100

OBJECTS: Final = NodeId(0, 85)
HIERARCHICAL: Final = encode(NodeId(0, 33))
VARIABLE: Final = 2
_BROWSE_NAME, _VALUE, _DATA_TYPE, _VALUE_RANK, _ACCESS = 3, 13, 14, 15, 18
_CAN_READ, _CAN_WRITE = 1, 2


async def browse(
    session: Session,
    node: str | None = None,
    depth: int = 1,
    search: str = "",
    limit: int = LARGEST_LIMIT,
    continuation: str | None = None,
) -> dict[str, Any]:
    """What lies below ``node`` (the Objects folder if None), ``depth`` levels deep, as the
    contract's body. ``search`` keeps what has this text in a name or in its NodeId.

    ``access`` is "rw", "r", "w" or "". ``continuation`` is the place in the sorted-as-browsed
    list where the next page begins, so a page can come from another session than the one before.

    Raises:
        NodeIdError: ``node`` is no NodeId of this server.
        RequestFailed: the server refused, or a limit above was reached.
        ConnectionError, TimeoutError: as of `Session.read`.
    """
    start = session.encode_node(node) if node else encode(OBJECTS)
    first = _offset(continuation)
    limit = max(1, min(limit, LARGEST_LIMIT))
    walk = _Walk(session, search.casefold(), max(1, min(depth, DEEPEST)), first + limit + 1)
    try:
        async with asyncio.timeout(BROWSE_SECONDS):
            await walk.run(start)
    except TimeoutError as error:
        raise RequestFailed(
            "Browse",
            0,
            f"browsing took longer than {BROWSE_SECONDS:g} s; browse fewer levels, or a node"
            " further down",
        ) from error
    shown = walk.found[first : first + limit]
    more = len(walk.found) > first + limit
    return {
        "node": format_node_id(decode(start), session.namespaces),
        "results": await _rows(session, shown),
        "continuation": str(first + limit) if more else None,
    }


def _offset(continuation: str | None) -> int:
    if not continuation:
        return 0
    if not continuation.isdecimal() or len(continuation) > 9:
        raise RequestFailed(
            "Browse", 0, f"{continuation!r} is not a continuation of this server; start anew"
        )
    return int(continuation)


@dataclass(slots=True)
class _Walk:
    """One browse: breadth first, each node once, until ``enough`` are found."""

    session: Session
    search: str
    depth: int
    enough: int
    found: list[wire.Reference] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    references: int = 0

    async def run(self, start: bytes) -> None:
        level = [start]
        self.seen.add(start)
        for _ in range(self.depth):
            below: list[bytes] = []
            for node in level:
                if await self._visit(node, below):
                    return
            level = below

    async def _visit(self, node: bytes, below: list[bytes]) -> bool:
        """Take the children of one node; True once enough is found."""
        async with aclosing(pages(self.session, node)) as found:
            async for page in found:
                self.references += len(page)
                if self.references > MOST_REFERENCES:
                    raise RequestFailed(
                        "Browse",
                        0,
                        f"more than {MOST_REFERENCES} references; browse a node further down",
                    )
                for reference in page:
                    self._take(reference, below)
                if len(self.found) >= self.enough:
                    return True
        return False

    def _take(self, reference: wire.Reference, below: list[bytes]) -> None:
        node_id = local_node(reference.node_id, self.session.namespaces)
        if node_id is None:
            return  # on another server
        encoded = encode(node_id)
        if encoded in self.seen:
            return
        self.seen.add(encoded)
        below.append(encoded)
        if self._matches(reference, node_id):
            self.found.append(reference)

    def _matches(self, reference: wire.Reference, node_id: NodeId) -> bool:
        if not self.search:
            return True
        texts = (
            reference.browse_name.name or "",
            reference.display_name.text or "",
            format_node_id(node_id, self.session.namespaces),
        )
        return any(self.search in text.casefold() for text in texts)


async def pages(session: Session, node: bytes) -> AsyncGenerator[tuple[wire.Reference, ...], None]:
    """The hierarchical references of one node, page by page.

    A generator that is left early releases its continuation point.
    """
    body = await session.request(
        wire.BROWSE,
        lambda header: wire.browse_body(header, node, reference_type=HIERARCHICAL, most=PAGE_SIZE),
        PAGE_SECONDS,
    )
    page = _read_page(session, body, is_next=False)
    points: set[bytes] = set()
    open_point = page.continuation
    try:
        for _ in range(MOST_PAGES):
            yield page.references
            if not page.continuation:
                open_point = b""
                return
            # A server may use one point again, but must move on with it.
            mark = page.continuation + _first(page)
            if not page.references or mark in points:
                raise RequestFailed(
                    "BrowseNext", 0, "the server repeats a continuation point; it was given up"
                )
            points.add(mark)
            page = await _next(session, page.continuation)
            open_point = page.continuation
        raise RequestFailed("BrowseNext", 0, f"the server sent more than {MOST_PAGES} pages")
    finally:
        if open_point:
            release(session, [open_point])


def _first(page: wire.BrowsePage) -> bytes:
    return repr(page.references[0].node_id).encode() if page.references else b""


async def _next(session: Session, continuation: bytes) -> wire.BrowsePage:
    body = await session.request(
        wire.BROWSE_NEXT,
        lambda header: wire.browse_next_body(header, [continuation], release=False),
        PAGE_SECONDS,
    )
    return _read_page(session, body, is_next=True)


def _read_page(session: Session, body: bytes, *, is_next: bool) -> wire.BrowsePage:
    service = "BrowseNext" if is_next else "Browse"
    try:
        page = read_answer(session.calls, lambda: wire.browse_response(body, is_next=is_next))
    except ServiceFaultError as fault:
        raise RequestFailed(service, fault.status, _refusal(fault.status)) from fault
    if is_bad(page.status):
        raise RequestFailed(service, page.status, _refusal(page.status))
    return page


def _refusal(status: int) -> str:
    return f"the server does not let this node be browsed: {name_of(status)}"


def release(session: Session, points: Sequence[bytes]) -> None:
    """Best effort, and not waited for: the server may be the reason why it is released."""
    try:
        session.calls.send(
            wire.BROWSE_NEXT,
            lambda header: wire.browse_next_body(header, points, release=True),
            lambda _body, _failure: None,
            PAGE_SECONDS,
        )
    except ConnectionError:
        return


def local_node(expanded: ExpandedNodeId, namespaces: Sequence[str]) -> NodeId | None:
    """The NodeId on this server; None if it lies on another one or in an unknown namespace."""
    if expanded.server_index:
        return None
    if expanded.namespace_uri is None:
        return expanded.node_id
    if expanded.namespace_uri not in namespaces:
        return None
    index = namespaces.index(expanded.namespace_uri)
    return NodeId(index, expanded.node_id.identifier)


# --- rows ---


async def _rows(session: Session, references: Sequence[wire.Reference]) -> list[dict[str, Any]]:
    nodes = [
        local_node(one.node_id, session.namespaces) or one.node_id.node_id for one in references
    ]
    encoded = [encode(node) for node in nodes]
    variables = [
        node for node, one in zip(encoded, references, strict=True) if one.node_class == VARIABLE
    ]
    details = await _variables(session, variables)
    parents = await _have_children(session, encoded)
    rows = []
    for reference, node, key in zip(references, nodes, encoded, strict=True):
        row: dict[str, Any] = {
            "node_id": format_node_id(node, session.namespaces),
            "browse_name": _qualified(reference.browse_name),
            "display_name": reference.display_name.text or reference.browse_name.name or "",
            "node_class": node_class_name(reference.node_class),
            "data_type": None,
            "value_rank": None,
            "access": "",
            "has_children": parents[key],
        }
        row.update(details.get(key, {}))
        rows.append(row)
    return rows


def _qualified(name: QualifiedName) -> str:
    return f"{name.namespace_index}:{name.name or ''}" if name.namespace_index else name.name or ""


async def _variables(session: Session, nodes: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
    attributes = (_DATA_TYPE, _VALUE_RANK, _ACCESS, _VALUE)
    answers = await session.read([(node, one) for node in nodes for one in attributes])
    width = len(attributes)
    await learn_type_names(session, filter(None, map(_node_in, answers[::width])))
    details: dict[bytes, dict[str, Any]] = {}
    for index, node in enumerate(nodes):
        data_type, rank, access, value = answers[index * width : (index + 1) * width]
        details[node] = {
            "data_type": type_text(session, _node_in(data_type)),
            "value_rank": _integer(rank),
            "access": access_text(_integer(access) or 0),
            "value": data_value_to_json(value, session.namespaces)["value"],
        }
    return details


def _integer(answer: DataValue) -> int | None:
    value = answer.variant.value if answer.variant is not None else None
    return value if isinstance(value, int) else None


def access_text(level: int) -> str:
    return ("r" if level & _CAN_READ else "") + ("w" if level & _CAN_WRITE else "")


def _node_in(answer: DataValue) -> NodeId | None:
    value = answer.variant.value if answer.variant is not None else None
    return value if isinstance(value, NodeId) else None


def type_text(session: Session, node: NodeId | None) -> str | None:
    """A DataType as people call it; `learn_type_names` comes before."""
    if node is None:
        return None
    return session.type_names.get(node) or format_node_id(node, session.namespaces)


async def learn_type_names(session: Session, data_types: Iterable[NodeId]) -> None:
    """The BrowseNames of DataTypes, each asked for once in a session."""
    unknown = []
    for node in set(data_types):
        if node.namespace_index == 0 and node.identifier in _BUILT_IN:
            session.type_names[node] = _BUILT_IN[node.identifier]
        elif node not in session.type_names:
            unknown.append(node)
    names = await session.read([(encode(node), _BROWSE_NAME) for node in unknown])
    for node, name in zip(unknown, names, strict=True):
        value = name.variant.value if name.variant is not None else None
        if isinstance(value, QualifiedName) and value.name:
            session.type_names[node] = value.name


_BUILT_IN: Final[Mapping[Any, str]] = {
    kind.value: type_name(kind) for kind in VariantType if 0 < kind.value < VariantType.VARIANT
}


async def _have_children(session: Session, nodes: Sequence[bytes]) -> dict[bytes, bool]:
    """Whether each node has hierarchical references; a server short of points has some."""

    async def call(batch: Sequence[bytes]) -> list[bool]:
        body = await session.request(
            wire.BROWSE,
            lambda header: wire.children_body(header, batch, HIERARCHICAL),
            PAGE_SECONDS,
        )
        answers = read_answer(session.calls, lambda: wire.browse_responses(body, len(batch)))
        points = [page.continuation for page in answers if page.continuation]
        if points:
            release(session, points)
        return [bool(page.references) or page.status == NO_POINTS for page in answers]

    size = BatchSize(min(session.limits.browse or NODES_PER_CALL, NODES_PER_CALL))
    known = await in_batches(nodes, size, call, lambda _node, _status: False)
    return dict(zip(nodes, known, strict=True))


NO_POINTS: Final = 0x804B0000  # BadNoContinuationPoints


# --- reading ---


async def read_nodes(session: Session, nodes: Sequence[str]) -> list[dict[str, Any]]:
    """The present DataValues of ``nodes`` (NodeId texts), in their order, as the contract's body.

    Raises:
        NodeIdError: one of them is no NodeId of this server.
        ConnectionError, TimeoutError: as of `Session.read`.
    """
    encoded = [(session.encode_node(node), _VALUE) for node in nodes]
    values = await session.read(encoded)
    return [
        {"node": node, **data_value_to_json(value, session.namespaces)}
        for node, value in zip(nodes, values, strict=True)
    ]
