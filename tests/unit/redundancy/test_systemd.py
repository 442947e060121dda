from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from redundancy.systemd import notify


def test_a_word_reaches_systemd() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ms-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(str(Path(folder) / "notify"))
        systemd.settimeout(5)

        notify("WATCHDOG=1", {"NOTIFY_SOCKET": str(Path(folder) / "notify")})

        assert systemd.recv(100) == b"WATCHDOG=1"


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("")  # Linux chooses an abstract address
        systemd.settimeout(5)
        name = systemd.getsockname().decode()

        notify("READY=1", {"NOTIFY_SOCKET": f"@{name[1:]}"})

        assert systemd.recv(100) == b"READY=1"


def test_without_systemd_or_with_a_dead_one_nothing_happens() -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": "/nowhere/notify"})
