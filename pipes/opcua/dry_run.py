"""The lane of a pipe that only tries: nothing goes out, every write is answered as accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from pipes.opcua.lane import WriteOutcome


class DryRunLane:
    """As the writing half of `lane.Lane`; the gate is asked as for a real write."""

    def write(
        self,
        prefixes: Mapping[int, bytes],
        batch: Mapping[int, bytes],
        may_write: Callable[[], bool],
        done: Callable[[WriteOutcome], None],
    ) -> bool:
        """Send nothing; ``done`` hears of success from the loop."""
        del prefixes, batch
        if not may_write():
            return False
        asyncio.get_running_loop().call_soon(done, WriteOutcome())
        return True
