"""Loaded by pytest before Django's settings: no test sees the station of whoever runs it.

Each process of a parallel run has a data folder of its own, and with it a run folder of its own:
sockets, spools and boards of two tests that run at once never meet.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from mirrorsite.env import SETTINGS


def _take_data_folder() -> None:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    given = os.environ.get("MIRRORSITE_TESTS_DIR", "")
    if given:
        folder = Path(given)
    else:
        folder = Path(tempfile.mkdtemp(prefix="mirrorsite-tests-"))
        os.environ["MIRRORSITE_TESTS_DIR"] = str(folder)  # the workers of this run share it
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in SETTINGS:
        os.environ.pop(name, None)
    os.environ["MIRRORSITE_DATA_DIR"] = str(folder / worker / "REDOPC")
    os.environ["MIRRORSITE_RUN_DIR"] = str(folder / worker / "run")


_take_data_folder()
