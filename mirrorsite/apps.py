from __future__ import annotations

import logging
import os

from django.apps import AppConfig

log = logging.getLogger(__name__)


class MirrorsiteConfig(AppConfig):
    """Sets up what every process of a station needs: its checks and its log."""

    name = "mirrorsite"

    def ready(self) -> None:
        from mirrorsite import checks  # noqa: F401 - registered by being imported

        process = os.environ.get("MIRRORSITE_PROCESS", "")
        if process:  # set by the launcher; a command's log is its own stderr
            from django.conf import settings

            from mirrorsite import __version__, logs

            station = settings.STATION
            logs.configure(process, station=station.name, directory=station.data_dir / "logs")
            log.info("%s of version %s runs as process %s", process, __version__, os.getpid())
