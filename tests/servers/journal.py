"""What clients wrote to a plant server, in a file that outlives it; and a death in mid-write."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncua import Server, ua


class Journal:
    """A line for each value that a client writes, as soon as the request is here.

    It stands before everything else that looks at writes, so make it last.
    """

    def __init__(self, server: Server, nodes: Mapping[str, Any], path: Path) -> None:
        self._path = path
        self._nodes = nodes
        self._deadly: set[ua.NodeId] = set()
        service = server.iserver.isession.__class__
        plain = service.write

        async def write(session: Any, parameters: ua.WriteParameters, *more: Any) -> Any:
            if not session.external:
                return await plain(session, parameters, *more)
            self._note(parameters.NodesToWrite)
            results = await plain(session, parameters, *more)
            if any(item.NodeId in self._deadly for item in parameters.NodesToWrite):
                os.kill(os.getpid(), signal.SIGKILL)  # written, and nobody will know
            return results

        service.write = write

    def die_of(self, names: list[str]) -> None:
        """End as by SIGKILL when one of these is written, before the answer leaves."""
        self._deadly = {self._nodes[name].nodeid for name in names}

    def _note(self, written: list[Any]) -> None:
        lines = [
            json.dumps([str(item.NodeId.Identifier), _plain(item.Value)]) + "\n" for item in written
        ]
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(lines)


def _plain(value: ua.DataValue) -> Any:
    content = value.Value.Value if value.Value is not None else None
    return content if isinstance(content, (bool, int, float, str, type(None))) else repr(content)
