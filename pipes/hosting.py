"""The pipe host of this process, for the tasks of the same worker."""

from __future__ import annotations

from dataclasses import dataclass

from pipes.host import PipeHost
from redundancy.loop_thread import LoopThread


@dataclass(frozen=True, slots=True)
class Hosted:
    host: PipeHost
    loop: LoopThread


_hosted: list[Hosted] = []


def publish(hosted: Hosted) -> None:
    """The step has made the host of this process."""
    _hosted[:] = [hosted]


def current() -> Hosted | None:
    return _hosted[0] if _hosted else None
