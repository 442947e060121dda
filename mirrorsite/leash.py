"""Runs a command that the kernel kills when its parent dies: ``leash.py PARENT COMMAND…``.

The launcher starts every child through this file, so that not even ``kill -9`` of the launcher
leaves a process behind. It is run as a plain file by an isolated interpreter (about 15 ms) and
replaced by the command; a fork hook inside the launcher would be cheaper but is not safe in a
process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was told
        sys.exit(1)
    # A parent started in the background of a script hands down ignored signals.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the launcher's own command
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
