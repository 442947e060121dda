"""The diagnostics tree: pair, station, mirror, pipes, items, servers, host, with NE 107 states.

A node's state is the worst of its own and of what lies below it; its reason says where from. Items
are too many to be in every tree: the node ``items`` knows their number and how many are good, and
its children are those that the asker loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from diagnostics.core.server_sets import lost_members, member_rows
from diagnostics.core.states import parse_state, rank, worst
from redundancy.core.health import HealthState

Body = Mapping[str, Any]

_STATION: Final = {
    "starting": HealthState.CHECK,
    "standby": HealthState.GOOD,
    "active": HealthState.GOOD,
    "failed": HealthState.FAILED,
    "maintenance": HealthState.CHECK,
}
_SERVER: Final = {
    "disabled": HealthState.CHECK,
    "connecting": HealthState.CHECK,
    "connected": HealthState.GOOD,
    "rejected": HealthState.FAILED,
    "disconnected": HealthState.FAILED,
    "quarantined": HealthState.FAILED,
}
_PIPE: Final = {
    "disabled": HealthState.CHECK,
    "waiting": HealthState.FAILED,
    "running": HealthState.GOOD,
    "standby": HealthState.GOOD,
    "faulted": HealthState.FAILED,
}
_ITEM: Final = {
    "disabled": HealthState.CHECK,
    "waiting": HealthState.CHECK,
    "good": HealthState.GOOD,
    "uncertain": HealthState.OUT_OF_SPEC,
    "stale": HealthState.OUT_OF_SPEC,
    "bad": HealthState.FAILED,
    "error": HealthState.FAILED,
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of a node's table; ``help`` is the line shown when it is selected."""

    name: str
    value: Any
    unit: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One node; ``state`` and ``reason`` include what lies below."""

    path: str
    label: str
    kind: str
    own_state: HealthState
    state: HealthState
    reason: str
    parameters: tuple[Parameter, ...] = ()
    children: tuple[Node, ...] = ()
    children_count: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """What a tree is made of: the contract's bodies, and what is wrong with the sources.

    ``items`` holds the loaded items by pipe; ``fault`` says why servers and pipes are not all
    known; ``host`` are the parameters of the machine.
    """

    station: Body
    servers: Sequence[Body] = ()
    pipes: Sequence[Body] = ()
    items: Mapping[str, Sequence[Body]] = field(default_factory=dict)
    host: tuple[Parameter, ...] = ()
    fault: str = ""


def build(document: Document) -> Node:
    """The whole tree; its root has no path and lists the pairs."""
    station = document.station
    pair_name = str(station["pair"] or station["name"])
    base = f"{pair_name}/{station['name']}"
    pair = make_node(
        pair_name,
        pair_name,
        "pair",
        parameters=_pair_parameters(station),
        children=[_station(base, document)],
    )
    return make_node("", "System", "system", children=[pair])


def find(root: Node, path: str) -> Node | None:
    """The node at ``path``, None if there is none."""
    if path.strip("/") == root.path:
        return root
    wanted = path.strip("/")
    node = root
    while node.path != wanted:
        nearer = [
            child
            for child in node.children
            if child.path == wanted or wanted.startswith(f"{child.path}/")
        ]
        if not nearer:
            return None
        node = nearer[0]
    return node


def as_answer(node: Node, depth: int) -> dict[str, Any]:
    """The node as REST answers it, with ``depth`` levels of children."""
    return {
        "path": node.path,
        "label": node.label,
        "kind": node.kind,
        "state": node.state.value,
        "own_state": node.own_state.value,
        "reason": node.reason,
        "parameters": [
            {"name": each.name, "value": each.value, "unit": each.unit, "help": each.help}
            for each in node.parameters
        ],
        "children_count": node.children_count,
        "children": [as_answer(child, depth - 1) for child in node.children] if depth > 0 else [],
    }


def make_node(
    path: str,
    label: str,
    kind: str,
    *,
    state: HealthState = HealthState.GOOD,
    reason: str = "",
    parameters: Iterable[Parameter] = (),
    children: Sequence[Node] = (),
) -> Node:
    """A node whose state and reason include its children's."""
    shown = worst([state, *(child.state for child in children)])
    if rank(shown) > rank(state):
        first = next(child for child in children if child.state is shown)
        reason = f"{first.label}: {first.reason}" if first.reason else first.label
    return Node(
        path, label, kind, state, shown, reason, tuple(parameters), tuple(children), len(children)
    )


def _station(base: str, document: Document) -> Node:
    station = document.station
    state = _STATION.get(str(station["state"]), HealthState.FAILED)
    reasons = station.get("reasons") or []
    reason = "; ".join(str(each["message"]) for each in reasons)
    if state is HealthState.GOOD:
        reason = ""
    return make_node(
        base,
        str(station["name"]),
        "station",
        state=state,
        reason=reason,
        parameters=_station_parameters(station),
        children=[_mirror(f"{base}/mirror", document), _host(f"{base}/host", document)],
    )


