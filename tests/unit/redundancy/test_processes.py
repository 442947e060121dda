from __future__ import annotations

import os
import subprocess
import sys

from redundancy.processes import start_time


def test_the_start_time_tells_processes_apart_and_stays() -> None:
    own = start_time(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    try:
        assert own > 0
        assert start_time(os.getpid()) == own
        assert start_time(child.pid) >= own
    finally:
        child.kill()
        child.communicate()
    assert start_time(child.pid) == 0
