"""Small configurations for the tests of the linter, written as who moves what where."""

from __future__ import annotations

from typing import Any

from pipes.core.configuration import Configuration

SERVERS = {
    name: {"name": name, "endpoint": f"opc.tcp://{name.lower()}:4840"} for name in ("A", "B", "C")
}
PIPES = {
    f"{source}{target}": {"name": f"{source}{target}", "source": source, "target": target}
    for source in "ABC"
    for target in "ABC"
}


def items(*moves: str | tuple[str, dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """``"A.x > B.y"`` forward, ``<`` reverse, ``=`` both; with a dict of more fields if wanted."""
    made = {}
    for number, move in enumerate(moves, 1):
        text, more = (move, {}) if isinstance(move, str) else move
        source, sign, target = text.split(" ")
        directions = {">": {}, "<": {"direction": "reverse"}, "=": {"direction": "both"}}
        made[number] = {
            "id": number,
            "pipe": source[0] + target[0],
            "source_node": f"nsu=urn:plant;s={source[2:]}",
            "target_node": f"nsu=urn:plant;s={target[2:]}",
            **directions[sign],
            **more,
        }
    return made


def configuration(
    *moves: str | tuple[str, dict[str, Any]],
    servers: dict[str, dict[str, Any]] | None = None,
    pipes: dict[str, dict[str, Any]] | None = None,
) -> Configuration:
    changed_servers = {
        name: {**body, **(servers or {}).get(name, {})} for name, body in SERVERS.items()
    }
    changed_pipes = {name: {**body, **(pipes or {}).get(name, {})} for name, body in PIPES.items()}
    return Configuration(changed_servers, changed_pipes, items(*moves))  # type: ignore[arg-type]
