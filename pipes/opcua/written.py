"""What the nodes that a flow writes take: type, rank, right to write, and what they hold now.

Four attributes of each node are read once per session, raw and in large batches; arrays are asked
for their dimensions too. A DataType that is not built in is followed up its supertypes, once per
type and session; where the server does not show them, the present value tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from pipes.core.binary import DecodeError, decode_data_value, peek_type, status_of
from pipes.core.conversion import ANY_RANK, TargetType
from pipes.core.skip import ScanError, ServiceFaultError
from pipes.core.values import NodeId, VariantType, is_bad
from pipes.opcua.data_types import built_in
from pipes.opcua.reading import read_raw
from pipes.opcua.session import Session

VALUE: Final = 13
DATA_TYPE: Final = 14
VALUE_RANK: Final = 15
ARRAY_DIMENSIONS: Final = 16
USER_ACCESS_LEVEL: Final = 18
CURRENT_WRITE: Final = 0x02

BAD_ATTRIBUTE_ID_INVALID: Final = 0x8035_0000
BAD_TYPE_UNKNOWN: Final = 0x8011_0000


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """``status`` is Bad if the node cannot be read; ``value`` is what it holds, as bytes.

    ``dimensions`` are the most elements in each dimension of an array, 0 where there is no limit;
    empty if there is none at all (Part 3, 5.6.2).
    """

    status: int
    type: TargetType = VariantType.VARIANT
    value_rank: int = ANY_RANK
    is_writable: bool = True
    value: bytes | None = None
    dimensions: tuple[int, ...] = ()


async def read_targets(
    session: Session, nodes: Sequence[bytes], *, values: bool
) -> list[TargetInfo]:
    """Read the attributes of ``nodes`` (encoded NodeIds), and with ``values`` what they hold.

    Raises:
        ConnectionError, TimeoutError: as of `Session.read`.

    """
    attributes = (DATA_TYPE, VALUE_RANK, USER_ACCESS_LEVEL, *((VALUE,) if values else ()))
    answers = await read_raw(
        session, [(node, attribute) for node in nodes for attribute in attributes]
    )
    width = len(attributes)
    infos = [
        await _info(session, answers[start : start + width])
        for start in range(0, len(answers), width)
    ]
    await _read_dimensions(session, nodes, infos)
    return infos


async def _read_dimensions(
    session: Session, nodes: Sequence[bytes], infos: list[TargetInfo]
) -> None:
    """Enter the dimensions of those that are arrays."""
    arrays = [place for place, info in enumerate(infos) if info.value_rank >= 0]
    if not arrays:
        return
    answers = await read_raw(session, [(nodes[place], ARRAY_DIMENSIONS) for place in arrays])
    for place, answer in zip(arrays, answers, strict=True):
        dimensions = _dimensions(answer)
        if any(dimensions):
            infos[place] = replace(infos[place], dimensions=dimensions)


async def _info(session: Session, answers: Sequence[bytes]) -> TargetInfo:
    data_type, value_rank, access = answers[:3]
    status = status_of(data_type)
    if is_bad(status):
        return TargetInfo(status)
    value = answers[3] if len(answers) > 3 else None
    found = await _type(session, data_type)
    return TargetInfo(
        status=0,
        type=_type_held(value) if found is None else found,
        value_rank=_integer(value_rank, ANY_RANK),
        is_writable=bool(_integer(access, CURRENT_WRITE) & CURRENT_WRITE),
        value=value,
    )


@lru_cache(maxsize=1024)  # thousands of nodes answer the same few bytes
def _integer(answer: bytes, otherwise: int) -> int:
    """A small integer attribute; a server that does not tell is not held against it."""
    try:
        variant = decode_data_value(answer).variant
    except DecodeError:
        return otherwise
    return variant.value if variant is not None and isinstance(variant.value, int) else otherwise


async def built_in_type(session: Session, answer: bytes) -> TargetType:
    """The built-in type; one that cannot be found out counts as any: a write then tells."""
    found = await _type(session, answer)
    return VariantType.VARIANT if found is None else found


@lru_cache(maxsize=1024)
def _dimensions(answer: bytes) -> tuple[int, ...]:
    try:
        variant = decode_data_value(answer).variant
    except DecodeError:
        return ()
    sizes = variant.value if variant is not None else None
    return tuple(n for n in sizes if isinstance(n, int)) if isinstance(sizes, tuple) else ()


def _type_held(value: bytes | None) -> TargetType:
    """The type of the present value; without one anything goes: a write then tells."""
    peeked = None if value is None else peek_type(value)
    if peeked is None or peeked[0] is VariantType.NULL:
        return VariantType.VARIANT
    return peeked[0]


async def _type(session: Session, answer: bytes) -> TargetType | None:
    """The built-in type, None if it cannot be found out."""
    if answer not in session.types:
        session.types[answer] = await _find_type(session, answer)
    return session.types[answer]


async def _find_type(session: Session, answer: bytes) -> TargetType | None:
    try:
        variant = decode_data_value(answer).variant
        data_type = variant.value if variant is not None else None
        return await built_in(session, data_type) if isinstance(data_type, NodeId) else None
    except (DecodeError, ScanError, ServiceFaultError):
        return None
