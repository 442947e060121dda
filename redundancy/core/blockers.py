"""Why something that a person asked for cannot be done now."""

from __future__ import annotations

from enum import Enum


class Blocker(Enum):
    """The name is the code, the value the sentence."""

    NO_PAIR = "This station has no pair; there is no other station."
    NOT_FAILED = "The station has not failed."
