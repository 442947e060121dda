from __future__ import annotations

import pytest

from pipes.core.learning import Lesson, lesson_of
from pipes.core.quality import Ability

YES, NO, OPEN = True, False, None


@pytest.mark.parametrize(
    ("timestamps", "status", "had_timestamp", "had_status", "lesson"),
    [
        # The first refusals of a server that is not known yet.
        (OPEN, OPEN, True, False, Lesson.NO_TIMESTAMPS),
        (OPEN, OPEN, False, True, Lesson.NO_STATUS),
        (OPEN, OPEN, True, True, Lesson.BARE_NODE),  # which of the two? ask with one less
        (OPEN, OPEN, False, False, Lesson.NOTHING),
        # One of the two is known to be taken: it is the other one.
        (YES, OPEN, True, True, Lesson.NO_STATUS),
        (OPEN, YES, True, True, Lesson.NO_TIMESTAMPS),
        # The server takes timestamps, so it is this node that does not.
        (YES, OPEN, True, False, Lesson.BARE_NODE),
        (YES, YES, True, True, Lesson.BARE_NODE),
        # Sent before the server was known: nothing new is learned from it.
        (NO, OPEN, True, False, Lesson.AGAIN),
        (NO, OPEN, True, True, Lesson.AGAIN),
        (OPEN, NO, True, True, Lesson.AGAIN),
        (YES, NO, True, True, Lesson.AGAIN),
        (NO, NO, False, True, Lesson.AGAIN),
        # Without a timestamp nothing but the status is left, then nothing at all.
        (NO, OPEN, False, True, Lesson.NO_STATUS),
        (NO, NO, False, False, Lesson.NOTHING),
    ],
)
def test_one_thing_at_a_time_is_left_out(timestamps, status, had_timestamp, had_status, lesson):
    found = lesson_of(
        Ability(writes_status=status, writes_timestamps=timestamps),
        has_timestamp=had_timestamp,
        has_status=had_status,
        insists_on_timestamp=False,
    )
    assert found is lesson


@pytest.mark.parametrize(
    ("had_status", "lesson"), [(True, Lesson.NO_STATUS), (False, Lesson.NOTHING)]
)
def test_a_timestamp_that_is_asked_for_is_never_left_out(had_status, lesson):
    found = lesson_of(
        Ability(), has_timestamp=True, has_status=had_status, insists_on_timestamp=True
    )
    assert found is lesson


@pytest.mark.parametrize("takes_timestamps", [True, False])
@pytest.mark.parametrize("takes_status", [True, False])
@pytest.mark.parametrize("has_status", [True, False])
def test_a_value_is_taken_after_at_most_four_tries(takes_timestamps, takes_status, has_status):
    """A server of every kind, asked with a value that has everything; nothing false is learned."""
    ability, is_bare, tries = Ability(), False, 0
    while True:
        tries += 1
        sends_timestamp = ability.writes_timestamps is not False and not is_bare
        sends_status = has_status and ability.writes_status is not False
        if (takes_timestamps or not sends_timestamp) and (takes_status or not sends_status):
            break
        lesson = lesson_of(
            ability,
            has_timestamp=sends_timestamp,
            has_status=sends_status,
            insists_on_timestamp=False,
        )
        if lesson is Lesson.NO_TIMESTAMPS:
            ability = Ability(ability.writes_status, writes_timestamps=False)
        elif lesson is Lesson.NO_STATUS:
            ability = Ability(writes_status=False, writes_timestamps=ability.writes_timestamps)
            is_bare = False
        else:
            assert lesson is Lesson.BARE_NODE
            is_bare = True
    assert tries <= 4
    assert ability.writes_timestamps in (None, takes_timestamps)
    assert ability.writes_status in (None, takes_status)
