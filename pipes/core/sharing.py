"""Which pipe worker takes which pipe, when several of them look at the same list.

Every worker asks this for itself; a lock file settles who was first, so the answer only has to be
good, not agreed. A pipe has a preferred worker by its place in the list. Others leave it to that
worker while it lives, and take the pipe at once when it is dead.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

#: A worker that has just started leaves others this long to start as well, in seconds.
START_GRACE: Final = 3.0
#: So long may a living preferred worker leave its pipe alone before others take it, in seconds.
NEGLECT: Final = 5.0


def preferred_worker(place: int, workers: int) -> int:
    """The worker, from 1, that should take the pipe at ``place`` of the sorted list."""
    return place % workers + 1


def may_claim(
    place: int,
    *,
    me: int,
    workers: int,
    living: Collection[int],
    up_seconds: float,
    unclaimed_seconds: float,
) -> bool:
    """Whether worker ``me`` should try to claim the unclaimed pipe at ``place`` now."""
    preferred = preferred_worker(place, workers)
    if preferred == me:
        return True
    if preferred in living:
        return unclaimed_seconds >= NEGLECT
    return up_seconds >= START_GRACE