def _mirror(base: str, document: Document) -> Node:
    pipes = [
        _pipe(f"{base}/pipes/{pipe['name']}", pipe, document.items.get(str(pipe["name"]), ()))
        for pipe in document.pipes
    ]
    used = _used_servers(document)
    servers = [
        _server(f"{base}/servers/{each['name']}", each, is_used=each["name"] in used)
        for each in document.servers
    ]
    return make_node(
        base,
        "Mirror",
        "mirror",
        state=HealthState.CHECK if document.fault else HealthState.GOOD,
        reason=document.fault,
        parameters=_mirror_parameters(document),
        children=[
            make_node(f"{base}/pipes", "Pipes", "pipes", children=pipes),
            make_node(f"{base}/servers", "Servers", "servers", children=servers),
        ],
    )


def _host(base: str, document: Document) -> Node:
    rows = [
        make_node(
            f"{base}/{str(row['component']).replace('/', '-')}",
            str(row["component"]),
            "component",
            state=parse_state(row["state"]),
            reason=str(row["reason"]),
            parameters=[
                Parameter("State", row["state"]),
                Parameter("Since", row["since"], "", "When the state changed last"),
            ],
        )
        for row in document.station["health"]
    ]
    return make_node(base, "Host", "host", parameters=document.host, children=rows)


def _used_servers(document: Document) -> set[str]:
    """The servers of pipes that are not disabled; nobody connects to the others."""
    running = [pipe for pipe in document.pipes if pipe["status"]["state"] != "disabled"]
    return {str(pipe.get(end)) for pipe in running for end in ("source", "target")}


def _server(path: str, server: Body, *, is_used: bool) -> Node:
    status = server["status"]
    state = _SERVER.get(str(status["state"]), HealthState.FAILED)
    if status["state"] == "disconnected" and not is_used:
        state = HealthState.CHECK  # nobody has tried
    reason = _reason(status)
    lost = lost_members(status)
    if state is HealthState.GOOD and lost:
        state, reason = HealthState.MAINTENANCE, lost
    return make_node(
        path,
        str(server["name"]),
        "server",
        state=state,
        reason=reason,
        parameters=_server_parameters(server),
    )


def _pipe(path: str, pipe: Body, loaded: Sequence[Body]) -> Node:
    status = pipe["status"]
    state = _PIPE.get(str(status["state"]), HealthState.FAILED)
    reason = _reason(status)
    if state is HealthState.GOOD and pipe.get("dry_run"):
        state, reason = HealthState.CHECK, "dry run: nothing is written"
    return make_node(
        path,
        str(pipe["name"]),
        "pipe",
        state=state,
        reason=reason,
        parameters=_pipe_parameters(pipe),
        children=[_items(f"{path}/items", status, loaded)],
    )


def _items(path: str, status: Body, loaded: Sequence[Body]) -> Node:
    total, good = int(status.get("items") or 0), int(status.get("good") or 0)
    is_transferring = status["state"] == "running"
    lacking = total - good if is_transferring else 0
    node = make_node(
        path,
        "Items",
        "items",
        state=HealthState.OUT_OF_SPEC if lacking > 0 else HealthState.GOOD,
        reason=f"{lacking} of {total} items are not good" if lacking > 0 else "",
        parameters=[
            Parameter("Items", total),
            Parameter("Items good", good, "", "Items whose last value was good and was written"),
        ],
    )
    children = tuple(_item(f"{path}/{item['id']}", item) for item in loaded)
    return replace(node, children=children, children_count=total)


def _item(path: str, item: Body) -> Node:
    status = item["status"]
    return make_node(
        path,
        f"{item['source_node']} to {item['target_node']}",
        "item",
        state=_ITEM.get(str(status["state"]), HealthState.FAILED),
        reason=_reason(status),
        parameters=_item_parameters(item),
    )


def _reason(status: Body) -> str:
    """Why it is not good; a state that says no more stands for itself."""
    reason = str(status.get("reason") or "")
    return reason or ("" if status["state"] in _QUIET else str(status["state"]))


_QUIET: Final = frozenset({"good", "connected", "running", "standby"})


def _pair_parameters(station: Body) -> list[Parameter]:
    is_active = station["state"] == "active"
    return [
        Parameter("State", "simplex" if is_active else "no_active", "", "A station without a pair"),
        Parameter("Active", station["name"] if is_active else None),
        Parameter("Standby", None),
    ]


def _station_parameters(station: Body) -> list[Parameter]:
    revision = station["revision"]
    return [
        Parameter("State", station["state"]),
        Parameter("Detail", station["detail"], "", "The exact state of the redundancy"),
        Parameter("Term", station["term"], "", "Grows with every change of the active station"),
        Parameter("Lease", station["lease_ms"], "ms", "How long writing is still allowed"),
        Parameter("Service level", station["service_level"], "", "OPC UA: 200 to 255 is healthy"),
        Parameter("Revision saved", revision["saved"], "", "The newest configuration"),
        Parameter("Revision applied", revision["applied"], "", "What the pipe workers run"),
        Parameter("Version", station["version"]),
        Parameter("Started", station["started_at"]),
        Parameter("Address", station["url"]),
    ]


