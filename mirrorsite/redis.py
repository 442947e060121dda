"""Where this station's Redis is, in the two spellings that its clients want."""

from __future__ import annotations

from pathlib import Path


def embedded_url(run_dir: Path) -> str:
    """The address of the embedded Redis: a private unix socket in the run folder."""
    return f"unix://{run_dir}/redis.sock"


def celery_url(url: str) -> str:
    """Celery spells ``unix://`` as ``redis+socket://``; redis-py and Channels do not."""
    scheme, colon, rest = url.partition("://")
    return f"redis+socket{colon}{rest}" if scheme == "unix" else url
