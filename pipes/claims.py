"""Who runs a pipe: the worker that holds the lock on its claim file.

The kernel gives a lock back when its process ends, however it ends: no clock, no time-out and no
Redis. A claim file is never removed, since removing it would let two workers lock two files of
the same name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import Final

#: A worker that has just been killed may need this long to let go of its lock, in seconds.
PATIENCE: Final = 2.0


class Claims:
    """The claims of one worker in the station's claim folder."""

    def __init__(self, folder: Path, index: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._held: dict[str, int] = {}
        self._index = index
        self._life: int | None = self._take_life(folder / f"worker-{index}")

    def claim(self, pipe: str) -> bool:
        """Take ``pipe`` if nobody has it; True also when it is ours already."""
        if pipe in self._held:
            return True
        descriptor = self._lock(self._file(pipe))
        if descriptor is None:
            return False
        self._held[pipe] = descriptor
        return True

    def release(self, pipe: str) -> None:
        descriptor = self._held.pop(pipe, None)
        if descriptor is not None:
            os.close(descriptor)

    def release_all(self) -> None:
        for pipe in list(self._held):
            self.release(pipe)
        if self._life is not None:
            os.close(self._life)
            self._life = None

    def living_workers(self, workers: int) -> set[int]:
        """The workers, from 1, that hold the lock of their life."""
        return {
            index for index in range(1, workers + 1) if index == self._index or self._is_held(index)
        }

    def _take_life(self, path: Path) -> int:
        """Lock the file of this worker's life; somebody may be just looking at it."""
        deadline = time.monotonic() + PATIENCE
        while (descriptor := self._lock(path)) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"pipe worker {self._index} of this station runs already")
            time.sleep(0.01)
        return descriptor

    def _is_held(self, index: int) -> bool:
        descriptor = self._lock(self._folder / f"worker-{index}", fcntl.LOCK_SH)
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def _file(self, pipe: str) -> Path:
        return self._folder / f"pipe-{hashlib.sha256(pipe.encode()).hexdigest()[:24]}"

    @staticmethod
    def _lock(path: Path, how: int = fcntl.LOCK_EX) -> int | None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor
