"""Who asks: the bearer of an API token, or the person of a session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib.sessions.backends.base import SessionBase
from django.db import OperationalError, connection
from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from mirrorsite.accounts import sessions
from mirrorsite.accounts.models import Token, User
from pipes.rest import Problem

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class BearerAuthentication(TokenAuthentication):  # type: ignore[misc] # knox has no types
    """``Authorization: Bearer <token>``; an expired or removed token is a 401."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, Token]:
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError as error:
            raise AuthenticationFailed("This is not a token of this station") from error
        found = (
            Token.objects.select_related("user")
            .prefetch_related("user__groups")
            .filter(digest=digest)
            .first()
        )
        now = timezone.now()
        if found is None or not found.user.is_active:
            raise AuthenticationFailed("This is not a token of this station")
        if found.expiry is not None and found.expiry <= now:
            raise AuthenticationFailed("This token has expired; an admin makes a new one")
        if found.last_used_at is None or found.last_used_at < now - timedelta(seconds=60):
            _note_use(found)
        return found.user, found


class CommandingSession(SessionAuthentication):
    """The session of a page; CSRF is asked for on every method that changes something."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        found = super().authenticate(request)
        if found is not None and request.method not in _READS:
            _may_still_command(request.session)
        return found


def _may_still_command(session: SessionBase) -> None:
    if not sessions.may_command(session):
        raise Problem(
            403,
            "sign_in_again",
            "Sign in again",
            "This session is too old for commands; it can still be used to look. Sign in again",
        )


def _note_use(token: Token) -> None:
    """Keep when the token was used, to the minute; a locked database is no reason to wait."""
    stale = timezone.now() - timedelta(seconds=60)
    is_sqlite = connection.vendor == "sqlite"
    try:
        if is_sqlite:
            _set_busy_timeout(20)
        Token.objects.filter(pk=token.pk).filter(
            Q(last_used_at=None) | Q(last_used_at__lt=stale)
        ).update(last_used_at=timezone.now())
    except OperationalError:
        return
    finally:
        if is_sqlite:
            _set_busy_timeout(_usual_busy_timeout())


def _usual_busy_timeout() -> int:
    options = connection.settings_dict.get("OPTIONS", {})
    return int(options.get("timeout", 5) * 1000)


def _set_busy_timeout(milliseconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA busy_timeout={milliseconds:d}")


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # partly typed
    target_class = BearerAuthentication
    name = "token"
    priority = 1

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        del auto_schema
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # partly typed
    """The cookie's real name holds the station's; the description does not depend on it."""

    target_class = CommandingSession
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        del auto_schema
        return {"type": "apiKey", "in": "cookie", "name": "session"}
