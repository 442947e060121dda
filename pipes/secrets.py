"""Passwords of servers: encrypted wherever they rest, in clear only in a pipe host's memory.

The key is a file outside the database (0600), made at the first use; without it the stored
passwords are lost, and nobody who copies the database alone has them.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from threading import get_ident

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

KEY_FILE = "secrets.key"


class SecretError(Exception):
    """A stored password cannot be read: the key file is another one, or damaged."""


def encrypt(password: str) -> str:
    """``password`` as it may be stored; nothing stays nothing."""
    if not password:
        return ""
    return _fernet(_key_path()).encrypt(password.encode()).decode("ascii")


def decrypt(stored: str) -> str:
    """The password in clear.

    Raises:
        SecretError: it was encrypted with another key; it has to be typed again.
    """
    if not stored:
        return ""
    try:
        return _fernet(_key_path()).decrypt(stored).decode()
    except (InvalidToken, ValueError) as error:
        raise SecretError(
            f"a stored password cannot be read with the key in {_key_path()}; type it again"
        ) from error


def _key_path() -> Path:
    return Path(settings.STATION.data_dir) / "pki" / KEY_FILE


@lru_cache(maxsize=4)
def _fernet(path: Path) -> Fernet:
    try:
        return Fernet(_read_or_make(path))
    except ValueError as error:
        raise SecretError(f"{path} is no key; put the right file back or remove it") from error


def _read_or_make(path: Path) -> bytes:
    """The key in ``path``; of several processes that start at once one makes it."""
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_bytes().strip()
