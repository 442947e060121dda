"""The Celery worker step that carries the supervisor.

A *worker* step: it starts before the consumer and survives every loss of the broker, so a station
is supervised with Redis away. Celery hands the options of the command line to every step; the
role decides whether the step is there at all.
"""

from __future__ import annotations

import gc
import logging
from typing import Any, Final

from celery import bootsteps
from django.conf import settings
from django.db import close_old_connections
from django.utils.module_loading import import_string

from redundancy.loop_thread import LoopStopped, LoopThread
from redundancy.setup import Setup
from redundancy.station_probes import station_probes, task_timer
from redundancy.supervisor import Supervisor

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 15.0  # draining ends after 10


class SupervisorStep(bootsteps.StartStopStep):
    """Runs the supervisor beside the tasks of a worker with ``--role supervisor``."""

    requires = ()

    def __init__(self, parent: Any, role: str | None = None, **options: Any) -> None:
        self._role = role
        self._thread = LoopThread("supervisor")
        self._supervisor: Supervisor | None = None
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:  # noqa: ARG002 - Celery's signature
        return self._role == "supervisor"

    def start(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        self._supervisor = Supervisor(setup_from_settings())
        gc.collect()
        gc.freeze()  # what is loaded now stays: a collection must not count against the lease
        self._thread.start(self._supervisor.run)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Keep the lease until the pipe hosts are gone, then end; the gates shut last."""
        if self._supervisor is None:
            return
        try:
            self._thread.run(self._begin_to_end(self._supervisor))
        except LoopStopped:
            return  # it was told by its socket before
        if not self._thread.join(STOP_SECONDS):
            log.error("the supervisor did not end in %s s", STOP_SECONDS)
            self._thread.stop(1.0)

    @staticmethod
    async def _begin_to_end(supervisor: Supervisor) -> None:
        supervisor.stop()


def setup_from_settings() -> Setup:
    """The supervisor of this station.

    Settings: ``SUPERVISOR_NEWEST_REVISION``, the dotted path of a function that returns the number
    of the newest revision; ``SUPERVISOR_TIMERS``, rows of (name, seconds, task, queue).
    """
    station = settings.STATION
    newest = getattr(settings, "SUPERVISOR_NEWEST_REVISION", "")
    timers = getattr(settings, "SUPERVISOR_TIMERS", ())
    return Setup(
        station=station.name,
        data_dir=station.data_dir,
        board_file=station.board_file,
        socket=station.supervisor_socket,
        pipe_workers=station.pipe_workers,
        has_peer=bool(station.peer),
        newest_revision=_reader(newest) if newest else None,
        probes=station_probes(station, settings.REDIS_URL),
        timers=[
            task_timer(name, seconds, task, queue, settings.REDIS_URL)
            for name, seconds, task, queue in timers
        ],
    )


def _reader(path: str) -> Any:
    look = import_string(path)

    def newest_revision() -> int:
        """A thread that lives long looks after its own database connections."""
        close_old_connections()
        try:
            return int(look())
        finally:
            close_old_connections()

    return newest_revision
