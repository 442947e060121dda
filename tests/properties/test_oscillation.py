"""Whatever the delays are: loops are suspended, and sources with a life of their own are not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipes.core.oscillation import Step
from tests.unit.pipes.core.test_oscillation import World, script, toggle


@settings(max_examples=40)
@given(st.floats(0, 0.35), st.integers(2, 4))
def test_a_loop_of_few_values_is_suspended_within_seconds(delay: float, values: int) -> None:
    world = World(script(delay, lambda value: (value + 1) % values)).run(20)
    assert Step.SUSPEND in world.taken()


@settings(max_examples=40)
@given(st.floats(0.03, 3), st.integers(2, 6))
def test_a_source_of_its_own_is_never_suspended(every: float, values: int) -> None:
    world = World()
    toggle(world, every, values)
    world.run(60)
    assert Step.SUSPEND not in world.taken()
    assert world.arrivals - len(world.written) <= values + 4


@settings(max_examples=40)
@given(st.floats(0, 0.35), st.floats(0.03, 3))
def test_a_source_that_toggles_on_is_not_suspended_for_a_script_beside_it(
    delay: float, every: float
) -> None:
    """The script writes the source as well, but it is not what makes it move."""
    world = World(script(delay, lambda value: value))
    toggle(world, every, values=1000)
    world.run(60)
    assert Step.SUSPEND not in world.taken()


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0.01, 2), st.integers(0, 3)), max_size=40))
def test_after_any_movement_the_target_gets_the_last_value(moves: list[tuple[float, int]]) -> None:
    world = World()
    for seconds, value in moves:
        world.set_source(float(value))
        world.run(seconds)
    world.run(30)
    assert world.target == world.source
