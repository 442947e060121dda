"""NodeIds as text and as bytes (Part 6, 5.1.12 and 5.2.2.9).

Text forms: ``i=2258``, ``ns=2;s=Area.Tag``, ``nsu=urn:plant:a;g=<guid>``, ``b=<base64>``. In a
URI ``;`` is written ``%3B`` and ``%`` is written ``%25``. The URI form is what the product keeps:
namespace indexes move when a server restarts, URIs do not. Namespaces 0 and 1 stay short,
because index 1 is the server's own ApplicationUri (Part 5) and differs between twins.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pipes.core.decoder import Decoder
from pipes.core.encoder import encode_scalar
from pipes.core.values import NodeId, VariantType

LONGEST_TEXT: Final = 4096
"""Part 3, 8.2.4: a String identifier has at most 4096 characters."""

_EXAMPLES: Final = "write it as i=2258, ns=2;s=Name or nsu=urn:plant:a;s=Name"
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_DIGITS: Final = re.compile(r"[0-9]{1,10}")


class NodeIdError(ValueError):
    """The text is no NodeId; the message says what is wrong and what to write."""


class UnknownNamespaceError(NodeIdError):
    """The server does not have this namespace (now): it may appear after its next start."""

    def __init__(self, namespace: str, text: str) -> None:
        super().__init__(f"{text!r}: the server has no namespace {namespace}")
        self.namespace = namespace


@dataclass(frozen=True, slots=True)
class NodeIdText:
    """A parsed text: ``namespace`` is an index or a URI."""

    namespace: int | str
    identifier: int | str | UUID | bytes


def parse(text: str) -> NodeIdText:
    """Take the text apart without asking a server.

    Raises:
        NodeIdError: not a NodeId.
    """
    namespace: int | str = 0
    rest = text.strip()
    if rest.startswith("nsu="):
        uri, rest = _cut_namespace(rest[4:], text)
        namespace = _unescaped(uri, text)
    elif rest.startswith("ns="):
        index, rest = _cut_namespace(rest[3:], text)
        namespace = _number(index, 0xFFFF, "namespace index", text)
    return NodeIdText(namespace, _identifier(rest, text))


def _cut_namespace(rest: str, text: str) -> tuple[str, str]:
    namespace, separator, rest = rest.partition(";")
    if not separator:
        raise NodeIdError(f"{text!r}: nothing follows the namespace; {_EXAMPLES}")
    if not namespace:
        raise NodeIdError(f"{text!r}: the namespace is empty; {_EXAMPLES}")
    return namespace, rest


def _escaped(uri: str) -> str:
    return uri.replace("%", "%25").replace(";", "%3B")


def _unescaped(uri: str, text: str) -> str:
    if "%" not in uri:
        return uri
    if re.search(r"%(?!25|3[Bb])", uri):
        raise NodeIdError(f"{text!r}: in a namespace URI write % as %25 and ; as %3B")
    return re.sub("%3[Bb]", ";", uri).replace("%25", "%")


def _number(digits: str, highest: int, what: str, text: str) -> int:
    if not _DIGITS.fullmatch(digits) or int(digits) > highest:
        raise NodeIdError(f"{text!r}: the {what} must be a number from 0 to {highest}")
    return int(digits)


def _numeric(body: str, text: str) -> int:
    return _number(body, 0xFFFFFFFF, "identifier after i=", text)


def _string(body: str, text: str) -> str:
    if not body:
        raise NodeIdError(f"{text!r}: nothing follows s=")
    if len(body) > LONGEST_TEXT:
        raise NodeIdError(f"{text[:40]!r}…: more than {LONGEST_TEXT} characters follow s=")
    return body


def _guid(body: str, text: str) -> UUID:
    if not _GUID.fullmatch(body):
        raise NodeIdError(f"{text!r}: after g= a GUID of the form 8-4-4-4-12 hex digits")
    return UUID(body)


def _opaque(body: str, text: str) -> bytes:
    try:
        decoded = b64decode(body, validate=True)
    except ValueError:
        decoded = b""
    if not decoded:
        raise NodeIdError(f"{text!r}: after b= base64 of at least one byte")
    return decoded


_IDENTIFIERS: Final[dict[str, Callable[[str, str], int | str | UUID | bytes]]] = {
    "i=": _numeric,
    "s=": _string,
    "g=": _guid,
    "b=": _opaque,
}


def _identifier(rest: str, text: str) -> int | str | UUID | bytes:
    read = _IDENTIFIERS.get(rest[:2])
    if read is None:
        raise NodeIdError(f"{text[:80]!r} is no NodeId: {_EXAMPLES}")
    return read(rest[2:], text)


def format_identifier(identifier: int | str | UUID | bytes) -> str:
    """The last part of the text: ``i=``, ``s=``, ``g=`` or ``b=`` and the identifier."""
    if isinstance(identifier, int):
        return f"i={identifier}"
    if isinstance(identifier, str):
        return f"s={identifier}"
    if isinstance(identifier, UUID):
        return f"g={identifier}"
    return f"b={b64encode(identifier).decode('ascii')}"


def format_parsed(parsed: NodeIdText) -> str:
    """The one spelling of a parsed text: equal texts name the same node of one server."""
    identifier = format_identifier(parsed.identifier)
    if isinstance(parsed.namespace, str):
        return f"nsu={_escaped(parsed.namespace)};{identifier}"
    return f"ns={parsed.namespace};{identifier}" if parsed.namespace else identifier


def format_node_id(node_id: NodeId, namespaces: Sequence[str] | None = None) -> str:
    """The text of a NodeId: with ``namespaces`` in the URI form, else with the index.

    An index beyond the table stays an index; it names nothing now but is not lost.
    """
    index = node_id.namespace_index
    if namespaces is not None and 1 < index < len(namespaces):
        return format_parsed(NodeIdText(namespaces[index], node_id.identifier))
    return format_parsed(NodeIdText(index, node_id.identifier))


def resolve(text: str, namespaces: Sequence[str]) -> NodeId:
    """The NodeId of ``text`` on a server with this NamespaceArray.

    Raises:
        NodeIdError: not a NodeId.
        UnknownNamespaceError: the server does not have this namespace now.
    """
    parsed = parse(text)
    namespace = parsed.namespace
    if isinstance(namespace, int):
        if namespace > 1 and namespace >= len(namespaces):
            raise UnknownNamespaceError(f"index {namespace}", text)
        return NodeId(namespace, parsed.identifier)
    if namespace not in namespaces:
        raise UnknownNamespaceError(namespace, text)
    return NodeId(namespaces.index(namespace), parsed.identifier)


def to_uri_form(text: str, namespaces: Sequence[str]) -> str:
    """The text that the product keeps: the index replaced by its URI, one spelling.

    Raises:
        NodeIdError: not a NodeId.
        UnknownNamespaceError: an index beyond the server's table, or a URI it does not have.
    """
    return format_node_id(resolve(text, namespaces), namespaces)


def encode(node_id: NodeId) -> bytes:
    """Binary, the shortest form (Part 6, 5.2.2.9).

    Raises:
        EncodeError: the index or the identifier is out of range.
    """
    return encode_scalar(VariantType.NODE_ID, node_id)


def decode(encoded: bytes) -> NodeId:
    """The NodeId that fills ``encoded`` to its end.

    Raises:
        DecodeError: damaged, or bytes left over.
    """
    decoder = Decoder(encoded)
    node_id = decoder.node_id()
    decoder.finish()
    return node_id
