"""Which configured servers are one and the same server.

Two stations may see different servers under one name (``standby_endpoint``): servers are the same
if on either station they are reached by the same address. That one machine has several addresses
is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipes.core.endpoints import normalised
from pipes.core.fields import Body
from pipes.core.nested import members


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
    for member in members(body.get("server_set")):
        found += [(0, normalised(member)), (1, normalised(member))]
    return found
