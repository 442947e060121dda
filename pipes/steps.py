"""The worker step that runs a pipe host beside the tasks of a Celery worker (``--role pipes``).

A worker step outlives broker reconnects and starts before the consumer: with Redis away the pipes
run all the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import Any

from celery import bootsteps
from django.conf import settings

from pipes import hosting
from pipes.claims import Claims
from pipes.host import PipeHost
from pipes.last_good import load_wanted
from pipes.pki import Pki
from redundancy.board import Board
from redundancy.loop_thread import LoopStopped, LoopThread

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0


class PipeHostStep(bootsteps.StartStopStep):
    """Owns the loop thread of one pipe host."""

    requires = ()

    def __init__(
        self, parent: Any, role: str | None = None, index: int = 1, **options: Any
    ) -> None:
        self._role = role
        self.index = index
        self.loop = LoopThread(f"pipes-{index}")
        super().__init__(parent, **options)

    def include_if(self, parent: Any) -> bool:  # noqa: ARG002 - Celery's signature
        return self._role == "pipes"

    def start(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        self.loop.start(self._serve)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Drain, close the sessions, release the claims; then Celery may go on stopping."""
        hosted = hosting.current()
        if hosted is not None:
            with contextlib.suppress(LoopStopped):
                self.loop.run(hosted.host.stop())
        if not self.loop.join(STOP_SECONDS):
            log.error("pipe host %s did not let go within %s s", self.index, STOP_SECONDS)
            self.loop.stop()

    async def _serve(self) -> None:
        station = settings.STATION
        board = Board.open_or_create(station.board_file)
        host = PipeHost(
            index=self.index,
            workers=station.pipe_workers,
            claims=Claims(station.run_dir / "claims", self.index),
            board=board,
            pki=Pki(station.data_dir / "pki"),
            application_uri=f"urn:mirrorsite:{station.name}",
            load_wanted=load_wanted,
            socket_path=station.host_socket(self.index),
            browse_folder=station.browse_folder,
        )
        hosting.publish(hosting.Hosted(host, self.loop))
        try:
            await host.run()
        except Exception:
            log.exception("pipe host %s failed; the worker ends and is started again", self.index)
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            board.host(self.index).vacate()
