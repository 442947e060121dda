"""What the diagnostics tree shows of the members of a redundant server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]


def member_rows(status: Body) -> list[tuple[str, Any, str]]:
    """Name, value and help of each parameter; none for a server that is no set."""
    members = status.get("members") or ()
    if not members:
        return []
    used = [each["endpoint"] for each in members if each["in_use"]]
    return [
        ("Member in use", used[0] if used else None, "The one that is read and written"),
        ("Members", "; ".join(_member(each) for each in members), "ServiceLevel: 200 is healthy"),
    ]


def lost_members(status: Body) -> str:
    """The sentence about members that cannot take over; nothing if all can be reached."""
    members = status.get("members") or ()
    dead = [each for each in members if each["state"] == "dead"]
    if not dead:
        return ""
    named = ", ".join(
        f"{each['endpoint']} ({each['reason']})" if each["reason"] else each["endpoint"]
        for each in dead
    )
    return f"{len(dead)} of {len(members)} members cannot be used: {named}"


def _member(member: Body) -> str:
    state = str(member["state"]).replace("_", " ")
    level = member["service_level"]
    return f"{member['endpoint']} {state}" + ("" if level is None else f", {level}")
