"""What a role may do: every view says it in ``required_roles``, and one that does not is shut."""

from __future__ import annotations

from typing import Any, Final

from django.views import View
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mirrorsite.accounts.models import User

#: In ``required_roles``: no login is asked for. Only set-up uses it.
ANYONE: Final = "anyone"


class RolePermission(BasePermission):
    """Reads ``required_roles = {"GET": "viewer", …}`` of the view; HEAD counts as GET.

    A method that the view does not have passes for whoever is known, and answers 405.
    """

    message = "Your role may not do this"

    def has_permission(self, request: Request, view: View | Any) -> bool:
        wanted = required_role(view, request.method or "")
        if wanted == ANYONE:
            return True
        user = request.user
        if not isinstance(user, User) or not user.is_authenticated:
            return False
        if wanted is None:
            return (request.method or "").lower() not in _handlers(view)
        return has_role(user, wanted)


def required_role(view: Any, method: str) -> str | None:
    """The role that ``view`` asks for, or None if it says nothing about ``method``."""
    roles: dict[str, str] = getattr(view, "required_roles", {})
    return roles.get("GET" if method == "HEAD" else method)


def has_role(user: object, wanted: str) -> bool:
    """Whether ``user`` is known, active, and has ``wanted`` or a role above it."""
    return isinstance(user, User) and user.has_role(wanted)


def _handlers(view: Any) -> set[str]:
    return {name for name in view.http_method_names if hasattr(view, name)} - {"options"}
