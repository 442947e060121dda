"""Addresses of OPC UA servers: an engineer types them, and the station then connects there.

Hence an address is checked before it is stored (server-side request forgery): one scheme, no
credentials, and no literal address of a link-local network or of a cloud's metadata service. The
shell that connects checks the address that a name resolves to, with `forbidden_address` too.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pipes.core.problems import wrong
from pipes.core.wanted import Json

EXAMPLE: Final = "opc.tcp://10.0.0.5:4840"
LONGEST_ENDPOINT: Final = 1024
LOCAL: Final = "localhost"

_HOST_NAME: Final = re.compile(r"(?=.{1,253}\.?$)[^\W_]([\w-]{0,62})(\.[^\W_][\w-]{0,62})*\.?")
#: What the C library reads as an IPv4 address although it is none: 2852039166, 0xa9.254.1.
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)
_METADATA_NAMES: Final = frozenset({"metadata", "metadata.google.internal", "instance-data"})
_METADATA_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "fd00:ec2::/32")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def endpoint(value: Json) -> Json:
    """An endpoint URL ``opc.tcp://host:port`` with an optional path."""
    if not isinstance(value, str):
        raise wrong("must be text", value)
    parts = _split(value)
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None:
        raise wrong(
            "must not contain credentials; use the fields username and password",
            f"opc.tcp://…@{host}",
        )
    reason = _wrong_host(host)
    if reason:
        raise wrong(reason, value)
    return value


def optional_endpoint(value: Json) -> Json:
    return value if value == "" else endpoint(value)


def _split(value: str) -> SplitResult:
    message = f"must be an endpoint such as {EXAMPLE}"
    if len(value) > LONGEST_ENDPOINT or not value.isprintable() or " " in value or "\\" in value:
        raise wrong(message, value)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong(message, value) from None
    if not value.startswith("opc.tcp://"):
        raise wrong(f"must begin with opc.tcp://, such as {EXAMPLE}", _without_login(parts, value))
    if not port or not parts.hostname:
        raise wrong(f"must name a host and a port, such as {EXAMPLE}", _without_login(parts, value))
    if parts.query or parts.fragment or "?" in value or "#" in value:
        raise wrong("must not have a query or a fragment", _without_login(parts, value))
    return parts


def _without_login(parts: SplitResult, value: str) -> str:
    """A refused address goes into answers and logs: a password in it must not."""
    return f"{parts.scheme}://…@{parts.hostname}" if "@" in value else value


def _wrong_host(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        if _NUMERIC.fullmatch(host):
            return "has a host that is neither a name nor an IPv4 address of four numbers"
        if not _HOST_NAME.fullmatch(host):
            return "has a host that is neither a name nor an address"
        if host.rstrip(".") in _METADATA_NAMES:
            return "names a metadata service, which is not allowed"
        return None
    return forbidden_address(address)


def forbidden_address(address: Address) -> str | None:
    """Why the station must not connect to ``address``, or nothing if it may."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_link_local:
        return "is a link-local address, which is not allowed"
    if any(address in network for network in _METADATA_NETWORKS):
        return "is the address of a metadata service, which is not allowed"
    if address.is_multicast or address.is_unspecified:
        return "is not the address of one machine"
    return None


@lru_cache(maxsize=1024)
def normalised(endpoint: str) -> str:
    """One spelling of an endpoint: host in lower case, addresses in their short form.

    Every address of the machine's own loopback is ``localhost``. A path stays as it is, but for a
    slash at its end.
    """
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    return f"{parts.scheme}://{_one_host(host)}:{parts.port}{parts.path.rstrip('/')}"


def _one_host(name: str) -> str:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return LOCAL if name.endswith(f".{LOCAL}") else name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return LOCAL if address.is_loopback else str(address)
