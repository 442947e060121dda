"""Values as JSON (Part 6, 5.4), as REST and the pages show and take them.

Int64 and UInt64 are strings, NaN and the infinities too; ByteString is base64; arrays are lists,
matrices lists of lists; instants are ISO 8601 with ``Z``; a StatusCode is its name; a NodeId is
its text, in the URI form if the server's namespaces are given.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pipes.core.binary import DecodeError, decode_data_value
from pipes.core.conversion import float_text
from pipes.core.node_ids import NodeIdError, format_node_id, resolve
from pipes.core.status_codes import code_of, name_of
from pipes.core.values import (
    INTEGER_RANGES,
    DataValue,
    DiagnosticInfo,
    ExpandedNodeId,
    ExtensionObject,
    LocalizedText,
    NodeId,
    QualifiedName,
    Scalar,
    Variant,
    VariantType,
    as_float,
    iso_to_ticks,
    shortest_float,
    ticks_to_iso,
    type_name,
)
from pipes.core.wanted import Json

Namespaces = Sequence[str] | None


class JsonValueError(ValueError):
    """The JSON is no value of the type; the text says what is expected."""


LONGEST_SHOWN: Final = 200


# --- to JSON ----------------------------------------------------------------------------------


def data_value_to_json(value: DataValue, namespaces: Namespaces = None) -> dict[str, Json]:
    """The contract's answer of a read: value, status and both timestamps."""
    return {
        "value": None if value.variant is None else variant_to_json(value.variant, namespaces),
        "status": name_of(value.status),
        "source_timestamp": _instant_or_none(value.source_timestamp),
        "server_timestamp": _instant_or_none(value.server_timestamp),
    }


