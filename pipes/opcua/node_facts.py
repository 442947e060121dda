"""Read what the linter wants to know of nodes: five attributes each, in large batches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from pipes.core.binary import DecodeError, decode_data_value, status_of
from pipes.core.conversion import TargetType
from pipes.core.matching import CAN_READ, CAN_WRITE
from pipes.core.node_facts import NodeFacts
from pipes.core.node_ids import NodeIdError
from pipes.core.status_codes import code_of
from pipes.core.values import VariantType, is_bad, type_name
from pipes.opcua.ranges import read_ranges
from pipes.opcua.reading import read_raw
from pipes.opcua.session import Session
from pipes.opcua.written import built_in_type

DATA_TYPE: Final = 14
VALUE_RANK: Final = 15
ACCESS_LEVEL: Final = 17
USER_ACCESS_LEVEL: Final = 18
MINIMUM_SAMPLING_INTERVAL: Final = 19
ATTRIBUTES: Final = (
    DATA_TYPE, VALUE_RANK, ACCESS_LEVEL, USER_ACCESS_LEVEL, MINIMUM_SAMPLING_INTERVAL,
)  # fmt: skip
UNKNOWN: Final = NodeFacts(status=code_of("BadNodeIdUnknown"))


async def read_facts(
    session: Session, nodes: Sequence[str], with_range: Collection[str] = ()
) -> list[NodeFacts]:
    """The facts of each node; of those in ``with_range`` also whether it has an EURange.

    Raises:
        ConnectionError, TimeoutError: as of `Session.read`.
    """
    encoded = [_encoded(session, node) for node in nodes]
    present = [node for node in encoded if node is not None]
    answers = await read_raw(session, [(node, each) for node in present for each in ATTRIBUTES])
    width = len(ATTRIBUTES)
    found = iter(
        [
            await _facts(session, answers[start : start + width])
            for start in range(0, len(answers), width)
        ]
    )
    facts = [UNKNOWN if node is None else next(found) for node in encoded]
    asked = [
        place
        for place, node in enumerate(nodes)
        if node in with_range and encoded[place] is not None
    ]
    ranges = await read_ranges(session, [encoded[place] or b"" for place in asked])
    for place, found_range in zip(asked, ranges, strict=True):
        facts[place] = replace(facts[place], has_range=found_range is not None)
    return facts


def _encoded(session: Session, node: str) -> bytes | None:
    """A namespace that the server does not have has no nodes."""
    try:
        return session.encode_node(node)
    except NodeIdError:
        return None


async def _facts(session: Session, answers: Sequence[bytes]) -> NodeFacts:
    data_type, rank, access, user_access, sampling = answers
    status = status_of(data_type)
    if is_bad(status):
        return NodeFacts(status=status)
    least = _number(sampling)
    return NodeFacts(
        type=_named(await built_in_type(session, data_type)),
        rank=_whole(rank),
        access=_allowed(access) & _allowed(user_access),
        minimum_sampling_ms=least if least is not None and least > 0 else None,
    )


def _named(kind: TargetType) -> str:
    if kind is VariantType.VARIANT:
        return ""
    return type_name(kind) if isinstance(kind, VariantType) else str(kind)


def _whole(answer: bytes) -> int | None:
    number = _number(answer)
    return number if isinstance(number, int) else None


def _allowed(answer: bytes) -> int:
    """A server that does not tell is not held against the node."""
    access = _whole(answer)
    return CAN_READ | CAN_WRITE if access is None else access


@lru_cache(maxsize=1024)  # thousands of nodes answer the same few bytes
def _number(answer: bytes) -> int | float | None:
    try:
        variant = decode_data_value(answer).variant
    except DecodeError:
        return None
    value = None if variant is None else variant.value
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
