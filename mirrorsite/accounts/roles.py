"""The four roles. Each includes those before it; a role is the Django group of that name."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    ADMIN = "admin"

    def includes(self, wanted: Role) -> bool:
        """Whether whoever has this role may do what ``wanted`` may do."""
        return _ORDER[self] >= _ORDER[wanted]


_ORDER: Final = {role: place for place, role in enumerate(Role)}
