"""What the items of the load are called, at both servers alike."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "urn:mirrorsite:bench:load"
#: The index of the namespace at servers that know nothing but their own and the standard's.
NAMESPACE_INDEX: Final = 2
PUBLISHING_MS: Final = 100


def node_name(index: int) -> str:
    """A string NodeId of 24 characters, as plants have them."""
    return f"Area{index // 1000 % 100:02}.Unit{index // 100 % 100:02}.T{index:06}.PV"
