"""Small configurations for tests of the configuration service."""

from __future__ import annotations

from typing import Any

from pipes import services

OPEN = {"security_policy": "None", "security_mode": "None"}
A = {"name": "A", "endpoint": "opc.tcp://127.0.0.1:4840", **OPEN}
B = {"name": "B", "endpoint": "opc.tcp://127.0.0.1:4841"}
P = {"name": "P", "source": "A", "target": "B"}


def nodes(number: int, pipe: str = "P", **more: Any) -> dict[str, Any]:
    return {
        "pipe": pipe,
        "source_node": f"nsu=urn:a;s=T{number}",
        "target_node": f"nsu=urn:b;s=T{number}",
        **more,
    }


def document_of(*items: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {
        "format": "mirrorsite",
        "version": 1,
        "servers": [A, B],
        "pipes": [P],
        "items": list(items),
        **parts,
    }


def make_plant(items: int = 0) -> int:
    """Servers A and B, pipe P and so many items; the revision is returned."""
    listed = [nodes(number) for number in range(1, items + 1)]
    plan = services.apply_document(document_of(*listed), user="anna", reason="plant")
    assert plan.revision is not None
    return plan.revision
