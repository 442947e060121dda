from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mirrorsite.admission import FolderLock, StartRefused, check_port, is_free


def test_a_taken_port_is_refused_by_option_and_number() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(StartRefused, match=f"--http 127.0.0.1:{port}: another program"):
            check_port("127.0.0.1", port, "--http")
        assert not is_free("127.0.0.1", port)

    assert is_free("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(StartRefused, match="this machine has no such address"):
        check_port("192.0.2.1", 8000, "--http")


def test_a_host_that_does_not_exist_is_refused() -> None:
    with pytest.raises(StartRefused, match="no such host"):
        check_port("no-such-host.invalid", 8000, "--http")


def test_a_second_launcher_of_a_folder_is_refused_and_told_the_first(tmp_path: Path) -> None:
    first = FolderLock(tmp_path / "station.lock")
    first.take()

    with pytest.raises(StartRefused, match=rf"already runs .*process {os.getpid()}\)"):
        FolderLock(tmp_path / "station.lock").take()


def test_a_lock_left_by_a_dead_launcher_is_free(tmp_path: Path) -> None:
    (tmp_path / "station.lock").write_text("4194304\n")

    FolderLock(tmp_path / "station.lock").take()

    assert (tmp_path / "station.lock").read_text() == f"{os.getpid()}\n"
