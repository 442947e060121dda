"""A word to systemd, when it started the station: ready, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


def notify(message: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send ``READY=1``, ``WATCHDOG=1`` or ``STOPPING=1``; nothing happens without systemd.

    Needs ``NotifyAccess=all`` in the unit, since the supervisor is not its main process.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.settimeout(0)  # a full queue loses a word, it never stops the loop
        sock.sendto(message.encode(), address)
