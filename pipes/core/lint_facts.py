"""Findings that need to know the nodes: they run when somebody asks, with facts that were read.

One finding stands for all items that have the same thing wrong. An error says that the item cannot
work as the server is now. It is no reason to refuse a save: servers change, and may be away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pipes.core.choices import DeadbandType, Direction, ItemKind
from pipes.core.configuration import Configuration
from pipes.core.fields import Body, kind_on
from pipes.core.findings import Finding, Severity, listed
from pipes.core.matching import CAN_READ, CAN_WRITE, SCALAR, is_rank_fit
from pipes.core.node_facts import Known, NodeFacts
from pipes.core.status_codes import name_of
from pipes.core.transform_types import Fault, faults
from pipes.core.wanted import NO_TRANSFORM

NOT_CHECKED: Final = "not_checked"
MISSING: Final = "missing_node"
CONDITION: Final = "condition_node"
TYPE: Final = "type_mismatch"
RANK: Final = "rank_mismatch"
RANGE_IGNORED: Final = "index_range_ignored"
NARROWING: Final = "narrowing"
RATE: Final = "sampling_rate"
NO_RANGE: Final = "no_eu_range"

_IS_MEANT: Final = (
    ": fractions and last digits are rounded, what is out of range is refused; a transform with"
    " to_type or on_overflow says that this is meant"
)
_FAULTS: Final[Mapping[Fault, tuple[Severity, str, str]]] = {
    Fault.MISMATCH: (Severity.ERROR, TYPE, ""),
    Fault.PARTLY: (Severity.WARNING, TYPE, ""),
    Fault.NARROWING: (
        Severity.WARNING,
        NARROWING,
        _IS_MEANT,
    ),
}
#: Types of which a part can be taken even if they are scalars; "" is one that is not known.
_SEQUENCES: Final = frozenset({"String", "ByteString", ""})
_NAMED_NODES: Final = 3

_Found = tuple[Severity, str, str]
_Told = Iterator[tuple[_Found, str]]
"""A thing that is wrong, and the node (if any) to name in its sentence."""


def wanted_nodes(
    configuration: Configuration, items: Iterable[int] | None = None
) -> dict[str, dict[str, bool]]:
    """The nodes of enabled items by server, and whether their EURange matters."""
    wanted: dict[str, dict[str, bool]] = {}
    for body, pipe in _enabled(configuration, items).values():
        reads = _reads(body)
        for end in ("source", "target"):
            nodes = wanted.setdefault(str(pipe[end]), {})
            node = str(body[f"{end}_node"])
            needs_range = end in reads and _is_percent(body)
            nodes[node] = nodes.get(node, False) or needs_range
        condition = body.get("condition")
        if isinstance(condition, dict):
            wanted[str(pipe["source"])].setdefault(str(condition["node"]), False)
    return wanted


def written_in_part(configuration: Configuration) -> set[str]:
    """The servers of whose arrays enabled items write a part."""
    return {
        str(pipe["source"])
        for body, pipe in _enabled(configuration, None).values()
        if body.get("index_range") and "target" in _reads(body)
    }


def lint_facts(
    configuration: Configuration, known: Known, items: Iterable[int] | None = None
) -> list[Finding]:
    """Findings about all items, or some, of whose nodes something is known."""
    numbers: dict[_Found, list[int]] = {}
    nodes: dict[_Found, dict[str, None]] = {}
    for number, (body, pipe) in _enabled(configuration, items).items():
        for found, node in dict.fromkeys(_wrong_with(body, pipe, known)):
            numbers.setdefault(found, []).append(number)
            if node:
                nodes.setdefault(found, {})[node] = None
    findings = [
        Finding(
            severity, rule, _sentence(message, nodes.get(found, {})), tuple(dict.fromkeys(those))
        )
        for found, those in numbers.items()
        for severity, rule, message in (found,)
    ]
    return findings + [
        Finding(Severity.WARNING, NOT_CHECKED, f"{_nodes(count)} of {server} not checked: {why}")
        for server, (count, why) in known.unread.items()
    ]


def _enabled(
    configuration: Configuration, items: Iterable[int] | None
) -> dict[int, tuple[Body, Body]]:
    """Enabled items with their pipes; also of a pipe that is not switched on yet."""
    pipes = configuration.pipes
    return {
        number: (body, pipes[body["pipe"]])  # type: ignore[index]  # a name
        for number in (configuration.items if items is None else items)
        if (body := configuration.items[number]).get("enabled", True) is not False
    }


def _reads(body: Body) -> tuple[str, ...]:
    """The ends that an item reads; it writes the other end each time."""
    direction = body.get("direction", Direction.FORWARD)
    if direction == Direction.BOTH:
        return ("source", "target")
    return ("target",) if direction == Direction.REVERSE else ("source",)


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _sentence(message: str, nodes: Iterable[str]) -> str:
    names = list(nodes)
    return f"{message}: {listed(names, _NAMED_NODES)}" if names else message


def _wrong_with(body: Body, pipe: Body, known: Known) -> _Told:
    reads = _reads(body)
    ends: dict[str, NodeFacts | None] = {}
    for end, other in (("source", "target"), ("target", "source")):
        server, node = str(pipe[end]), str(body[f"{end}_node"])
        facts = known.nodes.get(server, {}).get(node)
        ends[end] = None if facts is None or facts.is_missing else facts
        if facts is not None:
            yield from _wrong_with_node(
                end, server, node, facts, reads=end in reads, writes=other in reads
            )
    for end in reads:
        written = ends["target" if end == "source" else "source"]
        read = ends[end]
        if read is not None:
            yield from _wrong_with_reading(body, pipe, end, read)
        if read is not None and written is not None:
            yield from _wrong_types(body, end, read, written)
            yield from _wrong_shapes(body, end, read, written)
    if body.get("condition"):
        yield from _wrong_with_condition(body, pipe, known)
    if body.get("index_range") and "target" in reads and pipe["source"] in known.ignoring:
        message = f"{pipe['source']} ignores index ranges, so that no part of its arrays is written"
        yield (Severity.ERROR, RANGE_IGNORED, message), ""


def _wrong_with_node(
    end: str, server: str, node: str, facts: NodeFacts, *, reads: bool, writes: bool
) -> _Told:
    if facts.is_missing:
        message = f"{server} has no such variables ({name_of(facts.status)})"
        yield (Severity.ERROR, MISSING, message), node
        return
    missing = [
        what
        for what, needs, right in (("read", reads, CAN_READ), ("written", writes, CAN_WRITE))
        if needs and not facts.access & right
    ]
    if missing:
        message = f"nodes of {server} cannot be {' and '.join(missing)} by this login"
        yield (Severity.ERROR, f"{end}_access", message), node


def _wrong_with_condition(body: Body, pipe: Body, known: Known) -> _Told:
    condition, server = body["condition"], str(pipe["source"])
    node = str(condition["node"]) if isinstance(condition, dict) else ""
    facts = known.nodes.get(server, {}).get(node)
    if facts is None or (not facts.is_missing and facts.access & CAN_READ):
        return
    why = name_of(facts.status) if facts.is_missing else "no right to read"
    message = f"{server} does not show the nodes of conditions ({why}), so that nothing is written"
    yield (Severity.ERROR, CONDITION, message), node


def _wrong_types(body: Body, end: str, read: NodeFacts, written: NodeFacts) -> _Told:
    """What does not come through: the type of the target, and what the transform takes."""
    transform = body.get("transform")
    spec = transform if isinstance(transform, dict) else NO_TRANSFORM
    for fault, message in faults(spec, read.type, written.type, is_forward=end == "source"):
        severity, rule, advice = _FAULTS[fault]
        yield (severity, rule, message + advice), ""


def _wrong_shapes(body: Body, end: str, read: NodeFacts, written: NodeFacts) -> _Told:
    part = body.get("index_range")
    if part:
        array, other = (read, written) if end == "source" else (written, read)
        yield from _wrong_part(str(part), array, other)
    elif not is_rank_fit(read.rank, written.rank):
        message = f"ValueRank {_shape(read.rank)} does not fit ValueRank {_shape(written.rank)}"
        yield (Severity.ERROR, RANK, message), ""


def _wrong_part(part: str, array: NodeFacts, other: NodeFacts) -> _Told:
    """What is wrong with a part of ``array`` that goes to ``other``, or comes from there."""
    if array.type in _SEQUENCES:
        return
    dimensions = part.count(",") + 1
    if not is_rank_fit(dimensions, array.rank):
        message = (
            f"an index_range of {dimensions} dimensions does not fit ValueRank"
            f" {_shape(array.rank)} of source_node"
        )
        yield (Severity.ERROR, RANK, message), ""
        return
    is_element = ":" not in part
    if not is_rank_fit(dimensions, other.rank) and not (
        is_element and is_rank_fit(SCALAR, other.rank)
    ):
        message = (
            f"a part with {dimensions} dimensions does not fit ValueRank {_shape(other.rank)}"
            " of target_node"
        )
        yield (Severity.ERROR, RANK, message), ""


def _shape(rank: int | None) -> str:
    names = {-3: "scalar or one dimension", -2: "any", -1: "scalar", 0: "array", 1: "array"}
    return f"{rank} ({names.get(rank or 0, f'array of {rank} dimensions')})"


def _wrong_with_reading(body: Body, pipe: Body, end: str, read: NodeFacts) -> _Told:
    least = read.minimum_sampling_ms
    asked = None if least is None else _asked_ms(body, pipe)
    if least is not None and asked is not None and asked < least:
        message = (
            f"values of pipe {pipe['name']} are asked for every {asked:g} ms, but their nodes are"
            f" sampled every {least:g} ms at most"
        )
        yield (Severity.WARNING, RATE, message), ""
    if read.has_range is False and _is_percent(body):
        message = f"a percent deadband has no effect on nodes of {pipe[end]} without an EURange"
        yield (Severity.WARNING, NO_RANGE, message), str(body[f"{end}_node"])


def _asked_ms(body: Body, pipe: Body) -> float | None:
    """How often a value is asked for; None for as often as the server can."""
    asked = body.get("sampling_interval_ms")
    if asked is None and kind_on(body, pipe) == ItemKind.STATE:
        asked = pipe.get("publishing_interval_ms", 100)
    return float(asked) if isinstance(asked, int | float) and asked > 0 else None


def _is_percent(body: Body) -> bool:
    deadband = body.get("deadband")
    return isinstance(deadband, dict) and deadband.get("type") == DeadbandType.PERCENT
