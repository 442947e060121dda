"""A station's own database file and data folder inside a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection


@contextmanager
def file_station(folder: Path, monkeypatch: Any, *, migrated: bool = True) -> Iterator[Path]:
    """Point Django's connection (of every thread) and the station's paths into ``folder``."""
    station = replace(settings.STATION, data_dir=folder, run_dir=folder / "run")
    monkeypatch.setattr(settings, "STATION", station)
    aside, name = connection.connection, connection.settings_dict["NAME"]
    connection.connection = None
    connection.settings_dict["NAME"] = folder / "db.sqlite3"
    try:
        if migrated:
            call_command("migrate", verbosity=0, interactive=False)
        yield folder
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
        connection.connection = aside
