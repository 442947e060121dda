"""What the nodes that a flow writes take: type, rank, right to write, and what they hold now.

Four attributes of each node are read once per session, raw and in large batches. A DataType that
is not built in is followed up its supertypes, once per type and session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipes.core.binary import DecodeError, decode_data_value, status_of
from pipes.core.conversion import ANY_RANK, TargetType, target_type_of
from pipes.core.node_ids import encode
from pipes.core.skip import ScanError, ServiceFaultError
from pipes.core.values import NodeId, VariantType, is_bad
from pipes.opcua import wire
from pipes.opcua.reading import read_raw
from pipes.opcua.session import Session

VALUE: Final = 13
DATA_TYPE: Final = 14
VALUE_RANK: Final = 15
USER_ACCESS_LEVEL: Final = 18
CURRENT_WRITE: Final = 0x02

BAD_ATTRIBUTE_ID_INVALID: Final = 0x8035_0000
BAD_TYPE_UNKNOWN: Final = 0x8011_0000
_HAS_SUBTYPE: Final = encode(NodeId(0, 45))
_DEEPEST_TYPE: Final = 32


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """``status`` is Bad if the node cannot be read; ``value`` is what it holds, as bytes."""

    status: int
    type: TargetType = VariantType.VARIANT
    value_rank: int = ANY_RANK
    is_writable: bool = True
    value: bytes | None = None


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
    return [
        await _info(session, answers[start : start + width])
        for start in range(0, len(answers), width)
    ]


async def _info(session: Session, answers: Sequence[bytes]) -> TargetInfo:
    data_type, value_rank, access = answers[:3]
    status = status_of(data_type)
    if is_bad(status):
        return TargetInfo(status)
    value = answers[3] if len(answers) > 3 else None
    return TargetInfo(
        status=0,
        type=await built_in_type(session, data_type),
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
    known = session.types.get(answer)
    if known is None:
        try:
            variant = decode_data_value(answer).variant
            data_type = variant.value if variant is not None else None
            known = (
                await _built_in(session, data_type)
                if isinstance(data_type, NodeId)
                else VariantType.VARIANT
            )
        except (DecodeError, ScanError, ServiceFaultError):
            known = VariantType.VARIANT
        session.types[answer] = known
    return known


async def _built_in(session: Session, data_type: NodeId) -> TargetType:
    """Follow HasSubtype upwards to a type of namespace 0 (Part 3, 5.8)."""
    for _ in range(_DEEPEST_TYPE):
        found = target_type_of(data_type)
        if found is not None:
            return found
        body = await session.request(
            wire.BROWSE,
            lambda header, node=data_type: wire.browse_body(  # type: ignore[misc]
                header, encode(node), reference_type=_HAS_SUBTYPE, inverse=True
            ),
        )
        page = wire.browse_response(body)
        if is_bad(page.status) or not page.references:
            break
        data_type = page.references[0].node_id.node_id
    return VariantType.VARIANT
