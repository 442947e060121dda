"""Findings that need to know the nodes: they run when somebody asks, with facts that were read.

One finding stands for all items that have the same thing wrong. ``missing_node``,
``source_access``, ``target_access``, ``type_mismatch`` and ``rank_mismatch`` are errors: the item
cannot work as the server is now. They are no reason to refuse a save, because servers change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pipes.core.choices import DeadbandType, Direction, ItemKind, Overflow
from pipes.core.configuration import Configuration
from pipes.core.conversion import AbstractType
from pipes.core.fields import Body
from pipes.core.findings import Finding, Severity, listed
from pipes.core.matching import CAN_READ, CAN_WRITE, is_rank_fit, is_type_fit
from pipes.core.node_facts import Known, NodeFacts
from pipes.core.status_codes import name_of
from pipes.core.values import FLOAT_TYPES, INTEGER_RANGES, VariantType, type_named

NOT_CHECKED: Final = "not_checked"
MISSING: Final = "missing_node"
NARROWING: Final = "narrowing"
RATE: Final = "sampling_rate"
NO_RANGE: Final = "no_eu_range"

#: The integers that a type of floats has exactly.
_EXACT: Final[Mapping[VariantType, int]] = {VariantType.FLOAT: 2**24, VariantType.DOUBLE: 2**53}
#: Transforms that leave the type of a value to the target.
_KEEPING: Final = frozenset({"none", "convert"})

_Found = tuple[Severity, str, str]
#: A thing that is wrong, and the nodes (if any) to name in its sentence.
_Told = Iterator[tuple[_Found, str]]


def wanted_nodes(
    configuration: Configuration, items: Iterable[int] | None = None
) -> dict[str, dict[str, bool]]:
    """The nodes of enabled items by server, and whether their EURange matters."""
    wanted: dict[str, dict[str, bool]] = {}
    for number in configuration.items if items is None else items:
        body = configuration.items[number]
        if body.get("enabled", True) is False:
            continue
        pipe = configuration.pipes[str(body["pipe"])]
        needs_range = _is_percent(body)
        for end, node in (("source", "source_node"), ("target", "target_node")):
            nodes = wanted.setdefault(str(pipe[end]), {})
            text = str(body[node])
            nodes[text] = nodes.get(text, False) or needs_range
    return wanted


def lint_facts(
    configuration: Configuration, known: Known, items: Iterable[int] | None = None
) -> list[Finding]:
    """Findings about all items, or some, of whose nodes something is known."""
    numbers: dict[_Found, list[int]] = {}
    nodes: dict[_Found, list[str]] = {}
    for number in configuration.items if items is None else items:
        body = configuration.items[number]
        if body.get("enabled", True) is False:
            continue
        pipe = configuration.pipes[str(body["pipe"])]
        for found, node in _wrong_with(body, pipe, known.nodes):
            numbers.setdefault(found, []).append(number)
            if node:
                nodes.setdefault(found, []).append(node)
    findings = [
        Finding(severity, rule, _sentence(message, nodes.get(found, [])), tuple(numbers[found]))
        for found in numbers
        for severity, rule, message in (found,)
    ]
    return findings + [
        Finding(Severity.WARNING, NOT_CHECKED, f"{count} nodes of {server} were not checked: {why}")
        for server, (count, why) in known.unread.items()
    ]


def _sentence(message: str, nodes: list[str]) -> str:
    return f"{message}: {listed(list(dict.fromkeys(nodes)), 3)}" if nodes else message


def _wrong_with(
    body: Body, pipe: Body, nodes: Mapping[str, Mapping[str, NodeFacts]]
) -> Iterator[tuple[_Found, str]]:
    direction = str(body.get("direction", Direction.FORWARD))
    ends = []
    for end, reads, writes in (
        ("source", direction != Direction.REVERSE, direction != Direction.FORWARD),
        ("target", direction != Direction.FORWARD, direction != Direction.REVERSE),
    ):
        server, node = str(pipe[end]), str(body[f"{end}_node"])
        facts = nodes.get(server, {}).get(node)
        ends.append(facts)
        if facts is not None:
            yield from _wrong_with_node(end, server, node, facts, reads=reads, writes=writes)
    source, target = ends
    read = source if direction != Direction.REVERSE else target
    if read is not None and not read.is_missing:
        yield from _wrong_with_rate(body, pipe, read)
    if source is not None and target is not None:
        if direction != Direction.REVERSE:
            yield from _wrong_between(body, source, target)
        if direction != Direction.FORWARD:
            yield from _wrong_between(body, target, source)


def _wrong_with_node(
    end: str, server: str, node: str, facts: NodeFacts, *, reads: bool, writes: bool
) -> _Told:
    if facts.is_missing:
        message = f"{server} does not have these nodes ({name_of(facts.status)})"
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


def _wrong_between(body: Body, read: NodeFacts, written: NodeFacts) -> _Told:
    """What is wrong with a value of the one node for the other."""
    if read.is_missing or written.is_missing:
        return
    transform = body.get("transform")
    spec = transform if isinstance(transform, dict) else {}
    if spec.get("kind", "none") in _KEEPING and not spec.get("to_type"):
        if not is_type_fit(read.type, written.type):
            message = f"{read.type} does not convert to {written.type}"
            yield (Severity.ERROR, "type_mismatch", message), ""
        elif not spec.get("on_overflow") and is_narrowing(read.type, written.type):
            message = (
                f"{written.type} does not hold every value of {read.type}: what does not fit is"
                " refused; a transform with to_type or on_overflow says that this is meant"
            )
            yield (Severity.WARNING, NARROWING, message), ""
    if not body.get("index_range") and not is_rank_fit(read.rank, written.rank):
        message = f"ValueRank {read.rank} ({_shape(read.rank)}) does not fit ValueRank"
        message += f" {written.rank} ({_shape(written.rank)})"
        yield (Severity.ERROR, "rank_mismatch", message), ""


def _shape(rank: int | None) -> str:
    names = {-3: "scalar or one dimension", -2: "any", -1: "scalar", 0: "array", 1: "array"}
    return names.get(rank, f"array of {rank} dimensions") if rank is not None else "unknown"


def _wrong_with_rate(body: Body, pipe: Body, read: NodeFacts) -> _Told:
    least = read.minimum_sampling_ms
    asked = _asked_ms(body, pipe)
    if least is not None and asked is not None and asked < least:
        message = (
            f"values of pipe {pipe['name']} are asked for every {asked:g} ms, but their nodes are"
            f" sampled every {least:g} ms at most"
        )
        yield (Severity.WARNING, RATE, message), ""
    if _is_percent(body) and read.has_range is False:
        message = "a percent deadband has no effect on nodes without an EURange"
        yield (Severity.WARNING, NO_RANGE, message), ""


def _asked_ms(body: Body, pipe: Body) -> float | None:
    """How often a value is asked for; None for samples as often as there are some."""
    asked = body.get("sampling_interval_ms")
    if isinstance(asked, int | float):
        return float(asked)
    kind = body.get("kind", ItemKind.STATE)
    if kind != ItemKind.STATE or pipe.get("overflow") == Overflow.QUEUE:
        return None
    published = pipe.get("publishing_interval_ms", 100)
    return float(published) if isinstance(published, int | float) else None


def _is_percent(body: Body) -> bool:
    deadband = body.get("deadband")
    return isinstance(deadband, dict) and deadband.get("type") == DeadbandType.PERCENT


def is_narrowing(source: str, target: str) -> bool:
    """Whether some number of the one type has no place in the other."""
    read = type_named(source)
    if read is None:
        return False
    if target in set(AbstractType):
        return _is_narrowing_to_abstract(read, AbstractType(target))
    written = type_named(target)
    return written is not None and _is_narrowing(read, written)


def _is_narrowing_to_abstract(read: VariantType, written: AbstractType) -> bool:
    if written is AbstractType.NUMBER:
        return False
    low, _ = INTEGER_RANGES.get(read, (-1, 0))
    is_signed = low < 0
    return read in FLOAT_TYPES or (
        read in INTEGER_RANGES and is_signed and written is AbstractType.UINTEGER
    )


def _is_narrowing(read: VariantType, written: VariantType) -> bool:
    if read in FLOAT_TYPES:
        into_float = read is VariantType.DOUBLE and written is VariantType.FLOAT
        return into_float or written in INTEGER_RANGES or written is VariantType.BOOLEAN
    if read not in INTEGER_RANGES:
        return False
    low, high = INTEGER_RANGES[read]
    if written in _EXACT:
        return high > _EXACT[written]
    if written is VariantType.BOOLEAN:
        return True
    least, most = INTEGER_RANGES.get(written, (low, high))
    return low < least or high > most
