from __future__ import annotations

from uuid import UUID

import pytest

from pipes.core import node_ids
from pipes.core.binary import DecodeError
from pipes.core.node_ids import NodeIdError, NodeIdText, UnknownNamespaceError
from pipes.core.values import NodeId

NAMESPACES = ("http://opcfoundation.org/UA/", "urn:own:server", "urn:plant:a", "urn:a;b%c")
GUID = "72962b91-fa75-4ae6-8d28-b404dc7daf63"


@pytest.mark.parametrize(
    ("text", "namespace", "identifier"),
    [
        ("i=2258", 0, 2258),
        (" i=2258 ", 0, 2258),
        ("ns=1;s=X", 1, "X"),
        ("ns=2;s=a;b=c=d", 2, "a;b=c=d"),
        ("ns=2;s= spaced", 2, " spaced"),
        (f"ns=3;g={GUID}", 3, UUID(GUID)),
        ("ns=4;b=AQI=", 4, b"\x01\x02"),
        ("nsu=urn:plant:a;s=T1", "urn:plant:a", "T1"),
        ("nsu=urn:a%3Bb%25c;i=7", "urn:a;b%c", 7),
        ("ns=0;i=85", 0, 85),
    ],
)
def test_every_form_is_parsed(text: str, namespace: int | str, identifier: object) -> None:
    assert node_ids.parse(text) == NodeIdText(namespace, identifier)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no NodeId: write it as i=2258"),
        ("X", "is no NodeId"),
        ("ns=2", "nothing follows the namespace"),
        ("ns=;i=1", "the namespace is empty"),
        ("nsu=;i=1", "the namespace is empty"),
        ("ns=x;i=1", "namespace index must be a number from 0 to 65535"),
        ("ns=65536;i=1", "namespace index must be a number"),
        ("ns=-1;i=1", "namespace index must be a number"),
        ("i=4294967296", "identifier after i= must be a number"),
        ("i=", "identifier after i= must be a number"),
        ("i=1x", "identifier after i= must be a number"),
        ("i=٣", "identifier after i= must be a number"),
        ("s=", "nothing follows s="),
        ("s=" + "x" * 4097, "more than 4096 characters"),
        ("g=123", "8-4-4-4-12 hex digits"),
        ("b=", "base64"),
        ("b=***", "base64"),
        ("b=é", "base64"),
        ("nsu=urn:%41;i=1", "write % as %25"),
        ("I=1", "is no NodeId"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    with pytest.raises(NodeIdError, match=told):
        node_ids.parse(text)


@pytest.mark.parametrize(
    "text",
    ["i=2258", "ns=1;s=X", f"ns=7;g={GUID}", "ns=2;b=AQI=", "nsu=urn:a%3Bb%25c;s=Y;z"],
)
def test_a_text_has_one_spelling(text: str) -> None:
    assert node_ids.format_parsed(node_ids.parse(text)) == text


def test_a_uri_is_resolved_to_the_index_of_this_server() -> None:
    assert node_ids.resolve("nsu=urn:plant:a;s=T1", NAMESPACES) == NodeId(2, "T1")
    assert node_ids.resolve("nsu=urn:a%3bb%25c;i=7", list(NAMESPACES)) == NodeId(3, 7)
    assert node_ids.resolve("ns=3;i=7", NAMESPACES) == NodeId(3, 7)
    assert node_ids.resolve("nsu=http://opcfoundation.org/UA/;i=85", NAMESPACES) == NodeId(0, 85)


def test_namespaces_0_and_1_need_no_table() -> None:
    assert node_ids.resolve("i=85", ()) == NodeId(0, 85)
    assert node_ids.resolve("ns=1;i=85", ()) == NodeId(1, 85)


@pytest.mark.parametrize(
    ("text", "namespace"), [("nsu=urn:gone;i=1", "urn:gone"), ("ns=4;i=1", "index 4")]
)
def test_an_unknown_namespace_is_an_error_of_its_own(text: str, namespace: str) -> None:
    with pytest.raises(UnknownNamespaceError, match="the server has no namespace") as caught:
        node_ids.resolve(text, NAMESPACES)
    assert caught.value.namespace == namespace


def test_the_uri_form_keeps_namespaces_0_and_1_short() -> None:
    assert node_ids.to_uri_form("ns=2;s=T1", NAMESPACES) == "nsu=urn:plant:a;s=T1"
    assert node_ids.to_uri_form("ns=3;s=T1", NAMESPACES) == "nsu=urn:a%3Bb%25c;s=T1"
    assert node_ids.to_uri_form("ns=0;i=85", NAMESPACES) == "i=85"
    assert node_ids.to_uri_form("nsu=urn:own:server;s=X", NAMESPACES) == "ns=1;s=X"
    with pytest.raises(UnknownNamespaceError):
        node_ids.to_uri_form("ns=9;s=X", NAMESPACES)


def test_an_index_beyond_the_table_stays_an_index() -> None:
    assert node_ids.format_node_id(NodeId(9, 1), NAMESPACES) == "ns=9;i=1"
    assert node_ids.format_node_id(NodeId(2, b"\x01\x02")) == "ns=2;b=AQI="


def test_bytes_and_back() -> None:
    assert node_ids.encode(NodeId(2, "T")) == b"\x03\x02\x00\x01\x00\x00\x00T"
    assert node_ids.decode(node_ids.encode(NodeId(2, "T"))) == NodeId(2, "T")
    with pytest.raises(DecodeError, match="left over"):
        node_ids.decode(b"\x00\x01\x02")
