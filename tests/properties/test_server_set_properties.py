"""However members come and go: a usable one is left only for a better one, and never in haste."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipes.core.server_set import Band, Rules, ServerSet, band_of

ENDPOINTS = ("opc.tcp://a:1", "opc.tcp://b:1", "opc.tcp://c:1")
RULES = Rules(margin=20, hold_seconds=10, rest_seconds=60)
DEAD = "dead"

steps = st.lists(
    st.tuples(
        st.sampled_from(ENDPOINTS),
        st.one_of(st.just(DEAD), st.none(), st.integers(0, 255)),
        st.floats(0, 30),
    ),
    max_size=60,
)


@given(steps)
def test_every_move_has_a_reason(story) -> None:
    found = ServerSet(ENDPOINTS, RULES)
    levels: dict[str, object] = dict.fromkeys(ENDPOINTS, DEAD)
    found.use(ENDPOINTS[0], 0)
    now = moved_at = 0.0
    for endpoint, level, passed in story:
        now += passed
        levels[endpoint] = level
        if level == DEAD:
            found.miss(endpoint, now)
        else:
            found.see(endpoint, now, level=level)
        move = found.move(now)
        before, after = (_band(levels[each]) for each in (found.current, _to(move, found)))
        if move is None:
            assert before > Band.NO_DATA or all(
                _band(each) <= Band.NO_DATA for each in levels.values()
            ), "a usable member is used if there is one"
            continue
        assert move.endpoint != found.current
        assert after > Band.DEAD
        if before > Band.NO_DATA:
            assert after >= before
            assert now - moved_at >= RULES.hold_seconds
        found.use(move.endpoint, now)
        moved_at = now
        assert found.move(now) is None, "a move is not undone in the same moment"


def _to(move, found):
    return found.current if move is None else move.endpoint


def _band(level) -> Band:
    return Band.DEAD if level == DEAD else band_of(level)
