"""What must be true before a launcher starts anything: folder, port and Redis are its own."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import TextIO

from mirrorsite import redis
from mirrorsite.env import StationSettings


class StartRefused(Exception):  # noqa: N818 - a refusal with its remedy, not a fault
    """The station cannot start; the text names what is in the way and the remedy."""


class FolderLock:
    """One launcher per data folder, for as long as the process lives."""

    def __init__(self, path: Path, name: str = "a station") -> None:
        self._path = path
        self._name = name
        self._file: TextIO | None = None

    def take(self) -> None:
        """Hold the lock until the process ends.

        Raises:
            StartRefused: another launcher holds it.

        """
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = file.read().strip() or "unknown"
            file.close()
            raise StartRefused(
                f"{self._name} already runs with the data folder {self._path.parent} "
                f"(process {pid}); stop it first, or choose another folder"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file


def claim_redis(station: StationSettings) -> None:
    """Take the Redis that the station was given, which is to be its own.

    Raises:
        StartRefused: another station uses it.

    """
    other = redis.claim(station.redis_url, redis_owner(station)) if station.redis_url else None
    if other:
        raise StartRefused(
            f"MIRRORSITE_REDIS_URL: the station {other} uses that Redis; each needs its own "
            f"(a mark of a station that is gone ends after {redis.CLAIM_SECONDS} s)"
        )


def redis_owner(station: StationSettings) -> str:
    return f"{station.name} in {station.data_dir} on {socket.gethostname()}"


def is_free(host: str, port: int) -> bool:
    try:
        check_port(host, port, "")
    except StartRefused:
        return False
    return True


def check_port(host: str, port: int, option: str) -> None:
    """Refuse to start with an address that something else listens on.

    Raises:
        StartRefused: it is taken, not of this machine, or not allowed.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except socket.gaierror as error:
            raise StartRefused(
                f"{option} {host}:{port}: no such host ({error.strerror})"
            ) from error
        except OSError as error:
            reason = {
                errno.EADDRINUSE: "another program listens there; stop it or choose another port",
                errno.EADDRNOTAVAIL: "this machine has no such address",
                errno.EACCES: "this user may not listen there; choose a port above 1023",
            }.get(error.errno or 0, error.strerror or str(error))
            raise StartRefused(f"{option} {host}:{port}: {reason}") from error
