"""The first start: a one-time code makes the first admin of a station without any account.

The code's file is its own record: its text is the code, its time of change starts the 24 hours,
and it goes away with its use. Whoever can read it could as well run ``create_user``.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction

from mirrorsite.accounts.models import User
from mirrorsite.accounts.roles import Role
from mirrorsite.accounts.services import AccountError, create_user

VALID_SECONDS: Final = 24 * 3600
_BYTES: Final = 10  # 80 bits: 16 letters and digits


class SetupClosed(Exception):  # noqa: N818 - a state, not a fault
    """The station has an account: there is nothing to set up any more."""


def setup_needed() -> bool:
    """Whether this station has no account of any kind."""
    return not User.objects.exists()


def setup_line() -> str | None:
    """The line for stdout, with a code that is valid now; None once an account exists."""
    if not setup_needed():
        code_file().unlink(missing_ok=True)
        return None
    code = _valid_code() or _new_code()
    return f"SETUP {settings.STATION.public_url}/setup/ code {code}"


def redeem(code: str, username: str, password: str) -> User:
    """Make the first admin.

    Raises:
        SetupClosed: an account exists.
        AccountError: the code is wrong or has expired, or name or password cannot be used; the
            code stays valid.
    """
    if not setup_needed():
        raise SetupClosed
    valid = _valid_code()
    if valid is None:
        raise AccountError("code", "The set-up code has expired; restart the station for a new one")
    if not hmac.compare_digest(_plain(code).encode(), _plain(valid).encode()):
        raise AccountError("code", "This is not the set-up code that the station printed")
    with transaction.atomic():
        if not setup_needed():
            raise SetupClosed
        user = create_user(username, Role.ADMIN, password, by=username)
    code_file().unlink(missing_ok=True)
    return user


def code_file() -> Path:
    path: Path = settings.STATION.data_dir / "setup-code"
    return path


def _valid_code() -> str | None:
    try:
        made_at = code_file().stat().st_mtime
        if not 0 <= time.time() - made_at + 60 < VALID_SECONDS:  # a minute for a stepped clock
            return None
        return code_file().read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(_BYTES)).decode("ascii")
    code = "-".join(text[place : place + 4] for place in range(0, len(text), 4))
    draft = code_file().with_name(f".setup-code.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(code + "\n")
    draft.replace(code_file())
    return code


def _plain(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()
