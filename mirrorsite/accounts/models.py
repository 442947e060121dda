"""People, service accounts and their API tokens."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac
from knox.models import AbstractAuthToken

from mirrorsite.accounts.roles import Role


class UserManager(BaseUserManager["User"]):
    """Django's manager; accounts are made by `mirrorsite.accounts.services` only."""


class User(AbstractBaseUser, PermissionsMixin):
    """An account: a person's, or the service account that tokens of one name belong to.

    Its role is its one group. ``session_epoch`` is part of the session's hash, so a higher number
    ends every session of this account (a changed password does that too).
    """

    username = models.CharField(
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(
                r"^[\w.@+-]+\Z", "A name is 1 to 64 letters, digits or any of _ . @ + -", "name"
            )
        ],
        error_messages={"unique": "There is an account of this name already"},
    )
    is_active = models.BooleanField(default=True)
    is_service = models.BooleanField(default=False)
    local = models.BooleanField(default=False)
    session_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ("username",)
        constraints = (
            models.UniqueConstraint(
                Lower("username"),
                name="accounts_user_name",
                violation_error_message="There is an account of this name already",
            ),
        )

    def __str__(self) -> str:
        return self.username

    @property
    def role(self) -> Role | None:
        """The highest role among the groups; None for an account that was never given one."""
        names = {group.name for group in self.groups.all()}
        return next((role for role in reversed(Role) if role in names), None)

    def has_role(self, wanted: str) -> bool:
        """Whether this account is active and has ``wanted`` or a role above it."""
        role = self.role
        return self.is_active and role is not None and role.includes(Role(wanted))

    def get_session_auth_hash(self) -> str:
        return self._session_hash(None)

    def get_session_auth_fallback_hash(self) -> Any:
        from django.conf import settings

        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._session_hash(secret)

    def _session_hash(self, secret: str | bytes | None) -> str:
        value = f"{self.password}:{self.session_epoch}"
        salt = "mirrorsite.accounts.models.User.session"
        return salted_hmac(salt, value, secret=secret, algorithm="sha256").hexdigest()


class Token(AbstractAuthToken):  # type: ignore[misc] # knox has no types
    """One API token. Only its SHA-512 digest is kept; the text is shown once, when it is made."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    digest = models.CharField(max_length=128, unique=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    local = models.BooleanField(default=False)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"token {self.pk} of {self.user}"
