"""Which configured servers are one and the same server.

Two stations may see different servers under one name (``standby_endpoint``): servers are the same
if on either station they are reached by the same address. That one machine has several addresses
is not known here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from pipes.core.fields import Body

LOCAL: Final = "localhost"


@lru_cache(maxsize=1024)
def normalised(endpoint: str) -> str:
    """One spelling of an endpoint: host in lower case, addresses in their short form.

    Every address of the machine's own loopback is ``localhost``. A path stays as it is, but for a
    slash at its end.
    """
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").rstrip(".")
    return f"{parts.scheme}://{_host(host)}:{parts.port}{parts.path.rstrip('/')}"


def _host(name: str) -> str:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return LOCAL if name.endswith(f".{LOCAL}") else name
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return LOCAL if address.is_loopback else str(address)


def representatives(servers: Mapping[str, Body]) -> dict[str, str]:
    """For each server the name that stands for all that are the same server."""
    chosen = {name: name for name in servers}
    first: dict[tuple[int, str], str] = {}

    def root(name: str) -> str:
        while chosen[name] != name:
            name = chosen[name]
        return name

    for name in sorted(servers):
        for address in _addresses(servers[name]):
            one, other = sorted((root(first.setdefault(address, name)), root(name)))
            chosen[other] = one
    return {name: root(name) for name in servers}


def _addresses(body: Body) -> list[tuple[int, str]]:
    """Station (0 active, 1 standby) and address; the members of a set are one server to us."""
    endpoint = str(body["endpoint"])
    standby = str(body.get("standby_endpoint") or endpoint)
    found = [(0, normalised(endpoint)), (1, normalised(standby))]
    server_set = body.get("server_set")
    members = server_set.get("endpoints") if isinstance(server_set, dict) else None
    for member in members if isinstance(members, list) else ():
        found += [(0, normalised(str(member))), (1, normalised(str(member)))]
    return found
