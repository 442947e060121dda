"""What a refused write teaches about a server: does it take source timestamps, status codes?

Servers say BadWriteNotSupported and not what it is that they do not support (Part 4, 5.11.4), and
one node may differ from the others. So one thing at a time is left out, and nothing is believed of
a whole server that a write without that thing has not shown.
"""

from __future__ import annotations

from enum import StrEnum

from pipes.core.quality import Ability


class Lesson(StrEnum):
    NO_TIMESTAMPS = "no_timestamps"
    """The server takes no source timestamps."""
    NO_STATUS = "no_status"
    """The server takes no status codes."""
    BARE_NODE = "bare_node"
    """Leave the timestamp out for this node alone, and see."""
    AGAIN = "again"
    """It was sent before the server was known better: the same as one would send now."""
    NOTHING = "nothing"
    """There is nothing left to leave out."""


def lesson_of(
    ability: Ability, *, has_timestamp: bool, has_status: bool, insists_on_timestamp: bool
) -> Lesson:
    """What follows from a refused write that had these two, given what is known so far."""
    if has_timestamp and not insists_on_timestamp:
        return _with_timestamp(ability, has_status=has_status)
    if not has_status:
        return Lesson.NOTHING
    return Lesson.AGAIN if ability.writes_status is False else Lesson.NO_STATUS


def _with_timestamp(ability: Ability, *, has_status: bool) -> Lesson:
    if ability.writes_timestamps is False or (has_status and ability.writes_status is False):
        return Lesson.AGAIN
    if has_status and ability.writes_status is None:
        return Lesson.NO_STATUS if ability.writes_timestamps else Lesson.BARE_NODE
    return Lesson.BARE_NODE if ability.writes_timestamps else Lesson.NO_TIMESTAMPS
