"""Everything that changes accounts and tokens.

Whoever calls is allowed to: roles are asked for at the edges. Each change is an event of kind
``security``; passwords and tokens never stand in one.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

from axes.utils import reset as forget_failed_logins
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from mirrorsite.accounts.models import Token, User
from mirrorsite.accounts.roles import Role
from redundancy.core.events import EventKind, Severity
from redundancy.signals import emit

MOST_DAYS: Final = 3650
#: Names that REST needs for itself: ``/users/me``.
RESERVED: Final = frozenset({"me"})


class AccountCode(StrEnum):
    """Reasons of the events that this app reports."""

    USER_CREATED = "USER_CREATED"
    USER_CHANGED = "USER_CHANGED"
    USER_REMOVED = "USER_REMOVED"
    TOKEN_CREATED = "TOKEN_CREATED"  # noqa: S105 - the name of an event
    TOKEN_REMOVED = "TOKEN_REMOVED"  # noqa: S105 - the name of an event
    LOGGED_IN = "LOGGED_IN"
    LOGIN_FAILED = "LOGIN_FAILED"
    LOGIN_LOCKED = "LOGIN_LOCKED"


class AccountError(ValueError):
    """A wrong value: ``field`` names it, the text says what would be right."""

    def __init__(self, field: str, message: str, allowed: list[str] | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.allowed = allowed


class AccountConflict(Exception):  # noqa: N818 - the word of the contract
    """The change is not possible now: the name is in use, or it would remove the last admin."""


def people() -> QuerySet[User]:
    """The accounts of people, with their groups."""
    return User.objects.filter(is_service=False).prefetch_related("groups")


def find(name: str) -> User | None:
    """The account of this name, whatever the case of its letters."""
    return User.objects.prefetch_related("groups").filter(username__iexact=name).first()


def create_user(name: str, role: str, password: str, *, by: str = "") -> User:
    """Make a person's account.

    Raises:
        AccountError: name, role or password cannot be used.
        AccountConflict: the name is in use.
    """
    with transaction.atomic():
        if find(name) is not None:
            raise AccountConflict(f"There is an account named {name} already")
        return _write(User(username=name), role, password, by=by)


def set_user(name: str, role: str, password: str, *, by: str = "") -> User:
    """Make the account, or set its password and role; ends its sessions and its lock-out.

    Raises:
        AccountError: name, role or password cannot be used.
        AccountConflict: it is the last admin and the role is another one.
    """
    with transaction.atomic():
        user = find(name) or User(username=name)
        if find(name) is not None and _checked_role(role) is not Role.ADMIN:
            _keep_an_admin(user)
        user.is_active = True
        user.is_service = False
        return _write(user, role, password, by=by)


def change_user(
    user: User,
    *,
    name: str | None = None,
    role: str | None = None,
    password: str | None = None,
    is_active: bool | None = None,
    by: str = "",
) -> User:
    """Change what is given; another role, password or ``is_active`` ends the user's sessions.

    Raises:
        AccountError, AccountConflict: as `set_user`, and a name that is in use.
    """
    with transaction.atomic():
        user = people().get(pk=user.pk)
        if is_active is False or (role is not None and _checked_role(role) is not Role.ADMIN):
            _keep_an_admin(user)
        if name is not None:
            _rename(user, name)
        if is_active is not None:
            user.is_active = is_active
        return _write(user, role or user.role or Role.VIEWER, password, by=by)


def remove_user(user: User, *, by: str = "") -> None:
    """Remove a person's account with its sessions and tokens.

    Raises:
        AccountConflict: it is the last admin.
    """
    with transaction.atomic():
        _keep_an_admin(user)
        user.delete()
    _report(AccountCode.USER_REMOVED, f"The account {user} was removed", by=by, name=user.username)


def create_token(name: str, role: str, days: int | None = None) -> str:
    """A further token of the account ``name``, made as a service account if there is none.

    Returns:
        The token. Only its digest is kept, so this is the only time it can be read.

    Raises:
        AccountError: name, role or ``days`` (1 to 3650) cannot be used.
        AccountConflict: the account has another role.
    """
    return issue_token(name, role, days)[1]


def issue_token(
    name: str, role: str, days: int | None = None, *, by: str = ""
) -> tuple[Token, str]:
    """As `create_token`; answers the stored record too."""
    wanted = _checked_role(role)
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise AccountError("days", f"days is {days}; it takes 1 to {MOST_DAYS}, or nothing")
    with transaction.atomic():
        user = find(name)
        if user is None:
            user = _write(User(username=name, is_service=True), wanted, None, by=by)
        elif user.role is not wanted:
            raise AccountConflict(
                f"{user} has the role {user.role}; its tokens cannot have the role {wanted}"
            )
        expiry = None if days is None else timedelta(days=days)
        token, text = Token.objects.create(user=user, expiry=expiry)
    _report(
        AccountCode.TOKEN_CREATED,
        f"Token {token.pk} was made for {user}",
        by=by,
        name=user.username,
        role=str(wanted),
    )
    return token, text


def remove_token(token: Token, *, by: str = "") -> None:
    """Remove a token; a service account goes with its last one."""
    user, number = token.user, token.pk
    with transaction.atomic():
        token.delete()
        if user.is_service and not Token.objects.filter(user=user).exists():
            user.delete()
    _report(
        AccountCode.TOKEN_REMOVED,
        f"Token {number} of {user} was removed",
        by=by,
        name=user.username,
    )


def _write(user: User, role: str, password: str | None, *, by: str) -> User:
    wanted = _checked_role(role)
    is_new = user.pk is None
    _check_name(user)
    if password is not None:
        _check_password(password, user)
        user.set_password(password)
    elif is_new:
        user.set_unusable_password()
    user.session_epoch += 0 if is_new else 1
    user.save()
    user.groups.set([Group.objects.get_or_create(name=wanted)[0]])
    if not is_new:
        forget_failed_logins(username=user.username)
    _report(
        AccountCode.USER_CREATED if is_new else AccountCode.USER_CHANGED,
        f"The account {user} was {'made' if is_new else 'changed'}: role {wanted}",
        by=by,
        name=user.username,
        role=str(wanted),
        password_changed=password is not None,
    )
    return people().get(pk=user.pk) if not user.is_service else user


def _rename(user: User, name: str) -> None:
    other = find(name)
    if other is not None and other.pk != user.pk:
        raise AccountConflict(f"There is an account named {name} already")
    user.username = name


def _checked_role(role: str) -> Role:
    if role not in set(Role):
        allowed = [str(each) for each in Role]
        raise AccountError("role", f"role is {role!r}; it takes {', '.join(allowed)}", allowed)
    return Role(role)


def _check_name(user: User) -> None:
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise AccountError("name", " ".join(error.messages)) from error
    if user.username.lower() in RESERVED:
        raise AccountError("name", f"The name {user.username} is used by the station itself")


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise AccountError("password", " ".join(error.messages)) from error


def _keep_an_admin(user: User) -> None:
    """Refuse to go on if ``user`` is the last person who can administer the station."""
    admins = User.objects.filter(Q(groups__name=Role.ADMIN), is_service=False, is_active=True)
    if admins.filter(pk=user.pk).exists() and not admins.exclude(pk=user.pk).exists():
        raise AccountConflict(
            f"{user} is the last admin; give another active account the role admin first"
        )


def _report(code: AccountCode, message: str, *, by: str, **details: str | bool) -> None:
    emit(EventKind.SECURITY, code, Severity.LOW, "accounts", message, user=by, **details)
