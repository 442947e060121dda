"""The last-good configuration: a file beside the database, from which pipes start without one.

Whoever reads a newer revision from the database writes it to the file, whole, durably and never
over a newer one. The file has its digest in it: a damaged one is a defined failure, not a pipe that
writes to the wrong node. Functions here block; a pipe host calls them in a thread of its own.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import get_ident
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection

from pipes import secrets, store
from pipes.core.configuration import Configuration, digest_of_text, key_of
from pipes.core.fields import Kind
from pipes.core.loading import LoadingError, wanted_from
from pipes.core.wanted import Wanted
from pipes.models import Server
from pipes.refusals import Unavailable

log = logging.getLogger(__name__)

FORMAT: Final = "mirrorsite-last-good"
VERSION: Final = 1


class NothingWanted(Exception):  # noqa: N818 - a state of the station, not a fault of the caller
    """Neither the database nor the last-good file can be read; the text says why."""


class DamagedError(Exception):
    """The last-good file is not what was written."""


class _Document(msgspec.Struct):
    servers: list[dict[str, Any]]
    pipes: list[dict[str, Any]]
    items: list[dict[str, Any]]


class _File(msgspec.Struct, frozen=True):
    format: str
    version: int
    revision: int
    next_item_id: int
    digest: str
    secrets: dict[str, str]
    document: msgspec.Raw


@dataclass(frozen=True, slots=True)
class LastGood:
    """One revision as it is kept: the document's text, and the encrypted passwords by server."""

    revision: int
    next_item_id: int
    digest: str
    text: str
    secrets: Mapping[str, str]
    configuration: Configuration

    def wanted(self) -> Wanted:
        """What a host runs; a password that cannot be read any more is empty, and the log says so.

        Raises:
            LoadingError: another version wrote it.

        """
        return wanted_from(self.configuration, _in_clear(self.secrets))


def _in_clear(stored: Mapping[str, str]) -> dict[str, str]:
    clear = {}
    for name, secret in stored.items():
        try:
            clear[name] = secrets.decrypt(secret)
        except secrets.SecretError as error:
            log.warning("password of server %s: %s", name, error)
    return clear


def file_path() -> Path:
    return Path(settings.STATION.data_dir) / "last_good.json"


# What hosts and the supervisor ask


def load_wanted() -> Wanted:
    """The newest configuration: from the database, else from the last-good file.

    A database without any revision beside a file with one has been lost, not emptied: the file
    counts. What comes from the database is kept in the file.

    Raises:
        NothingWanted: there is neither.

    """
    try:
        with own_connection():
            found = from_database()
        wanted = found.wanted()
    except (Unavailable, LoadingError) as error:
        return _load_file(str(error))
    if found.revision == 0:
        try:
            return read_file().wanted()
        except (OSError, DamagedError, LoadingError):
            return wanted
    _keep_quietly(found)
    return wanted


def _load_file(reason: str) -> Wanted:
    try:
        found = read_file()
        wanted = found.wanted()
    except (OSError, DamagedError, LoadingError) as error:
        raise NothingWanted(f"{reason}; last-good file: {error}") from error
    log.warning("revision %s comes from the last-good file, because %s", found.revision, reason)
    return wanted


def newest_revision() -> int:
    """The number of the newest revision: of the database, else of the last-good file; 0 if none."""
    try:
        with own_connection(), store.database():
            number = store.newest_number()
    except Unavailable:
        number = 0
    return number or _kept_revision()


def _kept_revision() -> int:
    try:
        return _decode(file_path().read_bytes()).revision
    except (OSError, DamagedError):
        return 0


def ensure_database() -> str | None:
    """Make a lost or damaged database anew; see `pipes.backups.ensure_database`."""
    from pipes import backups

    return backups.ensure_database()


@contextmanager
def own_connection() -> Iterator[None]:
    """Close the thread's database connection again if it was not open before.

    Raises:
        Unavailable: the database is a file that is not there. (To connect would make an empty one.)

    """
    path = database_path()
    if path is not None and not path.exists():
        raise Unavailable(f"there is no database {path}")
    was_open = connection.connection is not None
    try:
        yield
    finally:
        if not was_open:
            connection.close()


def database_path() -> Path | None:
    """The file of the database; None if it is a server or in memory."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or "memory" in name:
        return None
    return Path(name)


def from_database() -> LastGood:
    """The present revision of the database.

    Raises:
        Unavailable: it cannot be read.

    """
    with store.database():
        state = store.read()
        stored = dict(Server.objects.exclude(secret="").values_list("name", "secret"))
    text, configuration = state.document_text, state.configuration
    return LastGood(
        configuration.revision,
        configuration.next_item_id,
        digest_of_text(text),
        text,
        stored,
        configuration,
    )


# The file


def read_file() -> LastGood:
    """The last-good configuration.

    Raises:
        OSError: there is no such file, or it cannot be read.
        DamagedError: it is not what was written.

    """
    file = _decode(file_path().read_bytes())
    raw = bytes(file.document)
    try:
        text = raw.decode()
        if digest_of_text(text) != file.digest:
            raise DamagedError(f"{file_path()} does not match its digest")
        with store.without_collection():
            document = msgspec.json.decode(raw, type=_Document)
        configuration = Configuration(
            {str(key_of(Kind.SERVER, body)): body for body in document.servers},
            {str(key_of(Kind.PIPE, body)): body for body in document.pipes},
            {int(key_of(Kind.ITEM, body)): body for body in document.items},
            file.revision,
            file.next_item_id,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{file_path()} is no last-good configuration: {error}") from error
    return LastGood(
        file.revision, file.next_item_id, file.digest, text, file.secrets, configuration
    )


def _decode(raw: bytes) -> _File:
    try:
        file = msgspec.json.decode(raw, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{file_path()} is no last-good configuration: {error}") from error
    if (file.format, file.version) != (FORMAT, VERSION):
        raise DamagedError(f"{file_path()} has the format {file.format} {file.version}")
    return file


def keep(found: LastGood) -> bool:
    """Write ``found`` to the file unless a newer revision (or just this one) is there.

    Raises:
        OSError: the disk refused; the file is the former one.

    """
    path = file_path()
    with _locked(path):
        try:
            present = _decode(path.read_bytes())
        except (OSError, DamagedError):
            present = None
        if present is not None and not _replaces(found, present):
            return False
        _write(path, found)
    return True


def _replaces(found: LastGood, present: _File) -> bool:
    if found.revision != present.revision:
        return found.revision > present.revision
    return (found.digest, dict(found.secrets)) != (present.digest, present.secrets)


def _keep_quietly(found: LastGood) -> None:
    try:
        keep(found)
    except OSError as error:
        log.warning("revision %s could not be kept in %s: %s", found.revision, file_path(), error)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Several hosts load the same new revision at the same moment."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, found: LastGood) -> None:
    file = _File(
        FORMAT,
        VERSION,
        found.revision,
        found.next_item_id,
        found.digest,
        dict(found.secrets),
        msgspec.Raw(found.text.encode()),
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(msgspec.json.encode(file))
            target.flush()
            os.fsync(target.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
