"""Logins as events: who came in, who did not, and who is shut out for a while."""

from __future__ import annotations

from typing import Any, Final

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from mirrorsite.accounts import sessions
from mirrorsite.accounts.models import User
from mirrorsite.accounts.services import AccountCode
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

_MOST_NAME: Final = 64


@receiver(user_logged_in)
def note_login(request: HttpRequest, user: User, **_: Any) -> None:
    sessions.begin(request.session)
    address = _address(request)
    text = f"{user} signed in from {address}"
    emit(
        EventKind.SECURITY,
        AccountCode.LOGGED_IN,
        Severity.INFO,
        "accounts",
        text,
        user=user.username,
        address=address,
    )


@receiver(user_login_failed)
def note_failed_login(
    credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    if request is None or getattr(request, "axes_locked_out", False):
        return  # locked already: that was reported when it began
    name, address = _cut(credentials.get("username")), _address(request)
    emit(
        EventKind.SECURITY,
        AccountCode.LOGIN_FAILED,
        Severity.LOW,
        "accounts",
        f"A login as {name} from {address} was refused",
        address=address,
        name=name,
    )


@receiver(user_locked_out)
def note_lock(
    request: HttpRequest, username: str | None = None, ip_address: str | None = None, **_: Any
) -> None:
    if getattr(request, "axes_failures_since_start", None) is None:
        return  # a try while it is locked; only the beginning is an event
    name = _cut(username)
    emit(
        EventKind.SECURITY,
        AccountCode.LOGIN_LOCKED,
        Severity.HIGH,
        "accounts",
        f"Logins as {name} from {ip_address} are refused for a while: too many wrong passwords",
        address=ip_address or "",
        name=name,
    )


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


def _cut(name: object) -> str:
    return str(name or "")[:_MOST_NAME]
