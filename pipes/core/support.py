"""What the contract allows and this version does not run yet: refused when it is saved.

A setting that is stored and silently ignored is worse than a refusal: a condition that holds
nothing back, for example. Whoever builds such a setting takes its line out of here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipes.core.problems import wrong
from pipes.core.wanted import Json

#: Choices by kind and field: the values that this version runs.
SUPPORTED: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {}

#: Parts of the configuration document that later versions fill.
EMPTY_PARTS: Final = ("points", "modules", "redundancy")


def check_supported(kind: str, field: str, value: Json) -> None:
    """Refuse a checked, non-default ``value`` that this version cannot run.

    Raises:
        WrongError: it names the values that are supported.
    """
    supported = SUPPORTED.get((kind, field))
    if supported is not None and value not in supported:
        listed = ", ".join(supported)
        raise wrong(f"{value} is not supported by this version; use {listed}", value, supported)
