"""The content of the overview page, in the words and symbols of the design."""

from __future__ import annotations

from typing import Any


def content() -> dict[str, Any]:
    return {}
