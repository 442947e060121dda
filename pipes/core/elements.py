"""One element of a value in another built-in type; the rules stand in `conversion`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from pipes.core.status_codes import UnknownStatusNameError, code_of, name_of
from pipes.core.values import (
    DOUBLE_MAXIMUM,
    FLOAT_MAXIMUM,
    FLOAT_TYPES,
    INTEGER_RANGES,
    ExpandedNodeId,
    LocalizedText,
    NodeId,
    QualifiedName,
    Scalar,
    VariantType,
    as_float,
    iso_to_ticks,
    shortest_float,
    ticks_to_iso,
    type_name,
    without_info_bits,
)


class RejectReason(StrEnum):
    NO_VALUE = "no_value"
    OUT_OF_RANGE = "out_of_range"
    NOT_A_NUMBER = "not_a_number"
    NOT_PARSED = "not_parsed"
    NO_CONVERSION = "no_conversion"
    RANK_MISMATCH = "rank_mismatch"
    NOT_INVERTIBLE = "not_invertible"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a value is not written; ``sentence`` names value and types."""

    reason: RejectReason
    sentence: str


class ElementRejectedError(Exception):
    """One element does not convert; `conversion` makes a `Rejected` of it."""

    def __init__(self, reason: RejectReason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence

    def rejected(self, place: str = "") -> Rejected:
        return Rejected(self.reason, place + self.sentence)


Step = Callable[[Scalar, VariantType, bool], Scalar]

_SOURCE_NUMBERS: Final = (
    frozenset(INTEGER_RANGES)
    | FLOAT_TYPES
    | {
        VariantType.BOOLEAN,
        VariantType.STATUS_CODE,
    }
)
_TEXTS: Final = frozenset({VariantType.STRING, VariantType.XML_ELEMENT})


def step_between(source: VariantType, target: VariantType) -> Step | None:
    """How an element of one type becomes one of another; None if in no way."""
    if target in _TO_NUMBER:
        if source in _SOURCE_NUMBERS:
            return _TO_NUMBER[target]
        return _PARSE[target] if source in _TEXTS else None
    if target is VariantType.STRING:
        return _TO_TEXT.get(source)
    if target is VariantType.LOCALIZED_TEXT and source in _TO_TEXT:
        return _wrapped(_TO_TEXT[source])
    if source in _TEXTS:
        return _FROM_TEXT.get(target)
    if target is VariantType.STATUS_CODE and source in INTEGER_RANGES:
        return _to_status
    return _OTHERS.get((source, target))


# --- to numbers -------------------------------------------------------------------------------


def _to_integer(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    low, high = INTEGER_RANGES[kind]
    number = _rounded(value, kind, saturate=saturate)
    if low <= number <= high:
        return int(number)
    if saturate:
        return low if number < low else high
    raise ElementRejectedError(
        RejectReason.OUT_OF_RANGE, f"{value!r} does not fit {type_name(kind)} ({low} to {high})"
    )


def _rounded(value: Scalar, kind: VariantType, *, saturate: bool) -> float:
    if not isinstance(value, float):
        return int(value)  # type: ignore[arg-type]
    if math.isnan(value):
        raise ElementRejectedError(RejectReason.NOT_A_NUMBER, f"NaN is no {type_name(kind)}")
    if math.isfinite(value):
        return round(value)
    if saturate:
        return value
    raise ElementRejectedError(RejectReason.OUT_OF_RANGE, f"{value} is no {type_name(kind)}")


def _to_boolean(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    number = _rounded(value, kind, saturate=saturate)
    if number in (0, 1) or saturate:
        return number >= 1
    raise ElementRejectedError(
        RejectReason.OUT_OF_RANGE, f"{value!r} is no Boolean (0 is false, 1 is true)"
    )


def _to_double(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    return float(value)  # type: ignore[arg-type]


def _to_float(value: Scalar, _kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    number = float(value)  # type: ignore[arg-type]
    try:
        return as_float(number)
    except OverflowError:
        if saturate:
            return math.copysign(FLOAT_MAXIMUM, number)
        raise ElementRejectedError(
            RejectReason.OUT_OF_RANGE, f"{value!r} does not fit Float (to {FLOAT_MAXIMUM:.4g})"
        ) from None


def _to_status(value: Scalar, _kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    return _to_integer(value, VariantType.UINT32, saturate)


_TO_NUMBER: Final[Mapping[VariantType, Step]] = {
    **dict.fromkeys(INTEGER_RANGES, _to_integer),
    VariantType.BOOLEAN: _to_boolean,
    VariantType.DOUBLE: _to_double,
    VariantType.FLOAT: _to_float,
}

# --- from text --------------------------------------------------------------------------------

INTEGER: Final = re.compile(r"[+-]?[0-9]{1,30}")
DECIMAL: Final = re.compile(
    r"[+-]?(?:[0-9]{1,350}\.?[0-9]{0,350}|\.[0-9]{1,350})(?:[eE][+-]?[0-9]{1,4})?"
)
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def _text(value: Scalar, kind: VariantType) -> str:
    if isinstance(value, str):
        return value
    raise ElementRejectedError(RejectReason.NO_VALUE, f"a null text is no {type_name(kind)}")


def _not_parsed(text: str, kind: VariantType) -> ElementRejectedError:
    return ElementRejectedError(
        RejectReason.NOT_PARSED, f"the text {text!r:.60} is no {type_name(kind)}"
    )


def _parse_integer(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    if not INTEGER.fullmatch(text):
        raise _not_parsed(text, kind)
    return _to_integer(int(text), kind, saturate)


def _parse_real(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    special = _SPECIAL.get(text)
    if special is not None:
        return special
    if not DECIMAL.fullmatch(text):
        raise _not_parsed(text, kind)
    number = float(text)
    if math.isinf(number):
        if not saturate:
            raise ElementRejectedError(
                RejectReason.OUT_OF_RANGE, f"{text:.60} does not fit {type_name(kind)}"
            )
        number = math.copysign(DOUBLE_MAXIMUM, number)
    return _TO_NUMBER[kind](number, kind, saturate)


def _parse_boolean(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise _not_parsed(text, kind)
    return known


def _parse_instant(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    try:
        return iso_to_ticks(text)
    except ValueError:
        raise _not_parsed(text, kind) from None


def _parse_guid(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    if not _GUID.fullmatch(text):
        raise _not_parsed(text, kind)
    return UUID(text)


def _parse_status(value: Scalar, kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    text = _text(value, kind)
    try:
        return code_of(text)
    except UnknownStatusNameError:
        raise _not_parsed(text, kind) from None


_PARSE: Final[Mapping[VariantType, Step]] = {
    **dict.fromkeys(INTEGER_RANGES, _parse_integer),
    **dict.fromkeys(FLOAT_TYPES, _parse_real),
    VariantType.BOOLEAN: _parse_boolean,
}
_FROM_TEXT: Final[Mapping[VariantType, Step]] = {
    VariantType.DATE_TIME: _parse_instant,
    VariantType.GUID: _parse_guid,
    VariantType.STATUS_CODE: _parse_status,
}

# --- to text ----------------------------------------------------------------------------------


def float_text(value: float) -> str:
    """A Double as text that `convert` reads back: ``1.5``, ``NaN``, ``-Infinity``."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number_text(value: Scalar) -> str:
    return str(value)


def _double_text(value: Scalar) -> str:
    return float_text(float(value))  # type: ignore[arg-type]


def _float_text(value: Scalar) -> str:
    return float_text(shortest_float(float(value)))  # type: ignore[arg-type]


def _boolean_text(value: Scalar) -> str:
    return "true" if value else "false"


def _instant_text(value: Scalar) -> str:
    return ticks_to_iso(int(value))  # type: ignore[arg-type]


def _plain_text(value: Scalar) -> str | None:
    return value if isinstance(value, str) else None


def _localized_text(value: Scalar) -> str | None:
    return value.text if isinstance(value, LocalizedText) else None


def _qualified_name_text(value: Scalar) -> str | None:
    return value.name if isinstance(value, QualifiedName) else None


def _status_text(value: Scalar) -> str:
    code = int(value)  # type: ignore[arg-type]
    return name_of(code) if code == without_info_bits(code) else f"0x{code:08X}"


def _wrapped(write: Step) -> Step:
    """The text as a LocalizedText without a locale."""

    def step(value: Scalar, kind: VariantType, saturate: bool) -> Scalar:  # noqa: FBT001
        return LocalizedText(_text(write(value, kind, saturate), kind))

    return step


def _formatted(write: Callable[[Scalar], str | None]) -> Step:
    def step(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
        return write(value)

    return step


_TO_TEXT: Final[Mapping[VariantType, Step]] = {
    **dict.fromkeys(INTEGER_RANGES, _formatted(_number_text)),
    VariantType.BOOLEAN: _formatted(_boolean_text),
    VariantType.FLOAT: _formatted(_float_text),
    VariantType.DOUBLE: _formatted(_double_text),
    VariantType.DATE_TIME: _formatted(_instant_text),
    VariantType.GUID: _formatted(_number_text),
    VariantType.STRING: _formatted(_plain_text),
    VariantType.XML_ELEMENT: _formatted(_plain_text),
    VariantType.STATUS_CODE: _formatted(_status_text),
    VariantType.QUALIFIED_NAME: _formatted(_qualified_name_text),
    VariantType.LOCALIZED_TEXT: _formatted(_localized_text),
}

# --- the same thing in another shape ----------------------------------------------------------


def _guid_bytes(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    """In the order of the wire (Part 6, 5.2.2.6)."""
    return value.bytes_le if isinstance(value, UUID) else None


def _bytes_guid(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    if isinstance(value, bytes) and len(value) == _GUID_SIZE:
        return UUID(bytes_le=value)
    size = f"{len(value)} bytes are" if isinstance(value, bytes) else "a null ByteString is"
    raise ElementRejectedError(RejectReason.NOT_PARSED, f"{size} no Guid, which has {_GUID_SIZE}")


def _expanded(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    return ExpandedNodeId(value) if isinstance(value, NodeId) else None


def _unexpanded(value: Scalar, _kind: VariantType, _saturate: bool) -> Scalar:  # noqa: FBT001
    if isinstance(value, ExpandedNodeId) and not (value.server_index or value.namespace_uri):
        return value.node_id
    raise ElementRejectedError(
        RejectReason.OUT_OF_RANGE,
        "an ExpandedNodeId of another server, or with a namespace URI, is no NodeId",
    )


_GUID_SIZE: Final = 16
_OTHERS: Final[Mapping[tuple[VariantType, VariantType], Step]] = {
    (VariantType.GUID, VariantType.BYTE_STRING): _guid_bytes,
    (VariantType.BYTE_STRING, VariantType.GUID): _bytes_guid,
    (VariantType.NODE_ID, VariantType.EXPANDED_NODE_ID): _expanded,
    (VariantType.EXPANDED_NODE_ID, VariantType.NODE_ID): _unexpanded,
}