def _mirror_parameters(document: Document) -> list[Parameter]:
    pipes = [pipe["status"] for pipe in document.pipes]
    servers = [server["status"] for server in document.servers]
    return [
        Parameter("Pipes", len(pipes)),
        Parameter("Pipes running", sum(status["state"] == "running" for status in pipes)),
        Parameter("Servers", len(servers)),
        Parameter("Servers connected", sum(each["state"] == "connected" for each in servers)),
        Parameter("Items", _sum(pipes, "items")),
        Parameter("Items good", _sum(pipes, "good")),
        Parameter("Values", round(_sum(pipes, "rate"), 1), "/s", "Values moved per second"),
        Parameter("Writes since start", _sum(pipes, "writes")),
        Parameter("Writes refused", _sum(pipes, "errors")),
    ]


def _sum(statuses: Iterable[Body], name: str) -> Any:
    return sum(status.get(name) or 0 for status in statuses)


def _server_parameters(server: Body) -> list[Parameter]:
    status = server["status"]
    limits = status.get("limits") or {}
    security = None
    if "security_policy" in server:
        security = f"{server['security_policy']}, {server['security_mode']}"
    return [
        Parameter("State", status["state"]),
        Parameter("Since", status.get("since")),
        Parameter("Endpoint", server.get("endpoint")),
        Parameter("Security", security, "", "None means that nothing is encrypted"),
        Parameter("Session timeout", status.get("session_ms"), "ms"),
        Parameter("Service level", status.get("service_level")),
        *(Parameter(name, value, "", told) for name, value, told in member_rows(status)),
        Parameter("Nodes per read", limits.get("read"), "", "The server's operation limit"),
        Parameter("Nodes per write", limits.get("write"), "", "The server's operation limit"),
        Parameter("Monitored items per call", limits.get("monitored_items")),
        Parameter("Takes a status", status.get("writes_status"), "", "Empty: not known yet"),
        Parameter("Takes timestamps", status.get("writes_timestamps"), "", "Empty: not known yet"),
        Parameter("Last error", status.get("last_error")),
    ]


def _pipe_parameters(pipe: Body) -> list[Parameter]:
    status = pipe["status"]
    latency = status.get("latency_ms") or {}
    return [
        Parameter("State", status["state"]),
        Parameter("Source", pipe.get("source")),
        Parameter("Target", pipe.get("target")),
        Parameter("Items", status.get("items")),
        Parameter("Items good", status.get("good")),
        Parameter("Values", status.get("rate"), "/s", "Values moved per second"),
        Parameter("Writes since start", status.get("writes")),
        Parameter("Writes refused", status.get("errors"), "", "By the target, since start"),
        Parameter("Latency, half of values", latency.get("p50"), "ms", "Source to target, p50"),
        Parameter("Latency, 99 % of values", latency.get("p99"), "ms", "Source to target, p99"),
        Parameter("Queued changes", status.get("queued")),
        Parameter("Conflated changes", status.get("conflated"), "", "Overtaken by newer values"),
        Parameter("Writes without an answer", status.get("unknown"), "", "Taken or not: unknown"),
        Parameter("Writes read back as written", status.get("verified"), "", "Where asked for"),
        Parameter("Writes read back otherwise", status.get("mismatched"), "", "See the ledger"),
        Parameter("Writes not read back", status.get("unverified"), "", "Overtaken, or no time"),
        Parameter("Writes in the ledger", status.get("ledger_values")),
        Parameter("Ledger complete since", status.get("ledger_since")),
        Parameter("Publishing interval", pipe.get("publishing_interval_ms"), "ms"),
        Parameter("Quality rule", pipe.get("quality")),
    ]


def _item_parameters(item: Body) -> list[Parameter]:
    status = item["status"]
    source, written = status.get("source") or {}, status.get("written") or {}
    return [
        Parameter("State", status["state"]),
        Parameter("Source node", item["source_node"]),
        Parameter("Target node", item["target_node"]),
        Parameter("Direction", item.get("direction")),
        Parameter("Source value", source.get("value")),
        Parameter("Source status", source.get("status")),
        Parameter("Source timestamp", source.get("source_timestamp")),
        Parameter("Written value", written.get("value")),
        Parameter("Written status", written.get("status")),
        Parameter("Written", written.get("at")),
        Parameter("Read back as written", status.get("verified"), "", "Empty: not read back"),
        Parameter("Age", status.get("age_ms"), "ms"),
        Parameter("Writes since start", status.get("writes")),
        Parameter("Writes refused", status.get("errors")),
        Parameter("Last error", status.get("last_error")),
    ]