def value_text(encoded: bytes) -> str:
    """The value of an encoded DataValue for a sentence; a long one is cut."""
    try:
        shown = data_value_to_json(decode_data_value(encoded))
    except DecodeError:
        return "that cannot be decoded"
    text = json.dumps(shown["value"], ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + " …"


def _instant_or_none(ticks: int | None) -> str | None:
    return None if ticks is None else ticks_to_iso(ticks)


def variant_to_json(variant: Variant, namespaces: Namespaces = None) -> Json:
    """The bare value; its type is not in the JSON."""
    if not isinstance(variant.value, tuple):
        return _scalar(variant.type, variant.value, namespaces)
    elements = [_scalar(variant.type, element, namespaces) for element in variant.value]
    return _nested(elements, variant.dimensions or ())


def _nested(elements: list[Json], dimensions: Sequence[int]) -> Json:
    """The flat elements as lists in lists, the last dimension innermost (Part 6, 5.2.2.16)."""
    for size in reversed(dimensions[1:]):
        groups = len(elements) // size if size else 0
        elements = [elements[index * size : (index + 1) * size] for index in range(groups)]
    return elements


def _scalar(kind: VariantType, value: Any, namespaces: Namespaces) -> Json:
    if value is None:
        return None
    write = _WRITERS.get(kind)
    written: Json = value if write is None else write(value, namespaces)
    return written


def _text(value: str, _namespaces: Namespaces = None) -> Json:
    """Bytes that are not UTF-8 cannot stand in JSON: they show as U+FFFD."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _number_text(value: int, _namespaces: Namespaces) -> Json:
    return str(value)


def _double(value: float, _namespaces: Namespaces = None) -> Json:
    return value if math.isfinite(value) else float_text(value)


def _float(value: float, _namespaces: Namespaces) -> Json:
    return _double(shortest_float(value))


def _instant(value: int, _namespaces: Namespaces) -> Json:
    return ticks_to_iso(value)


def _base64(value: bytes, _namespaces: Namespaces = None) -> Json:
    return b64encode(value).decode("ascii")


def _node_id(value: NodeId, namespaces: Namespaces) -> Json:
    return _text(format_node_id(value, namespaces))


def _expanded_node_id(value: ExpandedNodeId, namespaces: Namespaces) -> Json:
    server = f"svr={value.server_index};" if value.server_index else ""
    if value.namespace_uri is None:
        return _text(server + format_node_id(value.node_id, namespaces))
    placed = NodeId(2, value.node_id.identifier)
    return _text(server + format_node_id(placed, ("", "", value.namespace_uri)))


def _status(value: int, _namespaces: Namespaces) -> Json:
    return name_of(value)


def _qualified_name(value: QualifiedName, _namespaces: Namespaces) -> Json:
    name = value.name or ""
    return _text(f"{value.namespace_index}:{name}" if value.namespace_index else name)


def _localized_text(value: LocalizedText, _namespaces: Namespaces) -> Json:
    return _present({"Locale": value.locale, "Text": value.text})


def _extension_object(value: ExtensionObject, namespaces: Namespaces) -> Json:
    body = None if value.body is None else _base64(value.body)
    return _present(
        {
            "UaTypeId": _node_id(value.type_id, namespaces),
            "UaEncoding": value.encoding or None,
            "UaBody": body,
        }
    )


def _present(fields: Mapping[str, Json]) -> Json:
    return {
        name: _text(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def _data_value(value: DataValue, namespaces: Namespaces) -> Json:
    fields: dict[str, Json] = {
        "Status": name_of(value.status) if value.status else None,
        "SourceTimestamp": _instant_or_none(value.source_timestamp),
        "SourcePicoseconds": value.source_picoseconds,
        "ServerTimestamp": _instant_or_none(value.server_timestamp),
        "ServerPicoseconds": value.server_picoseconds,
    }
    typed = {} if value.variant is None else _variant(value.variant, namespaces)
    return {**typed, **{name: field for name, field in fields.items() if field is not None}}


def _variant(value: Variant, namespaces: Namespaces) -> dict[str, Json]:
    return {"UaType": int(value.type), "Value": variant_to_json(value, namespaces)}


def _diagnostic_info(value: DiagnosticInfo, namespaces: Namespaces) -> Json:
    inner = value.inner_diagnostic_info
    status = value.inner_status_code
    return _present(
        {
            "SymbolicId": value.symbolic_id,
            "NamespaceUri": value.namespace_uri,
            "Locale": value.locale,
            "LocalizedText": value.localized_text,
            "AdditionalInfo": value.additional_info,
            "InnerStatusCode": None if status is None else name_of(status),
            "InnerDiagnosticInfo": None if inner is None else _diagnostic_info(inner, namespaces),
        }
    )


def _guid(value: UUID, _namespaces: Namespaces) -> Json:
    return str(value)


_WRITERS: Final[Mapping[VariantType, Callable[[Any, Namespaces], Json]]] = {
    VariantType.INT64: _number_text,
    VariantType.UINT64: _number_text,
    VariantType.FLOAT: _float,
    VariantType.DOUBLE: _double,
    VariantType.STRING: _text,
    VariantType.DATE_TIME: _instant,
    VariantType.GUID: _guid,
    VariantType.BYTE_STRING: _base64,
    VariantType.XML_ELEMENT: _text,
    VariantType.NODE_ID: _node_id,
    VariantType.EXPANDED_NODE_ID: _expanded_node_id,
    VariantType.STATUS_CODE: _status,
    VariantType.QUALIFIED_NAME: _qualified_name,
    VariantType.LOCALIZED_TEXT: _localized_text,
    VariantType.EXTENSION_OBJECT: _extension_object,
    VariantType.DATA_VALUE: _data_value,
    VariantType.VARIANT: _variant,
    VariantType.DIAGNOSTIC_INFO: _diagnostic_info,
}

# --- from JSON --------------------------------------------------------------------------------


def variant_from_json(value: Json, kind: VariantType, namespaces: Sequence[str] = ()) -> Variant:
    """A value of this type from its JSON; a list is an array, lists in lists are a matrix.

    Raises:
        JsonValueError: not a value of the type, lists of uneven length, or a type that has no
            input form (structures).
    """
    read = _READERS.get(kind)
    if read is None:
        raise JsonValueError(f"a value of type {type_name(kind)} cannot be given as JSON")
    if not isinstance(value, list):
        return Variant(kind, _read(read, value, kind, namespaces))
    dimensions = _dimensions(value)
    flat: list[Json] = value
    for _ in dimensions[1:]:
        flat = [inner for outer in flat if isinstance(outer, list) for inner in outer]
    elements = tuple(_read(read, element, kind, namespaces) for element in flat)
    return Variant(kind, elements, dimensions if len(dimensions) > 1 else None)


def _dimensions(value: Json) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    inner = {_dimensions(element) for element in value} or {()}
    if len(inner) > 1:
        raise JsonValueError("the inner lists of a matrix must all have the same length")
    return len(value), *inner.pop()


_Reader = Callable[[Any, VariantType, Sequence[str]], Scalar]
_FAULTS: Final = (ValueError, TypeError, AttributeError, OverflowError)


def _read(read: _Reader, value: Json, kind: VariantType, namespaces: Sequence[str]) -> Scalar:
    try:
        return read(value, kind, namespaces)
    except JsonValueError:
        raise
    except NodeIdError as error:
        raise JsonValueError(str(error)) from None
    except _FAULTS:
        raise JsonValueError(f"{value!r:.80} is no {type_name(kind)}") from None


def _read_boolean(value: Any, kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    if value is True or value is False:
        return bool(value)
    raise JsonValueError(f"{value!r:.80} is no {type_name(kind)}: write true or false")


def _read_integer(value: Any, kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    low, high = INTEGER_RANGES[kind]
    number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
    if isinstance(number, int) and not isinstance(number, bool) and low <= number <= high:
        return number
    raise JsonValueError(f"{value!r:.80} is no {type_name(kind)} ({low} to {high})")


_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _read_double(value: Any, kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise JsonValueError(f"{value!r:.80} is no {type_name(kind)}")


def _read_float(value: Any, kind: VariantType, namespaces: Sequence[str]) -> Scalar:
    number = _read_double(value, kind, namespaces)
    return as_float(number) if isinstance(number, float) else number


def _read_text(value: Any, kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    if value is None or isinstance(value, str):
        return value
    raise JsonValueError(f"{value!r:.80} is no {type_name(kind)}: write it in quotes")


def _read_instant(value: Any, _kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    return iso_to_ticks(value)


def _read_guid(value: Any, _kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    return UUID(value)


def _read_base64(value: Any, _kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    return None if value is None else b64decode(value, validate=True)


def _read_node_id(value: Any, _kind: VariantType, namespaces: Sequence[str]) -> Scalar:
    return resolve(value, namespaces)


def _read_status(value: Any, _kind: VariantType, _namespaces: Sequence[str]) -> Scalar:
    return code_of(value)


def _read_localized_text(value: Any, kind: VariantType, namespaces: Sequence[str]) -> Scalar:
    fields = {"Text": value} if isinstance(value, str) else dict(value)
    text = _read_text(fields.pop("Text", None), kind, namespaces)
    locale = _read_text(fields.pop("Locale", None), kind, namespaces)
    if fields or not isinstance(text, str | None) or not isinstance(locale, str | None):
        raise JsonValueError('a LocalizedText is {"Text": …, "Locale": …} or a text')
    return LocalizedText(text, locale)


_READERS: Final[Mapping[VariantType, _Reader]] = {
    VariantType.BOOLEAN: _read_boolean,
    **dict.fromkeys(INTEGER_RANGES, _read_integer),
    VariantType.FLOAT: _read_float,
    VariantType.DOUBLE: _read_double,
    VariantType.STRING: _read_text,
    VariantType.DATE_TIME: _read_instant,
    VariantType.GUID: _read_guid,
    VariantType.BYTE_STRING: _read_base64,
    VariantType.XML_ELEMENT: _read_text,
    VariantType.NODE_ID: _read_node_id,
    VariantType.STATUS_CODE: _read_status,
    VariantType.LOCALIZED_TEXT: _read_localized_text,
}
