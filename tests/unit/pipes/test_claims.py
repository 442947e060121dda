"""A claim is a lock of the kernel: one holder, and free as soon as that one is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pipes import claims as claims_module
from pipes.claims import Claims

HOLDER = """
import sys, time
from pathlib import Path
from pipes.claims import Claims
claims = Claims(Path(sys.argv[1]), 2)
print(claims.claim("P1"), flush=True)
time.sleep(60)
"""


@pytest.fixture
def other_worker(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_pipe_is_claimed_by_one_worker_at_a_time(tmp_path, other_worker):
    claims = Claims(tmp_path, 1)

    assert not claims.claim("P1")
    assert claims.claim("P2")
    assert claims.claim("P2"), "its own claim stands"


def test_a_killed_worker_lets_go_of_its_pipes(tmp_path, other_worker):
    claims = Claims(tmp_path, 1)
    assert claims.living_workers(2) == {1, 2}

    os.kill(other_worker.pid, signal.SIGKILL)
    other_worker.wait()

    assert claims.living_workers(2) == {1}
    assert claims.claim("P1")


def test_a_released_pipe_is_free(tmp_path):
    first, second = Claims(tmp_path, 1), Claims(tmp_path, 2)
    assert first.claim("P1")
    assert not second.claim("P1")

    first.release("P1")
    first.release("P1")

    assert second.claim("P1")
    second.release_all()
    assert first.claim("P1")
    assert first.living_workers(2) == {1}


def test_a_second_worker_of_the_same_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(claims_module, "PATIENCE", 0.05)
    keeper = Claims(tmp_path, 1)

    with pytest.raises(RuntimeError, match="pipe worker 1 of this station runs already"):
        Claims(tmp_path, 1)

    keeper.release_all()
    Claims(tmp_path, 1).release_all()
