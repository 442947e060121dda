"""How long a session may command.

For half an hour after its last command and half a day after the login. After that it still shows
the plant, so that a screen in a control room stays alive, and a command asks for the password.
"""

from __future__ import annotations

import time
from typing import Final

from django.contrib.sessions.backends.base import SessionBase

IDLE_SECONDS: Final = 30 * 60
ABSOLUTE_SECONDS: Final = 12 * 3600
#: A session is written at most once in this time, however many commands it gives.
_NOTED_SECONDS: Final = 60


def begin(session: SessionBase) -> None:
    """Remember when the person signed in."""
    session["signed_in_at"] = session["commanded_at"] = int(time.time())


def may_command(session: SessionBase) -> bool:
    """Whether the session is young enough; if so, the command that it gives now is noted."""
    now = int(time.time())
    signed_in_at = session.get("signed_in_at", 0)
    commanded_at = session.get("commanded_at", 0)
    if now - signed_in_at > ABSOLUTE_SECONDS or now - commanded_at > IDLE_SECONDS:
        return False
    if now - commanded_at >= _NOTED_SECONDS:
        session["commanded_at"] = now
    return True
