"""What a station leaves in its run folder: nothing.

The run folder lies in memory. After a stop in order no process of the station is left, so that its
board, claims and locks mean nothing any more: the next start makes them anew, and the term goes on
from ``<data dir>/term_record``. Only names of the station's own are removed.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

from mirrorsite.env import StationSettings, made_up_run_name

_FILES: Final = re.compile(
    r"board|supervisor\.sock|supervisor\.lock|pipes-[0-9]+\.sock|redis\.sock|jobs\.pulse"
)
_CLAIMS: Final = "claims"
_CLAIM_FILES: Final = re.compile(r"worker-[0-9]+|pipe-[0-9a-f]{24}")


def leave_run_folder(station: StationSettings) -> None:
    """Remove what the station's processes made there, and the folder if they made that too.

    A folder that was given (``MIRRORSITE_RUN_DIR``) stays, as does what is not ours. Whatever
    cannot be removed is left: it is in nobody's way.
    """
    folder = station.run_dir
    _remove_files(folder / _CLAIMS, _CLAIM_FILES)
    with contextlib.suppress(OSError):
        (folder / _CLAIMS).rmdir()
    _remove_files(folder, _FILES)
    if folder.name == made_up_run_name(station.data_dir):
        with contextlib.suppress(OSError):  # not empty: somebody else put something into it
            folder.rmdir()


def _remove_files(folder: Path, ours: re.Pattern[str]) -> None:
    try:
        found = list(folder.iterdir())
    except OSError:
        return
    for path in found:
        if ours.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()
